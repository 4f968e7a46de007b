//! What survives the end of a process, and how it ends.

use std::time::Duration;

use selvedge_model::Scope;
use selvedge_model::delivery::DeliveryStatus;
use selvedge_model::time::Clock as _;
use selvedge_webhook::Options;
use tokio::sync::watch;

use crate::host::{Host, eventually, options};
use crate::receiver::{Answer, Receiver};

#[tokio::test]
async fn the_schedule_goes_on_where_it_was_before_a_restart() {
    let receiver = Receiver::start([
        Answer::Status(500),
        Answer::Status(500),
        Answer::Status(200),
    ])
    .await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    host.tried(run, 1).await;
    host.turn(10);
    let second = host.tried(run, 2).await;
    let due = host.clock.now().after(Duration::from_secs(100));
    assert_eq!(second.next_attempt_at, Some(due));
    let host = host.restart(options()).await;
    assert_eq!(host.delivery(run).await.next_attempt_at, Some(due));
    host.turn(100);
    let third = host.ended_as(run, DeliveryStatus::Delivered).await;
    let numbers: Vec<u32> = third
        .attempts
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    let ids: Vec<_> = receiver
        .posts()
        .iter()
        .map(|post| post.header("webhook-id").to_owned())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_shutdown_waits_for_the_attempt_in_flight() {
    let (gate, closed) = watch::channel(false);
    let receiver = Receiver::start([Answer::Status(200), Answer::Behind(closed)]).await;
    let host = Host::start(options());
    // A host that has answered is given several attempts at once.
    let known = host.run_ends(&receiver.url("/")).await;
    host.ended_as(known, DeliveryStatus::Delivered).await;
    let run = host.run_ends(&receiver.url("/")).await;
    let later = host.run_ends(&receiver.url("/")).await;
    receiver.received(3).await;
    let (end, ()) = tokio::join!(
        async {
            host.webhooks.shutdown(Duration::from_secs(10)).await;
            (
                host.delivery(run).await.status,
                host.delivery(later).await.status,
            )
        },
        async {
            // The shutdown is under way by now: `join` polls in order.
            gate.send_replace(true);
        }
    );
    assert_eq!(end, (DeliveryStatus::Delivered, DeliveryStatus::Delivered));
}

#[tokio::test]
async fn an_attempt_that_outlasts_the_grace_is_made_again_by_the_next_process() {
    let receiver = Receiver::start([Answer::Nothing, Answer::Status(200)]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    receiver.received(1).await;
    host.webhooks.shutdown(Duration::ZERO).await;
    assert_eq!(host.delivery(run).await.status, DeliveryStatus::Pending);
    let host = host.restart(options()).await;
    let delivery = host.ended_as(run, DeliveryStatus::Delivered).await;
    // The attempt that was cut off is not recorded; the receiver knows it by its id.
    assert_eq!(delivery.attempts.len(), 1);
    let posts = receiver.posts();
    assert_eq!(posts[0].header("webhook-id"), posts[1].header("webhook-id"));
}

#[tokio::test]
async fn after_a_shutdown_nothing_more_is_claimed() {
    let receiver = Receiver::start([Answer::Status(200)]).await;
    let host = Host::start(options());
    let first = host.run_ends(&receiver.url("/")).await;
    host.ended_as(first, DeliveryStatus::Delivered).await;
    host.webhooks.shutdown(Duration::from_secs(10)).await;
    host.run_ends(&receiver.url("/")).await;
    let due = host
        .storage
        .claim_deliveries(host.clock.now(), 10)
        .await
        .unwrap();
    assert_eq!(due.deliveries.len(), 1);
}

#[tokio::test]
async fn a_storage_that_went_away_does_not_keep_the_worker_from_ending() {
    let receiver = Receiver::start([Answer::Status(200)]).await;
    let host = Host::start(options());
    host.storage.close().await;
    host.webhooks.wake();
    eventually("an unavailable storage", async || {
        host.storage.check().await.err()
    })
    .await;
    host.webhooks.shutdown(Duration::from_secs(10)).await;
    assert!(receiver.posts().is_empty());
}

#[tokio::test]
async fn what_ended_longer_ago_than_it_is_to_be_kept_is_deleted_also_while_webhooks_are_disabled() {
    let receiver = Receiver::start([Answer::Status(200)]).await;
    let host = Host::start(options());
    let old = host.run_ends(&receiver.url("/")).await;
    host.ended_as(old, DeliveryStatus::Delivered).await;
    host.clock.turn(Duration::from_hours(24 * 20));
    let young = host.run_ends(&receiver.url("/")).await;
    host.ended_as(young, DeliveryStatus::Delivered).await;
    host.clock.turn(Duration::from_hours(24 * 11));
    let disabled = Options {
        enabled: false,
        ..options()
    };
    let host = host.restart(disabled).await;
    eventually("the deletion of the old delivery", async || {
        let kept = host
            .storage
            .deliveries_of_run(&Scope::Host, old)
            .await
            .unwrap();
        kept.is_empty().then_some(())
    })
    .await;
    let kept = host.delivery(young).await;
    assert_eq!(kept.status, DeliveryStatus::Delivered);

    host.clock.turn(Duration::from_hours(24 * 20));
    let host = host.restart(options()).await;
    eventually("the deletion of the young delivery", async || {
        let kept = host
            .storage
            .deliveries_of_run(&Scope::Host, young)
            .await
            .unwrap();
        kept.is_empty().then_some(())
    })
    .await;
}
