//! Assistants: made, changed, versioned, found, drawn, deleted.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::server::{Server, detail_of, json_of, names, text};
use crate::support::{Setup, graphs::probe};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn server() -> Server {
    Setup::probes(&["two", "hitl"]).start().await
}

async fn created(server: &Server, body: Value) -> Value {
    server.post_json("/assistants", &body).await
}

fn path_of(assistant: &Value) -> String {
    format!("/assistants/{}", text(&assistant["assistant_id"]))
}

async fn patched(server: &Server, assistant: &Value, body: Value) -> Value {
    let answer = server.patch(&path_of(assistant), &body).await;
    json_of(answer, reqwest::StatusCode::OK).await
}

#[tokio::test]
async fn an_assistant_keeps_what_it_is_given() {
    let server = server().await;
    let id = Uuid::new_v4().to_string();
    let body = json!({
        "graph_id": "two", "assistant_id": id, "name": "Ann's", "description": "hers",
        "config": {"tags": ["t"], "recursion_limit": 7, "metadata": {"run_id": "mine", "kept": 1}},
        "context": {"user": "ann", "langgraph_auth_user": "me"},
        "metadata": {"a": 1, "run_id": "mine"},
    });
    let assistant = created(&server, body).await;
    assert_eq!(assistant["assistant_id"], id.as_str());
    assert_eq!(
        (
            &assistant["name"],
            &assistant["description"],
            &assistant["version"]
        ),
        (&json!("Ann's"), &json!("hers"), &json!(1))
    );
    assert_eq!(assistant["metadata"], json!({"a": 1}));
    assert_eq!(assistant["context"], json!({"user": "ann"}));
    // `configurable` says the same as the context.
    let config = json!({
        "tags": ["t"], "recursion_limit": 7, "metadata": {"kept": 1}, "configurable": {"user": "ann"},
    });
    assert_eq!(assistant["config"], config);
    assert_eq!(server.get_json(&path_of(&assistant)).await, assistant);

    let plain = created(&server, json!({"graph_id": "two"})).await;
    assert_eq!(plain["name"], "Untitled");
    assert_eq!(
        (&plain["config"], &plain["context"], &plain["metadata"]),
        (&json!({}), &json!({}), &json!({}))
    );
    let made = text(&plain["assistant_id"]).parse::<Uuid>();
    assert_eq!(made.expect("a UUID").get_version_num(), 4);
}

#[tokio::test]
async fn an_assistant_that_cannot_be_is_refused() {
    let server = server().await;
    let id = Uuid::new_v4().to_string();
    let first = created(&server, json!({"graph_id": "two", "assistant_id": id})).await;
    let mut again = json!({"graph_id": "hitl", "assistant_id": id});
    let mut raise = again.clone();
    raise["if_exists"] = json!("raise");
    for body in [&again, &raise] {
        let detail = server.refused("/assistants", body, 409).await;
        assert_eq!(detail, format!("Assistant {id} already exists"));
    }
    again["if_exists"] = json!("do_nothing");
    assert_eq!(created(&server, again).await, first);

    let both =
        json!({"graph_id": "two", "config": {"configurable": {"a": 1}}, "context": {"a": 1}});
    let detail = server.refused("/assistants", &both, 400).await;
    assert!(detail.starts_with("Cannot specify both"), "{detail}");
    let unknown = json!({"graph_id": "nope"});
    assert_eq!(
        server.refused("/assistants", &unknown, 404).await,
        "Graph 'nope' not found. Expected one of: ['hitl', 'two']"
    );
    for body in [
        json!({}),
        json!([]),
        json!({"graph_id": 1}),
        json!({"graph_id": "two", "assistant_id": "nope"}),
        json!({"graph_id": "two", "if_exists": "replace"}),
        json!({"graph_id": "two", "config": {"tags": "t"}}),
        json!({"graph_id": "two", "context": []}),
        json!({"graph_id": "two", "metadata": "x"}),
    ] {
        server.refused("/assistants", &body, 422).await;
    }
}

