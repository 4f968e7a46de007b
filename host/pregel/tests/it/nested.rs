//! Tasks that contain graphs: what such a graph begins with, and what becomes of the task when it stops.

use selvedge_model::Json;
use selvedge_model::checkpoint::SavedCheckpoint;
use selvedge_model::run::Command;
use selvedge_model::thread::Interrupt;
use selvedge_pregel::nested::GoesOn;
use selvedge_pregel::{EndKind, Entry, Options, Outcome, Work};
use serde_json::{Value, json};

use crate::harness::{Thread, graph, options};

const INSIDE: &str = "0123456789abcdef0123456789abcdef";

/// Two nodes of one step that stand for graphs.
fn outer() -> Thread {
    Thread::new(graph(&json!({
        "name": "outer",
        "channels": [{"name": "log", "reducer": "append"}],
        "nodes": [{"name": "left", "subgraph": "inner"}, {"name": "right", "subgraph": "inner"}],
        "edges": [{"from": ["__start__"], "to": "left"}, {"from": ["__start__"], "to": "right"}],
    })))
}

fn of_run(id: &str) -> Options {
    Options {
        metadata: Json::from(json!({"run_id": id})),
        ..options()
    }
}

fn question(id: &str) -> Vec<Interrupt> {
    vec![Interrupt {
        value: Json::from(json!("ok?")),
        id: id.to_owned(),
    }]
}

fn resume(answer: Value) -> Entry {
    Entry::Command(Command {
        resume: Some(Json::from(answer)),
        ..Command::default()
    })
}

fn log(text: &str) -> Outcome {
    written(&json!({"log": [text]}))
}

/// What a task writes whose graph came to these values.
fn written(values: &Value) -> Outcome {
    let description = json!({
        "name": "g", "channels": [{"name": "log", "reducer": "append"}], "nodes": [{"name": "n"}],
        "edges": [{"from": ["__start__"], "to": "n"}],
    });
    let mut writes = None;
    let mut thread = Thread::new(graph(&description));
    let mut guest = |work: &Work| {
        let mut program = work.program(1);
        program.answer(Ok(Json::from(json!({"update": values}))));
        writes = program.finish().ok();
        Outcome::Done(writes.clone().unwrap())
    };
    let input = Entry::Input(Json::from(json!({"log": []})));
    thread.run(None, input, options(), &mut guest, &mut |_| 0);
    Outcome::Done(writes.unwrap())
}

/// The last checkpoint of a graph that waits, and of one that has ended.
fn bases() -> [SavedCheckpoint; 2] {
    let of = |guest: &mut dyn FnMut(&Work) -> Outcome| {
        let mut thread = outer();
        let input = Entry::Input(Json::from(json!({"log": []})));
        thread.run(None, input, options(), guest, &mut |_| 0);
        thread.newest().unwrap().clone()
    };
    let waits = of(&mut |_| Outcome::Stopped(question(INSIDE)));
    [waits, of(&mut |_| log("done"))]
}

fn resumed_with(entry: &Entry) -> Option<Value> {
    match entry {
        Entry::Command(command) => command.resume.as_ref().map(Json::to_value),
        _ => None,
    }
}

#[test]
fn a_graph_begins_with_what_its_node_reads_in_a_namespace_of_its_task() {
    let mut thread = outer();
    let graph = thread.graph.clone();
    let mut seen = Vec::new();
    let mut guest = |work: &Work| {
        let task = work.task.as_ref().unwrap();
        let mut inside = work.inside();
        assert_eq!(inside.goes_on(), GoesOn::Nothing);
        assert_eq!(inside.namespace(0), format!("{}:{}", task.name, task.id));
        assert_eq!(inside.namespace(2), format!("{}:{}|2", task.name, task.id));
        assert_eq!(inside.parents().keys().collect::<Vec<_>>(), [""]);
        let Entry::Input(input) = inside.entry(&graph, None, work.input()) else {
            panic!("an input")
        };
        seen.push(input.to_value());
        log(&task.name)
    };
    let input = Entry::Input(Json::from(json!({"log": ["in"]})));
    let ran = thread.run(None, input, options(), &mut guest, &mut |_| 0);
    assert_eq!(seen, [json!({"log": ["in"]}), json!({"log": ["in"]})]);
    let end = ran.end.unwrap();
    assert_eq!(
        end.values.to_value(),
        json!({"log": ["in", "left", "right"]})
    );
}

