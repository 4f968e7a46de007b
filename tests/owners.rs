//! What belongs to somebody does not exist for anybody else: every operation that the served document has is tried as
//! the wrong user.

mod belongings;
mod heirs;
mod shares;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use self::belongings::{Belongings, SECRET};
use crate::support::callers::{ANN, Answer, As, BOB, OPERATOR, let_in};
use crate::support::documented::{METHODS, OPEN};
use crate::support::server::{Server, text};
use crate::support::{Receiver, Setup, receiver};

/// What the served document has, but what everybody may ask.
async fn operations(server: &Server) -> Vec<(String, &'static str)> {
    let document = server.get_json("/openapi.json").await;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let methods = METHODS
            .into_iter()
            .filter(|method| item.get(method).is_some());
        operations.extend(methods.map(|method| (path.clone(), method)));
    }
    operations.retain(|(path, _)| !OPEN.contains(&path.as_str()));
    // A WebSocket, of which no plain request makes one; `event_socket` tries it as the wrong user.
    operations.retain(|of| of != &("/threads/{thread_id}/stream/events".to_owned(), "get"));
    // The other spelling of LangGraph's documentation, which the served one passes over.
    let aliases: Vec<_> = operations.iter().filter_map(alias).collect();
    assert!(aliases.len() > 20, "{}", aliases.len());
    operations.extend(aliases);
    assert!(operations.len() > 40, "{}", operations.len());
    operations
}

