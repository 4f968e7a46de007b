//! Crons as callers create, change and find them: each field, and each refusal.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::server::{detail_of, json_of, names, text};
use crate::support::{Server, Setup};

/// LangGraph's members, in LangGraph's order, and ours.
const MEMBERS: [&str; 16] = [
    "cron_id",
    "assistant_id",
    "thread_id",
    "user_id",
    "end_time",
    "schedule",
    "timezone",
    "payload",
    "next_run_date",
    "metadata",
    "on_run_completed",
    "enabled",
    "created_at",
    "updated_at",
    "catch_up",
    "last_error",
];
const YEARLY: &str = "0 0 1 1 *";

async fn server() -> Server {
    Setup::probes(&["two"]).start().await
}

async fn cron(server: &Server, body: Value) -> Value {
    let mut whole = json!({"assistant_id": "two", "schedule": YEARLY});
    let members = whole.as_object_mut().expect("an object");
    members.extend(body.as_object().expect("an object").clone());
    server.post_json("/runs/crons", &whole).await
}

fn path(cron: &Value) -> String {
    format!("/runs/crons/{}", text(&cron["cron_id"]))
}

async fn patched(server: &Server, cron: &Value, body: Value) -> Value {
    let response = server.patch(&path(cron), &body).await;
    json_of(response, StatusCode::OK).await
}

#[tokio::test]
async fn a_cron_is_what_it_was_created_with() {
    let server = server().await;
    let assistants = server
        .post_json("/assistants/search", &json!({"graph_id": "two"}))
        .await;
    let assistant = &assistants[0]["assistant_id"];
    let plain = cron(&server, json!({})).await;
    assert_eq!(names(&plain), MEMBERS);
    let id = &plain["cron_id"];
    let expected = json!({
        "cron_id": id, "assistant_id": assistant, "thread_id": null, "user_id": "", "end_time": null,
        "schedule": YEARLY, "timezone": null,
        "payload": {
            "assistant_id": assistant, "schedule": YEARLY, "config": {"configurable": {"cron_id": id}},
        },
        "next_run_date": plain["next_run_date"], "metadata": {}, "on_run_completed": "delete", "enabled": true,
        "created_at": plain["created_at"], "updated_at": plain["created_at"], "catch_up": "one",
        "last_error": null,
    });
    assert_eq!(plain, expected);
    assert!(text(&plain["next_run_date"]).ends_with("-01-01T00:00:00+00:00"));

    let body = json!({
        "schedule": "0 12 1 7 *", "timezone": "Asia/Kolkata", "end_time": "2100-01-01T01:00:00+01:00",
        "input": {"foo": "in"}, "metadata": {"m": 1, "run_id": "mine"}, "webhook": "http://127.0.0.1:2199/hook?t=1",
        "config": {"tags": ["t"], "recursion_limit": 7, "configurable": {"c": 1, "cron_id": "mine"}},
        "interrupt_before": ["a"], "interrupt_after": "*", "on_run_completed": "keep", "enabled": false,
        "stream_mode": ["values", "updates"], "stream_subgraphs": true, "stream_resumable": true,
        "durability": "sync", "catch_up": "all", "unknown": 1,
    });
    let full = cron(&server, body.clone()).await;
    for member in [
        "schedule",
        "timezone",
        "on_run_completed",
        "enabled",
        "catch_up",
    ] {
        assert_eq!(full[member], body[member], "{member}");
    }
    assert_eq!(full["end_time"], "2100-01-01T00:00:00+00:00");
    assert_eq!(full["metadata"], json!({"m": 1}));
    // Noon in Kolkata.
    assert!(text(&full["next_run_date"]).ends_with("-07-01T06:30:00+00:00"));
    let mut payload = body;
    payload["assistant_id"] = assistant.clone();
    payload["metadata"] = json!({"m": 1});
    payload["config"]["configurable"]["cron_id"] = full["cron_id"].clone();
    assert_eq!(full["payload"], payload);
    assert_eq!(server.get_json(&path(&full)).await, full);
}

#[tokio::test]
async fn a_cron_on_a_thread_has_the_threads_id_under_either_path() {
    let server = server().await;
    let thread = server.new_thread().await;
    let body = json!({
        "assistant_id": "two", "schedule": YEARLY, "multitask_strategy": "interrupt", "on_run_completed": 5,
    });
    let cron = server
        .post_json(&format!("/threads/{thread}/runs/crons"), &body)
        .await;
    assert_eq!(cron["thread_id"], thread.as_str());
    assert_eq!(cron["on_run_completed"], Value::Null);
    assert_eq!(cron["payload"]["multitask_strategy"], "interrupt");
    // As LangGraph's documentation spells it.
    let url = format!("{}/thread/{thread}/runs/crons", server.base);
    let response = server.client.post(url).json(&body).send().await;
    let other = json_of(response.expect("an answer"), StatusCode::OK).await;
    assert_eq!(other["thread_id"], thread.as_str());
}

