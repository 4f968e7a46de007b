//! What a receiver gets, and what its answers lead to.

use std::time::Duration;

use http::HeaderValue;
use selvedge_model::Timestamp;
use selvedge_model::delivery::DeliveryStatus;
use selvedge_model::time::Clock as _;
use selvedge_webhook::Options;
use selvedge_webhook::signing::MAX_SECRETS;
use tokio::net::TcpListener;

use crate::host::{Host, options};
use crate::receiver::{Answer, Receiver};

#[tokio::test]
async fn a_run_that_ends_is_posted_with_its_body_and_headers() {
    let receiver = Receiver::start([Answer::Full(
        201,
        ("x-any", "1".to_owned()),
        "thanks".to_owned(),
    )])
    .await;
    let mut options = options();
    options
        .headers
        .insert("x-team", HeaderValue::from_static("a"));
    let host = Host::start(options);
    host.clock.turn(Duration::from_secs(7));
    let url = receiver.url("/in?token=secret");
    let run = host.run_ends(&url).await;
    let delivery = host.ended_as(run, DeliveryStatus::Delivered).await;

    let post = &receiver.posts()[0];
    assert_eq!(
        (post.method.as_str(), post.uri.as_str()),
        ("POST", "/in?token=secret")
    );
    assert_eq!(post.header("content-type"), "application/json");
    assert_eq!(
        post.header("user-agent"),
        concat!("selvedge/", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(post.header("x-team"), "a");
    assert_eq!(post.header("webhook-id"), delivery.id.to_string());
    let seconds = host.clock.now().as_millis() / 1000;
    assert_eq!(post.header("webhook-timestamp"), seconds.to_string());
    let body = post.json();
    assert_eq!(body["run_id"], run.to_string());
    assert_eq!(body["status"], "success");
    assert_eq!(body["values"]["log"][1], "b");
    assert_eq!(body["webhook_sent_at"], host.clock.now().to_string());

    let attempt = &delivery.attempts[0];
    assert_eq!(attempt.url, receiver.url("/in"));
    assert_eq!(attempt.address, Some(receiver.address));
    assert_eq!((attempt.number, attempt.status), (1, Some(201)));
    assert_eq!(attempt.response.as_deref(), Some("thanks"));
    assert_eq!(attempt.error, None);
}

#[tokio::test]
async fn a_failed_delivery_is_repeated_under_the_same_id_with_a_new_time() {
    let receiver = Receiver::start([Answer::Status(500), Answer::Status(200)]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    let failed = host.tried(run, 1).await;
    let next = host.clock.now().after(Duration::from_secs(10));
    assert_eq!(
        (failed.status, failed.next_attempt_at),
        (DeliveryStatus::Pending, Some(next))
    );
    host.turn(10);
    host.ended_as(run, DeliveryStatus::Delivered).await;
    let posts = receiver.posts();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0].header("webhook-id"), posts[1].header("webhook-id"));
    let sent_at = |at: usize| {
        posts[at].json()["webhook_sent_at"]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .unwrap()
    };
    assert_eq!(sent_at(0).until(sent_at(1)), Duration::from_secs(10));
}

#[tokio::test]
async fn the_last_attempt_of_the_schedule_exhausts_a_delivery() {
    let receiver = Receiver::start([Answer::Status(500)]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    for attempts in 1..=2 {
        host.tried(run, attempts).await;
        host.turn(100);
    }
    let delivery = host.ended_as(run, DeliveryStatus::Exhausted).await;
    assert_eq!(delivery.attempts.len(), 3);
    assert_eq!(receiver.posts().len(), 3);
}

#[tokio::test]
async fn a_410_ends_a_delivery_at_once() {
    let receiver = Receiver::start([Answer::Status(410)]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    let delivery = host.ended_as(run, DeliveryStatus::Gone).await;
    assert_eq!(delivery.attempts[0].status, Some(410));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let elsewhere = Receiver::start([Answer::Status(200)]).await;
    let location = ("location", elsewhere.url("/"));
    let receiver = Receiver::start([Answer::Full(302, location, String::new())]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    let delivery = host.tried(run, 1).await;
    assert_eq!(delivery.attempts[0].status, Some(302));
    assert_eq!(delivery.status, DeliveryStatus::Pending);
    assert!(elsewhere.posts().is_empty());
}

#[tokio::test]
async fn retry_after_puts_the_next_attempt_off() {
    let later = ("retry-after", "120".to_owned());
    let receiver = Receiver::start([Answer::Full(503, later, String::new())]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    let delivery = host.tried(run, 1).await;
    let next = host.clock.now().after(Duration::from_secs(120));
    assert_eq!(delivery.next_attempt_at, Some(next));
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_given_up_in_time() {
    let receiver = Receiver::start([Answer::Nothing]).await;
    let host = Host::start(Options {
        timeout: Duration::from_millis(200),
        ..options()
    });
    let run = host.run_ends(&receiver.url("/")).await;
    let delivery = host.tried(run, 1).await;
    let attempt = &delivery.attempts[0];
    assert_eq!(
        attempt.error.as_deref(),
        Some("timeout: timed out waiting for an answer")
    );
    assert_eq!(attempt.address, Some(receiver.address));
    assert!(attempt.duration >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_hanging_receiver_with_a_long_queue_does_not_hold_up_another_host() {
    let hanging = Receiver::start([Answer::Nothing]).await;
    let healthy = Receiver::start([Answer::Status(200)]).await;
    let host = Host::start(Options {
        timeout: Duration::from_secs(600),
        ..options()
    });
    let mut stuck = Vec::new();
    for _ in 0..150 {
        stuck.push(host.run_ends(&hanging.url("/")).await);
    }
    hanging.received(1).await;
    let run = host.run_ends(&healthy.url("/")).await;
    host.ended_as(run, DeliveryStatus::Delivered).await;
    // Until it has answered, one attempt at a time is enough to see whether it does.
    assert_eq!(hanging.posts().len(), 1);
    for run in stuck {
        assert_eq!(host.delivery(run).await.status, DeliveryStatus::Pending);
    }
    host.webhooks.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn more_than_one_host_can_take_at_once_arrives_all_the_same() {
    let receiver = Receiver::start([Answer::Status(200)]).await;
    let host = Host::start(options());
    let mut runs = Vec::new();
    for _ in 0..200 {
        runs.push(host.run_ends(&receiver.url("/")).await);
    }
    for run in runs {
        crate::host::eventually("delivery", async || {
            // What was put off for this host is due a little later on the clock, which has to be turned.
            host.turn(1);
            let delivery = host.delivery(run).await;
            (delivery.status == DeliveryStatus::Delivered).then_some(())
        })
        .await;
    }
    assert_eq!(receiver.posts().len(), 200);
}

#[tokio::test]
async fn a_receiver_that_closes_without_an_answer_is_tried_again() {
    let receiver = Receiver::start([Answer::Close, Answer::Status(200)]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    let delivery = host.tried(run, 1).await;
    assert_eq!(delivery.attempts[0].status, None);
    assert_eq!(delivery.attempts[0].address, Some(receiver.address));
    assert!(
        delivery.attempts[0]
            .error
            .as_ref()
            .unwrap()
            .starts_with("protocol: ")
    );
    host.turn(10);
    host.ended_as(run, DeliveryStatus::Delivered).await;
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_tried_again() {
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let host = Host::start(options());
    let run = host.run_ends(&format!("http://{address}/")).await;
    let delivery = host.tried(run, 1).await;
    assert_eq!(delivery.status, DeliveryStatus::Pending);
    assert!(
        delivery.attempts[0]
            .error
            .as_ref()
            .unwrap()
            .starts_with("connect: ")
    );
}

#[tokio::test]
async fn of_a_long_answer_the_beginning_is_kept() {
    let long = "x".repeat(1 << 20);
    let receiver = Receiver::start([Answer::Full(200, ("x-any", "1".to_owned()), long)]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    let delivery = host.ended_as(run, DeliveryStatus::Delivered).await;
    assert_eq!(delivery.attempts[0].response.as_ref().unwrap().len(), 4096);
}

#[tokio::test]
async fn headers_as_large_as_they_may_be_are_sent_beside_as_many_signatures_as_there_may_be() {
    let receiver = Receiver::start([Answer::Status(200)]).await;
    let mut options = options();
    let secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    options.secrets = vec![secret; MAX_SECRETS];
    let with = |bytes: usize| {
        let mut options = options.clone();
        let value = HeaderValue::try_from("x".repeat(bytes)).unwrap();
        options.headers.insert("x-large", value);
        options
    };
    let largest = (0..1 << 16)
        .rev()
        .find(|bytes| with(*bytes).validate().is_ok());
    let host = Host::start(with(largest.unwrap()));
    let run = host.run_ends(&receiver.url("/")).await;
    host.ended_as(run, DeliveryStatus::Delivered).await;
    let post = &receiver.posts()[0];
    assert_eq!(post.header("x-large").len(), largest.unwrap());
    let signatures = post.header("webhook-signature").split(' ').count();
    assert_eq!(signatures, MAX_SECRETS);
}
