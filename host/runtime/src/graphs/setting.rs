//! What graphs that depend on how a run is configured are built for.

use selvedge_model::Json;
use selvedge_model::assistant::Assistant;
use selvedge_model::run::RunKwargs;

use super::ServedGraph;
use crate::admit::assemble::{FACTS, Members, RESERVED_CONFIGURABLE, members, without};

/// What the assistant and the caller gave, without what the server adds: a graph that was built for a run is the same in
/// the next run that is configured so, in the assistant's drawing and when the state is read.
#[derive(Clone, Debug)]
pub struct Setting(Json);

impl Setting {
    /// That of a run.
    pub(crate) fn of_run(graph: &ServedGraph, kwargs: &RunKwargs) -> Self {
        let config = graph.context.config(kwargs);
        Self::new(&config, &graph.context.context(&kwargs.context))
    }

    /// That of a run which gives nothing beside its assistant.
    pub(crate) fn of_assistant(graph: &ServedGraph, assistant: &Assistant) -> Self {
        let context = graph.context.context(&assistant.context);
        Self::new(&assistant.config, &context)
    }

    fn new(config: &Json, context: &Json) -> Self {
        let configurable = members(config).swap_remove("configurable");
        let configurable = configurable.as_ref().and_then(Json::members);
        let given = without(configurable.unwrap_or_default(), &RESERVED_CONFIGURABLE);
        Self(Json::object([
            ("configurable", &sorted(without(given, &FACTS))),
            ("context", &sorted(members(context))),
        ]))
    }

    /// `{"configurable": {}, "context": {}}`, the members of both in order: their order means nothing.
    pub(crate) fn as_json(&self) -> &Json {
        &self.0
    }
}

fn sorted(mut members: Members) -> Json {
    members.sort_unstable_keys();
    Json::object(&members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(config: &str, context: &str) -> String {
        let json = |text: &str| Json::parse(text).unwrap();
        Setting::new(&json(config), &json(context)).0.to_string()
    }

    #[test]
    fn what_the_server_adds_is_no_part_of_it_and_order_means_nothing() {
        let given = r#"{"tags":["t"],"configurable":{"run_id":"r","b":{"y":1,"x":2},"thread_id":"t","a":1,
            "langgraph_auth_user":{"identity":"ann"},"__request_start_time_ms__":5}}"#;
        let kept = r#"{"configurable":{"a":1,"b":{"y":1,"x":2}},"context":{"c":1,"d":2}}"#;
        assert_eq!(setting(given, r#"{"d":2,"c":1}"#), kept);
        assert_eq!(setting("{}", "{}"), r#"{"configurable":{},"context":{}}"#);
    }
}
