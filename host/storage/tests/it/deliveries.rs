//! Promises about deliveries.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::delivery::{Attempt, DeliveryStatus, NewDelivery, PutOff, Verdict};
use selvedge_model::{DeliveryId, Scope};
use selvedge_storage::{DeliveryQuery, Outbox, Redeliver, RunEnd, Storage, StorageError};

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
        (due.deliveries[0].id, due.deliveries[0].attempts),
        (delivery.id, 0)
    );
    assert_eq!(
        storage.delivery_to_send(delivery.id).await.unwrap(),
        Some(delivery)
    );
    let unknown = storage.delivery_to_send(DeliveryId::new()).await.unwrap();
    assert!(unknown.is_none());
    let again = storage.claim_deliveries(at(99), 10).await.unwrap();
    assert_eq!((again.deliveries.len(), again.next_due), (0, None));
}

pub async fn first_attempts_come_before_retries(home: &dyn Home) {
    let storage = home.open();
    let retried = delivered(&storage, 1).await;
    storage.claim_deliveries(at(1), 1).await.unwrap();
    storage
        .record_attempt(retried.id, attempt(1, 1), Verdict::RetryAt(at(2)), at(1))
        .await
        .unwrap();
    let later = delivered(&storage, 6).await;
    let earlier = delivered(&storage, 5).await;
    let first = storage.claim_deliveries(at(9), 2).await.unwrap().deliveries;
    let ids: Vec<DeliveryId> = first.iter().map(|due| due.id).collect();
    assert_eq!(ids, [earlier.id, later.id]);
    let then = storage.claim_deliveries(at(9), 2).await.unwrap().deliveries;
    assert_eq!((then[0].id, then[0].attempts), (retried.id, 1));
}

