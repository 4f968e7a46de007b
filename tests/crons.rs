//! Crons: they fire at their times, and each run is one like any other.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::server::{json_of, text};
use crate::support::{Gate, Receiver, Server, Setup, eventually};

const EVERY_SECOND: &str = "* * * * * *";

async fn on_thread(server: &Server, thread: &str, body: Value) -> Value {
    let mut whole =
        json!({"assistant_id": "two", "schedule": EVERY_SECOND, "input": {"foo": "in"}});
    let members = whole.as_object_mut().expect("an object");
    members.extend(body.as_object().expect("an object").clone());
    server
        .post_json(&format!("/threads/{thread}/runs/crons"), &whole)
        .await
}

fn path(cron: &Value) -> String {
    format!("/runs/crons/{}", text(&cron["cron_id"]))
}

async fn runs(server: &Server, thread: &str) -> Vec<Value> {
    let runs = server
        .get_json(&format!("/threads/{thread}/runs?limit=1000"))
        .await;
    runs.as_array().expect("runs").clone()
}

/// Waits until the cron's runs on its thread are so many.
async fn made(server: &Server, thread: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} runs"), async || {
        let runs = runs(server, thread).await;
        (runs.len() >= count).then_some(runs)
    })
    .await
}

/// Waits until the cron says why it made no run.
async fn last_error(server: &Server, cron: &Value) -> Value {
    eventually("an error", async || {
        let cron = server.get_json(&path(cron)).await;
        (!cron["last_error"].is_null()).then(|| cron["last_error"].clone())
    })
    .await
}

async fn sample(server: &Server, name: &str) -> u64 {
    let response = server.get("/metrics").await;
    let metrics = response.text().await.expect("text");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("no {name}:\n{metrics}"));
    value.parse().expect("a number")
}

/// Every day at a second that comes soon, in UTC.
fn daily_in(seconds: u64) -> String {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let at = (since_1970 + Duration::from_secs(seconds)).as_secs() % 86_400;
    let (hour, minute, second) = (at / 3_600, at / 60 % 60, at % 60);
    format!("{minute} {hour} * * * {second}")
}

#[tokio::test]
async fn a_cron_makes_a_run_at_each_of_its_times_and_each_is_posted() {
    let (server, receiver) = (
        Setup::probes(&["two"]).start().await,
        Receiver::start().await,
    );
    let body = json!({
        "assistant_id": "two", "schedule": EVERY_SECOND, "input": {"foo": "in"},
        "webhook": receiver.url("/"), "metadata": {"m": 1}, "context": {"who": "me"},
        "interrupt_after": ["b"], "stream_mode": ["updates"], "stream_subgraphs": true,
        "stream_resumable": true, "durability": "exit",
    });
    let cron = server.post_json("/runs/crons", &body).await;
    // A thread of its own for each run, which goes with it.
    let mut threads = BTreeSet::new();
    for received in receiver.wait_for(2).await {
        let run = received.json();
        assert_eq!(run["status"], "success");
        assert_eq!(run["metadata"]["m"], 1);
        let kwargs = &run["kwargs"];
        let configurable = &kwargs["config"]["configurable"];
        assert_eq!(configurable["cron_id"], cron["cron_id"]);
        assert_eq!(configurable["who"], "me");
        assert_eq!(configurable["langgraph_request_id"], Value::Null);
        assert_eq!(kwargs["context"], json!({"who": "me"}));
        assert_eq!(kwargs["temporary"], true);
        assert_eq!(kwargs["subgraphs"], true);
        assert_eq!(kwargs["resumable"], true);
        for same in [
            "input",
            "webhook",
            "interrupt_after",
            "stream_mode",
            "durability",
        ] {
            assert_eq!(kwargs[same], body[same], "{same}");
        }
        let thread = text(&run["thread_id"]).to_owned();
        let gone = server.get(&format!("/threads/{thread}")).await;
        assert_eq!(gone.status(), 404);
        threads.insert(thread);
    }
    assert_eq!(threads.len(), 2);
    let after = server.get_json(&path(&cron)).await;
    assert!(text(&after["next_run_date"]) > text(&cron["next_run_date"]));
    assert_eq!(after["updated_at"], cron["updated_at"]);
    assert_eq!(after["last_error"], Value::Null);
}

