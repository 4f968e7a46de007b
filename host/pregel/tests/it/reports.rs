//! What the recordings do not show: errors that LangGraph has elsewhere, and where this deliberately differs.

use selvedge_model::Json;
use selvedge_model::run::Command;
use selvedge_pregel::{EndKind, Entry, Failure, Outcome, Work, view};
use serde_json::{Value, json};

use crate::guest::Guest;
use crate::harness::{Ran, Thread, graph, options};

fn thread(nodes: &Value, edges: &Value) -> Thread {
    Thread::new(graph(&json!({
        "name": "g",
        "channels": [{"name": "log", "reducer": "append"}],
        "nodes": nodes,
        "edges": edges,
    })))
}

fn run(thread: &mut Thread, entry: Entry, guest: &mut dyn FnMut(&Work) -> Outcome) -> Ran {
    thread.run(None, entry, options(), guest, &mut |_| 0)
}

fn resume(value: Value) -> Entry {
    Entry::Command(Command {
        resume: Some(Json::from(value)),
        ..Command::default()
    })
}

fn input() -> Entry {
    Entry::Input(Json::from(json!({"log": []})))
}

#[test]
fn a_thread_that_rests_is_updated_again_and_again() {
    let mut guest = Guest::new(&json!({"nodes": {"a": [{"return": null}]}, "branches": {}}));
    let mut thread = Thread::new(graph(&json!({
        "name": "g",
        "channels": [{"name": "foo"}, {"name": "log", "reducer": "append"}],
        "nodes": [{"name": "a"}],
        "edges": [{"from": ["__start__"], "to": "a"}],
    })));
    run(&mut thread, input(), &mut |w| guest.work(w));
    let update = |foo: &str| {
        Entry::Command(Command {
            update: Some(Json::from(json!({"foo": foo, "log": [foo]}))),
            ..Command::default()
        })
    };
    // LangGraph 1.2 would have two values of one step for `foo` the second time.
    for (foo, log) in [
        ("L", json!(["L"])),
        ("M", json!(["L", "M"])),
        ("N", json!(["L", "M", "N"])),
    ] {
        let ran = run(&mut thread, update(foo), &mut |w| guest.work(w));
        let end = ran.end.unwrap();
        assert_eq!(end.kind, EndKind::Success);
        assert_eq!(end.values.to_value(), json!({"foo": foo, "log": log}));
    }
}

#[test]
fn an_answer_is_never_used_for_a_later_question() {
    let ask = json!([{"interrupt": "first?"}, {"interrupt": "second?"}, {"return": {"update": {"log": [{"$": "answers"}]}}}]);
    let mut guest = Guest::new(&json!({"nodes": {"a": ask}, "branches": {}}));
    let mut thread = thread(
        &json!([{"name": "a"}]),
        &json!([{"from": ["__start__"], "to": "a"}]),
    );
    run(&mut thread, input(), &mut |w| guest.work(w));
    run(&mut thread, resume(json!("yes")), &mut |w| guest.work(w));
    // LangGraph 1.2 would answer the second question by the first one's "yes" here.
    let ran = run(&mut thread, Entry::Continue, &mut |w| guest.work(w));
    let end = ran.end.unwrap();
    assert_eq!(end.kind, EndKind::Interrupted);
    let questions: Vec<_> = end
        .interrupts
        .values()
        .flatten()
        .map(|i| i.value.to_value())
        .collect();
    assert_eq!(questions, [json!("second?")]);
    let ran = run(&mut thread, resume(json!("no")), &mut |w| guest.work(w));
    assert_eq!(
        ran.end.unwrap().values.to_value(),
        json!({"log": [["yes", "no"]]})
    );
}

#[test]
fn null_is_an_answer() {
    let ask = json!([{"interrupt": "q"}, {"return": {"update": {"log": [{"$": "answers"}]}}}]);
    let mut guest = Guest::new(&json!({"nodes": {"a": ask}, "branches": {}}));
    let mut thread = thread(
        &json!([{"name": "a"}]),
        &json!([{"from": ["__start__"], "to": "a"}]),
    );
    run(&mut thread, input(), &mut |w| guest.work(w));
    let ran = run(&mut thread, resume(json!(null)), &mut |w| guest.work(w));
    assert_eq!(ran.end.unwrap().values.to_value(), json!({"log": [[null]]}));
}

