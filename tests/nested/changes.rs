//! What graphs inside a graph have done is changed, cut off by a crash, undone, and gone back to.

use serde_json::json;

use super::{NESTED, begin, deep_state, levels, resume};
use crate::support::receiver::Answer;
use crate::support::server::text;
use crate::support::{Gate, Receiver, Setup};

#[tokio::test]
async fn the_state_of_a_graph_inside_is_changed_like_any_other() {
    let server = Setup::probes(&NESTED).start().await;
    let thread = server.new_thread().await;
    server.wait(&thread, &begin()).await;
    let before = deep_state(&server, &thread).await;
    let [(middle, mid), (innermost, leaf)] = levels(&before);
    let path = format!("/threads/{thread}/state");

    let change = json!({"values": {"foo": "new"}, "checkpoint": leaf["checkpoint"]});
    let made = server.post_json(&path, &change).await["checkpoint"].clone();
    assert_eq!(made["checkpoint_ns"], innermost);
    let map = json!({"": before["checkpoint_id"], &middle: mid["checkpoint_id"], &innermost: made["checkpoint_id"]});
    assert_eq!(made["checkpoint_map"], map);
    let after = deep_state(&server, &thread).await;
    let [_, (_, leaf)] = levels(&after);
    assert_eq!(
        (&leaf["values"]["foo"], &leaf["next"]),
        (&json!("new"), &json!(["ask"]))
    );
    assert_eq!(leaf["metadata"]["source"], "update");
    // The thread says of itself what it said before.
    assert_eq!(after["interrupts"], before["interrupts"]);
    assert_eq!(
        server.get_json(&format!("/threads/{thread}")).await["status"],
        "interrupted"
    );

    let copy = server
        .post_json(&format!("/threads/{thread}/copy"), &json!({}))
        .await;
    let answered = server
        .wait(text(&copy["thread_id"]), &resume("nested", "Y"))
        .await;
    assert_eq!(answered["foo"], "newYb");

    // As the node that asks: then nobody does, and the graph is over.
    let change = json!({"values": {"foo": "mine"}, "as_node": "ask", "checkpoint": {"checkpoint_ns": innermost}});
    server.post_json(&path, &change).await;
    let go_on = json!({"assistant_id": "nested", "input": null});
    assert_eq!(server.wait(&thread, &go_on).await["foo"], "mineb");

    let nowhere = json!({"values": {}, "checkpoint": {"checkpoint_ns": "nope:1"}});
    assert_eq!(
        server.refused(&path, &nowhere, 400).await,
        "Subgraph nope not found"
    );
}

#[tokio::test]
async fn a_crash_costs_a_graph_inside_the_step_that_it_was_in_and_no_answer() {
    let gate = Gate::closed().await;
    for durability in ["sync", "async", "exit"] {
        let mut server = gate.setup(&["within"]).start().await;
        let thread = server.new_thread().await;
        let run = json!({"assistant_id": "within", "input": {"counter": gate.url()}});
        let asked = server.wait(&thread, &run).await;
        assert_eq!(asked["__interrupt__"][0]["value"], "one?");
        let asked = server.wait(&thread, &resume("within", "x")).await;
        assert_eq!(asked["__interrupt__"][0]["value"], "two?");
        let id = text(&asked["__interrupt__"][0]["id"]);

        let mut answer = resume("within", json!({id: "y"}));
        answer["durability"] = json!(durability);
        let before = gate.held();
        let run = server.create_run(&thread, &answer).await;
        gate.holds(before + 1).await;
        server.kill();
        server.restart().await;
        gate.holds(before + 2).await;
        server.kill();
        gate.open();
        server.restart().await;
        assert_eq!(
            server.ended_run(&run).await["status"],
            "success",
            "{durability}"
        );
        let log = &server.state(&thread).await["values"]["log"];
        assert_eq!(*log, json!(["x, y", "next", "last"]), "{durability}");
        gate.close();
    }
}

#[tokio::test]
async fn after_a_crash_a_graph_inside_goes_on_at_its_own_last_checkpoint() {
    // `ask` is answered; `next` is not, when it comes for the first time.
    let receiver = Receiver::behaving(|_, before| match before {
        1 => Answer::Hang,
        _ => Answer::Status(200),
    })
    .await;
    let egress = json!({
        "allowed_networks": ["127.0.0.0/8"], "require_https": false, "allowed_ports": [receiver.address.port()],
    });
    let setup = Setup::probes(&["within"]).set("egress", egress);
    let mut server = setup.start().await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "within", "input": {"counter": receiver.url("/")}});
    server.wait(&thread, &run).await;
    server.wait(&thread, &resume("within", "x")).await;
    let mut answer = resume("within", "y");
    answer["durability"] = json!("sync");
    let run = server.create_run(&thread, &answer).await;
    receiver.wait_for(2).await;
    server.kill();
    server.restart().await;
    assert_eq!(server.ended_run(&run).await["status"], "success");
    let tasks: Vec<String> = receiver.received().iter().map(|r| r.path.clone()).collect();
    assert_eq!(
        tasks,
        ["ask", "next", "next", "last"].map(|task| format!("/?task={task}"))
    );
    let log = &server.state(&thread).await["values"]["log"];
    assert_eq!(*log, json!(["x, y", "next", "last"]));
}

