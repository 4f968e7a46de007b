//! Promises about cancelling and deleting runs, and about runs that supersede others.

use std::sync::Arc;

use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::run::{MultitaskStrategy, RunStatus};
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{AssistantId, RunId, Scope, ThreadId};
use selvedge_storage::{
    Admission, Batch, CancelRuns, Cancelled, Finish, NewRun, Refusal, RunEnd, Storage,
    StorageError, ThreadNeed, Values, WhichRuns,
};

use crate::given::{
    at, claimed, delivery, end, finish, json, new_run, queued, run, status, temporary, unclaimed,
    with_strategy,
};
use crate::home::Home;
use crate::unbegun::{delivered, last_words, told};

pub fn wish(action: CancelAction) -> CancelRequest {
    CancelRequest {
        action,
        message: "someone wanted it so".to_owned(),
    }
}

async fn cancel(storage: &Arc<dyn Storage>, which: WhichRuns, action: CancelAction) -> Cancelled {
    let cancel = CancelRuns {
        which,
        request: wish(action),
        last_words: last_words(),
        now: at(50),
    };
    storage.cancel_runs(&Scope::Host, cancel).await.unwrap()
}

pub async fn cancel_one(storage: &Arc<dyn Storage>, run: RunId, action: CancelAction) -> Cancelled {
    let which = WhichRuns::Named {
        thread: None,
        ids: vec![run],
    };
    cancel(storage, which, action).await
}

async fn run_status(storage: &Arc<dyn Storage>, run: RunId) -> Option<RunStatus> {
    let run = storage.run(&Scope::Host, None, run).await.unwrap();
    run.map(|run| run.status)
}

pub async fn a_pending_run_that_is_cancelled_ends_at_once_and_its_thread_rests(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    for (action, left) in [
        (CancelAction::Interrupt, Some(RunStatus::Interrupted)),
        (CancelAction::Rollback, None),
    ] {
        let pending = queued(&storage, unclaimed(new_run(thread, at(0))))
            .await
            .run_id;
        assert_eq!(status(&storage, thread).await, ThreadStatus::Busy);
        let cancelled = cancel_one(&storage, pending, action).await;
        assert_eq!(cancelled.ended.len() + cancelled.deleted.len(), 1);
        assert!(cancelled.marked.is_empty() && !cancelled.more);
        assert_eq!(run_status(&storage, pending).await, left);
        assert_eq!(status(&storage, thread).await, ThreadStatus::Idle);
        assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
        assert!(
            storage
                .claim_runs(at(60), 9, None)
                .await
                .unwrap()
                .runs
                .is_empty()
        );
        assert!(
            storage
                .deliveries_of_run(&Scope::Host, pending)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(cancel_one(&storage, pending, action).await.is_empty());
    }
}

pub async fn a_thread_rests_again_in_the_status_that_its_last_run_left(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let first = claimed(&storage, new_run(thread, at(0))).await.lease;
    let failed = RunEnd {
        thread_status: ThreadStatus::Error,
        status: RunStatus::Error,
        ..end(1)
    };
    finish(&storage, first, failed).await;
    let waiting = queued(&storage, unclaimed(new_run(thread, at(2)))).await;
    cancel_one(&storage, waiting.run_id, CancelAction::Interrupt).await;
    assert_eq!(status(&storage, thread).await, ThreadStatus::Error);
}

pub async fn cancelling_the_next_run_lets_the_one_behind_it_begin(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let first = queued(&storage, unclaimed(new_run(thread, at(0)))).await;
    let second = queued(&storage, unclaimed(new_run(thread, at(1)))).await;
    cancel_one(&storage, first.run_id, CancelAction::Interrupt).await;
    assert_eq!(status(&storage, thread).await, ThreadStatus::Busy);
    let claims = storage.claim_runs(at(2), 9, None).await.unwrap().runs;
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].run.run_id, second.run_id);
}

