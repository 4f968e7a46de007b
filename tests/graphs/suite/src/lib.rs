//! The graphs that the official clients drive, one per behaviour of the API. Each says what it does at its head.
//!
//! `tests/comparison/reference/graphs.py` holds the same graphs for the reference server: the same names, state keys,
//! nodes and values. Change both together.

mod failing;
mod given;
mod nesting;
mod paths;
mod people;
mod policies;
mod remembering;
mod shows;
mod trail;

selvedge_sdk::graphs! {
    "two" => paths::two(),
    "breaks" => paths::breaks(),
    "defer" => paths::defer(),
    "fan" => paths::fan(),
    "goto" => paths::goto(),
    "limit" => paths::limit(),
    "hitl" => people::hitl(),
    "hitl_many" => people::hitl_many(),
    "hitl_loop" => people::hitl_loop(),
    "nested" => nesting::nested(),
    "leaf" => nesting::leaf(),
    "wide" => nesting::wide(),
    "handover" => nesting::handover(),
    "leave" => nesting::leave(),
    "talking" => nesting::talking(),
    "fail" => failing::fail(),
    "fail_b" => failing::fail_b(),
    "retry" => failing::retry(),
    "cached" => policies::cached(),
    "timed" => policies::timed(),
    "store" => remembering::store(),
    "slow" => shows::slow(),
    "custom" => shows::custom(),
    "chat" => shows::chat(),
    "echo_messages" => shows::echo_messages(),
    "unicode" => shows::unicode(),
    "ctx" => given::graph(),
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::testing::{MemoryStore, Run};
    use serde_json::{Value, json};

    use super::graphs;

    fn output(graph: &str, input: Value) -> Value {
        graphs().invoke(graph, input).unwrap()
    }

    #[test]
    fn the_graphs_have_no_mistakes() {
        graphs().check().unwrap();
    }

    #[test]
    fn the_paths_give_what_their_twins_in_python_give() {
        assert_eq!(
            output("two", json!({"foo": "in"})),
            json!({"foo": "inab", "log": ["a", "b"]})
        );
        assert_eq!(
            output("fan", json!({"items": ["a", "b"]})),
            json!({"items": ["a", "b"], "results": ["A", "B"], "total": 2})
        );
        assert_eq!(
            output("goto", json!({"to": ["left", "right"], "foo": "z"}))["log"],
            json!(["route", "left", "right:z"])
        );
        assert_eq!(
            output("defer", json!({"foo": ""}))["log"],
            json!(["long_1", "short", "long_2", "last"])
        );
    }

    #[test]
    fn chat_streams_one_message_and_returns_another() {
        let question = json!({"messages": [{"role": "user", "content": "hi"}]});
        let run = Run::start(&graphs(), "chat", question).unwrap();
        assert_eq!(run.tokens(), "hello there world");
        assert_eq!(run.output()["messages"][1]["id"], "ai-1");
        assert_eq!(run.output()["messages"][2]["content"], "final");
    }

    #[test]
    fn hitl_loop_asks_until_the_answer_is_done() {
        let mut run = Run::start(&graphs(), "hitl_loop", json!({"answers": []})).unwrap();
        for (so_far, answer) in ["one", "two", "done"].into_iter().enumerate() {
            assert_eq!(
                run.questions(),
                [json!({"question": "more?", "so_far": so_far})]
            );
            run.resume(answer).unwrap();
        }
        assert_eq!(run.output(), json!({"answers": ["one", "two", "done"]}));
    }

    #[test]
    fn the_graphs_inside_give_what_their_twins_in_python_give() {
        let mut run = Run::start(&graphs(), "nested", json!({"foo": "x"})).unwrap();
        assert_eq!(run.questions(), [json!({"question": "deep?"})]);
        run.resume("Y").unwrap();
        let log = ["a", "a", "m", "a", "m", "i", "ask", "b"];
        assert_eq!(run.output(), json!({"foo": "xamiYb", "log": log}));
        assert_eq!(
            output("handover", json!({"foo": "x"})),
            json!({"foo": "from inside b", "log": ["left", "b"]})
        );
        let question = json!({"messages": [{"role": "user", "content": "hi"}]});
        let run = Run::start(&graphs(), "talking", question).unwrap();
        assert_eq!(run.tokens(), "hello there world");
    }

    #[test]
    fn store_gives_what_earlier_runs_have_put_there() {
        let items = MemoryStore::new();
        items.put(
            ["facts", "ada"],
            "outside",
            json!({"fact": "from a caller"}),
        );
        let input = json!({"user": "ada", "key": "inside", "fact": "from a graph"});
        let run = Run::start_in(&graphs(), "store", input, &items).unwrap();
        assert_eq!(run.output()["got"], json!({"fact": "from a graph"}));
        let asked = json!({"user": "ada", "key": "nobody"});
        let run = Run::start_in(&graphs(), "store", asked, &items).unwrap();
        assert_eq!(run.output()["got"], Value::Null);
        assert_eq!(
            run.output()["found"],
            json!(["from a caller", "from a graph"])
        );
    }

    #[test]
    fn unicode_says_what_is_hard_to_carry() {
        let said = output("unicode", json!({"text": "é\u{2028}"}));
        assert_eq!(said["echo"], "é\u{2028}");
        assert_eq!(said["own"], "line\u{2028}paragraph\u{2029}nul\u{0}😀");
    }
}
