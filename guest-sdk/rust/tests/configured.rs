//! Graphs that depend on how a run is configured.

use selvedge_sdk::prelude::*;
use selvedge_sdk::testing::Run;

#[derive(State, Serialize, Deserialize, JsonSchema)]
struct Log {
    #[channel(append)]
    log: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Choice {
    tools: Vec<String>,
}

fn chosen(setting: &Setting) -> Result<StateGraph<Log>, NodeError> {
    let Choice { tools } = setting.configurable()?;
    let begin = |_: Log, _: &Context| Ok(Log::update());
    let mut graph = StateGraph::new().node("begin", begin).edge(START, "begin");
    for tool in tools {
        let name = tool.clone();
        let work = move |_: Log, ctx: &Context| {
            let Choice { tools } = ctx.configurable()?;
            Ok(Log::update().log([format!("{name} of {}", tools.len())]))
        };
        graph = graph.node(tool.clone(), work).edge("begin", tool);
    }
    Ok(graph)
}

/// It has no graph where it is not told which.
fn demanding(setting: &Setting) -> Result<StateGraph<Log>, NodeError> {
    match setting.context.get("kind") {
        Some(_) => chosen(setting),
        None => Err(NodeError::value("which kind?")),
    }
}

mod good {
    use super::chosen;

    selvedge_sdk::graphs! { "chosen" => selvedge_sdk::configured(chosen) }
}

mod bad {
    use super::demanding;

    selvedge_sdk::graphs! { "demanding" => selvedge_sdk::configured(demanding) }
}

fn setting(configurable: &Value) -> Setting {
    let given = json!({"configurable": configurable});
    serde_json::from_value(given).expect("a setting")
}

#[test]
fn a_run_has_the_graph_that_it_is_configured_for() {
    let graphs = good::graphs();
    graphs.check().unwrap();
    let plain = graphs.invoke("chosen", json!({})).unwrap();
    assert_eq!(plain, json!({"log": []}));
    let tools = setting(&json!({"tools": ["a", "b"]}));
    let run = Run::start_for(&graphs, "chosen", json!({}), tools).unwrap();
    assert_eq!(run.output(), json!({"log": ["a of 2", "b of 2"]}));

    let wrong = setting(&json!({"tools": 1}));
    let failed = Run::start_for(&graphs, "chosen", json!({}), wrong);
    let error = failed.err().unwrap();
    assert_eq!(error.kind(), "ConfigError");
}

#[test]
fn its_description_says_that_it_depends_on_that() {
    let described = good::graphs().describe();
    let graph = &described["graphs"][0];
    assert_eq!(graph["configured"], true);
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 1);
}

#[test]
fn a_graph_that_is_none_where_nothing_is_configured_is_a_mistake() {
    let problems = bad::graphs().check().unwrap_err();
    let expected = "graph `demanding`: it cannot be built where nothing is configured";
    assert!(problems.list()[0].starts_with(expected), "{problems}");
}