pub async fn a_success_does_not_overwrite_a_wish_to_cancel(home: &dyn Home) {
    let storage = home.open();
    let running = claimed(&storage, new_run(ThreadId::new(), at(0))).await;
    let (id, lease) = (running.run.run_id, running.lease);
    let cancelled = cancel_one(&storage, id, CancelAction::Interrupt).await;
    assert_eq!(cancelled.marked, [id]);
    assert_eq!(run_status(&storage, id).await, Some(RunStatus::Running));

    let success = RunEnd {
        delivery: Some(delivery(&lease, 5)),
        ..end(5)
    };
    let answer = storage.finish_run(lease, success).await.unwrap();
    assert_eq!(
        answer,
        Finish::CancelRequested(wish(CancelAction::Interrupt))
    );
    assert_eq!(run_status(&storage, id).await, Some(RunStatus::Running));
    assert!(
        storage
            .deliveries_of_run(&Scope::Host, id)
            .await
            .unwrap()
            .is_empty()
    );

    // The stronger wish wins, in whichever order they come.
    cancel_one(&storage, id, CancelAction::Rollback).await;
    cancel_one(&storage, id, CancelAction::Interrupt).await;
    let interrupted = RunEnd {
        status: RunStatus::Interrupted,
        cancelled: Some(CancelAction::Interrupt),
        ..end(6)
    };
    let answer = storage.finish_run(lease, interrupted).await.unwrap();
    assert_eq!(
        answer,
        Finish::CancelRequested(wish(CancelAction::Rollback))
    );
    let rolled_back = RunEnd {
        status: RunStatus::Interrupted,
        cancelled: Some(CancelAction::Rollback),
        delivery: Some(delivery(&lease, 7)),
        ..end(7)
    };
    finish(&storage, lease, rolled_back).await;
    assert_eq!(run_status(&storage, id).await, None);
    assert_eq!(
        storage
            .deliveries_of_run(&Scope::Host, id)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(status(&storage, lease.thread_id).await, ThreadStatus::Idle);
}

pub async fn a_wish_to_cancel_survives_the_process_that_heard_it(home: &dyn Home) {
    let storage = home.open();
    let marked = claimed(&storage, new_run(ThreadId::new(), at(0))).await;
    let other = claimed(&storage, new_run(ThreadId::new(), at(0))).await;
    let stopped = claimed(&storage, new_run(ThreadId::new(), at(0))).await;
    for run in [&marked, &stopped] {
        cancel_one(&storage, run.run.run_id, CancelAction::Interrupt).await;
    }
    storage.release_run(stopped.lease, at(1)).await.unwrap();
    drop(storage);

    let storage = home.open();
    let recovery = storage.recover(at(2), 3).await.unwrap();
    assert_eq!((recovery.requeued, recovery.exhausted.len()), (1, 0));
    let found = &recovery.cancelled[0];
    assert_eq!(found.run.run_id, marked.run.run_id);
    assert_eq!(found.cancel, Some(wish(CancelAction::Interrupt)));
    let interrupted = RunEnd {
        status: RunStatus::Interrupted,
        cancelled: Some(CancelAction::Interrupt),
        ..end(3)
    };
    finish(&storage, found.lease, interrupted).await;

    let claims = storage.claim_runs(at(4), 9, None).await.unwrap().runs;
    let wishes: Vec<_> = claims
        .iter()
        .map(|claimed| (claimed.run.run_id, claimed.cancel.clone()))
        .collect();
    assert_eq!(wishes.len(), 2);
    assert!(wishes.contains(&(other.run.run_id, None)));
    let stopped = (stopped.run.run_id, Some(wish(CancelAction::Interrupt)));
    assert!(wishes.contains(&stopped));
}

pub async fn a_run_that_was_put_back_is_ended_by_whoever_claims_it(home: &dyn Home) {
    let storage = home.open();
    let running = claimed(&storage, new_run(ThreadId::new(), at(0))).await;
    storage.release_run(running.lease, at(1)).await.unwrap();
    let cancelled = cancel_one(&storage, running.run.run_id, CancelAction::Rollback).await;
    assert_eq!(cancelled.marked, [running.run.run_id]);
    assert_eq!(storage.count_pending_runs().await.unwrap(), 1);
    let again = storage
        .claim_runs(at(2), 1, None)
        .await
        .unwrap()
        .runs
        .remove(0);
    assert_eq!(again.cancel, Some(wish(CancelAction::Rollback)));
}

pub async fn runs_are_cancelled_by_name_or_by_status(home: &dyn Home) {
    let storage = home.open();
    let running = claimed(&storage, new_run(ThreadId::new(), at(0))).await.run;
    let waiting = queued(&storage, new_run(running.thread_id, at(1))).await;
    let elsewhere = queued(&storage, unclaimed(new_run(ThreadId::new(), at(1)))).await;
    let stateless = temporary(unclaimed(new_run(ThreadId::new(), at(1))));
    let stateless = queued(&storage, stateless).await;

    let named = |thread| WhichRuns::Named {
        thread: Some(thread),
        ids: vec![running.run_id, elsewhere.run_id, RunId::new()],
    };
    let cancelled = cancel(&storage, named(ThreadId::new()), CancelAction::Interrupt).await;
    assert!(cancelled.is_empty());
    let cancelled = cancel(
        &storage,
        named(elsewhere.thread_id),
        CancelAction::Interrupt,
    )
    .await;
    assert_eq!(cancelled.ended, [elsewhere.run_id]);

    let cancelled = cancel(&storage, WhichRuns::Running, CancelAction::Interrupt).await;
    assert_eq!(cancelled.marked, [running.run_id]);
    let again = cancel(&storage, WhichRuns::Running, CancelAction::Interrupt).await;
    assert!(again.is_empty());

    let mut cancelled = cancel(&storage, WhichRuns::All, CancelAction::Rollback).await;
    cancelled.deleted.sort();
    let mut pending = vec![waiting.run_id, stateless.run_id];
    pending.sort();
    assert_eq!(
        (cancelled.deleted, cancelled.marked),
        (pending, vec![running.run_id])
    );
    assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
}

pub async fn a_temporary_run_is_cancelled_by_its_id(home: &dyn Home) {
    let storage = home.open();
    let pending = temporary(unclaimed(new_run(ThreadId::new(), at(0))));
    let pending = queued(&storage, pending).await.run_id;
    let cancelled = cancel_one(&storage, pending, CancelAction::Interrupt).await;
    assert_eq!(cancelled.ended, [pending]);
    assert_eq!(run_status(&storage, pending).await, None);

    let running = claimed(&storage, temporary(new_run(ThreadId::new(), at(0)))).await;
    let cancelled = cancel_one(&storage, running.run.run_id, CancelAction::Interrupt).await;
    assert_eq!(cancelled.marked, [running.run.run_id]);
    let answer = storage.finish_run(running.lease, end(1)).await.unwrap();
    assert!(matches!(answer, Finish::CancelRequested(_)));
    let interrupted = RunEnd {
        cancelled: Some(CancelAction::Interrupt),
        status: RunStatus::Interrupted,
        ..end(2)
    };
    finish(&storage, running.lease, interrupted).await;
    assert_eq!(run_status(&storage, running.run.run_id).await, None);
}

pub async fn a_run_that_interrupts_ends_those_before_it(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let running = claimed(&storage, new_run(thread, at(0))).await;
    let waiting = queued(&storage, new_run(thread, at(1))).await.run_id;
    let new = with_strategy(new_run(thread, at(2)), MultitaskStrategy::Interrupt);
    let new_id = new.run.run_id;
    let Admission::Queued(_, superseded) = storage.admit_run(&Scope::Host, new).await.unwrap()
    else {
        panic!("it waits for the running one");
    };
    assert_eq!(superseded.ended, [waiting]);
    assert_eq!(superseded.marked, [running.run.run_id]);
    let answer = storage.finish_run(running.lease, end(3)).await.unwrap();
    let Finish::CancelRequested(request) = answer else {
        panic!("it was superseded");
    };
    assert_eq!(request.action, CancelAction::Interrupt);
    assert_eq!(
        request.message,
        format!("superseded by run {new_id} (multitask_strategy=interrupt)")
    );
    let interrupted = RunEnd {
        cancelled: Some(CancelAction::Interrupt),
        status: RunStatus::Interrupted,
        ..end(3)
    };
    finish(&storage, running.lease, interrupted).await;
    let claims = storage.claim_runs(at(4), 9, None).await.unwrap().runs;
    assert_eq!(claims[0].run.run_id, new_id);
    assert_eq!(
        run_status(&storage, waiting).await,
        Some(RunStatus::Interrupted)
    );
}

pub async fn a_run_that_rolls_back_takes_the_place_of_those_that_had_not_begun(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let early = queued(&storage, unclaimed(new_run(thread, at(0))))
        .await
        .run_id;
    let late = queued(&storage, new_run(thread, at(90))).await.run_id;
    let new = NewRun {
        // Those that go make room for it.
        max_pending_runs: 2,
        ..with_strategy(new_run(thread, at(2)), MultitaskStrategy::Rollback)
    };
    let Admission::Claimed(admitted, superseded) =
        storage.admit_run(&Scope::Host, new).await.unwrap()
    else {
        panic!("nothing stands before it");
    };
    assert_eq!(superseded.deleted, [early, late]);
    for gone in [early, late] {
        assert_eq!(run_status(&storage, gone).await, None);
    }
    assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
    finish(&storage, admitted.lease, end(3)).await;
    assert_eq!(status(&storage, thread).await, ThreadStatus::Idle);
}

pub async fn a_batch_is_accepted_as_a_whole_or_not_at_all(home: &dyn Home) {
    let storage = home.open();
    let existing = |thread| NewRun {
        thread: ThreadNeed::Existing {
            metadata: json("{}"),
            config: json("{}"),
        },
        ..new_run(thread, at(0))
    };
    let good = new_run(ThreadId::new(), at(0));
    let second = unclaimed(new_run(ThreadId::new(), at(0)));
    let ids = [good.run.run_id, second.run.run_id];
    let bad = existing(ThreadId::new());
    let refused = storage.admit_runs(&Scope::Host, vec![good.clone(), second.clone(), bad]);
    let Batch::Refused { position, refusal } = refused.await.unwrap() else {
        panic!("one is refused");
    };
    assert_eq!((position, refusal), (2, Refusal::NoThread));
    for id in ids {
        assert_eq!(run_status(&storage, id).await, None);
    }
    assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
    let thread = storage.thread(&Scope::Host, good.run.thread_id, Values::Skip);
    assert!(thread.await.unwrap().is_none());

    let accepted = storage
        .admit_runs(&Scope::Host, vec![good, second])
        .await
        .unwrap();
    let Batch::Accepted(admissions) = accepted else {
        panic!("both are good");
    };
    assert!(matches!(
        admissions[..],
        [Admission::Claimed(..), Admission::Queued(..)]
    ));
    assert_eq!(storage.count_pending_runs().await.unwrap(), 1);
}

pub async fn deleting_a_run_frees_its_thread(home: &dyn Home) {
    let storage = home.open();
    let thread = ThreadId::new();
    let ended = claimed(&storage, new_run(thread, at(0))).await;
    finish(&storage, ended.lease, end(1)).await;
    let running = claimed(&storage, new_run(thread, at(2))).await;
    let waiting = queued(&storage, new_run(thread, at(3))).await.run_id;

    let delete = async |run| {
        storage
            .delete_run(&Scope::Host, Some(thread), run, at(5))
            .await
            .unwrap()
    };
    assert_eq!(delete(RunId::new()).await, None);
    assert_eq!(delete(ended.run.run_id).await, Some(RunStatus::Success));
    assert_eq!(status(&storage, thread).await, ThreadStatus::Busy);
    assert_eq!(delete(running.run.run_id).await, Some(RunStatus::Running));
    let late = storage.finish_run(running.lease, end(6)).await;
    assert!(matches!(late, Err(StorageError::Fenced)));
    let next = storage.claim_runs(at(6), 9, None).await.unwrap().runs;
    assert_eq!(next[0].run.run_id, waiting);
    storage.release_run(next[0].lease, at(7)).await.unwrap();
    assert_eq!(delete(waiting).await, Some(RunStatus::Pending));
    assert_eq!(status(&storage, thread).await, ThreadStatus::Idle);
    assert_eq!(storage.count_pending_runs().await.unwrap(), 0);
}

pub async fn deleting_an_assistant_cancels_its_runs(home: &dyn Home) {
    let storage = home.open();
    let mut other = unclaimed(new_run(ThreadId::new(), at(0)));
    other.run.assistant_id = AssistantId::default_of("other");
    let other = queued(&storage, other).await.run_id;
    let pending = queued(&storage, told(unclaimed(new_run(ThreadId::new(), at(0))))).await;
    let running = claimed(&storage, new_run(ThreadId::new(), at(0))).await;
    let id = run(ThreadId::new(), at(0)).assistant_id;
    let request = wish(CancelAction::Interrupt);
    let delete = async || {
        let (request, now) = (request.clone(), at(1));
        let deletion = storage.delete_assistant(&Scope::Host, id, request, last_words(), now);
        deletion.await.unwrap()
    };
    assert_eq!(delete().await, None);
    let assistant = crate::assistants::assistant("agent", "agent", "{}");
    storage
        .create_assistant(&Scope::Host, assistant)
        .await
        .unwrap();
    let cancelled = delete().await.unwrap();
    assert_eq!(
        (cancelled.ended, cancelled.marked),
        (vec![pending.run_id], vec![running.run.run_id])
    );
    assert_eq!(delivered(&storage, pending.run_id).await, ["interrupt"]);
    assert_eq!(run_status(&storage, other).await, Some(RunStatus::Pending));
    assert!(storage.assistant(&Scope::Host, id).await.unwrap().is_none());
}
