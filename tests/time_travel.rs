//! Runs that begin at an earlier checkpoint: they branch off, and what had been there stays.

use serde_json::{Value, json};

use crate::support::server::text;
use crate::support::{Gate, Server, Setup};

/// A thread with a past.
struct Past<'a> {
    server: &'a Server,
    graph: &'static str,
    thread: String,
    /// The ids of its checkpoints, oldest first.
    checkpoints: Vec<Value>,
}

impl<'a> Past<'a> {
    /// Of one run.
    async fn of(server: &'a Server, graph: &'static str, run: Value) -> Self {
        let mut past = Self {
            server,
            graph,
            thread: server.new_thread().await,
            checkpoints: Vec::new(),
        };
        past.run(run).await;
        let history = past.history().await;
        past.checkpoints = history.iter().map(|s| s["checkpoint_id"].clone()).collect();
        past
    }

    /// `two`, which has been through both nodes: input, before `a`, before `b`, the end.
    async fn of_two(server: &'a Server) -> Self {
        let past = Self::of(server, "two", json!({"input": {"foo": "x"}})).await;
        assert_eq!(past.checkpoints.len(), 4);
        past
    }

    async fn run(&self, mut body: Value) -> Value {
        body["assistant_id"] = json!(self.graph);
        self.server.wait(&self.thread, &body).await
    }

    /// A run from one of the checkpoints.
    async fn run_from(&self, checkpoint: usize, mut body: Value) -> Value {
        body["checkpoint_id"] = self.checkpoints[checkpoint].clone();
        self.run(body).await
    }

    async fn history(&self) -> Vec<Value> {
        let path = format!("/threads/{}/history", self.thread);
        let history = self.server.post_json(&path, &json!({"limit": 100})).await;
        let mut states = history.as_array().expect("a list").clone();
        states.reverse();
        states
    }

    /// What came after the past: for each checkpoint its parent's place in the history, source, step and next nodes.
    async fn added(&self) -> Vec<Value> {
        let history = self.history().await;
        let place = |id: &Value| history.iter().position(|s| s["checkpoint_id"] == *id);
        let new = history.iter().skip(self.checkpoints.len());
        new.map(|state| {
            json!([
                place(&state["parent_checkpoint_id"]),
                state["metadata"]["source"],
                state["metadata"]["step"],
                state["next"],
            ])
        })
        .collect()
    }
}

#[tokio::test]
async fn without_an_input_a_run_does_again_what_followed_the_checkpoint() {
    let server = Setup::probes(&["two"]).start().await;
    for (at, added) in [
        (3, json!([[3, "fork", 3, []]])),
        (2, json!([[2, "fork", 2, ["b"]], [4, "loop", 3, []]])),
        (
            1,
            json!([
                [1, "fork", 1, ["a"]],
                [4, "loop", 2, ["b"]],
                [5, "loop", 3, []]
            ]),
        ),
        (
            0,
            json!([
                [0, "fork", 0, ["__start__"]],
                [4, "loop", 1, ["a"]],
                [5, "loop", 2, ["b"]],
                [6, "loop", 3, []],
            ]),
        ),
    ] {
        let past = Past::of_two(&server).await;
        let before = past.history().await;
        let values = past.run_from(at, json!({})).await;
        assert_eq!(values, json!({"foo": "xab", "log": ["a", "b"]}), "{at}");
        assert_eq!(json!(past.added().await), added, "from {at}");
        assert_eq!(past.history().await[..4], before, "from {at}");
    }
}

#[tokio::test]
async fn a_new_input_starts_from_the_state_of_the_checkpoint() {
    let server = Setup::probes(&["two"]).start().await;
    for (at, first_step, log) in [
        (3, 3, json!(["a", "b", "a", "b"])),
        (2, 2, json!(["a", "a", "b"])),
        (1, 1, json!(["a", "b"])),
        (0, 0, json!(["a", "b"])),
    ] {
        let past = Past::of_two(&server).await;
        let values = past.run_from(at, json!({"input": {"foo": "y"}})).await;
        assert_eq!(values, json!({"foo": "yab", "log": log}), "from {at}");
        let added = json!([
            [at, "input", first_step, ["__start__"]],
            [4, "loop", first_step + 1, ["a"]],
            [5, "loop", first_step + 2, ["b"]],
            [6, "loop", first_step + 3, []],
        ]);
        assert_eq!(json!(past.added().await), added, "from {at}");
    }
}

