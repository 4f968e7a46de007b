//! Promises about deliveries.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::DeliveryId;
use selvedge_model::delivery::{Attempt, DeliveryStatus, NewDelivery, Verdict};
use selvedge_storage::{RunEnd, Storage, StorageError};

use crate::given::{at, delivered, delivery, end, finish, running};
use crate::home::Home;

fn attempt(number: u32, seconds: i64) -> Attempt {
    Attempt {
        number,
        at: at(seconds),
        url: "https://hooks.example.com/in".to_owned(),
        address: Some("[2001:db8::1]:443".parse().unwrap()),
        status: Some(503),
        duration: Duration::from_micros(12_345),
        response: Some("busy".to_owned()),
        error: None,
    }
}

pub async fn a_delivery_is_claimed_once(home: &dyn Home) {
    let storage = home.open();
    let delivery = delivered(&storage, 10).await;
    let early = storage.claim_deliveries(at(9), 10).await.unwrap();
    assert_eq!((early.deliveries.len(), early.next_due), (0, Some(at(10))));
    let due = storage.claim_deliveries(at(10), 10).await.unwrap();
    assert_eq!(
        (&due.deliveries[0].delivery, due.deliveries[0].attempts),
        (&delivery, 0)
    );
    let again = storage.claim_deliveries(at(99), 10).await.unwrap();
    assert_eq!((again.deliveries.len(), again.next_due), (0, None));
}

pub async fn first_attempts_come_before_retries(home: &dyn Home) {
    let storage = home.open();
    let retried = delivered(&storage, 1).await;
    storage.claim_deliveries(at(1), 1).await.unwrap();
    storage
        .record_attempt(
            retried.id,
            Some(attempt(1, 1)),
            Verdict::RetryAt(at(2)),
            at(1),
        )
        .await
        .unwrap();
    let later = delivered(&storage, 6).await;
    let earlier = delivered(&storage, 5).await;
    let first = storage.claim_deliveries(at(9), 2).await.unwrap().deliveries;
    let ids: Vec<DeliveryId> = first.iter().map(|due| due.delivery.id).collect();
    assert_eq!(ids, [earlier.id, later.id]);
    let then = storage.claim_deliveries(at(9), 2).await.unwrap().deliveries;
    assert_eq!((then[0].delivery.id, then[0].attempts), (retried.id, 1));
}

pub async fn a_retry_waits_for_its_time(home: &dyn Home) {
    let storage = home.open();
    let delivery = delivered(&storage, 1).await;
    storage.claim_deliveries(at(1), 1).await.unwrap();
    storage
        .record_attempt(
            delivery.id,
            Some(attempt(1, 1)),
            Verdict::RetryAt(at(30)),
            at(1),
        )
        .await
        .unwrap();
    let early = storage.claim_deliveries(at(29), 1).await.unwrap();
    assert_eq!((early.deliveries.len(), early.next_due), (0, Some(at(30))));
    assert_eq!(
        storage
            .claim_deliveries(at(30), 1)
            .await
            .unwrap()
            .deliveries
            .len(),
        1
    );
}

pub async fn every_attempt_is_recorded(home: &dyn Home) {
    let storage = home.open();
    let delivery = delivered(&storage, 1).await;
    let refused = Attempt {
        address: None,
        status: None,
        response: None,
        error: Some("timeout: 15 s".to_owned()),
        ..attempt(1, 1)
    };
    let answered = attempt(2, 5);
    storage
        .record_attempt(
            delivery.id,
            Some(refused.clone()),
            Verdict::RetryAt(at(5)),
            at(1),
        )
        .await
        .unwrap();
    let end = Verdict::End(DeliveryStatus::Gone);
    storage
        .record_attempt(delivery.id, Some(answered.clone()), end, at(5))
        .await
        .unwrap();
    let record = storage
        .deliveries_of_run(delivery.run_id)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (record.id, record.run_id, record.url),
        (delivery.id, delivery.run_id, delivery.url)
    );
    assert_eq!(
        (record.status, record.next_attempt_at),
        (DeliveryStatus::Gone, None)
    );
    assert_eq!(record.attempts, [refused, answered]);
    assert!(
        storage
            .claim_deliveries(at(99), 10)
            .await
            .unwrap()
            .deliveries
            .is_empty()
    );
}

