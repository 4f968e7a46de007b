//! Promises about runs that end before they began: they are delivered, too.

use std::sync::Arc;

use selvedge_model::cancel::CancelAction;
use selvedge_model::delivery::NewDelivery;
use selvedge_model::run::{MultitaskStrategy, RunStatus};
use selvedge_model::{DeliveryId, RunId, ThreadId};
use selvedge_storage::{LastWords, NewRun, Storage};

use crate::cancelling::cancel_one;
use crate::given::{at, claimed, new_run, queued, temporary, unclaimed, with_strategy};
use crate::home::Home;

/// Says in the body how a run was cancelled.
pub fn last_words() -> LastWords {
    LastWords::delivering(|run, wish, now| {
        assert_eq!(run.status, RunStatus::Pending);
        Some(NewDelivery {
            body: wish.action.as_str().into(),
            created_at: now,
            id: DeliveryId::new(),
            run_id: run.run_id,
            thread_id: run.thread_id,
            url: run.kwargs.webhook.clone()?,
            sent_at_offset: None,
        })
    })
}

/// A run with a webhook.
pub fn told(mut new: NewRun) -> NewRun {
    new.run.kwargs.webhook = Some("https://hooks.example.com/".to_owned());
    new
}

/// What is delivered of a run.
pub async fn delivered(storage: &Arc<dyn Storage>, run: RunId) -> Vec<String> {
    let due = storage.claim_deliveries(at(100), 100).await.unwrap();
    let mut bodies = Vec::new();
    for due in due.deliveries {
        let delivery = storage.delivery_to_send(due.id).await.unwrap().unwrap();
        if delivery.run_id == run {
            bodies.push(String::from_utf8(delivery.body).unwrap());
        }
    }
    bodies
}

pub async fn a_run_that_ends_before_it_began_ends_with_its_delivery(home: &dyn Home) {
    let mut storage = home.open();
    for (action, new) in [
        (CancelAction::Interrupt, new_run(ThreadId::new(), at(0))),
        (CancelAction::Rollback, new_run(ThreadId::new(), at(0))),
        (
            CancelAction::Interrupt,
            temporary(new_run(ThreadId::new(), at(0))),
        ),
        (
            CancelAction::Rollback,
            temporary(new_run(ThreadId::new(), at(0))),
        ),
    ] {
        let pending = queued(&storage, told(unclaimed(new))).await.run_id;
        cancel_one(&storage, pending, action).await;
        drop(storage);
        storage = home.open();
        assert_eq!(delivered(&storage, pending).await, [action.as_str()]);
        // It has ended, and is not delivered for that again.
        cancel_one(&storage, pending, action).await;
        assert_eq!(delivered(&storage, pending).await, [""; 0]);
    }
    let silent = queued(&storage, unclaimed(new_run(ThreadId::new(), at(0)))).await;
    cancel_one(&storage, silent.run_id, CancelAction::Interrupt).await;
    assert_eq!(delivered(&storage, silent.run_id).await, [""; 0]);

    // Its end is another's admission, too.
    let thread = ThreadId::new();
    let pending = queued(&storage, told(unclaimed(new_run(thread, at(0))))).await;
    let new = with_strategy(new_run(thread, at(2)), MultitaskStrategy::Rollback);
    let new = NewRun {
        last_words: last_words(),
        ..new
    };
    claimed(&storage, new).await;
    assert_eq!(delivered(&storage, pending.run_id).await, ["rollback"]);
}