#[test]
fn a_node_whose_branch_failed_runs_again() {
    let mut description = json!({
        "name": "g", "channels": [{"name": "log", "reducer": "append"}],
        "nodes": [{"name": "a"}, {"name": "b"}],
        "edges": [{"from": ["__start__"], "to": "a"}],
        "branches": [{"from": "a", "name": "r"}],
    });
    description["description"] = json!(null);
    let mut thread = Thread::new(graph(&description));
    let route = json!([{"to": ["b"]}]);
    let says = json!([{"return": {"update": {"log": [{"$": "name"}]}}}]);
    let behaviour = json!({"nodes": {"a": says, "b": says}, "branches": {"a/r": route}});
    let mut guest = Guest::new(&behaviour);
    let ran = run(&mut thread, input(), &mut |_| {
        Outcome::Failed(Failure {
            kind: "ValueError".to_owned(),
            message: "in the branch".to_owned(),
            retryable: false,
        })
    });
    assert!(matches!(ran.end.unwrap().kind, EndKind::Failed(error) if error.kind == "ValueError"));
    let state = view(&thread.graph, thread.newest().unwrap());
    assert_eq!(state.next, ["a"]);
    assert_eq!(
        state.tasks[0].error_text().unwrap(),
        "ValueError('in the branch')"
    );
    let ran = run(&mut thread, Entry::Continue, &mut |w| guest.work(w));
    assert_eq!(
        ran.end.unwrap().values.to_value(),
        json!({"log": ["a", "b"]})
    );
}

#[test]
fn work_can_be_abandoned_once_a_sibling_failed() {
    use selvedge_pregel::{Execution, Step};
    let nodes = json!([{"name": "a"}, {"name": "b"}]);
    let edges = json!([{"from": ["__start__"], "to": "a"}, {"from": ["__start__"], "to": "b"}]);
    let thread = thread(&nodes, &edges);
    let mut mint = thread.mint.clone();
    let graph = std::sync::Arc::clone(&thread.graph);
    let mut execution = Execution::start(graph, None, false, input(), options(), &mut mint);
    let Step::Work(work) = execution.step(&mut mint) else {
        panic!("work is to be done");
    };
    let failure = Failure {
        kind: "ValueError".to_owned(),
        message: "boom".to_owned(),
        retryable: false,
    };
    execution.complete(work[0].id, Outcome::Failed(failure), &mut mint);
    assert!(execution.is_failing());
    assert!(matches!(execution.step(&mut mint), Step::Waiting));
    execution.abandon(work[1].id);
    let Step::Ended(end) = execution.step(&mut mint) else {
        panic!("nothing is left to wait for");
    };
    assert!(matches!(end.kind, EndKind::Failed(error) if error.message == "boom"));
    assert_eq!(end.next, ["a", "b"]);
}

#[test]
fn a_run_that_comes_back_after_a_crash_does_not_take_its_input_twice() {
    let says = json!([{"return": {"update": {"log": [{"$": "name"}]}}}]);
    let mut guest = Guest::new(&json!({"nodes": {"a": says}, "branches": {}}));
    let mut thread = thread(
        &json!([{"name": "a"}]),
        &json!([{"from": ["__start__"], "to": "a"}]),
    );
    let mut own = options();
    own.metadata = Json::from(json!({"run_id": "r"}));
    let entry = || Entry::Input(Json::from(json!({"log": ["in"]})));
    thread.run(
        None,
        entry(),
        own.clone(),
        &mut |w| guest.work(w),
        &mut |_| 0,
    );
    let ran = thread.run(None, entry(), own, &mut |w| guest.work(w), &mut |_| 0);
    assert_eq!(
        ran.end.unwrap().values.to_value(),
        json!({"log": ["in", "a"]})
    );
}

#[test]
fn a_guest_call_is_told_its_task_and_the_facts() {
    let mut thread = thread(
        &json!([{"name": "a"}]),
        &json!([{"from": ["__start__"], "to": "a"}]),
    );
    let mut own = options();
    own.facts = Json::from(json!({"run": {"id": "r"}, "state": "not this"}));
    let mut told = Value::Null;
    let mut guest = |work: &Work| {
        let mut program = work.program(2);
        if let Some(selvedge_pregel::GuestCall::RunNode { task, .. }) = program.next() {
            told = task.to_value();
        }
        program.answer(Ok(Json::from(json!({"update": {"log": "x"}}))));
        let writes = program.finish().unwrap();
        let updates: Vec<_> = writes
            .updates()
            .map(|(c, v)| (c.to_owned(), v.to_value()))
            .collect();
        assert_eq!(updates, [("log".to_owned(), json!("x"))]);
        Outcome::Done(writes)
    };
    let entry = Entry::Input(Json::from(json!({"log": [1]})));
    thread.run(None, entry, own, &mut guest, &mut |_| 0);
    assert_eq!(told["state"], json!({"log": [1]}));
    assert_eq!(told["run"], json!({"id": "r"}));
    assert_eq!(told["task"]["attempt"], 2);
    assert_eq!(told["task"]["path"], json!(["__pregel_pull", "a"]));
    assert_eq!(told["task"]["triggers"], json!(["branch:to:a"]));
    assert_eq!(told["task"]["step"], 1);
}
