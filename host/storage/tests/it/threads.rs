//! Promises about threads.

use selvedge_model::run::{RunError, RunStatus};
use selvedge_model::thread::{ThreadOutcome, ThreadStatus};
use selvedge_model::{Scope, ThreadId};
use selvedge_storage::{Admission, Insert, NewRun, NewThread, Refusal, RunEnd, ThreadNeed, Values};

use crate::given::{
    append, at, claimed, delivery, end, finish, json, list, new_run, queued, run, running, status,
    step, whole, write,
};
use crate::home::Home;
use selvedge_model::checkpoint::Change;

pub async fn a_thread_is_created_once(home: &dyn Home) {
    let storage = home.open();
    let new = NewThread {
        thread_id: ThreadId::new(),
        metadata: json(r#"{"a":1}"#),
        created_at: at(1),
        ttl: None,
    };
    let Insert::Created(thread) = storage
        .create_thread(&Scope::Host, new.clone(), None)
        .await
        .unwrap()
    else {
        panic!("it is new");
    };
    assert_eq!(
        (thread.status, thread.values.is_none()),
        (ThreadStatus::Idle, true)
    );
    let again = NewThread {
        metadata: json("{}"),
        ..new.clone()
    };
    let Insert::Exists(thread) = storage
        .create_thread(&Scope::Host, again, None)
        .await
        .unwrap()
    else {
        panic!("it exists");
    };
    assert_eq!(thread.metadata, new.metadata);
    assert!(
        storage
            .thread(&Scope::Host, ThreadId::new(), Values::Include)
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn a_run_brings_metadata_and_config_to_its_thread(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let bring = |metadata: &str, config: &str| NewRun {
        thread: ThreadNeed::Create {
            metadata: json(metadata),
            config: json(config),
            ttl: None,
        },
        ..new_run(thread, at(1))
    };
    let first = claimed(
        &storage,
        bring(r#"{"graph_id":"a","kept":1}"#, r#"{"tags":["x"]}"#),
    )
    .await;
    finish(&storage, first.lease, end(2)).await;
    claimed(&storage, bring(r#"{"graph_id":"b"}"#, "{}")).await;
    let thread = storage
        .thread(&Scope::Host, thread, Values::Skip)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(thread.metadata.as_str(), r#"{"graph_id":"b","kept":1}"#);
    assert_eq!(thread.config.as_str(), r#"{"tags":["x"]}"#);
    assert_eq!(thread.status, ThreadStatus::Busy);
}

pub async fn deleting_a_thread_names_each_run_that_had_not_ended_whoever_was_admitted_meanwhile(
    home: &dyn Home,
) {
    let storage = home.open();
    let ended = running(&storage).await;
    finish(&storage, ended, end(1)).await;
    let thread = ended.thread_id;
    claimed(&storage, new_run(thread, at(2))).await;
    let admissions: Vec<_> = (0..20)
        .map(|_| {
            let storage = storage.clone();
            let new = NewRun {
                thread: ThreadNeed::Existing {
                    metadata: json("{}"),
                    config: json("{}"),
                },
                ..new_run(thread, at(3))
            };
            tokio::spawn(async move { storage.admit_run(&Scope::Host, new).await.unwrap() })
        })
        .collect();
    let elsewhere = running(&storage).await;
    let unended = storage
        .delete_thread(&Scope::Host, thread)
        .await
        .unwrap()
        .unwrap()
        .unended;
    let mut admitted = 1;
    for admission in admissions {
        match admission.await.unwrap() {
            Admission::Queued(run, _) => {
                assert!(unended.contains(&run.run_id));
                admitted += 1;
            }
            Admission::Refused(Refusal::NoThread) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(unended.len(), admitted);
    assert!(!unended.contains(&ended.run_id) && !unended.contains(&elsewhere.run_id));
    assert!(
        storage
            .delete_thread(&Scope::Host, thread)
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn deleting_a_thread_takes_its_runs_and_checkpoints_and_leaves_its_deliveries(
    home: &dyn Home,
) {
    let storage = home.open();
    let lease = running(&storage).await;
    let kept = delivery(&lease, 3);
    let last = RunEnd {
        step: step([write(
            1,
            None,
            [("a", whole("1")), ("list", append(&["1"]))],
        )]),
        delivery: Some(kept.clone()),
        ..end(3)
    };
    finish(&storage, lease, last).await;
    let waiting = queued(
        &storage,
        NewRun {
            claim_by: None,
            ..new_run(lease.thread_id, at(4))
        },
    )
    .await;
    assert_eq!(storage.count_pending_runs().await.unwrap(), 1);

    let gone = storage
        .delete_thread(&Scope::Host, lease.thread_id)
        .await
        .unwrap();
    assert_eq!(gone.unwrap().unended, [waiting.run_id]);
    let again = storage
        .delete_thread(&Scope::Host, lease.thread_id)
        .await
        .unwrap();
    assert!(again.is_none());
    assert!(
        storage
            .thread(&Scope::Host, lease.thread_id, Values::Skip)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        storage
            .checkpoint(&Scope::Host, lease.thread_id, "", None)
            .await
            .unwrap()
            .is_none()
    );
    for gone in [lease.run_id, waiting.run_id] {
        assert!(
            storage
                .run(&Scope::Host, None, gone)
                .await
                .unwrap()
                .is_none()
        );
    }
    assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
    assert!(
        storage
            .claim_runs(at(9), 10, None)
            .await
            .unwrap()
            .runs
            .is_empty()
    );
    let due = storage
        .claim_deliveries(at(9), 10)
        .await
        .unwrap()
        .deliveries;
    assert_eq!(due[0].id, kept.id);
    assert_eq!(storage.delivery_to_send(kept.id).await.unwrap(), Some(kept));

    // A thread of the same id begins anew.
    let again = NewRun {
        run: run(lease.thread_id, at(5)),
        ..new_run(lease.thread_id, at(5))
    };
    let again = claimed(&storage, again).await;
    storage
        .commit_step(
            again.lease,
            step([write(2, None, [("list", append(&["2"]))])]),
        )
        .await
        .unwrap();
    let saved = storage
        .checkpoint(&Scope::Host, lease.thread_id, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(saved.checkpoint.values["list"], list(&["2"]));
}

pub async fn a_threads_values_are_the_authors_channels_of_its_newest_checkpoint(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let first = write(
        1,
        None,
        [
            ("name", whole(r#""n""#)),
            ("messages", append(&["1", r#"{"a":"]["}"#])),
            ("__start__", whole("{}")),
            ("branch:to:model", whole("null")),
            ("gone", whole("1")),
        ],
    );
    let second = write(
        2,
        Some(1),
        [("messages", append(&["3"])), ("gone", Change::Clear)],
    );
    storage.commit_step(lease, step([first])).await.unwrap();
    let error = RunError::new("ValueError", "no");
    let failed = RunEnd {
        status: RunStatus::Error,
        step: step([second]),
        thread_status: ThreadStatus::Error,
        outcome: ThreadOutcome {
            error: Some(error),
            ..ThreadOutcome::default()
        },
        ..end(7)
    };
    finish(&storage, lease, failed.clone()).await;

    let thread = storage
        .thread(&Scope::Host, lease.thread_id, Values::Include)
        .await
        .unwrap()
        .unwrap();
    let values = thread.values.unwrap();
    assert_eq!(
        values.as_str(),
        r#"{"messages":[1,{"a":"]["},3],"name":"n"}"#
    );
    assert_eq!(
        (thread.status, thread.outcome),
        (ThreadStatus::Error, Some(failed.outcome))
    );
    assert_eq!((thread.updated_at, thread.state_updated_at), (at(7), at(2)));
    let skipped = storage
        .thread(&Scope::Host, lease.thread_id, Values::Skip)
        .await
        .unwrap()
        .unwrap();
    assert!(skipped.values.is_none());
    assert_eq!(status(&storage, lease.thread_id).await, ThreadStatus::Error);
}
