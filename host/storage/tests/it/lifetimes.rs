//! Promises about what goes of threads: pruning, lifetimes, emptying.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::checkpoint::CheckpointWrite;
use selvedge_model::thread::{ThreadStatus, Ttl, TtlStrategy};
use selvedge_model::{Scope, ThreadId};
use selvedge_storage::{
    GoneThread, NewRun, NewThread, Prune, Pruned, RunEnd, Storage, Swept, ThreadNeed, ThreadPatch,
    Truncate, Values,
};

use crate::given::{
    append, at, checkpoint_id, claimed, end, finish, json, list, new_run, queued, status, step,
    unclaimed, whole, write,
};
use crate::home::Home;

fn lifetime(strategy: TtlStrategy, seconds: u64) -> Ttl {
    Ttl {
        strategy,
        after: Duration::from_secs(seconds),
    }
}

fn with_ttl(thread: ThreadId, ttl: Option<Ttl>) -> NewRun {
    NewRun {
        thread: ThreadNeed::Create {
            metadata: json("{}"),
            config: json("{}"),
            ttl,
        },
        ..new_run(thread, at(0))
    }
}

/// A thread with three checkpoints, that was last updated at second 5.
async fn ended(storage: &Arc<dyn Storage>, ttl: Option<Ttl>) -> ThreadId {
    let thread = ThreadId::new();
    let lease = claimed(storage, with_ttl(thread, ttl)).await.lease;
    let grow = |n: u64, parent| write(n, parent, [("log", append(&["1"])), ("a", whole("1"))]);
    let steps = step([grow(1, None), grow(2, Some(1)), grow(3, Some(2))]);
    let last = RunEnd {
        step: steps,
        ..end(5)
    };
    finish(storage, lease, last).await;
    thread
}

async fn exists(storage: &Arc<dyn Storage>, thread: ThreadId) -> bool {
    let found = storage
        .thread(&Scope::Host, thread, Values::Skip)
        .await
        .unwrap();
    found.is_some()
}

pub async fn pruned_threads_are_gone_with_their_runs(home: &dyn Home) {
    let storage = home.open();
    let rests = ended(&storage, None).await;
    let waits = queued(&storage, unclaimed(new_run(ThreadId::new(), at(0)))).await;
    let ids = vec![rests, ThreadId::new(), waits.thread_id];
    let pruned = storage
        .prune_threads(&Scope::Host, ids, Prune::Delete)
        .await
        .unwrap();
    let gone = |thread_id, unended| GoneThread {
        thread_id,
        owner: None,
        unended,
    };
    let expected = Pruned {
        threads: 2,
        gone: vec![
            gone(rests, vec![]),
            gone(waits.thread_id, vec![waits.run_id]),
        ],
    };
    assert_eq!(pruned, expected);
    assert!(!exists(&storage, rests).await && !exists(&storage, waits.thread_id).await);
    assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
}

