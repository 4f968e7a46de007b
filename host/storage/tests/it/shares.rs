//! Promises about what one owner may have at once.

use std::sync::Arc;

use selvedge_model::cancel::CancelAction;
use selvedge_model::run::{ClaimedRun, Run};
use selvedge_model::{Caller, Identity, RunId, Scope, ThreadId};
use selvedge_storage::{
    Admission, CancelRuns, CronInsert, LastWords, NewRun, Refusal, Share, Storage, WhichRuns,
};

use crate::cancelling::wish;
use crate::crons::{cron, open};
use crate::given::{at, end, finish, new_run, run, unclaimed};
use crate::home::Home;

const SHARE: Share = Share {
    max_pending_runs: 4,
    max_running_runs: 2,
    max_crons: 2,
};

fn of(name: &str) -> Scope {
    Scope::Of(Identity::new(name).unwrap())
}

/// A run on a thread of its own.
fn new(seconds: i64) -> NewRun {
    NewRun {
        share: Some(SHARE),
        ..new_run(ThreadId::new(), at(seconds))
    }
}

async fn refused(storage: &Arc<dyn Storage>, scope: &Scope, new: NewRun) -> Refusal {
    match storage.admit_run(scope, new).await.unwrap() {
        Admission::Refused(refusal) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

async fn queued(storage: &Arc<dyn Storage>, scope: &Scope, new: NewRun) -> Run {
    match storage.admit_run(scope, new).await.unwrap() {
        Admission::Queued(run, _) => *run,
        other => panic!("expected a place in the queue, got {other:?}"),
    }
}

async fn claimed(storage: &Arc<dyn Storage>, scope: &Scope, new: NewRun) -> ClaimedRun {
    match storage.admit_run(scope, new).await.unwrap() {
        Admission::Claimed(claimed, _) => *claimed,
        other => panic!("expected a claim, got {other:?}"),
    }
}

async fn claim(storage: &Arc<dyn Storage>, limit: usize) -> Vec<ClaimedRun> {
    let claims = storage.claim_runs(at(100), limit, Some(SHARE)).await;
    claims.unwrap().runs
}

fn ids(claims: &[ClaimedRun]) -> Vec<RunId> {
    claims.iter().map(|claimed| claimed.run.run_id).collect()
}

pub async fn nobody_has_more_pending_runs_than_their_share(home: &dyn Home) {
    let storage = home.open();
    let (ann, bob) = (of("ann"), of("bob"));
    let mut anns = Vec::new();
    for _ in 0..SHARE.max_pending_runs {
        anns.push(queued(&storage, &ann, unclaimed(new(1))).await);
    }
    let full = Refusal::TooManyPendingOfOwner;
    assert_eq!(refused(&storage, &ann, unclaimed(new(1))).await, full);
    // What an operator does on her thread is hers.
    let on_hers = NewRun {
        run: run(anns[0].thread_id, at(1)),
        ..unclaimed(new(1))
    };
    let operator = Scope::Operator(Identity::new("olga").unwrap());
    assert_eq!(refused(&storage, &operator, on_hers).await, full);
    queued(&storage, &bob, unclaimed(new(1))).await;
    for _ in 0..=SHARE.max_pending_runs {
        queued(&storage, &Scope::Host, unclaimed(new(1))).await;
    }
    // It is known after a restart, too.
    drop(storage);
    let storage = home.open();
    assert_eq!(refused(&storage, &ann, unclaimed(new(1))).await, full);
    let cancel = CancelRuns {
        which: WhichRuns::Named {
            thread: None,
            ids: vec![anns[0].run_id],
        },
        request: wish(CancelAction::Interrupt),
        last_words: LastWords::default(),
        now: at(2),
    };
    storage.cancel_runs(&ann, cancel).await.unwrap();
    queued(&storage, &ann, unclaimed(new(1))).await;
    assert_eq!(refused(&storage, &ann, unclaimed(new(1))).await, full);
}

pub async fn claims_pass_over_those_who_have_their_share_and_come_back_to_them(home: &dyn Home) {
    let storage = home.open();
    let (ann, bob) = (of("ann"), of("bob"));
    let mut anns = Vec::new();
    for seconds in 1..=4 {
        anns.push(queued(&storage, &ann, unclaimed(new(seconds))).await.run_id);
    }
    let bobs = queued(&storage, &bob, unclaimed(new(9))).await.run_id;
    let nobodys = queued(&storage, &Scope::Host, unclaimed(new(10)))
        .await
        .run_id;
    let first = claim(&storage, 3).await;
    assert_eq!(ids(&first), [anns[0], anns[1], bobs]);
    assert_eq!(ids(&claim(&storage, 9).await), [nobodys]);
    assert_eq!(ids(&claim(&storage, 9).await), []);
    // Nor does one begin as it is admitted, while others do.
    let last = queued(&storage, &ann, new(11)).await.run_id;
    let second_of_bob = claimed(&storage, &bob, new(12)).await;

    finish(&storage, first[0].lease, end(101)).await;
    assert_eq!(ids(&claim(&storage, 9).await), [anns[2]]);
    assert_eq!(ids(&claim(&storage, 9).await), []);
    // What was put aside is not lost with the process, and comes before what came later.
    drop(storage);
    let storage = home.open();
    storage.recover(at(102), 3).await.unwrap();
    let again = claim(&storage, 9).await;
    let expected = [anns[1], anns[2], bobs, nobodys, second_of_bob.run.run_id];
    assert_eq!(ids(&again), expected);
    finish(&storage, again[0].lease, end(103)).await;
    finish(&storage, again[1].lease, end(103)).await;
    assert_eq!(ids(&claim(&storage, 1).await), [anns[3]]);
    assert_eq!(ids(&claim(&storage, 9).await), [last]);
}

pub async fn what_was_put_aside_for_a_share_begins_where_there_is_none(home: &dyn Home) {
    let storage = home.open();
    let mut anns = Vec::new();
    for seconds in 1..=4 {
        let run = queued(&storage, &of("ann"), unclaimed(new(seconds))).await;
        anns.push(run.run_id);
    }
    assert_eq!(ids(&claim(&storage, 9).await), anns[..2]);
    let claims = storage.claim_runs(at(100), 9, None).await.unwrap();
    assert_eq!(ids(&claims.runs), anns[2..]);
}

pub async fn a_share_is_free_again_however_a_run_goes(home: &dyn Home) {
    let storage = home.open();
    let ann = of("ann");
    for round in 0..4 {
        let both = [
            claimed(&storage, &ann, new(1)).await,
            claimed(&storage, &ann, new(1)).await,
        ];
        let third = queued(&storage, &ann, new(1)).await;
        let (lease, run) = (both[0].lease, both[0].run.run_id);
        match round {
            0 => finish(&storage, lease, end(2)).await,
            1 => {
                let gone = storage.delete_run(&ann, None, run, at(2)).await;
                assert!(gone.unwrap().is_some());
            }
            2 => {
                let gone = storage.delete_thread(&ann, lease.thread_id).await;
                assert!(gone.unwrap().is_some());
            }
            _ => {
                storage.release_run(lease, at(2)).await.unwrap();
                let gone = storage.delete_run(&ann, None, run, at(2)).await;
                assert!(gone.unwrap().is_some());
            }
        }
        let next = claim(&storage, 9).await;
        assert_eq!(ids(&next), [third.run_id], "round {round}");
        finish(&storage, both[1].lease, end(3)).await;
        finish(&storage, next[0].lease, end(3)).await;
    }
}

pub async fn nobody_has_more_crons_than_their_share(home: &dyn Home) {
    let storage = open(home).await;
    let create = async |name: &str, share| {
        let caller = Caller::authenticated(Identity::new(name).unwrap(), Arc::default());
        storage.create_cron(&caller, cron(60), share).await.unwrap()
    };
    for _ in 0..SHARE.max_crons {
        assert_eq!(create("ann", Some(SHARE)).await, CronInsert::Created);
    }
    assert_eq!(create("ann", Some(SHARE)).await, CronInsert::TooMany);
    assert_eq!(create("bob", Some(SHARE)).await, CronInsert::Created);
    assert_eq!(create("ann", None).await, CronInsert::Created);
}
