//! `store`: puts a fact about a user into the store if it is given one, and returns what is there.

use std::collections::BTreeMap;

use selvedge_sdk::prelude::*;

/// A fact about a user, what the store says of it, and all facts about the user.
#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Remembered {
    #[serde(default)]
    user: String,
    #[serde(default)]
    key: String,
    fact: Option<String>,
    got: Option<BTreeMap<String, Value>>,
    found: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
struct Fact {
    fact: String,
}

pub fn store() -> StateGraph<Remembered> {
    StateGraph::new()
        .node("remember", remember)
        .edge(START, "remember")
        .edge("remember", END)
}

fn remember(state: Remembered, ctx: &Context) -> NodeResult<Remembered> {
    let (store, namespace) = (ctx.store(), ["facts", &state.user]);
    if let Some(fact) = state.fact {
        store.put(namespace, &state.key, &Fact { fact })?;
    }
    let item = store.get(namespace, &state.key)?;
    let found = store.search(namespace).items::<Fact>()?;
    let mut facts: Vec<String> = found.into_iter().map(|item| item.value.fact).collect();
    facts.sort();
    Ok(Remembered::update()
        .got(item.map(|item| item.value))
        .found(facts))
}
