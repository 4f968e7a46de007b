//! What a run's graph and its checkpoints are told about the run.

use indexmap::IndexMap;
use selvedge_model::Json;
use selvedge_model::run::ClaimedRun;
use serde_json::json;

use crate::admit::assemble::RESERVED_CONFIGURABLE;
use crate::graphs::ServedGraph;

/// Of a checkpoint in a nested graph's namespace: the checkpoints of the graphs around it.
pub(crate) const CHECKPOINT_PARENTS: &str = "parents";

/// Of a checkpoint in a nested graph's namespace: the graph, by the address that `Graphs::at` takes.
pub(crate) const SUBGRAPH: &str = "subgraph";

/// Of a checkpoint that a change of the state made, where the graph depends on how a run is configured: the run that it was
/// built for.
pub(crate) const BUILT_FOR: &str = "built_for";

pub(super) fn recursion_limit(config: &Json, default: u32) -> u32 {
    config
        .members()
        .and_then(|c| c.get("recursion_limit")?.decode().ok())
        .unwrap_or(default)
}

/// What every guest call is told about its run.
pub(super) fn facts(claimed: &ClaimedRun, graph: &ServedGraph, config: &Json) -> Json {
    let run = &claimed.run;
    let about = Json::from(json!({
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "graph_id": graph.id,
        "attempt": claimed.attempt,
        "user": configurable(config).and_then(|mut given| given.swap_remove("langgraph_auth_user")),
    }));
    Json::object([
        ("run", &about),
        ("config", config),
        ("context", &graph.context.context(&run.kwargs.context)),
    ])
}

/// What callers can filter checkpoints by; LangGraph merges the run's metadata into it, and what the caller set in
/// `configurable`.
pub(super) fn checkpoint_metadata(claimed: &ClaimedRun, config: &Json) -> Json {
    let run = &claimed.run;
    if run.kwargs.temporary {
        return Json::from(json!({}));
    }
    let mut metadata = run.metadata.members().unwrap_or_default();
    metadata.insert("run_id".into(), Json::from(json!(run.run_id)));
    metadata.insert("thread_id".into(), Json::from(json!(run.thread_id)));
    metadata.insert("run_attempt".into(), Json::from(json!(claimed.attempt)));
    // LangGraph's name the caller as well; `""` where nobody had to say who they are.
    let given = configurable(config).unwrap_or_default();
    for name in ["user_id", "langgraph_auth_user_id"] {
        let identity = given.get(name).cloned();
        metadata.insert(name.into(), identity.unwrap_or_else(|| Json::string("")));
    }
    // A run that a cron made has none.
    let request_id = given.get("langgraph_request_id");
    if let Some(id) = request_id.filter(|id| !id.is_null()) {
        metadata.insert("langgraph_request_id".into(), id.clone());
    }
    for (name, value) in settings(config) {
        metadata.entry(name).or_insert(value);
    }
    Json::object(&metadata)
}

fn configurable(config: &Json) -> Option<IndexMap<String, Json>> {
    config.members()?.get("configurable")?.members()
}

/// The plain members of `configurable` that are the caller's own.
fn settings(config: &Json) -> impl Iterator<Item = (String, Json)> {
    const OURS: [&str; 2] = ["user_id", "checkpoint_ns"];
    configurable(config)
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, value)| {
            let ours = name.starts_with("__")
                || OURS.contains(&name.as_str())
                || RESERVED_CONFIGURABLE.contains(&name.as_str());
            !ours && !value.as_str().starts_with(['{', '[', 'n'])
        })
}
