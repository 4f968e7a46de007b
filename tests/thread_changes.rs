//! Threads changed, copied, pruned, measured, and gone when their time has come.

use serde_json::{Value, json};

use crate::support::Setup;
use crate::support::eventually;
use crate::support::server::{Server, detail_of, json_of, names, text};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn created(server: &Server, body: Value) -> String {
    let thread = server.post_json("/threads", &body).await;
    text(&thread["thread_id"]).to_owned()
}

/// A thread on which `two` ran: four checkpoints.
async fn thread_with_history(server: &Server) -> String {
    let thread = created(server, json!({"metadata": {"u": 1}})).await;
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
    server.wait(&thread, &run).await;
    thread
}

async fn checkpoints(server: &Server, thread: &str) -> Value {
    let storage = server.get_json(&format!("/threads/{thread}/storage")).await;
    storage["checkpoints"]["count"].clone()
}

#[tokio::test]
async fn metadata_is_merged_into_a_threads() {
    let server = Setup::probes(&["two"]).start().await;
    let id = created(&server, json!({"metadata": {"a": 1, "b": 1}})).await;
    let path = format!("/threads/{id}");
    let before = server.get_json(&path).await;
    let patch = json!({"metadata": {"b": 2, "thread_id": "mine"}});
    let changed = json_of(server.patch(&path, &patch).await, reqwest::StatusCode::OK).await;
    assert_eq!(changed["metadata"], json!({"a": 1, "b": 2}));
    assert!(text(&changed["updated_at"]) > text(&before["updated_at"]));
    assert_eq!(changed["state_updated_at"], before["state_updated_at"]);
    assert_eq!(server.get_json(&path).await, changed);

    let minimal = server
        .client
        .patch(format!("{}{path}", server.base))
        .header("prefer", "return=minimal")
        .json(&json!({"metadata": {"c": 3}}));
    let minimal = minimal.send().await.expect("an answer");
    assert_eq!(minimal.status(), 204);
    assert_eq!(minimal.text().await.expect("a body"), "");
    let metadata = server.get_json(&path).await["metadata"].clone();
    assert_eq!(metadata, json!({"a": 1, "b": 2, "c": 3}));

    let nobody = format!("/threads/{NOBODY}");
    let missing = server.patch(&nobody, &json!({"metadata": {}})).await;
    assert_eq!(detail_of(missing, 404).await, "Not Found");
    let wrong = server.patch("/threads/nope", &json!({})).await;
    assert_eq!(
        detail_of(wrong, 422).await,
        "Invalid thread ID: must be a UUID"
    );
    let wrong = server.patch(&path, &json!({"metadata": "x"})).await;
    detail_of(wrong, 422).await;
}

#[tokio::test]
async fn a_copy_has_the_same_history_and_goes_its_own_way() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = thread_with_history(&server).await;
    let copy = server
        .post_json(&format!("/threads/{thread}/copy"), &json!({}))
        .await;
    assert!(!names(&copy).contains(&"values"));
    assert_eq!(
        (&copy["metadata"]["u"], &copy["status"]),
        (&json!(1), &json!("idle"))
    );
    let id = text(&copy["thread_id"]);
    let version = id.parse::<uuid::Uuid>().expect("a UUID").get_version_num();
    assert_eq!(version, 4);
    let states = [server.state(&thread).await, server.state(id).await];
    assert_eq!(states[0]["values"], states[1]["values"]);
    assert_eq!(states[1]["metadata"]["thread_id"], id);
    assert_eq!(
        checkpoints(&server, id).await,
        checkpoints(&server, &thread).await
    );
    let run = json!({"assistant_id": "two", "input": {"foo": "y"}});
    assert_eq!(
        server.wait(id, &run).await["log"],
        json!(["a", "b", "a", "b"])
    );
    assert_eq!(server.state(&thread).await, states[0]);

    let missing = format!("/threads/{NOBODY}/copy");
    assert_eq!(
        server.refused(&missing, &json!({}), 404).await,
        format!("Thread with ID {NOBODY} not found")
    );
}

#[tokio::test]
async fn pruning_deletes_threads_or_their_old_checkpoints() {
    let server = Setup::probes(&["two"]).start().await;
    let mut threads = Vec::new();
    for _ in 0..3 {
        threads.push(thread_with_history(&server).await);
    }
    let body = json!({"thread_ids": [threads[0], NOBODY], "strategy": "keep_latest"});
    let pruned = server.post_json("/threads/prune", &body).await;
    assert_eq!(pruned, json!({"pruned_count": 1}));
    assert_eq!(checkpoints(&server, &threads[0]).await, 1);
    assert_eq!(server.state(&threads[0]).await["values"]["foo"], "xab");
    assert_eq!(checkpoints(&server, &threads[1]).await, 4);

    for body in [
        json!({"thread_ids": [threads[0], NOBODY]}),
        json!({"thread_ids": [threads[1], NOBODY], "strategy": "delete"}),
    ] {
        let pruned = server.post_json("/threads/prune", &body).await;
        assert_eq!(pruned, json!({"pruned_count": 1}));
    }
    for (thread, status) in threads.iter().zip([404, 404, 200]) {
        let path = format!("/threads/{thread}");
        assert_eq!(server.get(&path).await.status(), status);
    }
    for body in [
        json!({}),
        json!({"thread_ids": "x"}),
        json!({"thread_ids": [NOBODY], "strategy": "bogus"}),
    ] {
        server.refused("/threads/prune", &body, 422).await;
    }
    let wrong = json!({"thread_ids": ["nope"]});
    let detail = server.refused("/threads/prune", &wrong, 422).await;
    assert_eq!(detail, "Invalid thread ID: must be a UUID");
}