pub async fn a_retry_waits_for_its_time(home: &dyn Home) {
    let storage = home.open();
    let delivery = delivered(&storage, 1).await;
    storage.claim_deliveries(at(1), 1).await.unwrap();
    storage
        .record_attempt(delivery.id, attempt(1, 1), Verdict::RetryAt(at(30)), at(1))
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
        .record_attempt(delivery.id, refused.clone(), Verdict::RetryAt(at(5)), at(1))
        .await
        .unwrap();
    let end = Verdict::End(DeliveryStatus::Gone);
    storage
        .record_attempt(delivery.id, answered.clone(), end, at(5))
        .await
        .unwrap();
    let record = storage
        .deliveries_of_run(&Scope::Host, delivery.run_id)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (record.id, record.run_id, record.url),
        // Its token is between the caller and the receiver.
        (
            delivery.id,
            delivery.run_id,
            "https://hooks.example.com/in".to_owned()
        )
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

pub async fn an_attempt_that_is_recorded_twice_is_recorded_once(home: &dyn Home) {
    let storage = home.open();
    let delivery = delivered(&storage, 1).await;
    let arrived = Verdict::End(DeliveryStatus::Delivered);
    for _ in 0..2 {
        storage
            .record_attempt(delivery.id, attempt(1, 1), arrived, at(2))
            .await
            .unwrap();
    }
    let record = storage
        .delivery(&Scope::Host, delivery.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (record.status, record.attempts),
        (DeliveryStatus::Delivered, vec![attempt(1, 1)])
    );
    let unknown = storage
        .record_attempt(DeliveryId::new(), attempt(1, 1), arrived, at(2))
        .await;
    assert!(matches!(unknown, Err(StorageError::Failed(_))));
}

fn put_off(delivery: &NewDelivery, until: i64, behind: bool) -> PutOff {
    PutOff {
        id: delivery.id,
        until: at(until),
        behind,
    }
}

async fn claimed(storage: &Arc<dyn Storage>, now: i64, limit: usize) -> Vec<DeliveryId> {
    let due = storage.claim_deliveries(at(now), limit).await.unwrap();
    due.deliveries.iter().map(|due| due.id).collect()
}

pub async fn what_is_put_off_comes_behind_first_attempts_unless_it_only_waits(home: &dyn Home) {
    let storage = home.open();
    let behind = delivered(&storage, 1).await;
    let waits = delivered(&storage, 1).await;
    assert_eq!(claimed(&storage, 1, 9).await, [behind.id, waits.id]);
    let later = vec![put_off(&behind, 10, true), put_off(&waits, 20, false)];
    storage.put_off(later).await.unwrap();
    let early = storage.claim_deliveries(at(9), 9).await.unwrap();
    assert_eq!((early.deliveries.len(), early.next_due), (0, Some(at(10))));
    let first = delivered(&storage, 30).await;
    assert_eq!(
        claimed(&storage, 30, 9).await,
        [waits.id, first.id, behind.id]
    );
    let due = storage
        .delivery(&Scope::Host, behind.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((due.attempt_count, due.attempts.len()), (0, 0));
    // One that is gone by now is nobody's mistake.
    let unknown = PutOff {
        id: DeliveryId::new(),
        ..put_off(&behind, 40, true)
    };
    storage.put_off(vec![unknown]).await.unwrap();
}

pub async fn a_quarter_of_a_claim_is_for_what_is_behind_first_attempts(home: &dyn Home) {
    let storage = home.open();
    let mut retried = Vec::new();
    for _ in 0..8 {
        let delivery = delivered(&storage, 1).await;
        retried.push(put_off(&delivery, 2, true));
    }
    claimed(&storage, 1, 8).await;
    storage.put_off(retried).await.unwrap();
    for _ in 0..8 {
        delivered(&storage, 5).await;
    }
    let due = storage.claim_deliveries(at(9), 8).await.unwrap();
    let created: Vec<bool> = due
        .deliveries
        .iter()
        .map(|due| due.created_at == at(5))
        .collect();
    assert_eq!(created, [true, true, true, true, true, true, false, false]);
    assert!(due.more);
}

pub async fn what_is_pending_is_disabled_due_or_not_and_goes_on_where_it_was(home: &dyn Home) {
    let storage = home.open();
    let tried = delivered(&storage, 1).await;
    storage
        .record_attempt(tried.id, attempt(1, 1), Verdict::RetryAt(at(90)), at(1))
        .await
        .unwrap();
    let first = delivered(&storage, 1).await;
    let arrived = ended(&storage, DeliveryStatus::Delivered, 1).await;
    assert_eq!(storage.disable_deliveries(at(5)).await.unwrap(), 2);
    assert_eq!(storage.disable_deliveries(at(5)).await.unwrap(), 0);
    for (delivery, status) in [
        (&tried, DeliveryStatus::Disabled),
        (&first, DeliveryStatus::Disabled),
        (&arrived, DeliveryStatus::Delivered),
    ] {
        let record = storage
            .delivery(&Scope::Host, delivery.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((record.status, record.next_attempt_at), (status, None));
    }
    let disabled = Redeliver {
        statuses: vec![DeliveryStatus::Disabled],
        since: at(0),
        before: at(9),
    };
    assert_eq!(
        storage
            .redeliver_ended(&Scope::Host, disabled, at(50))
            .await
            .unwrap(),
        2
    );
    let due = storage.claim_deliveries(at(50), 9).await.unwrap();
    let schedules: Vec<_> = due
        .deliveries
        .iter()
        .map(|due| (due.id, due.attempts, due.tries, due.began_at))
        .collect();
    assert_eq!(
        schedules,
        [(first.id, 0, 0, at(50)), (tried.id, 1, 1, at(50))]
    );
}

/// Ends a delivery and says which it was.
async fn ended(storage: &Arc<dyn Storage>, status: DeliveryStatus, seconds: i64) -> NewDelivery {
    let delivery = delivered(storage, 1).await;
    storage
        .record_attempt(
            delivery.id,
            attempt(1, seconds),
            Verdict::End(status),
            at(seconds),
        )
        .await
        .unwrap();
    delivery
}

async fn is_kept(storage: &Arc<dyn Storage>, delivery: &NewDelivery) -> bool {
    let kept = storage
        .deliveries_of_run(&Scope::Host, delivery.run_id)
        .await
        .unwrap();
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
        .record_attempt(again.id, attempt(1, 2), retry, at(2))
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

pub async fn many_old_deliveries_are_deleted_in_several_writes(home: &dyn Home) {
    let storage = home.open();
    for _ in 0..LARGE {
        let large = large_delivery(&storage).await;
        let arrived = Verdict::End(DeliveryStatus::Delivered);
        storage
            .record_attempt(large, attempt(1, 2), arrived, at(2))
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

async fn listed(
    storage: &Arc<dyn Storage>,
    status: Option<DeliveryStatus>,
    (limit, offset): (u32, u32),
) -> (Vec<DeliveryId>, bool) {
    let query = DeliveryQuery {
        run_id: None,
        status,
        limit,
        offset,
    };
    let page = storage.list_deliveries(&Scope::Host, query).await.unwrap();
    (page.rows.iter().map(|row| row.id).collect(), page.more)
}

pub async fn deliveries_are_listed_newest_first_by_run_and_by_status(home: &dyn Home) {
    let storage = home.open();
    let last = ended(&storage, DeliveryStatus::Exhausted, 30).await;
    let first = ended(&storage, DeliveryStatus::Exhausted, 10).await;
    let arrived = ended(&storage, DeliveryStatus::Delivered, 20).await;
    let waiting = delivered(&storage, 1).await;
    let all = [waiting.id, arrived.id, first.id, last.id];
    assert_eq!(listed(&storage, None, (9, 0)).await, (all.to_vec(), false));
    let page = listed(&storage, None, (2, 1)).await;
    assert_eq!(page, (all[1..3].to_vec(), true));
    for (status, expected) in [
        (DeliveryStatus::Pending, vec![waiting.id]),
        (DeliveryStatus::Delivered, vec![arrived.id]),
        // Those that ended last come first.
        (DeliveryStatus::Exhausted, vec![last.id, first.id]),
        (DeliveryStatus::Blocked, vec![]),
    ] {
        let found = listed(&storage, Some(status), (9, 0)).await;
        assert_eq!(found, (expected, false), "{status:?}");
    }
    let of_run = DeliveryQuery {
        run_id: Some(arrived.run_id),
        status: None,
        limit: 9,
        offset: 0,
    };
    let page = storage
        .list_deliveries(&Scope::Host, of_run.clone())
        .await
        .unwrap();
    let record = &page.rows[0];
    assert_eq!((page.rows.len(), record.id), (1, arrived.id));
    assert_eq!(
        (record.thread_id, record.attempt_count, record.ended_at),
        (arrived.thread_id, 1, Some(at(20)))
    );
    assert_eq!(record.attempts, [attempt(1, 20)]);
    let other_status = DeliveryQuery {
        status: Some(DeliveryStatus::Pending),
        ..of_run
    };
    let page = storage
        .list_deliveries(&Scope::Host, other_status)
        .await
        .unwrap();
    assert!(page.rows.is_empty());
    assert!(
        storage
            .delivery(&Scope::Host, DeliveryId::new())
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn a_delivery_that_ended_is_delivered_again_on_a_new_schedule(home: &dyn Home) {
    let storage = home.open();
    let delivery = ended(&storage, DeliveryStatus::Exhausted, 10).await;
    assert!(
        storage
            .redeliver(&Scope::Host, delivery.id, at(50))
            .await
            .unwrap()
    );
    assert!(
        !storage
            .redeliver(&Scope::Host, DeliveryId::new(), at(50))
            .await
            .unwrap()
    );
    let record = storage
        .delivery(&Scope::Host, delivery.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (record.status, record.next_attempt_at, record.ended_at),
        (DeliveryStatus::Pending, Some(at(50)), None)
    );
    assert_eq!(record.attempts.len(), 1);
    let early = storage.claim_deliveries(at(49), 9).await.unwrap();
    assert_eq!((early.deliveries.len(), early.next_due), (0, Some(at(50))));
    let due = storage
        .claim_deliveries(at(50), 9)
        .await
        .unwrap()
        .deliveries;
    assert_eq!((due[0].attempts, due[0].tries), (1, 0));
    assert_eq!((due[0].id, due[0].began_at), (delivery.id, at(50)));

    // Its attempts go on counting, and what counts for the schedule outlasts a retry.
    let retry = Verdict::RetryAt(at(60));
    storage
        .record_attempt(delivery.id, attempt(2, 50), retry, at(50))
        .await
        .unwrap();
    let due = storage
        .claim_deliveries(at(60), 9)
        .await
        .unwrap()
        .deliveries;
    assert_eq!((due[0].attempts, due[0].tries), (2, 1));
}

pub async fn a_delivery_that_waits_is_due_at_once_and_one_under_way_is_left_to_it(home: &dyn Home) {
    let storage = home.open();
    let delivery = delivered(&storage, 1).await;
    storage.claim_deliveries(at(1), 1).await.unwrap();
    let retry = Verdict::RetryAt(at(90));
    storage
        .record_attempt(delivery.id, attempt(1, 1), retry, at(1))
        .await
        .unwrap();
    assert!(
        storage
            .redeliver(&Scope::Host, delivery.id, at(5))
            .await
            .unwrap()
    );
    let due = storage.claim_deliveries(at(5), 9).await.unwrap().deliveries;
    assert_eq!((due[0].attempts, due[0].tries), (1, 1));

    assert!(
        storage
            .redeliver(&Scope::Host, delivery.id, at(6))
            .await
            .unwrap()
    );
    let again = storage.claim_deliveries(at(99), 9).await.unwrap();
    assert!(again.deliveries.is_empty());
    let arrived = Verdict::End(DeliveryStatus::Delivered);
    storage
        .record_attempt(delivery.id, attempt(2, 7), arrived, at(7))
        .await
        .unwrap();
    let record = storage
        .delivery(&Scope::Host, delivery.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.status, DeliveryStatus::Delivered);
}

pub async fn what_ended_in_some_way_within_a_time_is_delivered_again(home: &dyn Home) {
    let storage = home.open();
    let early = ended(&storage, DeliveryStatus::Exhausted, 10).await;
    let blocked = ended(&storage, DeliveryStatus::Blocked, 20).await;
    let exhausted = ended(&storage, DeliveryStatus::Exhausted, 20).await;
    let arrived = ended(&storage, DeliveryStatus::Delivered, 20).await;
    let late = ended(&storage, DeliveryStatus::Exhausted, 30).await;
    let which = |statuses: &[DeliveryStatus]| Redeliver {
        statuses: statuses.to_vec(),
        since: at(20),
        before: at(30),
    };
    let only_exhausted = which(&[DeliveryStatus::Exhausted]);
    let redeliver = async |which| {
        storage
            .redeliver_ended(&Scope::Host, which, at(40))
            .await
            .unwrap()
    };
    assert_eq!(redeliver(only_exhausted.clone()).await, 1);
    assert_eq!(redeliver(only_exhausted).await, 0);
    let both = which(&[DeliveryStatus::Exhausted, DeliveryStatus::Blocked]);
    assert_eq!(redeliver(both).await, 1);
    for (delivery, status) in [
        (early, DeliveryStatus::Exhausted),
        (blocked, DeliveryStatus::Pending),
        (exhausted, DeliveryStatus::Pending),
        (arrived, DeliveryStatus::Delivered),
        (late, DeliveryStatus::Exhausted),
    ] {
        let record = storage
            .delivery(&Scope::Host, delivery.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(record.status, status);
    }
}

pub async fn the_outbox_says_how_much_is_pending_and_since_when(home: &dyn Home) {
    let storage = home.open();
    let nothing = Outbox {
        pending: 0,
        oldest: None,
        due: None,
    };
    assert_eq!(storage.outbox().await.unwrap(), nothing);
    let oldest = delivered(&storage, 3).await;
    let other = delivered(&storage, 5).await;
    ended(&storage, DeliveryStatus::Delivered, 9).await;
    let two = Outbox {
        pending: 2,
        oldest: Some(at(3)),
        due: Some(at(3)),
    };
    assert_eq!(storage.outbox().await.unwrap(), two);
    let again = Verdict::RetryAt(at(60));
    storage
        .record_attempt(oldest.id, attempt(1, 9), again, at(9))
        .await
        .unwrap();
    let waits = Outbox {
        due: Some(at(5)),
        ..two
    };
    assert_eq!(storage.outbox().await.unwrap(), waits);
    let gone = Verdict::End(DeliveryStatus::Gone);
    storage
        .record_attempt(other.id, attempt(1, 9), gone, at(9))
        .await
        .unwrap();
    let one = Outbox {
        pending: 1,
        due: Some(at(60)),
        ..two
    };
    assert_eq!(storage.outbox().await.unwrap(), one);
}