#[tokio::test]
async fn each_change_is_a_version_and_any_version_can_be_current_again() {
    let server = server().await;
    let first = created(
        &server,
        json!({"graph_id": "two", "name": "one", "metadata": {"a": 1, "b": 1}, "context": {"user": "a"}}),
    )
    .await;
    let body = json!({
        "graph_id": "hitl", "name": "two", "metadata": {"b": 2}, "context": {"user": "b"}, "description": "d",
    });
    let second = patched(&server, &first, body).await;
    assert_eq!(second["version"], 2);
    assert_eq!(second["metadata"], json!({"a": 1, "b": 2}));
    assert_eq!(
        (&second["context"], &second["config"]),
        (
            &json!({"user": "b"}),
            &json!({"configurable": {"user": "b"}})
        )
    );
    assert_eq!(
        (&second["graph_id"], &second["name"], &second["description"]),
        (&json!("hitl"), &json!("two"), &json!("d"))
    );
    assert_eq!(second["created_at"], first["created_at"]);
    assert!(text(&second["updated_at"]) > text(&first["updated_at"]));
    // Also a change of nothing; and `null` takes the description away.
    let third = patched(&server, &first, json!({"description": null})).await;
    assert_eq!(
        (&third["version"], &third["name"]),
        (&json!(3), &json!("two"))
    );
    assert!(third["description"].is_null());

    let path = format!("{}/versions", path_of(&first));
    let versions = server.post_json(&path, &json!({})).await;
    let numbers = |versions: &Value| {
        let versions = versions.as_array().expect("an array").iter();
        versions.map(|v| v["version"].clone()).collect::<Value>()
    };
    assert_eq!(numbers(&versions), json!([3, 2, 1]));
    assert!(!names(&versions[0]).contains(&"updated_at"));
    let page = server
        .post_json(&path, &json!({"limit": 1, "offset": 1}))
        .await;
    assert_eq!(numbers(&page), json!([2]));
    let found = server
        .post_json(&path, &json!({"metadata": {"b": 1}}))
        .await;
    assert_eq!(numbers(&found), json!([1]));

    let latest = format!("{}/latest", path_of(&first));
    let restored = server.post_json(&latest, &json!({"version": 1})).await;
    for member in [
        "version", "graph_id", "name", "metadata", "context", "config",
    ] {
        assert_eq!(restored[member], first[member], "{member}");
    }
    assert_eq!(patched(&server, &first, json!({})).await["version"], 4);
    let detail = server.refused(&latest, &json!({"version": 99}), 404).await;
    let id = text(&first["assistant_id"]);
    assert_eq!(detail, format!("Version 99 not found for assistant {id}"));
    server.refused(&latest, &json!({}), 422).await;

    let nobody = format!("/assistants/{NOBODY}");
    let missing = format!("Assistant {NOBODY} not found");
    let gone = server.patch(&nobody, &json!({"name": "x"})).await;
    assert_eq!(detail_of(gone, 404).await, missing);
    let path = format!("{nobody}/versions");
    assert_eq!(server.refused(&path, &json!({}), 404).await, missing);
    let unknown = server
        .patch(&path_of(&first), &json!({"graph_id": "nope"}))
        .await;
    assert!(detail_of(unknown, 404).await.starts_with("Graph 'nope'"));
}

#[tokio::test]
async fn a_run_gets_what_its_assistant_says_now() {
    let server = server().await;
    let two = &server
        .post_json("/assistants/search", &json!({"graph_id": "two"}))
        .await[0];
    let mine = created(
        &server,
        json!({"graph_id": "two", "context": {"user": "ann"}, "metadata": {"team": "x"}}),
    )
    .await;
    let run = json!({"assistant_id": mine["assistant_id"], "input": {"foo": "x"}});
    let run = server.post_json("/runs", &run).await;
    assert_eq!(run["kwargs"]["context"], json!({"user": "ann"}));
    assert_eq!(run["kwargs"]["config"]["configurable"]["user"], "ann");
    assert_eq!(run["metadata"]["team"], "x");

    // A graph's own assistant can be changed too, and its name means what it says then.
    patched(&server, two, json!({"config": {"recursion_limit": 9}})).await;
    let by_name = json!({"assistant_id": "two", "input": {"foo": "x"}});
    let run = server.post_json("/runs", &by_name).await;
    assert_eq!(run["kwargs"]["config"]["recursion_limit"], 9);
    assert_eq!(server.delete(&path_of(two)).await.status(), 204);
    let detail = server.refused("/runs", &by_name, 404).await;
    assert_eq!(detail, "Thread or assistant not found.");
}

