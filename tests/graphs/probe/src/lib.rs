//! Small graphs for the black-box tests of the host, one per behaviour. Each says what it does at its head.

mod cached;
mod calling;
mod choosing;
mod chosen;
mod effects;
mod excess;
mod failing;
mod fan;
mod fork;
mod garbage;
mod hitl;
mod hoarding;
mod inside;
mod luring;
mod memory;
mod nested;
mod patience;
mod reaching;
mod shows;
mod steps;
mod storing;
mod surroundings;
mod two;
mod watched;
mod weight;

selvedge_sdk::graphs! {
    "two" => two::graph(),
    "fail" => failing::fail(),
    "panic" => failing::panics(),
    "spin" => failing::spin(),
    "spinroute" => failing::spin_in_a_branch(),
    "bomb" => failing::bomb(),
    "trap" => failing::traps(),
    "recurse" => failing::recurse(),
    "slow" => weight::slow(),
    "big" => weight::big(),
    "calls" => calling::graph(),
    "effects" => effects::graph(),
    "excess" => excess::graph(),
    "hitl" => hitl::graph(),
    "both" => hitl::both(),
    "retry" => failing::retries(),
    "steps" => steps::graph(),
    "custom" => shows::custom(),
    "tokens" => shows::tokens(),
    "clock" => shows::clock(),
    "garbage" => garbage::graph(),
    "env" => surroundings::env(),
    "given" => surroundings::given(),
    "stdout" => surroundings::stdout(),
    "reach" => reaching::reach(),
    "exit" => reaching::exit(),
    "hoard" => hoarding::graph(),
    "luring" => luring::graph(),
    "memory" => memory::graph(),
    "fan" => fan::graph(),
    "fork" => fork::graph(),
    "cached" => cached::cached(),
    "cached_briefly" => cached::cached_briefly(),
    "patience" => patience::patience(),
    "idle" => patience::idle(),
    "busy" => patience::busy(),
    "idle_inside" => patience::idle_inside(),
    "idle_calling" => patience::idle_calling(),
    "storing" => storing::graph(),
    "choosing" => choosing::graph(),
    "chosen" => selvedge_sdk::configured(chosen::chosen),
    "helping" => selvedge_sdk::configured(chosen::helping),
    "around" => chosen::around(),
    "nested" => nested::nested(),
    "leaf" => nested::leaf(),
    "wide" => nested::wide(),
    "handover" => nested::handover(),
    "paused" => nested::paused(),
    "abroad" => nested::abroad(),
    "within" => nested::within(),
    "endless" => nested::endless(),
    "calling" => nested::calling(),
    "talking" => nested::talking(),
    "descending" => nested::descending(),
    "telling" => watched::telling(),
    "six" => watched::six(),
    "toolbox" => watched::toolbox(),
    "asking" => inside::asking(),
    "kept_node" => inside::kept_node(),
    "kept_call" => inside::kept_call(),
    "rounds" => inside::rounds(),
    "mirrors" => inside::mirrors(),
    "many" => inside::many(),
    "effects_within" => inside::effects_within(),
    "leaving" => inside::leaving(),
    "late" => inside::late(),
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::testing::{Run, answer_http};
    use serde_json::json;

    use super::graphs;

    #[test]
    fn the_graphs_have_no_mistakes() {
        graphs().check().unwrap();
    }

    #[test]
    fn two_nodes_run_one_after_the_other() {
        let output = graphs().invoke("two", json!({"foo": "in"})).unwrap();
        assert_eq!(output, json!({"foo": "inab", "log": ["a", "b"]}));
    }

    #[test]
    fn fail_fails_with_the_kind_that_callers_see() {
        let error = graphs().invoke("fail", json!({})).unwrap_err();
        assert_eq!((error.kind(), error.message()), ("ValueError", "boom"));
    }

    #[test]
    fn effects_posts_once_for_each_task_and_once_after_them() {
        answer_http(|request| {
            selvedge_sdk::info!("{} {}", request.method(), request.url());
            Ok((200, vec![]))
        });
        let output = graphs()
            .invoke("effects", json!({"counter": "http://counter/"}))
            .unwrap();
        assert_eq!(output["done"], json!(["one", "two", "three", "after"]));
        let lines = selvedge_sdk::testing::logs();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3].1, "POST http://counter/?task=after");
    }

    #[test]
    fn calls_says_what_came_of_each_request() {
        answer_http(|request| match request.url() {
            "http://one/" => Ok((201, vec!["made".to_owned()])),
            _ => Err(selvedge_sdk::http::HttpError::Denied("no".to_owned())),
        });
        let requests = json!([
            {"method": "PUT", "url": "http://one/", "headers": {"x-a": "1"}},
            {"method": "GET", "url": "http://two/"},
        ]);
        let output = graphs()
            .invoke("calls", json!({"requests": requests}))
            .unwrap();
        let outcomes = json!(["201 made", "the request is not allowed: no"]);
        assert_eq!(output["outcomes"], outcomes);
    }

    #[test]
    fn hitl_waits_for_one_answer() {
        let mut run = Run::start(&graphs(), "hitl", json!({})).unwrap();
        assert_eq!(run.questions(), [json!({"question": "Go on?"})]);
        run.resume("yes").unwrap();
        assert_eq!(
            run.output(),
            json!({"answer": "yes", "log": ["asked", "after"]})
        );
    }

    #[test]
    fn steps_asks_twice_then_goes_two_steps_more() {
        answer_http(|_| Ok((200, vec![])));
        let input = json!({"counter": "http://counter/"});
        let mut run = Run::start(&graphs(), "steps", input).unwrap();
        assert_eq!(run.questions(), [json!("one?")]);
        run.resume("x").unwrap();
        assert_eq!(run.questions(), [json!("two?")]);
        run.resume("y").unwrap();
        assert_eq!(run.output()["log"], json!(["x, y", "next", "last"]));
    }

    #[test]
    fn nested_asks_at_the_innermost_and_hands_up_what_it_came_to() {
        let mut run = Run::start(&graphs(), "nested", json!({"foo": "x"})).unwrap();
        assert_eq!(run.questions(), [json!({"question": "ok?"})]);
        assert_eq!(run.output(), json!({"foo": "xa", "log": ["a"]}));
        run.resume("Y").unwrap();
        // Each graph adds its whole log to that of the one around it.
        let log = ["a", "a", "m", "a", "m", "i", "asked", "b"];
        assert_eq!(run.output(), json!({"foo": "xamiYb", "log": log}));
    }

    #[test]
    fn wide_asks_in_two_graphs_of_one_step() {
        let mut run = Run::start(&graphs(), "wide", json!({})).unwrap();
        assert_eq!(run.questions().len(), 2);
        run.resume("L").unwrap();
        run.resume("R").unwrap();
        assert_eq!(run.output()["log"], json!(["L", "R", "after"]));
    }

    #[test]
    fn handover_goes_on_in_the_outer_graph() {
        let output = graphs().invoke("handover", json!({})).unwrap();
        assert_eq!(output, json!({"foo": "from insideb", "log": ["left", "b"]}));
    }

    #[test]
    fn calling_asks_in_each_graph_that_it_calls() {
        let mut run = Run::start(&graphs(), "calling", json!({"foo": "x"})).unwrap();
        assert_eq!(run.questions().len(), 1);
        run.resume("Y").unwrap();
        assert_eq!(run.questions().len(), 1);
        run.resume("Z").unwrap();
        let log = ["ValueError", "GraphNotFound"];
        assert_eq!(run.output(), json!({"foo": "xiYiZ", "log": log}));
    }

    #[test]
    fn chosen_has_the_tools_that_its_run_is_configured_with() {
        let none = graphs().invoke("chosen", json!({})).unwrap();
        assert_eq!(none, json!({"log": []}));
        let setting =
            json!({"configurable": {"tools": ["b", "a"], "helper": true, "review": true}});
        let setting = serde_json::from_value(setting).unwrap();
        let mut run = Run::start_for(&graphs(), "around", json!({}), setting).unwrap();
        let log = ["b", "a", "help_with_2"];
        assert_eq!(run.questions(), [json!({"right?": log})]);
        run.resume("yes").unwrap();
        assert_eq!(run.output(), json!({"log": log, "verdict": "!yes"}));
    }

    #[test]
    fn telling_waits_before_each_word() {
        answer_http(|request| {
            selvedge_sdk::info!("{}", request.url());
            Ok((200, vec![]))
        });
        let said = |text: &str| {
            let messages = json!([{"role": "user", "content": text}]);
            json!({"gate": "http://gate/", "messages": messages})
        };
        let run = Run::start(&graphs(), "telling", said("one two")).unwrap();
        assert_eq!(run.tokens(), "one two");
        let waited: Vec<String> = selvedge_sdk::testing::logs()
            .into_iter()
            .map(|(_, line)| line)
            .collect();
        assert_eq!(waited, ["http://gate/?at=one", "http://gate/?at=two"]);
        let error = graphs().invoke("telling", said("one boom")).unwrap_err();
        assert_eq!((error.kind(), error.message()), ("ValueError", "boom"));
    }

    #[test]
    fn six_bring_together_what_each_found() {
        answer_http(|_| Ok((200, vec![])));
        let output = graphs()
            .invoke("six", json!({"gate": "http://gate/"}))
            .unwrap();
        assert_eq!(output["found"], json!([1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn tokens_shows_what_it_returns() {
        let run = Run::start(&graphs(), "tokens", json!({})).unwrap();
        assert_eq!(run.tokens(), "hello there world");
        assert_eq!(run.output()["messages"][0]["content"], "hello there world");
    }
}
