//! What storage refuses to write down, and attempts that break off, keep no delivery from its end.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use selvedge_egress::{ClientOptions, Resolver};
use selvedge_model::delivery::DeliveryStatus;
use selvedge_model::time::Clock as _;
use selvedge_webhook::Options;

use crate::host::{Host, options};
use crate::receiver::{Answer, Receiver};

#[tokio::test]
async fn what_storage_refused_to_record_is_recorded_later_and_nothing_is_sent_twice() {
    let receiver = Receiver::start([Answer::Status(200)]).await;
    let host = Host::start(Options {
        max_concurrent_per_host: 1,
        ..options()
    });
    let database = host.database();
    database
        .execute_batch(
            "CREATE TRIGGER broken BEFORE UPDATE ON delivery \
             BEGIN SELECT raise(ABORT, 'broken on purpose'); END",
        )
        .unwrap();
    let first = host.run_ends(&receiver.url("/")).await;
    let second = host.run_ends(&receiver.url("/")).await;
    // The host has one slot: the second is sent once the first is left for later.
    receiver.received(2).await;
    assert_eq!(host.delivery(first).await.status, DeliveryStatus::Pending);
    database.execute_batch("DROP TRIGGER broken").unwrap();
    // The pause is long; from here on waiting for it takes no time.
    tokio::time::pause();
    for run in [first, second] {
        let delivery = host.ended_as(run, DeliveryStatus::Delivered).await;
        assert_eq!(delivery.attempts.len(), 1);
    }
    assert_eq!(receiver.posts().len(), 2);
}

struct Broken;

impl Resolver for Broken {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        panic!("broken on purpose")
    }
}

#[tokio::test]
async fn an_attempt_that_breaks_off_is_a_failed_one_and_the_schedule_goes_on() {
    let host = Host::start(Options {
        client: ClientOptions {
            resolver: Arc::new(Broken),
            ..ClientOptions::default()
        },
        ..options()
    });
    let run = host
        .run_ends("http://hooks.example.com/in?token=secret")
        .await;
    let delivery = host.tried(run, 1).await;
    let next = host.clock.now().after(Duration::from_secs(10));
    assert_eq!(
        (delivery.status, delivery.next_attempt_at),
        (DeliveryStatus::Pending, Some(next))
    );
    let attempt = &delivery.attempts[0];
    assert!(attempt.error.as_ref().unwrap().starts_with("internal: "));
    assert_eq!(attempt.url, "http://hooks.example.com/in");
    for attempts in 2..=3 {
        host.turn(100);
        host.tried(run, attempts).await;
    }
    host.ended_as(run, DeliveryStatus::Exhausted).await;
}
