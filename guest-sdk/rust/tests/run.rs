//! Whole graphs, driven natively.

use selvedge_sdk::prelude::*;
use selvedge_sdk::testing::Run;

#[derive(State, Serialize, Deserialize, JsonSchema)]
struct Log {
    #[channel(append)]
    log: Vec<String>,
    tries: Option<u32>,
}

fn note(name: &'static str) -> impl Fn(Log, &Context) -> NodeResult<Log> {
    move |_, _| Ok(Log::update().log([name]))
}

#[derive(Deserialize)]
struct OnlyLog {
    log: Vec<String>,
}

fn flaky(_: Log, ctx: &Context) -> NodeResult<Log> {
    if ctx.task().attempt < 3 {
        return Err(NodeError::new("Busy", "try again").retryable());
    }
    Ok(Log::update().log([format!("attempt {}", ctx.task().attempt)]))
}

fn ask_twice(_: Log, ctx: &Context) -> NodeResult<Log> {
    let first: String = ctx.interrupt("first?")?;
    let second: String = ctx.interrupt("second?")?;
    Ok(Log::update().log([first, second]))
}

selvedge_sdk::graphs! {
    "join" => StateGraph::<Log>::new()
        .node("a", note("a")).node("b", note("b")).node("b2", note("b2")).node("c", note("c"))
        .edge(START, "a").edge(START, "b").edge("b", "b2")
        .join(["a", "b2"], "c"),
    "retry" => StateGraph::<Log>::new()
        .node_with("flaky", flaky, NodeOptions::new().retry(Retry::new()))
        .edge(START, "flaky"),
    "impatient" => StateGraph::<Log>::new().node("flaky", flaky).edge(START, "flaky"),
    "reads" => StateGraph::<Log>::new()
        .node_with("a", |s: OnlyLog, _: &Context| Ok(Log::update().tries(s.log.len() as u32)), NodeOptions::new().reads(["log"]))
        .edge(START, "a"),
    "ask" => StateGraph::<Log>::new().node("ask", ask_twice).node("b", note("b")).edge(START, "ask").edge(START, "b"),
    "twice" => StateGraph::<Log>::new()
        .node("a", |_: Log, _: &Context| Ok(Log::update().tries(1)))
        .node("b", |_: Log, _: &Context| Ok(Log::update().tries(2)))
        .edge(START, "a").edge(START, "b"),
    "missing" => StateGraph::<Log>::new()
        .node("a", |needs: Needs, _: &Context| Ok(Log::update().log([needs.name])))
        .edge(START, "a"),
    "panics" => StateGraph::<Log>::new(),
}

#[derive(Deserialize)]
struct Needs {
    name: String,
}

#[test]
fn a_join_waits_for_all_its_sources() {
    let run = Run::start(&graphs(), "join", json!({})).unwrap();
    assert_eq!(run.output()["log"], json!(["a", "b", "b2", "c"]));
    assert_eq!(run.steps(), 3);
}

#[test]
fn a_failure_is_tried_again_as_the_policy_says() {
    assert_eq!(
        graphs().invoke("retry", json!({})).unwrap()["log"],
        json!(["attempt 3"])
    );
    assert_eq!(
        graphs().invoke("impatient", json!({})).unwrap_err().kind(),
        "Busy"
    );
}

#[test]
fn a_node_gets_the_channels_that_it_reads() {
    assert_eq!(
        graphs()
            .invoke("reads", json!({"log": ["x"], "tries": 9}))
            .unwrap()["tries"],
        1
    );
}

#[test]
fn the_nth_question_gets_the_nth_answer_and_siblings_run_once() {
    let mut run = Run::start(&graphs(), "ask", json!({})).unwrap();
    assert_eq!(run.questions(), ["first?"]);
    run.resume("1").unwrap();
    assert_eq!(run.questions(), ["second?"]);
    run.resume("2").unwrap();
    assert_eq!(run.output()["log"], json!(["1", "2", "b"]));
    assert!(run.resume("3").is_err());
}

#[test]
fn two_writes_to_a_last_value_are_refused() {
    assert_eq!(
        graphs().invoke("twice", json!({})).unwrap_err().kind(),
        "InvalidUpdateError"
    );
}

#[test]
fn a_missing_field_is_explained() {
    let error = graphs().invoke("missing", json!({})).unwrap_err();
    assert_eq!(error.kind(), "InvalidStateError");
    assert!(
        error.message().contains("missing field `name`")
            && error.message().contains("make the field an Option"),
        "{error}"
    );
}

#[test]
fn a_graph_with_mistakes_does_not_run() {
    assert_eq!(
        graphs().invoke("panics", json!({})).unwrap_err().kind(),
        "InvalidGraph"
    );
}
