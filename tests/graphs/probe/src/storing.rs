//! `storing`: calls the store as the input says, and returns each answer, or the kind and message of the refusal.

use std::time::Duration;

use selvedge_sdk::prelude::*;
use selvedge_sdk::store::{Item, PutOptions, Store};

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Storing {
    #[serde(default)]
    calls: Vec<Call>,
    answers: Option<Vec<Value>>,
    /// Whether the node fails in the end.
    #[serde(default)]
    fails: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Call {
    Get(Vec<String>, String),
    Put(Vec<String>, String, Value),
    /// For so many milliseconds.
    PutFor(Vec<String>, String, Value, u64),
    /// Embedded by these paths, or not at all.
    PutIndexed(Vec<String>, String, Value, Option<Vec<String>>),
    Delete(Vec<String>, String),
    /// With a filter, a limit and an offset.
    Search(Vec<String>, Option<Value>, u32, u32),
    /// By meaning; answers with keys and scores.
    Near(Vec<String>, String),
    /// With a prefix, a suffix and a depth.
    Namespaces(Vec<String>, Vec<String>, u32),
}

pub fn graph() -> StateGraph<Storing> {
    StateGraph::new()
        .node("call", call)
        .edge(START, "call")
        .edge("call", END)
}

fn call(state: Storing, ctx: &Context) -> NodeResult<Storing> {
    let answers = state.calls.into_iter().map(|call| {
        answer(ctx.store(), call)
            .unwrap_or_else(|error| json!({"error": error.kind(), "message": error.message()}))
    });
    let answers: Vec<Value> = answers.collect();
    if state.fails {
        return Err(NodeError::value("afterwards"));
    }
    Ok(Storing::update().answers(answers))
}

fn answer(store: Store<'_>, call: Call) -> Result<Value, NodeError> {
    Ok(match call {
        Call::Get(namespace, key) => json!(store.get(namespace, &key)?.map(shown)),
        Call::Put(namespace, key, value) => json!(store.put(namespace, &key, &value)?),
        Call::PutFor(namespace, key, value, millis) => {
            let options = PutOptions::new().lifetime(Duration::from_millis(millis));
            json!(store.put_with(namespace, &key, &value, &options)?)
        }
        Call::PutIndexed(namespace, key, value, paths) => {
            let options = match paths {
                Some(paths) => PutOptions::new().index(paths),
                None => PutOptions::new().unindexed(),
            };
            json!(store.put_with(namespace, &key, &value, &options)?)
        }
        Call::Delete(namespace, key) => json!(store.delete(namespace, &key)?),
        Call::Search(prefix, filter, limit, offset) => {
            let mut search = store.search(prefix).limit(limit).offset(offset);
            if let Some(filter) = filter {
                search = search.filter(filter);
            }
            let items = search.items::<Value>()?;
            items.into_iter().map(|item| item.key).collect()
        }
        Call::Near(prefix, query) => {
            let items = store.search(prefix).query(query).items::<Value>()?;
            items
                .into_iter()
                .map(|item| json!([item.key, item.score]))
                .collect()
        }
        Call::Namespaces(prefix, suffix, depth) => {
            let list = store.namespaces().prefix(prefix).suffix(suffix);
            json!(list.max_depth(depth).list()?)
        }
    })
}

fn shown(item: Item<Value>) -> Value {
    json!({
        "namespace": item.namespace,
        "key": item.key,
        "value": item.value,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    })
}
