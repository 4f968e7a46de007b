//! Promises about admitting, claiming and reading runs.

use selvedge_model::run::{Breakpoints, Command, MultitaskStrategy, RunStatus};
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{Json, Scope, ThreadId};
use selvedge_storage::{
    Admission, NewRun, Refusal, RunEnd, RunQuery, StorageError, ThreadNeed, Values,
};

use crate::given::{
    asking, at, claimed, delivery, end, finish, json, new_run, queued, running, status, temporary,
    thread, unclaimed, with_strategy,
};
use crate::home::Home;

pub async fn a_run_is_claimed_at_once_when_nothing_stands_before_it(home: &dyn Home) {
    let storage = home.open();
    let admitted = claimed(&storage, new_run(ThreadId::new(), at(5))).await;
    assert_eq!((admitted.attempt, admitted.started_at), (1, at(5)));
    let stored = storage
        .run(
            &Scope::Host,
            Some(admitted.run.thread_id),
            admitted.run.run_id,
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (stored.status, admitted.run.status),
        (RunStatus::Running, RunStatus::Running)
    );
    assert!(
        storage
            .claim_runs(at(9), 10, None)
            .await
            .unwrap()
            .runs
            .is_empty()
    );
    assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
    assert!(
        storage
            .run(&Scope::Host, Some(ThreadId::new()), admitted.run.run_id)
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn runs_of_one_thread_begin_in_order_and_one_at_a_time(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let mut lease = claimed(&storage, new_run(thread, at(0))).await.lease;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(queued(&storage, new_run(thread, at(1))).await.run_id);
    }
    for next in waiting {
        assert!(
            storage
                .claim_runs(at(2), 10, None)
                .await
                .unwrap()
                .runs
                .is_empty()
        );
        finish(&storage, lease, end(2)).await;
        assert_eq!(status(&storage, thread).await, ThreadStatus::Busy);
        let claims = storage.claim_runs(at(2), 10, None).await.unwrap();
        assert_eq!(claims.runs.len(), 1);
        lease = claims.runs[0].lease;
        assert_eq!(lease.run_id, next);
    }
    finish(&storage, lease, end(3)).await;
    assert_eq!(status(&storage, thread).await, ThreadStatus::Idle);
}

pub async fn a_run_that_may_not_begin_yet_waits_and_lets_others_pass(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let delayed = NewRun {
        claim_by: Some(at(0)),
        ..new_run(thread, at(60))
    };
    let delayed = queued(&storage, delayed).await;
    let claims = storage.claim_runs(at(0), 10, None).await.unwrap();
    assert_eq!((claims.runs.len(), claims.next_due), (0, Some(at(60))));

    let passing = claimed(&storage, new_run(thread, at(1))).await;
    // Its time has come and its turn has not.
    assert!(
        storage
            .claim_runs(at(61), 10, None)
            .await
            .unwrap()
            .runs
            .is_empty()
    );
    assert_eq!(
        storage.claim_runs(at(1), 10, None).await.unwrap().next_due,
        Some(at(60))
    );
    finish(&storage, passing.lease, end(2)).await;
    let queued_before = queued(&storage, unclaimed(new_run(thread, at(3)))).await;
    let claims = storage.claim_runs(at(61), 10, None).await.unwrap();
    assert_eq!(
        claims.runs.iter().map(|c| c.run.run_id).collect::<Vec<_>>(),
        [queued_before.run_id]
    );
    finish(&storage, claims.runs[0].lease, end(61)).await;
    let claims = storage.claim_runs(at(61), 10, None).await.unwrap();
    assert_eq!(
        (claims.runs[0].run.run_id, claims.next_due),
        (delayed.run_id, None)
    );
}

pub async fn claims_are_oldest_first_and_at_most_as_many_as_asked_for(home: &dyn Home) {
    let storage = home.open();
    let mut ids = Vec::new();
    for seconds in [3, 1, 2] {
        let run = queued(&storage, unclaimed(new_run(ThreadId::new(), at(seconds)))).await;
        ids.push(run.run_id);
    }
    let first = storage.claim_runs(at(5), 2, None).await.unwrap().runs;
    let then = storage.claim_runs(at(5), 2, None).await.unwrap().runs;
    let claimed: Vec<_> = first
        .iter()
        .chain(&then)
        .map(|claimed| claimed.run.run_id)
        .collect();
    assert_eq!(claimed, [ids[1], ids[2], ids[0]]);
    assert_eq!(first.len(), 2);
    assert_eq!(
        (first[0].run.status, first[0].started_at, first[0].attempt),
        (RunStatus::Running, at(5), 1)
    );
}

pub async fn a_busy_thread_refuses_a_run_that_will_not_wait(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let first = claimed(&storage, new_run(thread, at(0))).await;
    let impatient = || with_strategy(new_run(thread, at(1)), MultitaskStrategy::Reject);
    assert!(matches!(
        storage.admit_run(&Scope::Host, impatient()).await.unwrap(),
        Admission::Refused(Refusal::Busy)
    ));
    finish(&storage, first.lease, end(2)).await;
    queued(&storage, unclaimed(new_run(thread, at(90)))).await;
    assert!(matches!(
        storage.admit_run(&Scope::Host, impatient()).await.unwrap(),
        Admission::Refused(Refusal::Busy)
    ));
    let query = RunQuery {
        thread_id: thread,
        status: None,
        limit: 10,
        offset: 0,
    };
    assert_eq!(
        storage.list_runs(&Scope::Host, query).await.unwrap().len(),
        2
    );
}

pub async fn a_run_needs_its_thread_unless_it_may_create_it(home: &dyn Home) {
    let storage = home.open();
    let existing = |thread_id| NewRun {
        thread: ThreadNeed::Existing {
            metadata: json("{}"),
            config: json("{}"),
        },
        ..new_run(thread_id, at(0))
    };
    let missing = ThreadId::new();
    assert!(matches!(
        storage
            .admit_run(&Scope::Host, existing(missing))
            .await
            .unwrap(),
        Admission::Refused(Refusal::NoThread)
    ));
    assert!(
        storage
            .thread(&Scope::Host, missing, Values::Skip)
            .await
            .unwrap()
            .is_none()
    );
    claimed(&storage, existing(thread(&storage).await)).await;
    claimed(&storage, new_run(missing, at(0))).await;
    assert!(
        storage
            .thread(&Scope::Host, missing, Values::Skip)
            .await
            .unwrap()
            .is_some()
    );
}

pub async fn too_many_pending_runs_are_refused_and_leave_nothing(home: &dyn Home) {
    let storage = home.open();
    let limited = |thread| NewRun {
        max_pending_runs: 2,
        ..unclaimed(new_run(thread, at(0)))
    };
    queued(&storage, limited(ThreadId::new())).await;
    queued(&storage, limited(ThreadId::new())).await;
    let refused = ThreadId::new();
    assert!(matches!(
        storage
            .admit_run(&Scope::Host, limited(refused))
            .await
            .unwrap(),
        Admission::Refused(Refusal::TooManyPending)
    ));
    assert!(
        storage
            .thread(&Scope::Host, refused, Values::Skip)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(storage.count_pending_runs().await.unwrap(), 2);
    storage.claim_runs(at(0), 1, None).await.unwrap();
    queued(&storage, limited(refused)).await;
}

pub async fn what_a_run_was_asked_for_is_read_back_as_it_was(home: &dyn Home) {
    let storage = home.open();
    let mut new = unclaimed(new_run(ThreadId::new(), at(0)));
    let kwargs = &mut new.run.kwargs;
    kwargs.command = Some(Command {
        resume: Some(json("null")),
        ..Command::default()
    });
    kwargs.interrupt_before = Some(Breakpoints::All);
    kwargs.webhook = Some("https://hooks.example.com/in".to_owned());
    kwargs.input = json(r#"{"text":"ü \"quoted\" \n","n":12345678901234567890123}"#);
    let asked = queued(&storage, new).await;
    let stored = storage
        .run(&Scope::Host, None, asked.run_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        serde_json::to_string(&stored).unwrap(),
        serde_json::to_string(&asked).unwrap()
    );
    let claimed = storage
        .claim_runs(at(0), 1, None)
        .await
        .unwrap()
        .runs
        .remove(0);
    let of = |run: &selvedge_model::run::Run| serde_json::to_string(&run.kwargs).unwrap();
    assert_eq!(of(&claimed.run), of(&asked));
}

pub async fn runs_are_listed_newest_first(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let mut ids = vec![claimed(&storage, new_run(thread, at(0))).await.run.run_id];
    for seconds in 1..4 {
        ids.push(queued(&storage, new_run(thread, at(seconds))).await.run_id);
    }
    running(&storage).await;
    ids.reverse();
    let list = async |status, limit, offset| {
        let query = RunQuery {
            thread_id: thread,
            status,
            limit,
            offset,
        };
        let runs = storage.list_runs(&Scope::Host, query).await.unwrap();
        runs.iter().map(|run| run.run_id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10, 0).await, ids);
    assert_eq!(list(None, 2, 1).await, ids[1..3]);
    assert_eq!(list(Some(RunStatus::Running), 10, 0).await, ids[3..]);
    assert_eq!(list(Some(RunStatus::Pending), 10, 0).await, ids[..3]);
}

pub async fn a_released_run_is_claimed_again_and_its_attempt_counts(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let first = claimed(&storage, new_run(thread, at(0))).await;
    queued(&storage, new_run(thread, at(1))).await;
    storage.release_run(first.lease, at(5)).await.unwrap();
    assert_eq!(storage.count_pending_runs().await.unwrap(), 2);
    let again = storage.claim_runs(at(6), 10, None).await.unwrap().runs;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].run.run_id, first.run.run_id);
    assert_eq!((again[0].attempt, again[0].started_at), (2, at(0)));
    assert!(again[0].lease.fence > first.lease.fence);
}

pub async fn a_temporary_run_has_no_thread_and_leaves_only_its_delivery(home: &dyn Home) {
    let storage = home.open();
    let run = claimed(&storage, temporary(new_run(ThreadId::new(), at(0)))).await;
    assert!(
        storage
            .thread(&Scope::Host, run.run.thread_id, Values::Include)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        storage
            .run(&Scope::Host, None, run.run.run_id)
            .await
            .unwrap()
            .is_some()
    );
    let delivery = delivery(&run.lease, 1);
    let last = RunEnd {
        delivery: Some(delivery.clone()),
        ..end(1)
    };
    finish(&storage, run.lease, last).await;
    assert!(
        storage
            .run(&Scope::Host, None, run.run.run_id)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(
        storage
            .deliveries_of_run(&Scope::Host, run.run.run_id)
            .await
            .unwrap()[0]
            .id,
        delivery.id
    );
}

pub async fn a_list_of_runs_that_would_not_fit_says_how_many_do(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    for seconds in 0..3 {
        let mut new = unclaimed(new_run(thread, at(seconds)));
        new.run.kwargs.input = Json::string(&"x".repeat(15 << 20));
        queued(&storage, new).await;
    }
    let query = |limit| RunQuery {
        thread_id: thread,
        status: None,
        limit,
        offset: 0,
    };
    let all = storage.list_runs(&Scope::Host, query(10)).await;
    assert!(
        matches!(all, Err(StorageError::TooLarge { fit: 2, .. })),
        "{:?}",
        all.map(|runs| runs.len())
    );
    assert_eq!(
        storage
            .list_runs(&Scope::Host, query(2))
            .await
            .unwrap()
            .len(),
        2
    );
}

pub async fn a_question_is_answered_once(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let asks = |seconds| RunEnd {
        thread_status: ThreadStatus::Interrupted,
        outcome: asking(&["one", "two"]),
        ..end(seconds)
    };
    let answers = |ids: &[&str], resume: &str, begins: i64| {
        let mut new = unclaimed(new_run(thread, at(begins)));
        new.answers = ids.iter().map(ToString::to_string).collect();
        new.run.kwargs.command = Some(Command {
            resume: Some(json(resume)),
            ..Command::default()
        });
        new
    };
    let refused = async |new: NewRun| match storage.admit_run(&Scope::Host, new).await.unwrap() {
        Admission::Refused(Refusal::NoQuestion(id)) => id,
        other => panic!("expected a refusal, got {other:?}"),
    };
    // Nobody has asked yet, not even a thread.
    assert_eq!(refused(answers(&["one"], "1", 0)).await, "one");
    let first = claimed(&storage, new_run(thread, at(0))).await;
    assert_eq!(refused(answers(&["one"], "1", 1)).await, "one");
    finish(&storage, first.lease, asks(2)).await;
    let three = answers(&["one", "three"], r#"{"one":1,"three":3}"#, 3);
    assert_eq!(refused(three).await, "three");
    // One that begins much later leads nowhere yet.
    let mut later = unclaimed(new_run(thread, at(90)));
    later.run.updated_at = at(3);
    queued(&storage, later).await;
    queued(&storage, answers(&["one"], r#"{"one":1}"#, 3)).await;
    for begins in [2, 3] {
        let again = answers(&["two", "one"], r#"{"one":1,"two":2}"#, begins);
        assert_eq!(refused(again).await, "one");
    }
    queued(&storage, answers(&["two"], r#"{"two":2}"#, 4)).await;
    assert_eq!(refused(answers(&["two"], r#"{"two":2}"#, 5)).await, "two");

    // Still while it is executed; once that has ended, what it asks counts.
    for (id, ends) in [("one", 6), ("two", 7)] {
        let lease = storage.claim_runs(at(5), 1, None).await.unwrap().runs[0].lease;
        assert_eq!(refused(answers(&[id], "{}", 5)).await, id);
        finish(&storage, lease, asks(ends)).await;
    }
    // An answer to whatever is asked answers all, and an input leads away from them.
    for resume in [Some(r#""yes""#), None] {
        let mut before = answers(&[], resume.unwrap_or("0"), 8);
        before.run.kwargs.command = before.run.kwargs.command.filter(|_| resume.is_some());
        queued(&storage, before).await;
        assert_eq!(refused(answers(&["two"], r#"{"two":2}"#, 8)).await, "two");
        let lease = storage.claim_runs(at(9), 1, None).await.unwrap().runs[0].lease;
        finish(&storage, lease, asks(9)).await;
    }
    queued(
        &storage,
        answers(&["one", "two"], r#"{"one":1,"two":2}"#, 10),
    )
    .await;
}