pub async fn a_thread_that_is_trimmed_keeps_its_newest_checkpoint(home: &dyn Home) {
    let storage = home.open();
    let thread = ended(&storage, None).await;
    let busy = ended(&storage, None).await;
    queued(&storage, unclaimed(new_run(busy, at(6)))).await;
    let ids = vec![thread, busy];
    let pruned = storage
        .prune_threads(&Scope::Host, ids, Prune::KeepLatest)
        .await
        .unwrap();
    assert_eq!((pruned.threads, pruned.gone.len()), (1, 0));
    let taken = storage
        .thread_storage(&Scope::Host, busy)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (taken.checkpoints.count, taken.channel_values.count),
        (3, 6)
    );

    // The list's rows are all of the newest; of the other channel only the last is.
    let taken = storage
        .thread_storage(&Scope::Host, thread)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (taken.checkpoints.count, taken.channel_values.count),
        (1, 4)
    );
    let saved = storage
        .checkpoint(&Scope::Host, thread, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(saved.checkpoint.id, checkpoint_id(3));
    assert_eq!(saved.checkpoint.values["log"], list(&["1", "1", "1"]));
    let lease = claimed(&storage, new_run(thread, at(7))).await.lease;
    let more = step([write(4, Some(3), [("log", append(&["2"]))])]);
    storage.commit_step(lease, more).await.unwrap();
    let saved = storage
        .checkpoint(&Scope::Host, thread, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(saved.checkpoint.values["log"], list(&["1", "1", "1", "2"]));
}

pub async fn a_thread_goes_when_its_time_has_come(home: &dyn Home) {
    let storage = home.open();
    let delete = |seconds| Some(lifetime(TtlStrategy::Delete, seconds));
    let soon = ended(&storage, delete(10)).await;
    let later = ended(&storage, delete(20)).await;
    let never = ended(&storage, None).await;
    let sweep = async |now, limit| storage.sweep_threads(at(now), limit).await.unwrap();
    let nothing_until = |seconds| Swept {
        next_due: Some(at(seconds)),
        ..Swept::default()
    };
    assert_eq!(sweep(14, 10).await, nothing_until(15));
    // Whoever has a run under way is left alone, and its time begins anew.
    let lease = claimed(&storage, new_run(soon, at(14))).await.lease;
    assert_eq!(sweep(100, 0).await.gone, []);
    assert_eq!(sweep(15, 10).await, nothing_until(25));
    finish(&storage, lease, end(16)).await;
    assert_eq!(sweep(25, 10).await.gone.len(), 1);
    assert!(!exists(&storage, later).await && exists(&storage, soon).await);
    let last = sweep(26, 10).await;
    assert_eq!((last.gone.len(), last.next_due), (1, None));
    assert!(!exists(&storage, soon).await && exists(&storage, never).await);

    // A lifetime can be given later.
    let patch = ThreadPatch {
        metadata: Some(json(r#"{"a":1}"#)),
        ttl: delete(5),
        now: at(30),
    };
    let patched = storage
        .patch_thread(&Scope::Host, never, patch.clone())
        .await
        .unwrap();
    let patched = patched.unwrap();
    assert_eq!(
        (patched.ttl, patched.updated_at, patched.metadata),
        (delete(5), at(30), json(r#"{"a":1}"#))
    );
    assert_eq!(sweep(35, 10).await.gone.len(), 1);
    assert!(
        storage
            .patch_thread(&Scope::Host, never, patch)
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn a_sweep_takes_no_more_than_it_may_and_the_oldest_first(home: &dyn Home) {
    let storage = home.open();
    let mut threads = Vec::new();
    for seconds in [3, 1, 2] {
        let new = NewThread {
            thread_id: ThreadId::new(),
            metadata: json("{}"),
            created_at: at(0),
            ttl: Some(lifetime(TtlStrategy::Delete, seconds)),
        };
        threads.push(new.thread_id);
        storage
            .create_thread(&Scope::Host, new, None)
            .await
            .unwrap();
    }
    let swept = storage.sweep_threads(at(9), 2).await.unwrap();
    assert_eq!((swept.gone.len(), swept.next_due), (2, Some(at(3))));
    assert!(exists(&storage, threads[0]).await);
    let swept = storage.sweep_threads(at(9), 2).await.unwrap();
    assert_eq!(swept.gone.len(), 1);
}

pub async fn a_thread_that_was_trimmed_is_trimmed_again_after_it_changed(home: &dyn Home) {
    let storage = home.open();
    let thread = ended(&storage, Some(lifetime(TtlStrategy::KeepLatest, 10))).await;
    let sweep = async |now| storage.sweep_threads(at(now), 10).await.unwrap().trimmed;
    assert_eq!((sweep(15).await, sweep(99).await), (1, 0));
    let lease = claimed(&storage, new_run(thread, at(100))).await.lease;
    let last = RunEnd {
        step: step([write(4, Some(3), [("a", whole("2"))])]),
        ..end(101)
    };
    finish(&storage, lease, last).await;
    assert_eq!((sweep(110).await, sweep(111).await), (0, 1));
    let taken = storage
        .thread_storage(&Scope::Host, thread)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.checkpoints.count, 1);
}

pub async fn emptying_runs_leaves_their_threads_at_rest(home: &dyn Home) {
    let storage = home.open();
    let thread = ended(&storage, None).await;
    let waiting = queued(&storage, unclaimed(new_run(thread, at(6)))).await;
    let what = Truncate {
        runs: true,
        ..Truncate::default()
    };
    let gone = storage.truncate(what, at(7)).await.unwrap();
    assert!(gone.len() == 2 && gone.contains(&waiting.run_id));
    assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
    assert_eq!(status(&storage, thread).await, ThreadStatus::Idle);
    assert!(
        storage
            .checkpoint(&Scope::Host, thread, "", None)
            .await
            .unwrap()
            .is_some()
    );

    let what = Truncate {
        checkpoints: true,
        ..Truncate::default()
    };
    assert!(storage.truncate(what, at(8)).await.unwrap().is_empty());
    let found = storage
        .thread(&Scope::Host, thread, Values::Include)
        .await
        .unwrap();
    let found = found.unwrap();
    assert!(found.values.is_none() && found.outcome.is_none());
    let what = Truncate {
        threads: true,
        ..Truncate::default()
    };
    storage.truncate(what, at(9)).await.unwrap();
    assert!(!exists(&storage, thread).await);
}

pub async fn a_trimmed_thread_keeps_the_graphs_inside_it_that_may_go_on(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let lease = claimed(&storage, new_run(thread, at(0))).await.lease;
    let root = |n, parent| write(n, parent, [("a", whole("1"))]);
    let inside = |namespace: &str, of: u64, n, parent| CheckpointWrite {
        namespace: namespace.to_owned(),
        metadata: json(&format!(r#"{{"parents":{{"":"{}"}}}}"#, checkpoint_id(of))),
        ..root(n, parent)
    };
    let last = RunEnd {
        step: step([
            root(1, None),
            inside("sub:old", 1, 2, None),
            root(3, Some(1)),
            inside("sub:new", 3, 4, None),
            inside("sub:new", 3, 5, Some(4)),
            inside("sub:new|sub:deep", 3, 6, None),
        ]),
        ..end(5)
    };
    finish(&storage, lease, last).await;
    let pruned = storage.prune_threads(&Scope::Host, vec![thread], Prune::KeepLatest);
    assert_eq!(pruned.await.unwrap().threads, 1);
    for (namespace, newest) in [
        ("", Some(3)),
        ("sub:old", None),
        ("sub:new", Some(5)),
        ("sub:new|sub:deep", Some(6)),
    ] {
        let found = storage.checkpoint(&Scope::Host, thread, namespace, None);
        let found = found.await.unwrap().map(|saved| saved.checkpoint.id);
        assert_eq!(found, newest.map(checkpoint_id), "{namespace}");
    }
    let taken = storage.thread_storage(&Scope::Host, thread).await.unwrap();
    let taken = taken.unwrap();
    assert_eq!(
        (taken.checkpoints.count, taken.channel_values.count),
        (3, 3)
    );
}
