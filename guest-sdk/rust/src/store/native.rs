//! The store of native tests: the items of one `MemoryStore`, which the tests can look at.

use serde_json::{Value, json};

use crate::context::Context;
use crate::error::NodeError;

pub(super) fn get(
    ctx: &Context,
    namespace: &[String],
    key: &str,
    _options: &str,
) -> Result<Option<String>, NodeError> {
    check(namespace)?;
    let found = ctx.host.store().get(namespace, key);
    Ok(found.map(|value| item(namespace, key, &value).to_string()))
}

pub(super) fn put(
    ctx: &Context,
    namespace: &[String],
    key: &str,
    value: &str,
    _options: &str,
) -> Result<(), NodeError> {
    check(namespace)?;
    if namespace[0] == "langgraph" {
        let message = "Root label for namespace cannot be \"langgraph\".";
        return Err(NodeError::new("InvalidNamespaceError", message));
    }
    let value: Value = serde_json::from_str(value)?;
    if !value.is_object() {
        return Err(NodeError::value("the value of an item must be an object"));
    }
    ctx.host.store().put(namespace, key, value);
    Ok(())
}

pub(super) fn delete(ctx: &Context, namespace: &[String], key: &str) -> Result<(), NodeError> {
    check(namespace)?;
    ctx.host.store().delete(namespace, key);
    Ok(())
}

pub(super) fn search(ctx: &Context, prefix: &[String], query: &str) -> Result<String, NodeError> {
    let query: Value = serde_json::from_str(query)?;
    let found = ctx.host.store().items().into_iter();
    let found: Vec<Value> = page(
        found.filter(|(namespace, _, value)| {
            namespace.starts_with(prefix) && matches(value, &query["filter"])
        }),
        &query,
        10,
    )
    .map(|(namespace, key, value)| item(&namespace, &key, &value))
    .collect();
    Ok(Value::from(found).to_string())
}

pub(super) fn list_namespaces(ctx: &Context, query: &str) -> Result<String, NodeError> {
    let query: Value = serde_json::from_str(query)?;
    let wanted = |name: &str| query[name].as_array().cloned().unwrap_or_default();
    let (prefix, suffix) = (wanted("prefix"), wanted("suffix"));
    let fits = |wanted: &[Value], labels: &[String]| {
        wanted.len() <= labels.len()
            && wanted
                .iter()
                .zip(labels)
                .all(|(wanted, label)| wanted == "*" || wanted == label)
    };
    let mut found: Vec<Vec<String>> = ctx
        .host
        .store()
        .items()
        .into_iter()
        .map(|(namespace, _, _)| namespace)
        .filter(|labels| {
            let tail = labels.len().saturating_sub(suffix.len());
            fits(&prefix, labels) && fits(&suffix, &labels[tail..])
        })
        .collect();
    if let Some(depth) = number(&query["max_depth"]) {
        found.iter_mut().for_each(|labels| labels.truncate(depth));
    }
    found.dedup();
    let found: Vec<Value> = page(found.into_iter(), &query, 100)
        .map(Value::from)
        .collect();
    Ok(Value::from(found).to_string())
}

/// Nothing in a test depends on when an item was put.
fn item(namespace: &[String], key: &str, value: &Value) -> Value {
    const THEN: &str = "1970-01-01T00:00:00Z";
    json!({"namespace": namespace, "key": key, "value": value, "created_at": THEN, "updated_at": THEN})
}

fn page<T>(
    found: impl Iterator<Item = T>,
    query: &Value,
    default_limit: usize,
) -> impl Iterator<Item = T> {
    found
        .skip(number(&query["offset"]).unwrap_or(0))
        .take(number(&query["limit"]).unwrap_or(default_limit))
}

fn number(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

fn check(namespace: &[String]) -> Result<(), NodeError> {
    let bad = |label: &&String| label.is_empty() || label.contains('.');
    let message = match (namespace, namespace.iter().find(bad)) {
        ([], _) => "Namespace cannot be empty.".to_owned(),
        (_, Some(label)) => {
            format!("Namespace label '{label}' must be a non-empty string without periods")
        }
        (_, None) => return Ok(()),
    };
    Err(NodeError::new("InvalidNamespaceError", message))
}

/// The host's filter in small: members equal, or compare as the operators say.
fn matches(value: &Value, filter: &Value) -> bool {
    let Some(members) = filter.as_object() else {
        return true;
    };
    members.iter().all(|(name, wanted)| {
        let found = value.get(name).unwrap_or(&Value::Null);
        match wanted.as_object() {
            Some(operators) if operators.keys().any(|name| name.starts_with('$')) => operators
                .iter()
                .all(|(operator, operand)| compares(operator, found, operand)),
            Some(_) => found.is_object() && matches(found, wanted),
            None => found == wanted,
        }
    })
}

fn compares(operator: &str, found: &Value, operand: &Value) -> bool {
    let order = match (found, operand) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) => a
            .as_f64()
            .zip(b.as_f64())
            .and_then(|(a, b)| a.partial_cmp(&b)),
    };
    match operator {
        "$eq" => found == operand,
        "$ne" => found != operand,
        "$gt" => order.is_some_and(std::cmp::Ordering::is_gt),
        "$gte" => order.is_some_and(std::cmp::Ordering::is_ge),
        "$lt" => order.is_some_and(std::cmp::Ordering::is_lt),
        "$lte" => order.is_some_and(std::cmp::Ordering::is_le),
        _ => false,
    }
}