#[tokio::test]
async fn after_a_crash_a_run_from_a_changed_state_does_no_step_inside_again() {
    let receiver = Receiver::behaving(|_, before| match before {
        3 => Answer::Hang,
        _ => Answer::Status(200),
    })
    .await;
    let egress = json!({
        "allowed_networks": ["127.0.0.0/8"], "require_https": false, "allowed_ports": [receiver.address.port()],
    });
    let setup = Setup::probes(&["effects_within"]).set("egress", egress);
    let mut server = setup.start().await;
    let thread = json!({"metadata": {"graph_id": "effects_within"}});
    let thread = server.post_json("/threads", &thread).await;
    let thread = text(&thread["thread_id"]).to_owned();
    let change = json!({"values": {"counter": receiver.url("/")}, "as_node": "__start__"});
    let path = format!("/threads/{thread}/state");
    let changed = server.post_json(&path, &change).await;
    let run = json!({
        "assistant_id": "effects_within", "input": null, "durability": "sync",
        "checkpoint_id": changed["checkpoint"]["checkpoint_id"],
    });
    let run = server.create_run(&thread, &run).await;
    receiver.wait_for(4).await;
    server.kill();
    server.restart().await;
    assert_eq!(server.ended_run(&run).await["status"], "success");
    let mut tasks: Vec<String> = receiver.received().iter().map(|r| r.path.clone()).collect();
    tasks.sort();
    assert_eq!(
        tasks,
        ["after", "after", "one", "three", "two"].map(|task| format!("/?task={task}"))
    );
}

#[tokio::test]
async fn what_a_rolled_back_run_did_inside_is_undone() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["within"]).start().await;
    let thread = server.new_thread().await;
    let run = json!({"assistant_id": "within", "input": {"counter": gate.url()}});
    server.wait(&thread, &run).await;
    server.wait(&thread, &resume("within", "x")).await;
    let before = deep_state(&server, &thread).await;
    let run = server.create_run(&thread, &resume("within", "y")).await;
    gate.holds(1).await;
    let cancel = format!(
        "/threads/{thread}/runs/{}/cancel?wait=1&action=rollback",
        text(&run["run_id"])
    );
    server.post_json(&cancel, &json!({})).await;
    assert_eq!(deep_state(&server, &thread).await, before);
    gate.open();
    let done = server.wait(&thread, &resume("within", "z")).await;
    assert_eq!(done["log"], json!(["x, z", "next", "last"]));
}

#[tokio::test]
async fn whoever_goes_back_in_time_goes_back_in_every_graph() {
    let server = Setup::probes(&NESTED).start().await;
    let thread = server.new_thread().await;
    server.wait(&thread, &begin()).await;
    let before = deep_state(&server, &thread).await;
    let [(middle, _), (_, leaf)] = levels(&before);
    server.wait(&thread, &resume("nested", "Y")).await;

    // To before the graph inside began: it begins anew, in a namespace of its own, and asks again.
    let back =
        json!({"assistant_id": "nested", "input": null, "checkpoint_id": before["checkpoint_id"]});
    let asked = server.wait(&thread, &back).await;
    let question = &before["interrupts"][0]["id"];
    assert_ne!(asked["__interrupt__"][0]["id"], *question);
    let [(other, mid), _] = levels(&deep_state(&server, &thread).await);
    assert_ne!(other, middle);
    assert_eq!(mid["values"]["foo"], "xam");
    let answered = server.wait(&thread, &resume("nested", "Z")).await;
    assert_eq!(answered["foo"], "xamiZb");

    // By a checkpoint of the innermost, a run begins at that of the thread's own graph that it belongs to.
    let back = json!({"assistant_id": "nested", "input": null, "checkpoint": leaf["checkpoint"]});
    server.wait(&thread, &back).await;
    let answered = server.wait(&thread, &resume("nested", "W")).await;
    assert_eq!(answered["foo"], "xamiWb");

    // What was there stays.
    let body = json!({"checkpoint": {"checkpoint_ns": leaf["checkpoint"]["checkpoint_ns"]}});
    let path = format!("/threads/{thread}/state/checkpoint");
    assert_eq!(
        server.post_json(&path, &body).await["values"]["foo"],
        "xamiY"
    );
}
