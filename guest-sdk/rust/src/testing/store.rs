//! A store for tests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

/// The store that nodes see in a test, in memory. Clones are the same store. Nothing in it ends with time.
///
/// ```
/// # use selvedge_sdk::prelude::*;
/// # use selvedge_sdk::testing::{Fake, MemoryStore};
/// # #[derive(State, Serialize, Deserialize, JsonSchema)] struct Chat { done: bool }
/// fn count(_: Chat, ctx: &Context) -> NodeResult<Chat> {
///     let before = ctx.store().get::<Value>(["counts"], "visits")?;
///     let visits = before.map_or(0, |item| item.value["n"].as_u64().unwrap_or(0));
///     ctx.store().put(["counts"], "visits", &json!({"n": visits + 1}))?;
///     Ok(Chat::update())
/// }
/// let store = MemoryStore::new();
/// store.put(["counts"], "visits", json!({"n": 41}));
/// count(Chat { done: false }, Fake::new().store(&store).ctx()).unwrap();
/// assert_eq!(store.get(["counts"], "visits"), Some(json!({"n": 42})));
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Rc<RefCell<BTreeMap<Name, Value>>>);

type Name = (Vec<String>, String);

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an item there.
    pub fn put(
        &self,
        namespace: impl IntoIterator<Item = impl AsRef<str>>,
        key: &str,
        value: Value,
    ) {
        self.0.borrow_mut().insert(name(namespace, key), value);
    }

    /// The value of an item.
    #[must_use]
    pub fn get(
        &self,
        namespace: impl IntoIterator<Item = impl AsRef<str>>,
        key: &str,
    ) -> Option<Value> {
        self.0.borrow().get(&name(namespace, key)).cloned()
    }

    /// Deletes an item, if there is one.
    pub fn delete(&self, namespace: impl IntoIterator<Item = impl AsRef<str>>, key: &str) {
        self.0.borrow_mut().remove(&name(namespace, key));
    }

    /// All items, each with its namespace and key, in their order.
    #[must_use]
    pub fn items(&self) -> Vec<(Vec<String>, String, Value)> {
        let items = self.0.borrow();
        items
            .iter()
            .map(|((namespace, key), value)| (namespace.clone(), key.clone(), value.clone()))
            .collect()
    }
}

fn name(namespace: impl IntoIterator<Item = impl AsRef<str>>, key: &str) -> Name {
    let labels = namespace.into_iter();
    let labels = labels.map(|label| label.as_ref().to_owned()).collect();
    (labels, key.to_owned())
}