#[tokio::test]
async fn what_no_run_could_be_made_of_is_refused_with_langgraphs_words() {
    let server = Setup::probes(&["two"])
        .set("webhooks.url.denied_domains", json!(["denied.example"]))
        .start()
        .await;
    let schedule = "Invalid cron schedule: ";
    for (member, value, expected) in [
        (
            "schedule",
            json!("bad cron"),
            "Invalid cron schedule: 'bad cron'. Reason: ",
        ),
        ("schedule", json!("61 * * * *"), schedule),
        ("schedule", json!("0 0 30 2 *"), "it never fires"),
        (
            "schedule",
            json!("0 0 1 1 * 0 2020"),
            "the years that it names have passed",
        ),
        ("schedule", json!("x".repeat(5_000)), schedule),
        (
            "schedule",
            json!(5),
            "schedule: 5 is not of type \"string\"",
        ),
        (
            "schedule",
            Value::Null,
            "\"schedule\" is a required property",
        ),
        (
            "assistant_id",
            Value::Null,
            "\"assistant_id\" is a required property",
        ),
        (
            "timezone",
            json!("Mars/X"),
            "Invalid timezone: 'Mars/X'. Use IANA timezone format (e.g. 'America/New_York').",
        ),
        ("timezone", json!(""), "Invalid timezone: ''."),
        ("timezone", json!("../etc/passwd"), "Invalid timezone: "),
        ("end_time", json!("2020-01-01T00:00:00Z"), "is in the past"),
        (
            "end_time",
            json!("tomorrow"),
            "Invalid end_time: 'tomorrow'.",
        ),
        (
            "webhook",
            json!("http://denied.example/"),
            "Webhook domain not allowed",
        ),
        ("webhook", json!("ftp://127.0.0.1/"), "ftp"),
        ("on_run_completed", json!("burn"), "on_run_completed"),
        ("enabled", json!("yes"), "enabled"),
        ("catch_up", json!("some"), "catch_up"),
        ("metadata", json!([]), "metadata"),
        ("config", json!({"tags": 5}), "tags"),
        ("context", json!("c"), "context"),
        ("interrupt_before", json!(5), "interrupt_before"),
        ("stream_mode", json!("sound"), "stream_mode"),
        ("durability", json!("never"), "durability"),
    ] {
        let mut body = json!({"assistant_id": "two", "schedule": YEARLY});
        body[member] = value;
        let detail = server.refused("/runs/crons", &body, 422).await;
        assert!(detail.contains(expected), "{body}: {detail}");
        // On a cron that is there as well, unless a member may be absent.
        if !body[member].is_null() {
            let there = cron(&server, json!({})).await;
            let response = server
                .patch(&path(&there), &json!({member: body[member]}))
                .await;
            let detail = detail_of(response, 422).await;
            assert!(detail.contains(expected), "{body}: {detail}");
            assert_eq!(server.get_json(&path(&there)).await, there);
        }
    }
    let both = json!({
        "assistant_id": "two", "schedule": YEARLY, "context": {"c": 1}, "config": {"configurable": {"c": 1}},
    });
    server.refused("/runs/crons", &both, 400).await;
    let unknown = json!({"assistant_id": "nope", "schedule": "bad"});
    let detail = server.refused("/runs/crons", &unknown, 404).await;
    assert_eq!(detail, "Assistant 'nope' not found");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = server().await;
    let nobody = "00000000-0000-4000-8000-000000000000";
    let body = json!({"assistant_id": "two", "schedule": YEARLY});
    let on_nothing = format!("/threads/{nobody}/runs/crons");
    assert_eq!(
        server.refused(&on_nothing, &body, 404).await,
        format!(
            "Thread with ID '{nobody}' not found. Please verify the ID is correct and the thread hasn't been deleted \
             or expired."
        )
    );
    let of_nobody = json!({"assistant_id": nobody, "schedule": YEARLY});
    let detail = server.refused("/runs/crons", &of_nobody, 404).await;
    assert_eq!(detail, format!("Assistant '{nobody}' not found"));
    let missing = format!("/runs/crons/{nobody}");
    assert_eq!(
        detail_of(server.get(&missing).await, 404).await,
        "Not Found"
    );
    assert_eq!(
        detail_of(server.delete(&missing).await, 404).await,
        "Not Found"
    );
    let patch = server.patch(&missing, &json!({"schedule": "bad"})).await;
    assert_eq!(
        detail_of(patch, 404).await,
        format!("Cron '{nobody}' not found")
    );
    let empty = server.patch(&missing, &json!({})).await;
    assert_eq!(detail_of(empty, 400).await, "Request body cannot be empty");
    for response in [
        server.get("/runs/crons/x").await,
        server.delete("/runs/crons/x").await,
        server
            .patch("/runs/crons/x", &json!({"enabled": true}))
            .await,
    ] {
        let detail = detail_of(response, 422).await;
        assert_eq!(detail, "Invalid cron ID: must be a UUID");
    }
}