#[tokio::test]
async fn a_default_assistant_that_was_deleted_is_there_again_after_a_restart() {
    let mut server = server().await;
    let two = server
        .post_json("/assistants/search", &json!({"graph_id": "two"}))
        .await;
    assert_eq!(server.delete(&path_of(&two[0])).await.status(), 204);
    server.kill();
    server.restart().await;
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}});
    assert_eq!(server.post_json("/runs/wait", &run).await["foo"], "xab");
}

#[tokio::test]
async fn a_deleted_assistant_is_gone_and_its_threads_when_asked() {
    let server = server().await;
    let mine = created(&server, json!({"graph_id": "two"})).await;
    let other = created(&server, json!({"graph_id": "two"})).await;
    let mut threads = Vec::new();
    for assistant in [&mine, &mine, &other] {
        let thread = server.new_thread().await;
        let run = json!({"assistant_id": assistant["assistant_id"], "input": {"foo": "x"}});
        server.wait(&thread, &run).await;
        threads.push(thread);
    }
    let path = path_of(&mine);
    let deleted = server.delete(&format!("{path}?delete_threads=true")).await;
    assert_eq!(deleted.status(), 204);
    assert_eq!(deleted.text().await.expect("a body"), "");
    assert_eq!(detail_of(server.get(&path).await, 404).await, "Not Found");
    let id = text(&mine["assistant_id"]);
    assert_eq!(
        detail_of(server.delete(&path).await, 404).await,
        format!("Assistant with ID {id} not found")
    );
    for (thread, status) in threads.iter().zip([404, 404, 200]) {
        let path = format!("/threads/{thread}");
        assert_eq!(server.get(&path).await.status(), status);
    }
    // Without being asked, threads stay.
    assert_eq!(server.delete(&path_of(&other)).await.status(), 204);
    let path = format!("/threads/{}", threads[2]);
    assert_eq!(server.get_json(&path).await["values"]["foo"], "xab");
}

#[tokio::test]
async fn deleting_an_assistant_cancels_its_runs_that_wait() {
    let server = server().await;
    let mine = created(&server, json!({"graph_id": "two"})).await;
    let thread = server.new_thread().await;
    let later = json!({"assistant_id": mine["assistant_id"], "input": {"foo": "x"}, "after_seconds": 3_600});
    let run = server.create_run(&thread, &later).await;
    assert_eq!(server.delete(&path_of(&mine)).await.status(), 204);
    assert_eq!(server.ended_run(&run).await["status"], "interrupted");
}

#[tokio::test]
async fn assistants_are_found_and_counted() {
    let server = server().await;
    for (graph, name) in [("two", "Alpha"), ("two", "beta"), ("hitl", "Gamma")] {
        let body = json!({"graph_id": graph, "name": name, "metadata": {"n": {"x": 1, "y": 2}}});
        created(&server, body).await;
    }
    let count = async |body: Value| server.post_json("/assistants/count", &body).await;
    assert_eq!(count(json!({})).await, 5);
    assert_eq!(count(json!({"metadata": {"n": {"x": 1}}})).await, 3);
    assert_eq!(
        count(json!({"metadata": {"n": {"x": 1}}, "graph_id": "two"})).await,
        2
    );
    assert_eq!(count(json!({"name": "ALPH"})).await, 1);
    let body = json!({"metadata": {"n": {"y": 2}}, "limit": 2, "select": ["name"]});
    let page = server.post("/assistants/search", &body).await;
    assert_eq!(page.headers()["x-pagination-next"], "2");
    let page = json_of(page, reqwest::StatusCode::OK).await;
    assert_eq!(page, json!([{"name": "Gamma"}, {"name": "beta"}]));
    server
        .refused("/assistants/count", &json!({"metadata": "x"}), 422)
        .await;
}