#[tokio::test]
async fn a_checkpoint_is_named_in_any_form() {
    let server = Setup::probes(&["two"]).start().await;
    let past = Past::of_two(&server).await;
    let id = &past.checkpoints[2];
    let forms = [
        json!({"checkpoint_id": id}),
        json!({"checkpoint": {"checkpoint_id": id}}),
        json!({"checkpoint": past.history().await[2]["checkpoint"]}),
        json!({"checkpoint": {"checkpoint_id": id, "checkpoint_ns": "", "checkpoint_map": {"": id}}}),
        // There are no subgraphs; it is the id that counts.
        json!({"checkpoint": {"checkpoint_id": id, "checkpoint_ns": "sub:1"}}),
        json!({"config": {"configurable": {"checkpoint_id": id}}}),
    ];
    for (index, form) in forms.iter().enumerate() {
        let before = past.history().await.len();
        let mut body = form.clone();
        body["assistant_id"] = json!("two");
        let run = match index % 2 {
            0 => server.create_run(&past.thread, &body).await,
            _ => {
                let events = server.stream(&past.thread, &body).await;
                json!({"run_id": events[0].data["run_id"], "thread_id": past.thread})
            }
        };
        assert_eq!(server.ended_run(&run).await["status"], "success");
        let fork = &past.history().await[before];
        assert_eq!(fork["parent_checkpoint_id"], *id, "{form}");
        assert_eq!(fork["metadata"]["run_id"], run["run_id"], "{form}");
    }
}

#[tokio::test]
async fn a_command_is_applied_to_the_state_of_the_checkpoint() {
    let server = Setup::probes(&["two"]).start().await;
    let send = json!({"node": "b", "input": {"foo": "S", "log": []}});
    for (at, command, values, next) in [
        (
            2,
            json!({"update": {"foo": "U"}}),
            json!({"foo": "Ub", "log": ["a", "b"]}),
            json!(["b"]),
        ),
        (
            3,
            json!({"update": {"foo": "U"}}),
            json!({"foo": "U", "log": ["a", "b"]}),
            json!([]),
        ),
        (
            3,
            json!({"goto": send}),
            json!({"foo": "Sb", "log": ["a", "b", "b"]}),
            json!(["b"]),
        ),
    ] {
        let past = Past::of_two(&server).await;
        assert_eq!(
            past.run_from(at, json!({"command": command})).await,
            values,
            "{command}"
        );
        let added = past.added().await;
        assert_eq!(added[0], json!([at, "fork", at, next]), "{command}");
    }
}

#[tokio::test]
async fn breakpoints_stop_the_new_branch() {
    let server = Setup::probes(&["two"]).start().await;
    for breakpoint in [
        json!({"interrupt_before": ["b"]}),
        json!({"interrupt_after": ["a"]}),
    ] {
        let past = Past::of_two(&server).await;
        let values = past.run_from(1, breakpoint.clone()).await;
        assert_eq!(values, json!({"foo": "xa", "log": ["a"]}), "{breakpoint}");
        let thread = format!("/threads/{}", past.thread);
        assert_eq!(server.get_json(&thread).await["status"], "interrupted");
        assert_eq!(past.run(json!({})).await["foo"], "xab");
        let branch = json!([
            [1, "fork", 1, ["a"]],
            [4, "loop", 2, ["b"]],
            [5, "loop", 3, []]
        ]);
        assert_eq!(json!(past.added().await), branch, "{breakpoint}");
    }
    // The one that the run begins at is passed.
    let past = Past::of_two(&server).await;
    let values = past.run_from(2, json!({"interrupt_before": ["b"]})).await;
    assert_eq!(values["foo"], "xab");
}

#[tokio::test]
async fn a_thread_that_stopped_at_a_breakpoint_goes_on_from_any_checkpoint() {
    let server = Setup::probes(&["two"]).start().await;
    for (at, forks_before) in [(2, "b"), (1, "a")] {
        let stopped = json!({"input": {"foo": "x"}, "interrupt_before": ["b"]});
        let past = Past::of(&server, "two", stopped).await;
        assert_eq!(past.checkpoints.len(), 3);
        let values = past.run_from(at, json!({})).await;
        assert_eq!(values, json!({"foo": "xab", "log": ["a", "b"]}));
        let fork = &past.added().await[0];
        assert_eq!(*fork, json!([at, "fork", at, [forks_before]]));
    }
}