#[tokio::test]
async fn a_change_takes_the_place_of_what_it_names_and_leaves_the_rest() {
    let server = server().await;
    let before = cron(
        &server,
        json!({
            "end_time": "2100-01-01T00:00:00Z", "metadata": {"a": 1, "b": 1}, "input": {"foo": "x"},
            "config": {"tags": ["t"], "configurable": {"c": 1}},
        }),
    )
    .await;
    let id = &before["cron_id"];
    let renamed =
        json!({"metadata": {"b": 2}, "config": {"recursion_limit": 9}, "assistant_id": "other"});
    let after = patched(&server, &before, renamed).await;
    assert_eq!(after["metadata"], json!({"a": 1, "b": 2}));
    assert_eq!(after["payload"]["metadata"], json!({"b": 2}));
    let config = json!({"recursion_limit": 9, "configurable": {"cron_id": id}});
    assert_eq!(after["payload"]["config"], config);
    assert!(text(&after["updated_at"]) > text(&before["updated_at"]));
    for same in [
        "assistant_id",
        "schedule",
        "next_run_date",
        "end_time",
        "created_at",
    ] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(after["payload"]["assistant_id"], before["assistant_id"]);
    assert_eq!(after["payload"]["input"], json!({"foo": "x"}));

    let moved =
        json!({"schedule": "0 12 1 7 *", "timezone": "Asia/Kolkata", "on_run_completed": "keep"});
    let after = patched(&server, &before, moved).await;
    assert!(text(&after["next_run_date"]).ends_with("-07-01T06:30:00+00:00"));
    assert_eq!(after["on_run_completed"], "keep");
    let back = json!({"on_run_completed": "delete", "multitask_strategy": "rollback"});
    let after = patched(&server, &before, back).await;
    assert_eq!(after["on_run_completed"], "delete");
    assert_eq!(after["payload"]["multitask_strategy"], "rollback");
    let endless = patched(&server, &before, json!({"end_time": null})).await;
    assert_eq!(
        (&endless["end_time"], &endless["payload"]["end_time"]),
        (&Value::Null, &Value::Null)
    );
    let stopped = patched(
        &server,
        &before,
        json!({"enabled": false, "catch_up": "none"}),
    )
    .await;
    assert_eq!(
        (
            &stopped["enabled"],
            &stopped["catch_up"],
            &stopped["next_run_date"]
        ),
        (&json!(false), &json!("none"), &after["next_run_date"])
    );
    let null = server
        .patch(&path(&before), &json!({"webhook": null}))
        .await;
    assert!(detail_of(null, 422).await.contains("webhook"));
    // An end before the first time: it never fires, and says so.
    let yearly = json!({"schedule": YEARLY, "timezone": "UTC"});
    let yearly = patched(&server, &before, yearly).await;
    let year: u32 = text(&yearly["next_run_date"])[..4].parse().expect("a year");
    let end = format!("{}-12-31T23:59:59", year - 1);
    let short = patched(&server, &before, json!({"end_time": end})).await;
    assert_eq!(short["end_time"], format!("{end}+00:00"));
}

#[tokio::test]
async fn a_cron_that_is_changed_again_and_again_does_not_grow_without_end() {
    let server = Setup::probes(&["two"])
        .set("http.max_body_bytes", 2_000)
        .start()
        .await;
    let before = cron(&server, json!({"input": "x".repeat(800)})).await;
    let half = patched(
        &server,
        &before,
        json!({"metadata": {"a": "x".repeat(200)}}),
    )
    .await;
    let more = json!({"metadata": {"b": "x".repeat(1_500)}});
    let refused = server.patch(&path(&before), &more).await;
    let detail = detail_of(refused, 413).await;
    assert!(detail.contains("http.max_body_bytes"), "{detail}");
    assert_eq!(server.get_json(&path(&before)).await, half);
    patched(&server, &before, json!({"enabled": false})).await;
}