#[tokio::test]
async fn assistants_are_sorted_by_each_of_their_members_in_either_order() {
    let server = server().await;
    let mine = json!({"suite": "sort"});
    let mut ids = Vec::new();
    for (graph, name) in [("two", "m"), ("hitl", "z"), ("two", "a")] {
        let body = json!({"graph_id": graph, "name": name, "metadata": mine});
        ids.push(text(&created(&server, body).await["assistant_id"]).to_owned());
    }
    let [m, z, a] = <[String; 3]>::try_from(ids).expect("three");
    let patch = json!({"description": "changed last"});
    let path = format!("/assistants/{m}");
    assert_eq!(server.patch(&path, &patch).await.status(), 200);

    let sorted = async |by: &str, order: &str| {
        let body = json!({"metadata": mine, "sort_by": by, "sort_order": order});
        let rows = server.post_json("/assistants/search", &body).await;
        let rows = rows.as_array().expect("an array").iter();
        rows.map(|row| text(&row["assistant_id"]).to_owned())
            .collect::<Vec<_>>()
    };
    let mut by_id = vec![m.clone(), z.clone(), a.clone()];
    by_id.sort();
    for (by, ascending) in [
        ("assistant_id", by_id),
        ("created_at", vec![m.clone(), z.clone(), a.clone()]),
        ("updated_at", vec![z.clone(), a.clone(), m.clone()]),
        ("name", vec![a.clone(), m.clone(), z.clone()]),
    ] {
        assert_eq!(sorted(by, "asc").await, ascending, "{by}");
        let descending: Vec<_> = ascending.into_iter().rev().collect();
        assert_eq!(sorted(by, "desc").await, descending, "{by}");
    }
    // Two have the same graph, in no particular order.
    assert_eq!(sorted("graph_id", "asc").await[0], z);
    assert_eq!(sorted("graph_id", "desc").await[2], z);
}

#[tokio::test]
async fn a_graph_is_drawn_and_says_what_it_takes_and_gives() {
    let server = server().await;
    let two = &server
        .post_json("/assistants/search", &json!({"graph_id": "two"}))
        .await[0];
    let path = path_of(two);
    let drawing = server.get_json(&format!("{path}/graph")).await;
    let edge = |source: &str, target: &str| json!({"source": source, "target": target});
    assert_eq!(
        drawing["edges"],
        json!([edge("__start__", "a"), edge("a", "b"), edge("b", "__end__")])
    );
    assert_eq!(drawing["nodes"][3], json!({"id": "__end__"}));
    for query in ["?xray=true", "?xray=1", "?xray=false", "?xray="] {
        let same = server
            .get_json(&format!("/assistants/two/graph{query}"))
            .await;
        assert_eq!(same, drawing, "{query}");
    }
    for query in ["0", "-1", "zz", "1.5"] {
        let refused = server.get(&format!("{path}/graph?xray={query}")).await;
        assert_eq!(detail_of(refused, 422).await, "Invalid xray value");
    }

    let schemas = server.get_json(&format!("{path}/schemas")).await;
    let members = [
        "graph_id",
        "input_schema",
        "output_schema",
        "state_schema",
        "config_schema",
        "context_schema",
    ];
    assert_eq!(names(&schemas), members);
    assert_eq!(schemas["graph_id"], "two");
    for schema in ["input_schema", "output_schema", "state_schema"] {
        assert_eq!(
            names(&schemas[schema]["properties"]),
            ["foo", "log"],
            "{schema}"
        );
    }
    assert_eq!(
        (&schemas["config_schema"], &schemas["context_schema"]),
        (&json!({}), &Value::Null)
    );
    for subgraphs in ["subgraphs", "subgraphs?recurse=true", "subgraphs/a"] {
        let none = server.get_json(&format!("{path}/{subgraphs}")).await;
        assert_eq!(none, json!({}));
    }

    for part in ["graph", "schemas", "subgraphs"] {
        let missing = server.get(&format!("/assistants/{NOBODY}/{part}")).await;
        assert_eq!(detail_of(missing, 404).await, "Not Found");
        let wrong = server.get(&format!("/assistants/nope/{part}")).await;
        assert_eq!(
            detail_of(wrong, 422).await,
            "Invalid assistant ID: must be a UUID"
        );
    }
}

#[tokio::test]
async fn a_configuration_that_says_one_thing_under_two_names_stops_the_start() {
    let mut setup = Setup::probes(&["hitl"]);
    setup.config["graphs"]["two"] = json!({
        "path": format!("{}:two", probe().display()),
        "config": {"configurable": {"a": 1}},
        "context": {"a": 2},
    });
    assert_ne!(setup.exit_code(), Some(0));
    assert!(
        setup.log().contains("give `context` alone"),
        "{}",
        setup.log()
    );
}