pub async fn a_delivery_can_end_without_an_attempt(home: &dyn Home) {
    let storage = home.open();
    let delivery = delivered(&storage, 1).await;
    let disabled = Verdict::End(DeliveryStatus::Disabled);
    storage
        .record_attempt(delivery.id, None, disabled, at(2))
        .await
        .unwrap();
    let record = storage
        .deliveries_of_run(delivery.run_id)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (record.status, record.attempts.len()),
        (DeliveryStatus::Disabled, 0)
    );
    let unknown = storage
        .record_attempt(DeliveryId::new(), None, disabled, at(2))
        .await;
    assert!(matches!(unknown, Err(StorageError::Failed(_))));
}

/// Ends a delivery and says which it was.
async fn ended(storage: &Arc<dyn Storage>, status: DeliveryStatus, seconds: i64) -> NewDelivery {
    let delivery = delivered(storage, 1).await;
    storage
        .record_attempt(
            delivery.id,
            Some(attempt(1, seconds)),
            Verdict::End(status),
            at(seconds),
        )
        .await
        .unwrap();
    delivery
}

async fn is_kept(storage: &Arc<dyn Storage>, delivery: &NewDelivery) -> bool {
    let kept = storage.deliveries_of_run(delivery.run_id).await.unwrap();
    kept.iter().any(|record| record.id == delivery.id)
}

pub async fn deliveries_that_ended_before_a_time_are_deleted_and_no_others(home: &dyn Home) {
    let storage = home.open();
    let arrived = ended(&storage, DeliveryStatus::Delivered, 10).await;
    let failed = ended(&storage, DeliveryStatus::Exhausted, 11).await;
    let later = ended(&storage, DeliveryStatus::Delivered, 20).await;
    let waiting = delivered(&storage, 1).await;
    let again = delivered(&storage, 1).await;
    let retry = Verdict::RetryAt(at(90));
    storage
        .record_attempt(again.id, Some(attempt(1, 2)), retry, at(2))
        .await
        .unwrap();
    assert_eq!(storage.prune_deliveries(at(10)).await.unwrap(), 0);
    assert_eq!(storage.prune_deliveries(at(20)).await.unwrap(), 2);
    assert_eq!(storage.prune_deliveries(at(20)).await.unwrap(), 0);
    for gone in [&arrived, &failed] {
        assert!(!is_kept(&storage, gone).await);
    }
    for kept in [&later, &waiting, &again] {
        assert!(is_kept(&storage, kept).await);
    }
    let due = storage.claim_deliveries(at(99), 10).await.unwrap();
    assert_eq!(due.deliveries.len(), 2);
}

/// More than one write or one claim takes.
const LARGE: u64 = 20;

/// A delivery with a body of a mebibyte.
async fn large_delivery(storage: &Arc<dyn Storage>) -> DeliveryId {
    let lease = running(storage).await;
    let large = NewDelivery {
        body: vec![b' '; 1 << 20],
        ..delivery(&lease, 1)
    };
    let id = large.id;
    let end = RunEnd {
        delivery: Some(large),
        ..end(1)
    };
    finish(storage, lease, end).await;
    id
}

pub async fn large_deliveries_are_claimed_a_few_at_a_time_and_all_in_the_end(home: &dyn Home) {
    let storage = home.open();
    for _ in 0..LARGE {
        large_delivery(&storage).await;
    }
    let mut claimed = Vec::new();
    loop {
        let due = storage.claim_deliveries(at(9), 100).await.unwrap();
        let bytes: usize = due.deliveries.iter().map(|d| d.delivery.body.len()).sum();
        assert!(bytes < 16 << 20, "{bytes} bytes at once");
        claimed.extend(due.deliveries.iter().map(|d| d.delivery.id));
        if !due.more {
            break;
        }
        assert!(!due.deliveries.is_empty());
    }
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len() as u64, LARGE);
}

pub async fn many_old_deliveries_are_deleted_in_several_writes(home: &dyn Home) {
    let storage = home.open();
    for _ in 0..LARGE {
        let large = large_delivery(&storage).await;
        let arrived = Verdict::End(DeliveryStatus::Delivered);
        storage
            .record_attempt(large, None, arrived, at(2))
            .await
            .unwrap();
    }
    let mut batches = Vec::new();
    loop {
        match storage.prune_deliveries(at(3)).await.unwrap() {
            0 => break,
            deleted => batches.push(deleted),
        }
    }
    assert!(batches.len() > 1, "{batches:?}");
    assert_eq!(batches.iter().sum::<u64>(), LARGE);
}