#[test]
fn a_task_waits_with_the_questions_of_the_graph_inside_it() {
    let mut thread = outer();
    let mut guest = |work: &Work| match work.task.as_ref().unwrap().name.as_str() {
        "left" => Outcome::Stopped(question(INSIDE)),
        _ => log("right"),
    };
    let input = Entry::Input(Json::from(json!({"log": []})));
    let ran = thread.run(None, input, options(), &mut guest, &mut |_| 0);
    let end = ran.end.unwrap();
    assert_eq!(
        (&end.kind, &end.next),
        (&EndKind::Interrupted, &vec!["left".to_owned()])
    );
    assert_eq!(
        end.interrupts.into_values().collect::<Vec<_>>(),
        [question(INSIDE)]
    );
    let view = selvedge_pregel::view(&thread.graph, thread.newest().unwrap());
    let inside: Vec<bool> = view.tasks.iter().map(|task| task.contains_graph).collect();
    assert_eq!((inside, view.interrupts().count()), (vec![true, true], 1));
}

#[test]
fn an_answer_goes_down_to_the_graph_that_waits_and_to_no_other() {
    let [waits, has_ended] = bases();
    for answer in [json!("Y"), json!({INSIDE: "Y"})] {
        let mut thread = outer();
        let graph = thread.graph.clone();
        let mut guest = |work: &Work| match work.task.as_ref().unwrap().name.as_str() {
            "left" => Outcome::Stopped(question(INSIDE)),
            _ => log("right"),
        };
        let input = Entry::Input(Json::from(json!({"log": []})));
        thread.run(None, input, of_run("1"), &mut guest, &mut |_| 0);

        let mut guest = |work: &Work| {
            assert_eq!(work.task.as_ref().unwrap().name, "left");
            assert_eq!(work.inside().goes_on(), GoesOn::Anything);
            assert_eq!(work.answers(), []);
            let entry = |base| work.inside().entry(&graph, base, work.input());
            assert_eq!(resumed_with(&entry(Some(&waits))), Some(answer.clone()));
            assert!(matches!(entry(Some(&has_ended)), Entry::Continue));
            log("left")
        };
        let resumed = resume(answer.clone());
        let ran = thread.run(None, resumed, of_run("2"), &mut guest, &mut |_| 0);
        assert_eq!(
            ran.end.unwrap().values.to_value(),
            json!({"log": ["left", "right"]})
        );
    }
}

#[test]
fn a_graph_that_stops_at_a_breakpoint_stops_the_run_without_a_question() {
    let mut thread = outer();
    let input = Entry::Input(Json::from(json!({"log": []})));
    let mut stop = |_: &Work| Outcome::Stopped(Vec::new());
    let ran = thread.run(None, input, options(), &mut stop, &mut |_| 0);
    let end = ran.end.unwrap();
    assert_eq!((&end.kind, end.next.len()), (&EndKind::Interrupted, 2));
    assert!(end.interrupts.is_empty());
    let updates = ran.events.iter().filter(|(mode, _)| *mode == "updates");
    assert_eq!(
        updates.map(|(_, data)| data.clone()).collect::<Vec<_>>(),
        [json!({"__interrupt__": []})]
    );

    let mut guest = |work: &Work| log(&work.task.as_ref().unwrap().name);
    let ran = thread.run(None, Entry::Continue, options(), &mut guest, &mut |_| 0);
    assert_eq!(
        ran.end.unwrap().values.to_value(),
        json!({"log": ["left", "right"]})
    );
}