#[tokio::test]
async fn a_thread_says_what_it_takes() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = thread_with_history(&server).await;
    let taken = server.get_json(&format!("/threads/{thread}/storage")).await;
    let members = [
        "thread_id",
        "total_bytes",
        "checkpoints",
        "channel_values",
        "pending_writes",
    ];
    assert_eq!(names(&taken), members);
    assert_eq!(taken["checkpoints"]["count"], 4);
    assert!(taken["channel_values"]["by_channel"]["foo"]["versions"].as_u64() > Some(0));
    let parts = ["checkpoints", "channel_values", "pending_writes"];
    let sum: u64 = parts
        .iter()
        .filter_map(|part| taken[part]["bytes"].as_u64())
        .sum();
    assert_eq!(taken["total_bytes"], sum);
    let missing = server.get(&format!("/threads/{NOBODY}/storage")).await;
    assert_eq!(
        detail_of(missing, 404).await,
        format!("Thread with ID {NOBODY} not found")
    );
}

#[tokio::test]
async fn a_thread_tells_how_long_it_stays_when_asked() {
    let server = Setup::probes(&["two"]).start().await;
    let ttl = async |id: &str| {
        let path = format!("/threads/{id}");
        assert!(!names(&server.get_json(&path).await).contains(&"ttl"));
        server.get_json(&format!("{path}?include=ttl")).await["ttl"].clone()
    };
    let id = created(
        &server,
        json!({"ttl": {"strategy": "keep_latest", "ttl": 1.5}}),
    )
    .await;
    let told = ttl(&id).await;
    assert_eq!(
        (&told["strategy"], &told["ttl_minutes"]),
        (&json!("keep_latest"), &json!(1.5))
    );
    assert!(text(&told["expires_at"]).ends_with("+00:00"));
    let patch = json!({"ttl": {"ttl": 9}});
    let path = format!("/threads/{id}");
    assert_eq!(server.patch(&path, &patch).await.status(), 200);
    let told = ttl(&id).await;
    assert_eq!(
        (&told["strategy"], &told["ttl_minutes"]),
        (&json!("delete"), &json!(9))
    );
    assert!(ttl(&created(&server, json!({})).await).await.is_null());
    assert_eq!(
        ttl(&created(&server, json!({"ttl": 60})).await).await["ttl_minutes"],
        60
    );
    for wrong in [
        json!("soon"),
        json!(0),
        json!(-1),
        json!({"strategy": "delete"}),
        json!({"ttl": 5, "strategy": "explode"}),
        json!({"ttl": 1e300}),
    ] {
        server
            .refused("/threads", &json!({"ttl": wrong}), 422)
            .await;
    }
}

#[tokio::test]
async fn a_thread_goes_when_its_time_has_come_also_after_a_restart() {
    let mut server = Setup::probes(&["two"]).start().await;
    let stays = created(&server, json!({"ttl": 60})).await;
    // A tenth of a second, in minutes.
    let soon = json!({"ttl": {"ttl": 0.1 / 60.0}});
    let goes = created(&server, soon.clone()).await;
    let deleted = json!({"ttl": {"ttl": 0.1 / 60.0, "strategy": "delete"}});
    let deleted = created(&server, deleted).await;
    let given_later = created(&server, json!({})).await;
    let path = format!("/threads/{given_later}");
    assert_eq!(server.patch(&path, &soon).await.status(), 200);
    for thread in [&goes, &deleted, &given_later] {
        is_gone(&server, thread).await;
    }
    let two_seconds = json!({"ttl": {"ttl": 2.0 / 60.0}});
    let goes_later = created(&server, two_seconds).await;
    server.kill();
    server.restart().await;
    is_gone(&server, &goes_later).await;
    assert_eq!(server.get(&format!("/threads/{stays}")).await.status(), 200);
}

async fn is_gone(server: &Server, thread: &str) {
    eventually("the thread goes", async || {
        let found = server.get(&format!("/threads/{thread}")).await;
        (found.status() == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_thread_keeps_its_newest_checkpoint_when_that_is_its_lifetime() {
    let server = Setup::probes(&["two"]).start().await;
    let thread = thread_with_history(&server).await;
    let ttl = json!({"ttl": {"strategy": "keep_latest", "ttl": 0.1 / 60.0}});
    let path = format!("/threads/{thread}");
    assert_eq!(server.patch(&path, &ttl).await.status(), 200);
    eventually("old checkpoints go", async || {
        (checkpoints(&server, &thread).await == 1).then_some(())
    })
    .await;
    assert_eq!(server.state(&thread).await["values"]["foo"], "xab");
}

#[tokio::test]
async fn the_configuration_gives_threads_their_lifetime() {
    let setup = Setup::probes(&["two"]).set(
        "checkpointer",
        json!({"ttl": {"strategy": "keep_latest", "default_ttl": 90, "sweep_interval_minutes": 1, "sweep_limit": 5}}),
    );
    let server = setup.start().await;
    let ttl = async |id: &str| {
        let thread = server.get_json(&format!("/threads/{id}?include=ttl")).await;
        (
            thread["ttl"]["strategy"].clone(),
            thread["ttl"]["ttl_minutes"].clone(),
        )
    };
    let by_default = (json!("keep_latest"), json!(90));
    assert_eq!(ttl(&created(&server, json!({})).await).await, by_default);
    let own = created(&server, json!({"ttl": 5})).await;
    assert_eq!(ttl(&own).await, (json!("delete"), json!(5)));
    // A thread that its first run creates has it too.
    let path = format!("/threads/{NOBODY}/runs/wait");
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}, "if_not_exists": "create"});
    server.post_json(&path, &run).await;
    assert_eq!(ttl(NOBODY).await, by_default);
}