fn alias((path, method): &(String, &'static str)) -> Option<(String, &'static str)> {
    let rest = path.strip_prefix("/threads/")?;
    Some((format!("/thread/{rest}"), *method))
}

async fn tried(
    server: &Server,
    who: As,
    (path, method): &(String, &str),
    what: &Belongings,
) -> Answer {
    let documented = match path.strip_prefix("/thread/") {
        Some(rest) => format!("/threads/{rest}"),
        None => path.clone(),
    };
    let body = what.body(method, &documented);
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
    let path = match path.as_str() {
        "/store/items" => format!("{path}?namespace={SECRET}&key=k"),
        "/.well-known/agent-card.json" => format!("{path}?assistant_id={}", what.assistant),
        path => what.path(path),
    };
    let endless = [
        "/threads/{thread_id}/stream",
        "/threads/{thread_id}/stream/events",
    ];
    if endless.contains(&documented.as_str()) {
        return begun(who.request(server, method, &path), body.as_ref()).await;
    }
    who.send(server, method, &path, body.as_ref()).await
}

/// How a stream begins that does not end by itself.
async fn begun(request: RequestBuilder, body: Option<&Value>) -> Answer {
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    let mut response = request.send().await.expect("an answer");
    let first = response.chunk().await.expect("a stream").expect("a frame");
    Answer {
        status: response.status(),
        body: Value::String(String::from_utf8_lossy(&first).into_owned()),
    }
}

/// Ann's webhook fails, so that there is something to deliver again.
async fn setup() -> (Server, Receiver, Belongings) {
    let setup = Setup::probes(&["two", "storing"])
        .set("webhooks.retry", json!({"schedule_secs": [0], "jitter": 0}));
    let server = let_in(setup).start().await;
    let receiver = Receiver::behaving(|_, _| receiver::Answer::Status(500)).await;
    let belongings = Belongings::of_ann(&server, &receiver).await;
    (server, receiver, belongings)
}

#[tokio::test]
async fn what_is_anns_is_to_bob_as_what_never_was() {
    let (server, _receiver, anns) = setup().await;
    let nobodys = Belongings::of_nobody();
    let seen_by_ann = ANN
        .get(&server, &anns.path("/threads/{thread_id}/state"))
        .await;
    for operation in operations(&server).await {
        let (path, method) = &operation;
        // What Bob creates under a name that is taken is refused, and under one that is free it is not.
        if matches!(
            (*method, path.as_str()),
            ("post", "/assistants" | "/threads")
        ) {
            let answer = tried(&server, BOB, &operation, &anns).await;
            assert_eq!(answer.status, 409, "{method} {path}: {}", answer.body);
            let keep = |id: &str, name: &str| json!({name: id, "graph_id": "two", "if_exists": "do_nothing"});
            let body = match path.as_str() {
                "/assistants" => keep(&anns.assistant, "assistant_id"),
                _ => keep(&anns.thread, "thread_id"),
            };
            let answer = BOB.post(&server, path, &body).await;
            assert_eq!(answer.status, 409, "{method} {path}: {}", answer.body);
            continue;
        }
        let of_ann = tried(&server, BOB, &operation, &anns).await;
        let of_nobody = tried(&server, BOB, &operation, &nobodys).await;
        assert_eq!(
            anns.without_names(&of_ann),
            nobodys.without_names(&of_nobody),
            "{method} {path}"
        );
        assert!(
            !of_ann.body.to_string().contains(SECRET),
            "{method} {path}: {}",
            of_ann.body
        );
        assert!(
            !matches!(
                of_ann.status,
                StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST
            ),
            "{method} {path} was refused for its form, so that nothing was tried: {}",
            of_ann.body
        );
    }
    // None of this has changed anything.
    assert_eq!(
        ANN.get(&server, &anns.path("/threads/{thread_id}/state"))
            .await,
        seen_by_ann
    );
    let thread = ANN.get(&server, &anns.path("/threads/{thread_id}")).await;
    assert_eq!(thread.body["metadata"]["of"], SECRET);
    let assistant = ANN
        .get(&server, &anns.path("/assistants/{assistant_id}"))
        .await;
    assert_eq!(
        (&assistant.body["version"], &assistant.body["name"]),
        (&json!(1), &json!(SECRET))
    );
    let runs = ANN
        .get(&server, &anns.path("/threads/{thread_id}/runs"))
        .await;
    assert_eq!(runs.body.as_array().map(Vec::len), Some(1));
    let delivery = ANN
        .get(&server, &anns.path("/webhooks/deliveries/{delivery_id}"))
        .await;
    assert_eq!(delivery.body["attempt_count"], 1);
    let item = ANN
        .get(&server, &format!("/store/items?namespace={SECRET}&key=k"))
        .await;
    assert_eq!(item.body["value"]["of"], SECRET);
    let cron = ANN.get(&server, &anns.path("/runs/crons/{cron_id}")).await;
    assert_eq!(cron.body["metadata"]["of"], SECRET);
}

#[tokio::test]
async fn searches_and_counts_have_only_what_is_the_callers() {
    let (server, _receiver, anns) = setup().await;
    let everything = json!({});
    for (path, anns_count) in [
        ("/threads/count", 1),
        ("/assistants/count", 3),
        ("/runs/crons/count", 1),
    ] {
        assert_eq!(
            ANN.made(&server, path, &everything).await,
            anns_count,
            "{path}"
        );
        assert_eq!(
            BOB.made(&server, path, &everything).await,
            anns_count - 1,
            "{path}"
        );
        assert_eq!(
            OPERATOR.made(&server, path, &everything).await,
            anns_count,
            "{path}"
        );
    }
    for (path, of_ann) in [
        ("/threads/search", &anns.thread),
        ("/assistants/search", &anns.assistant),
        ("/runs/crons/search", &anns.cron),
    ] {
        let ids = json!({"ids": [anns.thread]});
        for body in [&everything, &ids] {
            let found = |found: &Value| found.to_string().contains(of_ann.as_str());
            assert!(found(&ANN.made(&server, path, body).await), "{path}");
            assert!(!found(&BOB.made(&server, path, body).await), "{path}");
            assert!(found(&OPERATOR.made(&server, path, body).await), "{path}");
        }
    }
    let ids = json!({"ids": [anns.thread]});
    assert_eq!(BOB.made(&server, "/threads/count", &ids).await, 0);
    let deliveries = "/webhooks/deliveries";
    assert_eq!(
        ANN.get(&server, deliveries)
            .await
            .body
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(BOB.get(&server, deliveries).await.body, json!([]));
    assert_eq!(
        OPERATOR
            .get(&server, deliveries)
            .await
            .body
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn each_has_a_store_of_their_own_also_inside_graphs() {
    let server = let_in(Setup::probes(&["storing"])).start().await;
    let calls = async |who: As, calls: Value| {
        let run = json!({"assistant_id": "storing", "input": {"calls": calls}});
        who.made(&server, "/runs/wait", &run).await["answers"].clone()
    };
    for who in [ANN, BOB, OPERATOR] {
        let item = json!({"namespace": ["u"], "key": "k", "value": {"of": who.0}});
        let put = who
            .send(&server, Method::PUT, "/store/items", Some(&item))
            .await;
        assert_eq!(put.status, 204);
    }
    for who in [ANN, BOB, OPERATOR] {
        let found = who.get(&server, "/store/items?namespace=u&key=k").await;
        assert_eq!(found.body["value"]["of"], who.0);
        let read = calls(
            who,
            json!([{"get": [["u"], "k"]}, {"put": [["in"], who.0, {}]}]),
        )
        .await;
        assert_eq!(read[0]["value"]["of"], who.0);
        let searched = who
            .made(
                &server,
                "/store/items/search",
                &json!({"namespace_prefix": []}),
            )
            .await;
        assert_eq!(
            searched["items"].as_array().map(Vec::len),
            Some(2),
            "{searched}"
        );
        let namespaces = who.made(&server, "/store/namespaces", &json!({})).await;
        assert_eq!(namespaces["namespaces"], json!([["in"], ["u"]]));
    }
}

#[tokio::test]
async fn the_configurations_assistants_are_everybodys_to_run_and_operators_to_change() {
    let server = let_in(Setup::probes(&["two"])).start().await;
    let found = ANN.made(&server, "/assistants/search", &json!({})).await;
    let path = format!("/assistants/{}", text(&found[0]["assistant_id"]));
    assert_eq!(found[0]["graph_id"], "two");
    let change = json!({"name": "mine"});
    let version = json!({"version": 1});
    for (method, path, body) in [
        (Method::PATCH, path.clone(), Some(&change)),
        (Method::POST, format!("{path}/latest"), Some(&version)),
        (Method::DELETE, path.clone(), None),
    ] {
        let answer = ANN.send(&server, method.clone(), &path, body).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert_eq!(answer.body, json!({"detail": "Forbidden"}));
    }
    let changed = OPERATOR
        .send(&server, Method::PATCH, &path, Some(&change))
        .await;
    assert_eq!(
        (changed.status, &changed.body["name"]),
        (StatusCode::OK, &json!("mine"))
    );
    assert_eq!(ANN.get(&server, &path).await.body["name"], "mine");
}

#[tokio::test]
async fn an_operator_sees_and_changes_what_is_others_and_it_stays_theirs() {
    let (server, _receiver, anns) = setup().await;
    for path in [
        "/assistants/{assistant_id}",
        "/threads/{thread_id}",
        "/threads/{thread_id}/state",
        "/threads/{thread_id}/runs/{run_id}",
        "/webhooks/deliveries/{delivery_id}",
    ] {
        let path = anns.path(path);
        assert_eq!(
            OPERATOR.get(&server, &path).await,
            ANN.get(&server, &path).await
        );
    }
    let run = json!({"assistant_id": "two", "input": {"foo": "again"}});
    let wait = anns.path("/threads/{thread_id}/runs/wait");
    OPERATOR.made(&server, &wait, &run).await;
    let runs = anns.path("/threads/{thread_id}/runs");
    assert_eq!(
        ANN.get(&server, &runs).await.body.as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(BOB.get(&server, &runs).await.status, 404);
    // What an operator makes is the operator's.
    let thread = OPERATOR.made(&server, "/threads", &json!({})).await;
    let thread = format!("/threads/{}", text(&thread["thread_id"]));
    assert_eq!(ANN.get(&server, &thread).await.status, 404);
    assert_eq!(OPERATOR.get(&server, &thread).await.status, 200);
}

#[tokio::test]
async fn a_graph_on_somebodys_thread_sees_their_store_whoever_changes_the_state() {
    let server = let_in(Setup::probes(&["choosing"])).start().await;
    let thread = json!({"metadata": {"graph_id": "choosing"}});
    let thread = ANN.made(&server, "/threads", &thread).await;
    let state = format!("/threads/{}/state", text(&thread["thread_id"]));
    let update = json!({"values": {"foo": "x"}, "as_node": "ask"});
    let put = async |who: As| {
        let item = json!({"namespace": ["branch"], "key": "k", "value": {}});
        let put = who.send(&server, Method::PUT, "/store/items", Some(&item));
        assert_eq!(put.await.status, 204);
    };
    let next = async || ANN.get(&server, &state).await.body["next"].clone();

    put(OPERATOR).await;
    OPERATOR.made(&server, &state, &update).await;
    assert_eq!(next().await, json!(["unknown"]));
    let seen = "/store/items?namespace=branch&key=seen";
    assert_eq!(OPERATOR.get(&server, seen).await.body, Value::Null);
    assert_eq!(ANN.get(&server, seen).await.body["key"], "seen");

    put(ANN).await;
    OPERATOR.made(&server, &state, &update).await;
    assert_eq!(next().await, json!(["known"]));
}

#[tokio::test]
async fn the_stream_of_a_resumable_run_that_is_gone_is_still_only_its_owners() {
    let server = let_in(Setup::probes(&["two"])).start().await;
    let run = json!({"assistant_id": "two", "input": {"foo": SECRET}, "stream_resumable": true});
    let stream = ANN
        .request(&server, Method::POST, "/runs/stream")
        .json(&run);
    let stream = stream.send().await.expect("an answer");
    let location = stream.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    stream.text().await.expect("the stream ends");
    let again = async |who: As| {
        let request = who.request(&server, Method::GET, &location);
        let request = request.header("last-event-id", "-1").send().await;
        request.expect("an answer").text().await.expect("a body")
    };
    assert!(again(ANN).await.contains(SECRET));
    let bobs = again(BOB).await;
    assert!(
        bobs.contains("404: Run not found") && !bobs.contains(SECRET),
        "{bobs}"
    );
}

#[tokio::test]
async fn a_run_knows_who_asked_for_it_and_nobody_can_pretend() {
    let server = let_in(Setup::probes(&["two"])).start().await;
    let receiver = Receiver::start().await;
    let pretended = json!({"langgraph_auth_user": {"identity": "bob"}, "langgraph_auth_user_id": "bob", "langgraph_auth_permissions": ["admin"], "user_id": "bob"});
    let run = json!({
        "assistant_id": "two", "input": {"foo": "x"}, "webhook": receiver.url("/"), "config": {"configurable": pretended},
    });
    let thread = ANN.made(&server, "/threads", &json!({})).await;
    let thread = format!("/threads/{}", text(&thread["thread_id"]));
    let run = ANN.made(&server, &format!("{thread}/runs"), &run).await;
    let configurable = &run["kwargs"]["config"]["configurable"];
    let user = json!({
        "identity": "ann", "is_authenticated": true, "display_name": "ann", "permissions": ["painting"],
    });
    assert_eq!(configurable["langgraph_auth_user"], user);
    assert_eq!(configurable["langgraph_auth_user_id"], "ann");
    assert_eq!(
        configurable["langgraph_auth_permissions"],
        json!(["painting"])
    );
    assert_eq!(configurable["user_id"], "ann");
    let sent = receiver.wait_for(1).await.remove(0).json();
    let told = &sent["kwargs"]["config"]["configurable"]["langgraph_auth_user"];
    assert_eq!(*told, json!({"identity": "ann"}));
    let state = ANN.get(&server, &format!("{thread}/state")).await.body;
    assert_eq!(state["metadata"]["langgraph_auth_user_id"], "ann");
}

#[tokio::test]
async fn a_crons_runs_are_its_creators_also_inside_graphs() {
    let server = let_in(Setup::probes(&["storing"])).start().await;
    let receiver = Receiver::start().await;
    let cron = json!({
        "assistant_id": "storing", "schedule": "* * * * * *", "on_run_completed": "keep", "webhook": receiver.url("/"),
        "input": {"calls": [{"put": [["cron"], "k", {}]}]},
    });
    let cron = ANN.made(&server, "/runs/crons", &cron).await;
    let sent = receiver.wait_for(1).await.remove(0).json();
    let cron = format!("/runs/crons/{}", text(&cron["cron_id"]));
    let gone = ANN.send(&server, Method::DELETE, &cron, None).await;
    assert_eq!(gone.status, 204);
    assert_eq!(sent["status"], "success");
    let run = format!(
        "/threads/{}/runs/{}",
        text(&sent["thread_id"]),
        text(&sent["run_id"])
    );
    let found = ANN.get(&server, &run).await.body;
    let configurable = &found["kwargs"]["config"]["configurable"];
    let user = json!({
        "identity": "ann", "is_authenticated": true, "display_name": "ann", "permissions": ["painting"],
    });
    assert_eq!(configurable["langgraph_auth_user"], user);
    assert_eq!(configurable["user_id"], "ann");
    assert_eq!(OPERATOR.get(&server, &run).await.status, 200);
    assert_eq!(BOB.get(&server, &run).await.status, 404);
    let item = "/store/items?namespace=cron&key=k";
    assert_eq!(ANN.get(&server, item).await.body["key"], "k");
    for who in [BOB, OPERATOR] {
        assert_eq!(who.get(&server, item).await.body, Value::Null);
    }
}