#[tokio::test]
async fn a_question_is_asked_again_on_the_new_branch_and_answered_there() {
    let server = Setup::probes(&["hitl"]).start().await;
    let question = |values: &Value| text(&values["__interrupt__"][0]["id"]).to_owned();
    // On a thread that waits for an answer, and on one that has had it.
    for answered in [false, true] {
        let past = Past::of(&server, "hitl", json!({"input": {}})).await;
        let asked = past.history().await[1]["interrupts"][0]["id"].clone();
        if answered {
            past.run(json!({"command": {"resume": "first"}})).await;
        }
        let again = past.run_from(1, json!({})).await;
        assert_ne!(json!(question(&again)), asked);
        let thread = format!("/threads/{}", past.thread);
        assert_eq!(server.get_json(&thread).await["status"], "interrupted");
        let values = past.run(json!({"command": {"resume": "second"}})).await;
        assert_eq!(
            values,
            json!({"answer": "second", "log": ["asked", "after"]})
        );
        let history = past.history().await;
        let fork = history
            .iter()
            .position(|s| s["metadata"]["source"] == "fork");
        let fork = fork.expect("a fork");
        assert_eq!(history[fork]["parent_checkpoint_id"], past.checkpoints[1]);
        // The answer of the old branch is still there.
        let old = history[..fork].last().expect("a checkpoint");
        let expected = if answered {
            json!("first")
        } else {
            Value::Null
        };
        assert_eq!(old["values"]["answer"], expected);
    }
}

#[tokio::test]
async fn an_answer_at_the_checkpoint_that_asked_needs_no_branch() {
    let server = Setup::probes(&["hitl"]).start().await;
    let past = Past::of(&server, "hitl", json!({"input": {}})).await;
    let values = past
        .run_from(1, json!({"command": {"resume": "yes"}}))
        .await;
    assert_eq!(values, json!({"answer": "yes", "log": ["asked", "after"]}));
    let added = json!([[1, "loop", 1, ["after"]], [2, "loop", 2, []]]);
    assert_eq!(json!(past.added().await), added);
}

/// How chat interfaces let a person edit what was said.
#[tokio::test]
async fn a_checkpoint_can_be_edited_and_run_from_there() {
    let server = Setup::probes(&["two"]).start().await;
    let past = Past::of_two(&server).await;
    let checkpoint = &past.history().await[1]["checkpoint"];
    let edit = json!({"values": {"foo": "E"}, "as_node": "a", "checkpoint": checkpoint});
    let path = format!("/threads/{}/state", past.thread);
    server.post_json(&path, &edit).await;
    let values = past.run(json!({})).await;
    assert_eq!(values, json!({"foo": "Eb", "log": ["b"]}));
    let added = json!([[1, "update", 1, ["b"]], [4, "loop", 2, []]]);
    assert_eq!(json!(past.added().await), added);
}

#[tokio::test]
async fn a_checkpoint_of_another_thread_is_not_there() {
    let server = Setup::probes(&["two"]).start().await;
    let (one, other) = (Past::of_two(&server).await, Past::of_two(&server).await);
    let runs = format!("/threads/{}/runs", one.thread);
    let foreign = &other.checkpoints[1];
    let body = json!({"assistant_id": "two", "checkpoint_id": foreign});
    assert_eq!(
        server.refused(&runs, &body, 404).await,
        format!(
            "Checkpoint {} not found on thread {}",
            text(foreign),
            one.thread
        )
    );
    let body = json!({"assistant_id": "two", "checkpoint_id": "first"});
    let detail = server.refused(&runs, &body, 422).await;
    assert_eq!(detail, "Invalid checkpoint ID");
    assert_eq!(
        server.get_json(&runs).await.as_array().map(Vec::len),
        Some(1)
    );
    assert!(one.added().await.is_empty());
}

#[tokio::test]
async fn a_run_whose_checkpoint_is_gone_fails_and_the_thread_keeps_what_it_holds() {
    let gate = Gate::closed().await;
    let server = gate.setup(&["two"]).start().await;
    let thread = server.new_thread().await;
    let two = json!({"assistant_id": "two", "input": {"foo": "x"}});
    server.wait(&thread, &two).await;
    let before = server.state(&thread).await["values"].clone();

    // A name that is found nowhere, where only the graph would look for it.
    let nowhere = "1f0c0000-0000-6000-8000-000000000000";
    let mut astray = two.clone();
    astray["context"] = json!({"checkpoint_id": nowhere});
    let failed = server.wait(&thread, &astray).await;
    assert_eq!(failed["__error__"]["error"], "CheckpointNotFound");
    assert_eq!(server.state(&thread).await["values"], before);

    // And one that the run itself takes away: that of a run which it rolls back.
    let doomed = server.create_run(&thread, &gate.run()).await;
    gate.holds(1).await;
    let checkpoint = server.state(&thread).await["checkpoint_id"].clone();
    let again = json!({"assistant_id": "two", "input": {"foo": "y"}, "checkpoint_id": checkpoint,
                       "multitask_strategy": "rollback"});
    let failed = server.wait(&thread, &again).await;
    assert_eq!(failed["__error__"]["error"], "CheckpointNotFound");
    let path = format!("/threads/{thread}/runs/{}", text(&doomed["run_id"]));
    assert_eq!(server.get(&path).await.status(), 404);
    assert_eq!(server.state(&thread).await["values"], before);
}