#[tokio::test]
async fn crons_are_found_and_counted_by_what_they_are() {
    let server = server().await;
    let thread = server.new_thread().await;
    let first = cron(&server, json!({"metadata": {"n": {"x": 1, "y": 2}}})).await;
    let second = server
        .post_json(
            &format!("/threads/{thread}/runs/crons"),
            &json!({"assistant_id": "two", "schedule": YEARLY, "enabled": false}),
        )
        .await;
    let third = cron(&server, json!({"schedule": "0 0 1 7 *"})).await;
    let ids = |rows: &Value| -> Vec<String> {
        let rows = rows.as_array().expect("rows").iter();
        rows.map(|row| text(&row["cron_id"]).to_owned()).collect()
    };
    let id = |cron: &Value| text(&cron["cron_id"]).to_owned();
    let assistant = first["assistant_id"].clone();
    for (body, expected) in [
        (json!({}), vec![&third, &second, &first]),
        (json!({"sort_order": "asc"}), vec![&first, &second, &third]),
        (json!({"thread_id": thread}), vec![&second]),
        (json!({"enabled": true}), vec![&third, &first]),
        (json!({"metadata": {"n": {"x": 1}}}), vec![&first]),
        (
            json!({"assistant_id": assistant}),
            vec![&third, &second, &first],
        ),
        (
            json!({"sort_by": "cron_id", "sort_order": "asc"}),
            vec![&first, &second, &third],
        ),
        // A cron without a thread stands where PostgreSQL has it.
        (
            json!({"sort_by": "thread_id", "sort_order": "asc"}),
            vec![&second, &first, &third],
        ),
        (
            json!({"sort_by": "thread_id"}),
            vec![&third, &first, &second],
        ),
        (
            json!({"sort_by": "next_run_date", "sort_order": "asc", "thread_id": thread}),
            vec![&second],
        ),
        (
            json!({"sort_by": "end_time"}),
            vec![&third, &second, &first],
        ),
        (
            json!({"sort_by": "created_at"}),
            vec![&third, &second, &first],
        ),
        (
            json!({"sort_by": "updated_at", "sort_order": "asc"}),
            vec![&first, &second, &third],
        ),
        (
            json!({"sort_by": "assistant_id", "sort_order": "asc"}),
            vec![&first, &second, &third],
        ),
    ] {
        let rows = server.post_json("/runs/crons/search", &body).await;
        let expected: Vec<String> = expected.into_iter().map(id).collect();
        assert_eq!(ids(&rows), expected, "{body}");
        let count = server.post_json("/runs/crons/count", &body).await;
        assert_eq!(count, expected.len(), "{body}");
    }
    let body = json!({"limit": 2, "select": ["cron_id", "last_error"]});
    let response = server.post("/runs/crons/search", &body).await;
    assert_eq!(response.headers()["x-pagination-total"], "3");
    assert_eq!(response.headers()["x-pagination-next"], "2");
    let rows = json_of(response, StatusCode::OK).await;
    assert_eq!(
        rows[0],
        json!({"cron_id": third["cron_id"], "last_error": null})
    );
    assert_eq!(rows.as_array().map(Vec::len), Some(2));
    for (body, expected) in [
        (
            json!({"assistant_id": "two"}),
            "Invalid assistant ID: must be a UUID",
        ),
        (
            json!({"thread_id": "x"}),
            "Invalid thread ID: must be a UUID",
        ),
        (json!({"select": ["bogus"]}), "\"bogus\" is not one of"),
        (json!({"sort_by": "color"}), "sort_by"),
        (json!({"limit": 0}), "limit"),
    ] {
        let detail = server.refused("/runs/crons/search", &body, 422).await;
        assert!(detail.contains(expected), "{detail}");
    }
}

#[tokio::test]
async fn a_cron_goes_with_its_thread_and_with_its_assistant() {
    let server = server().await;
    let thread = server.new_thread().await;
    let body = json!({"graph_id": "two"});
    let assistant = server.post_json("/assistants", &body).await;
    let of_it = json!({"assistant_id": assistant["assistant_id"], "schedule": YEARLY});
    let stateless = server.post_json("/runs/crons", &of_it).await;
    let on_thread = format!("/threads/{thread}/runs/crons");
    let on_thread = server.post_json(&on_thread, &of_it).await;
    assert_eq!(
        server.delete(&format!("/threads/{thread}")).await.status(),
        204
    );
    assert_eq!(server.get(&path(&on_thread)).await.status(), 404);
    assert_eq!(server.get(&path(&stateless)).await.status(), 200);
    let assistant = format!("/assistants/{}", text(&assistant["assistant_id"]));
    assert_eq!(server.delete(&assistant).await.status(), 204);
    assert_eq!(server.get(&path(&stateless)).await.status(), 404);
    assert_eq!(server.post_json("/runs/crons/count", &json!({})).await, 0);
}
