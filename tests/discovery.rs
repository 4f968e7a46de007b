//! What clients ask first: whether the server is there, what it is, and which assistants it has.

use serde_json::{Value, json};

use crate::support::graphs::probe;
use crate::support::server::{detail_of, names};
use crate::support::{Server, Setup};

/// Seen on LangGraph's own server.
const TWO: &str = "4499204c-8eda-5495-a842-3696dc7527c7";
const HITL: &str = "d2a02ed8-fb92-5e43-81ea-cb78d82caa2f";

#[tokio::test]
async fn ok_and_info_say_that_the_server_is_there_and_what_it_speaks() {
    let server = Setup::probes(&["two"]).start().await;
    for path in ["/", "/ok", "/ok?check_db=1"] {
        assert_eq!(
            server.get_json(path).await,
            json!({"ok": true, "services": {}}),
            "{path}"
        );
    }
    let info = server.get_json("/info").await;
    assert_eq!(names(&info["host"])[0], "kind");
    assert_eq!(info["flags"]["assistants"], true);
    assert!(info["flags"]["crons"].is_boolean());
    let version: Vec<&str> = info["version"]
        .as_str()
        .expect("a text")
        .split('.')
        .collect();
    assert_eq!(version.len(), 3, "{version:?}");
    assert_eq!(
        detail_of(server.get("/nowhere").await, 404).await,
        "Not Found"
    );
    assert_eq!(
        detail_of(server.delete("/ok").await, 405).await,
        "Method Not Allowed"
    );
}

async fn server_with_two_assistants() -> Server {
    let mut setup = Setup::probes(&["hitl"]);
    setup.config["graphs"]["two"] = json!({
        "path": format!("{}:two", probe().display()),
        "description": "two nodes",
        "config": {"recursion_limit": 7},
        "context": {"language": "en"},
    });
    setup.start().await
}

#[tokio::test]
async fn every_graph_has_a_default_assistant_under_langgraphs_id() {
    let server = server_with_two_assistants().await;
    let two = server.get_json(&format!("/assistants/{TWO}")).await;
    let members = [
        "assistant_id",
        "graph_id",
        "config",
        "context",
        "metadata",
        "name",
        "created_at",
        "updated_at",
        "version",
        "description",
    ];
    assert_eq!(names(&two), members);
    assert_eq!(two["graph_id"], "two");
    assert_eq!(two["name"], "two");
    assert_eq!(two["description"], "two nodes");
    assert_eq!(two["metadata"], json!({"created_by": "system"}));
    // `configurable` is another name for the context.
    let config = json!({"recursion_limit": 7, "configurable": {"language": "en"}});
    assert_eq!(two["config"], config);
    assert_eq!(two["context"], json!({"language": "en"}));
    assert_eq!(two["version"], 1);
    let hitl = server.get_json(&format!("/assistants/{HITL}")).await;
    assert_eq!(
        (&hitl["graph_id"], &hitl["description"]),
        (&json!("hitl"), &Value::Null)
    );

    // The id and the graph's name mean the same assistant, with its configuration.
    for assistant in [TWO, "two"] {
        let body = json!({"assistant_id": assistant, "input": {"foo": "x"}});
        let run = server.post_json("/runs", &body).await;
        assert_eq!(run["assistant_id"], TWO);
        assert_eq!(run["kwargs"]["config"]["recursion_limit"], 7);
        assert_eq!(run["kwargs"]["context"], json!({"language": "en"}));
    }
}

#[tokio::test]
async fn an_assistant_that_is_not_there_is_404_and_an_id_that_is_none_422() {
    let server = Setup::probes(&["two"]).start().await;
    let unknown = server
        .get("/assistants/00000000-0000-4000-8000-000000000000")
        .await;
    assert_eq!(detail_of(unknown, 404).await, "Not Found");
    let detail = detail_of(server.get("/assistants/two").await, 422).await;
    assert_eq!(detail, "Invalid assistant ID: must be a UUID");
}