#[tokio::test]
async fn the_threads_of_a_crons_runs_are_kept_when_that_is_asked_for() {
    let (server, receiver) = (
        Setup::probes(&["two"]).start().await,
        Receiver::start().await,
    );
    let body = json!({
        "assistant_id": "two", "schedule": EVERY_SECOND, "input": {"foo": "in"},
        "webhook": receiver.url("/"), "metadata": {"m": 1}, "on_run_completed": "keep",
        "config": {"configurable": {"c": 1}},
    });
    let cron = server.post_json("/runs/crons", &body).await;
    let run = receiver.wait_for(1).await[0].json();
    let configurable = &run["kwargs"]["config"]["configurable"];
    assert_eq!(
        (&configurable["c"], &configurable["cron_id"]),
        (&json!(1), &cron["cron_id"])
    );
    let thread = text(&run["thread_id"]);
    assert_eq!(server.state(thread).await["values"]["foo"], "inab");
    let thread = server.get_json(&format!("/threads/{thread}")).await;
    assert_eq!(thread["metadata"]["m"], 1);
    // Deleting a cron leaves what it made.
    assert_eq!(server.delete(&path(&cron)).await.status(), 204);
    assert_eq!(server.get(&path(&cron)).await.status(), 404);
    let kept = server
        .get(&format!("/threads/{}", text(&thread["thread_id"])))
        .await;
    assert_eq!(kept.status(), 200);
}

#[tokio::test]
async fn a_cron_on_a_thread_goes_on_where_the_thread_stands() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    on_thread(&server, &thread, json!({"metadata": {"m": 1}})).await;
    let runs = made(&server, &thread, 3).await;
    for run in &runs[1..] {
        let ended = server.ended_run(run).await;
        assert_eq!(
            (&ended["status"], &ended["metadata"]["m"]),
            (&json!("success"), &json!(1))
        );
        assert_eq!(ended["multitask_strategy"], "enqueue");
    }
    assert_eq!(server.state(&thread).await["metadata"]["run_attempt"], 1);
}

#[tokio::test]
async fn a_cron_that_is_disabled_makes_no_runs_until_it_is_enabled() {
    let server = Setup::probes(&["two"]).start().await;
    let (still, busy) = (server.new_thread().await, server.new_thread().await);
    let stopped = on_thread(&server, &still, json!({"enabled": false})).await;
    assert!(stopped["next_run_date"].is_string());
    on_thread(&server, &busy, json!({})).await;
    made(&server, &busy, 3).await;
    assert_eq!(runs(&server, &still).await.len(), 0);
    let enabled = server
        .patch(&path(&stopped), &json!({"enabled": true}))
        .await;
    let enabled = json_of(enabled, StatusCode::OK).await;
    // Not the times that have passed.
    assert!(text(&enabled["next_run_date"]) > text(&stopped["next_run_date"]));
    made(&server, &still, 1).await;
}

#[tokio::test]
async fn a_cron_stays_when_its_end_has_come_and_makes_no_more_runs() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = server.new_thread().await;
    let probe = on_thread(&server, &thread, json!({"enabled": false})).await;
    // The second after the next: two due times, or one where this took long.
    let next = text(&probe["next_run_date"]).replace("+00:00", "");
    let response = server
        .post(
            &format!("/threads/{thread}/runs/crons"),
            &json!({
                "assistant_id": "two", "schedule": "* * * * * *", "input": {"foo": "in"},
                "end_time": later(&next),
            }),
        )
        .await;
    let cron = json_of(response, StatusCode::OK).await;
    let ended = eventually("the end", async || {
        let cron = server.get_json(&path(&cron)).await;
        cron["next_run_date"].is_null().then_some(cron)
    })
    .await;
    assert_eq!(
        (&ended["enabled"], &ended["last_error"]),
        (&json!(true), &Value::Null)
    );
    let made = runs(&server, &thread).await.len();
    assert!((1..=4).contains(&made), "{made}");
    assert_eq!(
        sample(&server, "selvedge_crons_fired_total").await,
        made as u64
    );
}

