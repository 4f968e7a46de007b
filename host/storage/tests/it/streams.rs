//! Promises about stored events.

use std::sync::Arc;

use selvedge_model::event::{EventId, EventKind, StoredEvent, StreamEvent};
use selvedge_model::run::{Lease, StreamMode};
use selvedge_model::thread::{ThreadOutcome, ThreadStatus};
use selvedge_model::{Json, RunId, Scope, ThreadId};
use selvedge_storage::{
    EventQuery, RunEnd, StepCommit, Storage, StorageError, ThreadUpdate, Updated,
};

use crate::given::{at, checkpoint_id, claimed, end, finish, new_run, running, temporary};
use crate::home::Home;

/// An event of second `seconds` of the tests' clock.
fn event(seconds: i64, n: i64, run: Option<RunId>) -> StoredEvent {
    StoredEvent {
        id: EventId {
            ms: at(seconds).as_millis(),
            n,
        },
        run,
        event: StreamEvent {
            kind: EventKind::Mode(StreamMode::Updates),
            namespace: "sub:1".to_owned(),
            data: Json::string(&format!("{seconds}-{n}")),
        },
    }
}

fn with_events(events: Vec<StoredEvent>) -> StepCommit {
    StepCommit {
        events,
        ..StepCommit::default()
    }
}

fn query(lease: &Lease) -> EventQuery {
    EventQuery {
        thread_id: lease.thread_id,
        run_id: Some(lease.run_id),
        after: None,
        limit: 100,
    }
}

/// The texts of the events, and whether there are more.
async fn texts(storage: &Arc<dyn Storage>, query: EventQuery) -> (Vec<String>, bool) {
    let page = storage.events(&Scope::Host, query).await.unwrap();
    let texts = page.rows.iter().map(|stored| {
        let data: String = stored.event.data.decode().unwrap();
        data
    });
    (texts.collect(), page.more)
}

pub async fn events_are_read_back_in_order_from_anywhere(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let of_run = |seconds, n| event(seconds, n, Some(lease.run_id));
    storage
        .append_events(lease, vec![of_run(1, 0), of_run(1, 1)])
        .await
        .unwrap();
    let step = with_events(vec![of_run(2, 0)]);
    storage.commit_step(lease, step).await.unwrap();
    let last = RunEnd {
        step: with_events(vec![of_run(3, 0)]),
        ..end(3)
    };
    finish(&storage, lease, last).await;

    let all = ["1-0", "1-1", "2-0", "3-0"].map(str::to_owned);
    assert_eq!(texts(&storage, query(&lease)).await, (all.to_vec(), false));
    for (position, stored) in [of_run(1, 0), of_run(1, 1), of_run(2, 0)]
        .iter()
        .enumerate()
    {
        let after = EventQuery {
            after: Some(stored.id),
            ..query(&lease)
        };
        let expected = (all[position + 1..].to_vec(), false);
        assert_eq!(texts(&storage, after).await, expected);
    }
    let some = EventQuery {
        limit: 3,
        ..query(&lease)
    };
    assert_eq!(texts(&storage, some).await, (all[..3].to_vec(), true));

    let read = storage
        .events(&Scope::Host, query(&lease))
        .await
        .unwrap()
        .rows
        .remove(0);
    let written = of_run(1, 0);
    assert_eq!((read.id, read.run), (written.id, written.run));
    assert_eq!(read.event.kind, written.event.kind);
    assert_eq!(read.event.namespace, written.event.namespace);
    assert_eq!(read.event.data, written.event.data);
}

pub async fn a_threads_stream_is_that_of_its_runs_and_its_own(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let first = claimed(&storage, new_run(thread, at(0))).await.lease;
    let events = vec![event(1, 0, Some(first.run_id))];
    storage.append_events(first, events).await.unwrap();
    finish(&storage, first, end(2)).await;
    let told = ThreadUpdate {
        step: with_events(vec![event(3, 0, None)]),
        status: ThreadStatus::Idle,
        outcome: ThreadOutcome::default(),
        namespace: String::new(),
        expected_newest: None,
        metadata: None,
        now: at(3),
    };
    let stale = ThreadUpdate {
        step: with_events(vec![event(3, 1, None)]),
        namespace: String::new(),
        expected_newest: Some(checkpoint_id(9)),
        ..told.clone()
    };
    let newest = storage
        .checkpoint(&Scope::Host, thread, "", None)
        .await
        .unwrap();
    let told = ThreadUpdate {
        namespace: String::new(),
        expected_newest: newest.map(|saved| saved.checkpoint.id),
        ..told
    };
    // What is not stored is not told.
    let updated = storage
        .update_thread(&Scope::Host, thread, stale)
        .await
        .unwrap();
    assert_eq!(updated, Updated::Stale);
    let updated = storage
        .update_thread(&Scope::Host, thread, told)
        .await
        .unwrap();
    assert_eq!(updated, Updated::Done);
    let second = claimed(&storage, new_run(thread, at(4))).await.lease;
    let events = vec![event(5, 0, Some(second.run_id))];
    storage.append_events(second, events).await.unwrap();
    // A thread of its own.
    let other = running(&storage).await;
    let events = vec![event(4, 0, Some(other.run_id))];
    storage.append_events(other, events).await.unwrap();

    let whole = EventQuery {
        run_id: None,
        ..query(&first)
    };
    let expected = ["1-0", "3-0", "5-0"].map(str::to_owned).to_vec();
    assert_eq!(texts(&storage, whole).await, (expected, false));
    let only = texts(&storage, query(&second)).await;
    assert_eq!(only, (vec!["5-0".to_owned()], false));
}

