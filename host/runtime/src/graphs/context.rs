//! What of its `context` a run's graph gets: the members that the graph declares, so that a caller who serves several
//! graphs may give all of them the same.

use std::collections::BTreeSet;

use selvedge_model::Json;
use selvedge_model::run::RunKwargs;

use crate::admit::assemble::{CONTEXT_PROVIDED, members};

/// The members of a graph's context; `None` where the graph takes any.
pub(crate) struct DeclaredContext(Option<BTreeSet<String>>);

impl DeclaredContext {
    /// From the JSON Schema of the context. One that names no members, or allows others beside them, takes any.
    pub(crate) fn of_schema(schema: Option<&Json>) -> Self {
        let names = || {
            let schema = schema?.members()?;
            let others = schema.get("additionalProperties");
            if others.is_some_and(|others| others.as_str() != "false") {
                return None;
            }
            Some(schema.get("properties")?.members()?.into_keys().collect())
        };
        Self(names())
    }

    /// The context as the graph gets it.
    pub(crate) fn context(&self, context: &Json) -> Json {
        let Self(Some(declared)) = self else {
            return context.clone();
        };
        let mut context = members(context);
        context.retain(|name, _| declared.contains(name));
        Json::object(&context)
    }

    /// The configuration as the graph gets it. Its `configurable` mirrors a context that the caller gave, and loses
    /// the same members.
    pub(crate) fn config(&self, kwargs: &RunKwargs) -> Json {
        let mut config = members(&kwargs.config);
        let configurable = config.get("configurable").and_then(Json::members);
        let (Self(Some(declared)), Some(mut configurable)) = (self, configurable) else {
            return kwargs.config.clone();
        };
        if !configurable.contains_key(CONTEXT_PROVIDED) {
            return kwargs.config.clone();
        }
        let context = members(&kwargs.context);
        configurable.retain(|name, _| declared.contains(name) || !context.contains_key(name));
        config.insert("configurable".into(), Json::object(&configurable));
        Json::object(&config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(schema: Option<&str>) -> String {
        let json = |text: &str| Json::parse(text).unwrap();
        let declared = DeclaredContext::of_schema(schema.map(json).as_ref());
        declared
            .context(&json(r#"{"user":"ann","more":1}"#))
            .as_str()
            .to_owned()
    }

    #[test]
    fn only_a_schema_that_is_closed_keeps_members_out() {
        let all = r#"{"user":"ann","more":1}"#;
        assert_eq!(cut(None), all);
        assert_eq!(cut(Some("true")), all);
        assert_eq!(cut(Some(r#"{"type":"object"}"#)), all);
        let open = r#"{"properties":{"user":{}},"additionalProperties":{"type":"integer"}}"#;
        assert_eq!(cut(Some(open)), all);
        for closed in [
            r#"{"properties":{"user":{}}}"#,
            r#"{"properties":{"user":{}},"additionalProperties":false}"#,
        ] {
            assert_eq!(cut(Some(closed)), r#"{"user":"ann"}"#);
        }
    }
}
