//! Receivers that are away for an hour and come back. The clock is turned; everything else is real.

use std::time::Duration;

use selvedge_model::RunId;
use selvedge_model::delivery::DeliveryStatus;
use selvedge_webhook::{Options, Schedule};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::host::{Host, eventually, options};
use crate::policy::resolving;
use crate::receiver::{Answer, Receiver};

/// The schedule that holds when nothing is configured, to the second.
fn by_default() -> Options {
    Options {
        retry: Schedule {
            jitter: 0.0,
            ..Schedule::default()
        },
        ..options()
    }
}

#[tokio::test]
async fn a_receiver_that_comes_back_after_an_hour_gets_what_it_missed_on_the_default_schedule() {
    // Nobody listens there until it is back.
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = away.local_addr().unwrap();
    drop(away);
    let host = Host::start(by_default());
    // A single one: several that fail together would open the breaker, which has tests of its own.
    let run = host.run_ends(&format!("http://{address}/")).await;
    // 0 s, 5 s, 5 min and 35 min after the end of the run.
    for (made, wait) in [(1, 5), (2, 300), (3, 1800), (4, 1495)] {
        let delivery = host.tried(run, made).await;
        assert_eq!(delivery.status, DeliveryStatus::Pending);
        host.turn(wait);
    }
    // An hour has passed and the next attempt is at 2 h 35 min, also for a process that starts now.
    let receiver = Receiver::start_at(address, [Answer::Status(200)]).await;
    let host = host.restart(by_default()).await;
    assert_eq!(host.delivery(run).await.attempts.len(), 4);
    host.turn(7200 - 1495);
    let delivery = host.ended_as(run, DeliveryStatus::Delivered).await;
    assert_eq!(delivery.attempts.len(), 5);
    assert_eq!(receiver.posts().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_asks_for_an_hour_gets_it() {
    let later = ("retry-after", "3600".to_owned());
    let answers = [Answer::Full(429, later, String::new()), Answer::Status(200)];
    let receiver = Receiver::start(answers).await;
    let host = Host::start(by_default());
    let run = host.run_ends(&receiver.url("/")).await;
    let delivery = host.tried(run, 1).await;
    let due = delivery.next_attempt_at.unwrap();
    // One second before its time nothing is due, whoever asks.
    host.turn(3599);
    let nothing = host.storage.claim_deliveries(host.now(), 10).await.unwrap();
    assert!(nothing.deliveries.is_empty());
    assert_eq!(host.now().until(due), Duration::from_secs(1));
    host.turn(1);
    host.ended_as(run, DeliveryStatus::Delivered).await;
    assert_eq!(receiver.posts().len(), 2);
}

#[tokio::test]
async fn a_receiver_that_is_gone_for_good_keeps_nothing_pending_although_more_comes_all_the_time() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", gone.local_addr().unwrap());
    drop(gone);
    let host = Host::start(options());
    let database = host.database();
    let attempts = || -> u32 {
        let count = database.query_row("SELECT count(*) FROM attempt", [], |row| row.get(0));
        count.unwrap()
    };
    let mut runs = Vec::new();
    // The schedule is over after two minutes and an hour is added to that. In each step the breaker lets an attempt
    // through, and there are always first attempts to be made.
    for _ in 0..MAX_STEPS {
        let before = attempts();
        for _ in 0..2 {
            runs.push(host.run_ends(&url).await);
        }
        host.turn(61);
        // Or a little more: the pause begins when the worker learns of the attempt before, perhaps just now.
        eventually("an attempt", async || {
            host.turn(1);
            (attempts() > before).then_some(())
        })
        .await;
        if has_ended(&host, &runs[..8.min(runs.len())]).await {
            break;
        }
    }
    let mut left_alone = 0;
    for run in &runs[..8] {
        let delivery = host.delivery(*run).await;
        assert_eq!(delivery.status, DeliveryStatus::Exhausted);
        let last = delivery.attempts.last().unwrap();
        let error = last.error.as_deref().unwrap();
        left_alone += usize::from(error.starts_with("breaker: "));
    }
    assert!(left_alone > 0);
}

#[tokio::test]
async fn what_waited_while_the_host_itself_was_away_for_long_is_delivered_all_of_it() {
    let (gate, closed) = watch::channel(false);
    let receiver = Receiver::start([Answer::Behind(closed)]).await;
    let host = Host::start(options());
    let mut runs = Vec::new();
    for _ in 0..300 {
        runs.push(host.run_ends(&receiver.url("/")).await);
    }
    // One is on its way, and goes down with the process; the schedule was over a week ago when the next one starts.
    receiver.received(1).await;
    host.webhooks.shutdown(Duration::ZERO).await;
    host.clock.turn(Duration::from_hours(24 * 7));
    let host = host.restart(options()).await;
    // All of them are claimed while nothing is known of the receiver yet, and what it cannot take is put off.
    receiver.received(2).await;
    let database = host.database();
    let due = "SELECT count(*) FROM delivery WHERE status = 0 AND due_at <= ?1";
    eventually("a look at all that waits", async || {
        let count = database.query_row(due, [host.now().as_micros()], |row| row.get(0));
        let count: u32 = count.unwrap();
        (count < 10).then_some(())
    })
    .await;
    gate.send_replace(true);
    for run in runs {
        let ended = eventually("the end of a delivery", async || {
            // What was put off comes by the clock.
            host.turn(1);
            let delivery = host.delivery(run).await;
            (delivery.status != DeliveryStatus::Pending).then_some(delivery)
        })
        .await;
        assert_eq!(ended.status, DeliveryStatus::Delivered);
    }
}

/// Minutes after which a delivery has ended, come what may: twice as many as it should take.
const MAX_STEPS: usize = 240;

async fn has_ended(host: &Host, runs: &[RunId]) -> bool {
    for run in runs {
        if host.delivery(*run).await.status == DeliveryStatus::Pending {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn what_waited_while_webhooks_were_off_goes_on_where_its_schedule_was() {
    let receiver = Receiver::start([Answer::Status(500)]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    host.tried(run, 1).await;
    let off = Options {
        enabled: false,
        ..options()
    };
    let host = host.restart(off).await;
    host.ended_as(run, DeliveryStatus::Disabled).await;
    let host = host.restart(options()).await;
    host.tried(run, 2).await;
    host.turn(100);
    // Three attempts in all, as if nothing had been switched off.
    let delivery = host.ended_as(run, DeliveryStatus::Exhausted).await;
    assert_eq!(delivery.attempts.len(), 3);
}

#[tokio::test]
async fn a_thousand_names_of_one_silent_machine_leave_a_new_receiver_alone() {
    // Connections are made to it, and nobody takes them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let receiver = Receiver::start([Answer::Status(200)]).await;
    // No attempt at a name that hangs ends before the test does.
    let host = Host::start(Options {
        timeout: Duration::from_hours(1),
        ..resolving(&["127.0.0.1"])
    });
    for n in 0..1_100 {
        let url = format!("http://n{n}.evil.example.com:{port}/");
        host.run_ends(&url).await;
    }
    let url = format!("http://hooks.example.org:{}/", receiver.address.port());
    let run = host.run_ends(&url).await;
    host.ended_as(run, DeliveryStatus::Delivered).await;
}