#[tokio::test]
async fn assistants_are_searched_filtered_sorted_selected_and_paged() {
    let server = server_with_two_assistants().await;
    let graphs = async |body: Value| {
        let found = server.post_json("/assistants/search", &body).await;
        let ids: Vec<String> = found
            .as_array()
            .expect("an array")
            .iter()
            .map(|a| a["graph_id"].to_string())
            .collect();
        ids.join(" ")
    };
    assert_eq!(
        graphs(json!({"sort_by": "name", "sort_order": "asc"})).await,
        "\"hitl\" \"two\""
    );
    assert_eq!(
        graphs(json!({"sort_by": "graph_id"})).await,
        "\"two\" \"hitl\""
    );
    assert_eq!(graphs(json!({"graph_id": "two"})).await, "\"two\"");
    assert_eq!(graphs(json!({"name": "HIT"})).await, "\"hitl\"");
    assert_eq!(
        graphs(json!({"metadata": {"created_by": "system"}, "name": "t", "limit": 1000}))
            .await
            .len(),
        12
    );
    assert_eq!(graphs(json!({"metadata": {"created_by": "ann"}})).await, "");

    let body =
        json!({"limit": 1, "sort_by": "name", "sort_order": "asc", "select": ["name", "version"]});
    let page = server.post("/assistants/search", &body).await;
    assert_eq!(page.headers()["x-pagination-total"], "2");
    assert_eq!(page.headers()["x-pagination-next"], "1");
    assert_eq!(
        page.json::<Value>().await.expect("JSON"),
        json!([{"name": "hitl", "version": 1}])
    );
    let last = server
        .post("/assistants/search", &json!({"limit": 1, "offset": 1}))
        .await;
    assert_eq!(last.headers()["x-pagination-total"], "2");
    assert!(!last.headers().contains_key("x-pagination-next"));

    for (body, part) in [
        (json!({"limit": 0}), "minimum of 1"),
        (json!({"limit": 1001}), "maximum of 1000"),
        (json!({"select": ["bogus"]}), "\"bogus\" is not one of"),
        (json!({"sort_by": "bogus"}), "\"bogus\" is not one of"),
    ] {
        let detail = server.refused("/assistants/search", &body, 422).await;
        assert!(detail.contains(part), "{body}: {detail}");
    }
}

#[tokio::test]
async fn browsers_of_an_allowed_origin_may_call_and_read_the_headers_that_clients_need() {
    let setup = Setup::probes(&["two"]).set("http.cors.allow_origins", json!(["*"]));
    let server = setup.start().await;
    let preflight = server
        .client
        .request(reqwest::Method::OPTIONS, format!("{}/threads", server.base))
        .header("origin", "https://smith.langchain.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-api-key,content-type")
        .header("access-control-request-private-network", "true");
    let preflight = preflight.send().await.expect("an answer");
    assert_eq!(preflight.status(), 200);
    // Only `selvedge dev` lets pages from the internet call a server on their reader's machine.
    assert!(
        !preflight
            .headers()
            .contains_key("access-control-allow-private-network")
    );
    let methods = preflight.headers()["access-control-allow-methods"]
        .to_str()
        .expect("text");
    let mut methods: Vec<&str> = methods.split(',').collect();
    methods.sort_unstable();
    let all = [
        "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY",
    ];
    assert_eq!(methods, all);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    assert_eq!(
        preflight.headers()["access-control-allow-headers"],
        "x-api-key,content-type"
    );
    let request = server
        .client
        .head(format!("{}/ok", server.base))
        .header("origin", "https://example.com");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let exposed = answer.headers()["access-control-expose-headers"]
        .to_str()
        .expect("text");
    for name in [
        "content-location",
        "location",
        "x-pagination-total",
        "x-pagination-next",
    ] {
        assert!(
            exposed.split(',').any(|one| one == name),
            "{name}: {exposed}"
        );
    }
}