/// Three seconds after a time of the form `2026-11-22T10:00:00`.
fn later(time: &str) -> String {
    let seconds: u64 = time[17..19].parse().expect("seconds");
    let minutes: u64 = time[14..16].parse().expect("minutes");
    let hours: u64 = time[11..13].parse().expect("hours");
    let of_day = hours * 3_600 + minutes * 60 + seconds + 3;
    // At the end of a day the test is in time all the same.
    let of_day = of_day.min(86_399);
    format!(
        "{}T{:02}:{:02}:{:02}Z",
        &time[..10],
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[tokio::test]
async fn a_run_that_a_busy_thread_refuses_is_told_by_the_cron_which_goes_on() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    let running = server.create_run(&thread, &gate.run()).await;
    gate.holds(1).await;
    let cron = on_thread(&server, &thread, json!({"multitask_strategy": "reject"})).await;
    let error = last_error(&server, &cron).await;
    assert_eq!(error["error"], "Busy");
    assert!(text(&error["message"]).starts_with("Thread is already running a task"));
    assert!(sample(&server, "selvedge_cron_errors_total").await > 0);
    gate.open();
    server.ended_run(&running).await;
    made(&server, &thread, 2).await;
}

#[tokio::test]
async fn a_cron_whose_runs_cannot_be_created_any_more_says_why_and_goes_on_when_they_can() {
    let receiver = Receiver::start().await;
    let mut server = Setup::probes(&["two", "slow"]).start().await;
    let graphs = server.setup.config["graphs"].clone();
    let thread = server.new_thread().await;
    let gone = on_thread(&server, &thread, json!({})).await;
    let refused = json!({
        "assistant_id": "slow", "schedule": EVERY_SECOND, "input": {"ms": 0}, "webhook": receiver.url("/refused"),
    });
    let refused = server.post_json("/runs/crons", &refused).await;
    server.kill();
    server.setup.config["graphs"] = json!({"slow": graphs["slow"]});
    server.setup.config["webhooks"]["url"]["disable_loopback"] = json!(true);
    server.restart().await;
    assert_eq!(last_error(&server, &gone).await["error"], "NotFound");
    let error = last_error(&server, &refused).await;
    assert_eq!(error["error"], "WebhookRefused");
    // Whoever changes something else about it is not refused for that.
    for enabled in [false, true] {
        let change = server
            .patch(&path(&refused), &json!({"enabled": enabled}))
            .await;
        json_of(change, StatusCode::OK).await;
    }
    let again = json!({"webhook": receiver.url("/refused")});
    let again = server.patch(&path(&refused), &again).await;
    assert_eq!(again.status(), 422);

    let (posted, before) = (
        receiver.received().len(),
        runs(&server, &thread).await.len(),
    );
    server.kill();
    server.setup.config["graphs"] = graphs;
    server.setup.config["webhooks"]["url"]["disable_loopback"] = json!(false);
    server.restart().await;
    made(&server, &thread, before + 1).await;
    receiver.wait_for(posted + 1).await;
    // When it was says that it is over.
    let after = server.get_json(&path(&refused)).await;
    assert_eq!(after["last_error"]["error"], error["error"]);
}

#[tokio::test]
async fn what_finds_the_queue_full_waits_for_a_place_in_it() {
    let gate = Gate::closed().await;
    let server = gate
        .setup(&["two"])
        .set("runtime.max_running_runs", 1)
        .set("runtime.max_pending_runs", 1)
        .start()
        .await;
    let receiver = Receiver::start().await;
    let thread = server.new_thread().await;
    server.create_run(&thread, &gate.run()).await;
    gate.holds(1).await;
    server.create_run(&thread, &gate.run()).await;
    let body = json!({
        "assistant_id": "two", "schedule": daily_in(2), "input": {"foo": "in"}, "webhook": receiver.url("/"),
    });
    let cron = server.post_json("/runs/crons", &body).await;
    eventually("the due time", async || {
        server.log().contains("crons wait").then_some(())
    })
    .await;
    let waiting = server.get_json(&path(&cron)).await;
    assert_eq!(waiting["next_run_date"], cron["next_run_date"]);
    gate.open();
    assert_eq!(receiver.wait_for(1).await[0].json()["status"], "success");
    assert_eq!(sample(&server, "selvedge_crons_fired_total").await, 1);
}

#[tokio::test]
async fn many_crons_that_are_due_in_the_same_second_fire_once_each() {
    const CRONS: usize = 500;
    let server = Setup::probes(&["two"])
        .set("runtime.max_running_runs", 16)
        .start()
        .await;
    let receiver = Receiver::start().await;
    let schedule = daily_in(30);
    let body = json!({
        "assistant_id": "two", "schedule": schedule, "input": {"foo": "in"}, "webhook": receiver.url("/"),
    });
    let mut crons = BTreeSet::new();
    let mut due = BTreeSet::new();
    for _ in 0..CRONS {
        let cron = server.post_json("/runs/crons", &body).await;
        crons.insert(text(&cron["cron_id"]).to_owned());
        due.insert(text(&cron["next_run_date"]).to_owned());
    }
    assert_eq!(due.len(), 1, "this took longer than the time that was left");
    assert_eq!(sample(&server, "selvedge_crons").await, CRONS as u64);
    let received = eventually("a webhook of each", async || {
        let received = receiver.received();
        (received.len() >= CRONS).then_some(received)
    })
    .await;
    let fired: Vec<Value> = received.iter().map(|r| r.json()).collect();
    let of = |run: &Value| text(&run["kwargs"]["config"]["configurable"]["cron_id"]).to_owned();
    assert_eq!(fired.iter().map(of).collect::<BTreeSet<_>>(), crons);
    assert_eq!(fired.len(), CRONS);
    assert_eq!(
        sample(&server, "selvedge_crons_fired_total").await,
        CRONS as u64
    );
    let tomorrow = json!({"sort_by": "next_run_date", "sort_order": "asc", "limit": 1});
    let rows = server.post_json("/runs/crons/search", &tomorrow).await;
    assert!(text(&rows[0]["next_run_date"]) > due.first().expect("a time").as_str());
}