pub async fn the_last_id_is_known_after_a_restart(home: &dyn Home) {
    let storage = home.open();
    let lease = claimed(&storage, temporary(new_run(ThreadId::new(), at(0))))
        .await
        .lease;
    assert_eq!(storage.last_event_id(lease.thread_id).await.unwrap(), None);
    let last = event(7, 3, Some(lease.run_id));
    let events = vec![event(7, 2, Some(lease.run_id)), last.clone()];
    storage.append_events(lease, events).await.unwrap();
    drop(storage);
    let storage = home.open();
    let found = storage.last_event_id(lease.thread_id).await.unwrap();
    assert_eq!(found, Some(last.id));
    assert!(last.id.next(0) > last.id);
}

pub async fn a_worker_that_lost_its_lease_cannot_add_events(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    storage.release_run(lease, at(1)).await.unwrap();
    let events = vec![event(1, 0, Some(lease.run_id))];
    let refused = storage.append_events(lease, events).await;
    assert!(matches!(refused, Err(StorageError::Fenced)));
    assert!(texts(&storage, query(&lease)).await.0.is_empty());
}

pub async fn events_stay_a_while_after_their_run(home: &dyn Home) {
    let storage = home.open();
    let mut leases = Vec::new();
    for new in [
        temporary(new_run(ThreadId::new(), at(0))),
        new_run(ThreadId::new(), at(0)),
        new_run(ThreadId::new(), at(0)),
    ] {
        let lease = claimed(&storage, new).await.lease;
        let events = vec![event(1, 0, Some(lease.run_id))];
        storage.append_events(lease, events).await.unwrap();
        leases.push(lease);
    }
    finish(&storage, leases[0], end(2)).await;
    storage
        .delete_thread(&Scope::Host, leases[1].thread_id)
        .await
        .unwrap();
    for lease in &leases {
        assert_eq!(texts(&storage, query(lease)).await.0.len(), 1);
        let thread = storage
            .thread_of_events(&Scope::Host, lease.run_id)
            .await
            .unwrap();
        assert_eq!(thread, Some(lease.thread_id));
    }
    assert_eq!(storage.sweep_events(at(1)).await.unwrap(), 0);
    // Those of a run that has not ended stay, however long it is silent.
    assert_eq!(storage.sweep_events(at(999)).await.unwrap(), 2);
    assert_eq!(storage.sweep_events(at(999)).await.unwrap(), 0);
    assert!(texts(&storage, query(&leases[0])).await.0.is_empty());
    let swept = storage
        .thread_of_events(&Scope::Host, leases[0].run_id)
        .await
        .unwrap();
    assert_eq!(swept, None);
    assert_eq!(texts(&storage, query(&leases[2])).await.0.len(), 1);
}

/// What tells that a run began.
fn beginning(seconds: i64, run: RunId) -> StoredEvent {
    let mut event = event(seconds, 0, Some(run));
    event.event.kind = EventKind::Lifecycle;
    event
}

pub async fn what_a_run_keeps_is_bounded_in_bytes(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let of_run = |seconds, bytes: usize| {
        let mut event = event(seconds, 0, Some(lease.run_id));
        event.event.data = Json::string(&format!("{seconds}{}", " ".repeat(bytes)));
        event
    };
    let left = async |expected: &[&str]| {
        let mut kept: Vec<String> = Vec::new();
        let mut query = query(&lease);
        // A read gives one that is so large at a time.
        loop {
            let page = storage.events(&Scope::Host, query.clone()).await.unwrap();
            for stored in page.rows {
                let text: String = stored.event.data.decode().unwrap();
                kept.push(text.trim_end().to_owned());
                query.after = Some(stored.id);
            }
            if !page.more {
                break;
            }
        }
        assert_eq!(kept, expected);
    };
    let append = async |event| storage.append_events(lease, vec![event]).await.unwrap();
    append(beginning(0, lease.run_id)).await;
    for second in 1..4 {
        append(of_run(second, 20 << 20)).await;
    }
    left(&["0-0", "1", "2", "3"]).await;
    append(of_run(4, 20 << 20)).await;
    left(&["0-0", "3", "4"]).await;
    // One that weighs more than the bound stays, alone.
    append(of_run(5, 65 << 20)).await;
    left(&["0-0", "5"]).await;
    append(of_run(6, 1)).await;
    left(&["0-0", "6"]).await;
}

pub async fn a_run_keeps_a_bounded_number_of_events(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let began = beginning(-1, lease.run_id);
    storage.append_events(lease, vec![began]).await.unwrap();
    for second in 0..11 {
        let events = (0..1_000).map(|n| event(second, n, Some(lease.run_id)));
        let events = events.collect();
        storage.append_events(lease, events).await.unwrap();
    }
    let all = EventQuery {
        limit: 20_000,
        ..query(&lease)
    };
    let (kept, _) = texts(&storage, all).await;
    // That the run began stays known.
    assert_eq!(kept.len(), 9_001);
    let ends = [&kept[0], &kept[1], &kept[9_000]].map(String::as_str);
    assert_eq!(ends, ["-1-0", "2-0", "10-999"]);
}
