//! What a node returns: writes to channels, and where to go beside the edges.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::NodeError;

/// A node that runs before the first super-step in name only: edges and branches may leave it.
pub const START: &str = "__start__";
/// The end of a path through the graph: edges, branches and gotos may lead to it.
pub const END: &str = "__end__";

/// What a node writes and where it goes, for a graph with the state `S`.
///
/// Begin with `Chat::update()` (or `Update::new()`, where the type is known) and chain the setters that
/// `#[derive(State)]` made from the fields. An empty update writes nothing. Names and types are checked:
///
/// ```
/// # use selvedge_sdk::prelude::*;
/// # #[derive(State, Serialize, Deserialize, JsonSchema)] struct Chat { summary: Option<String>, count: u64 }
/// let update = Chat::update().summary("short").count(3).goto("next");
/// # assert_eq!(update.written::<u64>("count"), Some(3));
/// ```
///
/// ```compile_fail,E0599
/// # use selvedge_sdk::prelude::*;
/// # #[derive(State, Serialize, Deserialize, JsonSchema)] struct Chat { summary: Option<String>, count: u64 }
/// let update = Chat::update().sumary("short");
/// ```
///
/// ```compile_fail,E0308
/// # use selvedge_sdk::prelude::*;
/// # #[derive(State, Serialize, Deserialize, JsonSchema)] struct Chat { summary: Option<String>, count: u64 }
/// let update = Chat::update().count("three");
/// ```
#[must_use = "an update does nothing unless the node returns it"]
pub struct Update<S> {
    effects: Effects,
    state: PhantomData<fn() -> S>,
}

/// An [`Update`] without its type.
#[derive(Default)]
pub(crate) struct Effects {
    writes: Vec<(Cow<'static, str>, String)>,
    goto: Vec<Goto>,
    /// It is for the graph around this one.
    to_parent: bool,
    /// The first value that could not be written as JSON; reported when the node returns.
    error: Option<NodeError>,
}

impl<S> Update<S> {
    /// Writes nothing and goes where the edges lead.
    pub fn new() -> Self {
        Self {
            effects: Effects::default(),
            state: PhantomData,
        }
    }

    /// Leaves the graph, which is a node of another, with an update of that one: this graph ends here, and the other goes
    /// on as if the node had returned the update. Its gotos lead to the other graph's nodes.
    ///
    /// ```
    /// # use selvedge_sdk::prelude::*;
    /// # #[derive(State, Serialize, Deserialize, JsonSchema)] struct Outer { summary: Option<String> }
    /// # #[derive(State, Serialize, Deserialize, JsonSchema)] struct Inner { note: Option<String> }
    /// fn hand_over(_: Inner, _: &Context) -> NodeResult<Inner> {
    ///     Ok(Update::to_parent(Outer::update().summary("short").goto("writer")))
    /// }
    /// ```
    pub fn to_parent<P>(update: Update<P>) -> Self {
        Self {
            effects: Effects {
                to_parent: true,
                ..update.effects
            },
            state: PhantomData,
        }
    }

    /// Runs a node next, beside those that the edges lead to.
    pub fn goto(mut self, target: impl Into<Goto>) -> Self {
        self.effects.goto.push(target.into());
        self
    }

    /// As [`goto`](Self::goto), where the condition holds.
    pub fn goto_if(self, condition: bool, target: impl Into<Goto>) -> Self {
        if condition { self.goto(target) } else { self }
    }

    /// Runs a node once for each of these, with an argument of its own.
    pub fn send(mut self, sends: impl IntoIterator<Item = Send>) -> Self {
        self.effects.goto.extend(sends.into_iter().map(Goto::Send));
        self
    }

    /// Writes to a channel by name. The derived setters do this with names and types checked; prefer them.
    pub fn write(
        mut self,
        channel: impl Into<Cow<'static, str>>,
        value: &(impl Serialize + ?Sized),
    ) -> Self {
        self.effects.push(channel.into(), value);
        self
    }

    /// Replaces the value of a channel whose writes would be combined with it. The derived `overwrite_…` setters do
    /// this with names and types checked.
    pub fn overwrite(
        self,
        channel: impl Into<Cow<'static, str>>,
        value: &(impl Serialize + ?Sized),
    ) -> Self {
        #[derive(Serialize)]
        struct Overwrite<T> {
            #[serde(rename = "__overwrite__")]
            value: T,
        }
        self.write(channel, &Overwrite { value })
    }

    /// What was last written to a channel, read as `T`: for tests.
    #[must_use]
    pub fn written<T: DeserializeOwned>(&self, channel: &str) -> Option<T> {
        let (_, json) = self
            .effects
            .writes
            .iter()
            .rev()
            .find(|(name, _)| name == channel)?;
        serde_json::from_str(json).ok()
    }

    /// Where the update goes beside the edges: for tests.
    #[must_use]
    pub fn targets(&self) -> &[Goto] {
        &self.effects.goto
    }

    pub(crate) fn into_effects(self) -> Effects {
        self.effects
    }
}

impl<S> Default for Update<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl Effects {
    fn push(&mut self, channel: Cow<'static, str>, value: &(impl Serialize + ?Sized)) {
        match serde_json::to_string(value) {
            Ok(json) => self.writes.push((channel, json)),
            Err(e) if self.error.is_none() => {
                self.error = Some(NodeError::new(
                    "InvalidUpdateError",
                    format!("channel `{channel}`: {e}"),
                ));
            }
            Err(_) => {}
        }
    }

    /// The answer of `run-node`: an object, or an array of them where one channel was written twice.
    pub(crate) fn into_json(self) -> Result<String, NodeError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut objects: Vec<Vec<usize>> = vec![Vec::new()];
        for index in 0..self.writes.len() {
            let name = &self.writes[index].0;
            match objects
                .iter_mut()
                .find(|o| o.iter().all(|&i| self.writes[i].0 != *name))
            {
                Some(object) => object.push(index),
                None => objects.push(vec![index]),
            }
        }
        let mut text = String::with_capacity(
            64 + self
                .writes
                .iter()
                .map(|(n, v)| n.len() + v.len() + 4)
                .sum::<usize>(),
        );
        let several = objects.len() > 1;
        if several && self.to_parent {
            let why = "an update of the graph around this one can write each channel once";
            return Err(NodeError::new("InvalidUpdateError", why));
        }
        text.push_str(if several { "[" } else { "" });
        for (n, object) in objects.iter().enumerate() {
            text.push_str(if n == 0 { "{" } else { ",{" });
            if !object.is_empty() {
                text.push_str("\"update\":{");
                for (position, &index) in object.iter().enumerate() {
                    let (name, value) = &self.writes[index];
                    text.push_str(if position == 0 { "" } else { "," });
                    text.push_str(&serde_json::to_string(name)?);
                    text.push(':');
                    text.push_str(value);
                }
                text.push('}');
            }
            if n == 0 && !self.goto.is_empty() {
                text.push_str(if object.is_empty() {
                    "\"goto\":"
                } else {
                    ",\"goto\":"
                });
                text.push_str(&serde_json::to_string(&self.goto)?);
            }
            if self.to_parent {
                let comma = if text.ends_with('{') { "" } else { "," };
                text.push_str(comma);
                text.push_str("\"graph\":\"__parent__\"");
            }
            text.push('}');
        }
        text.push_str(if several { "]" } else { "" });
        Ok(text)
    }
}

/// Where a branch or an update leads: a node by name, [`END`], or a [`Send`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Goto {
    /// A node, with the state.
    Node(Cow<'static, str>),
    /// A node, with an argument of its own.
    Send(Send),
}

/// Runs a node in the next super-step with an argument of its own instead of the state. Any number of them may
/// lead to one node; they run in parallel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Send {
    node: Cow<'static, str>,
    input: Value,
}

impl Send {
    /// The node must take an argument of this type: `fn work(item: Item, ctx: &Context) -> NodeResult<S>`.
    ///
    /// # Panics
    /// If the argument cannot be written as JSON (a map with keys that are no strings).
    pub fn new(node: impl Into<Cow<'static, str>>, argument: impl Serialize) -> Self {
        let input =
            serde_json::to_value(argument).expect("the argument of a Send can be written as JSON");
        Self {
            node: node.into(),
            input,
        }
    }

    /// The node that will run.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The argument, as it crosses to the host.
    #[must_use]
    pub fn input(&self) -> &Value {
        &self.input
    }
}

impl From<&'static str> for Goto {
    fn from(node: &'static str) -> Self {
        Self::Node(node.into())
    }
}

impl From<String> for Goto {
    fn from(node: String) -> Self {
        Self::Node(node.into())
    }
}

impl From<Send> for Goto {
    fn from(send: Send) -> Self {
        Self::Send(send)
    }
}

/// What a branch function may return: one target, or any number of them.
#[diagnostic::on_unimplemented(
    message = "a branch cannot return `{Self}`",
    note = "return a node's name (`&'static str` or `String`), END, a `Send`, a `Goto`, or a `Vec`, array or `Option` of those"
)]
pub trait IntoTargets {
    /// The targets in order.
    fn into_targets(self) -> Vec<Goto>;
}

macro_rules! one_target {
    ($($ty:ty),*) => {$(
        impl IntoTargets for $ty {
            fn into_targets(self) -> Vec<Goto> {
                vec![self.into()]
            }
        }
    )*};
}
one_target!(&'static str, String, Send, Goto);

impl<T: Into<Goto>> IntoTargets for Vec<T> {
    fn into_targets(self) -> Vec<Goto> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: Into<Goto>, const N: usize> IntoTargets for [T; N] {
    fn into_targets(self) -> Vec<Goto> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<T: Into<Goto>> IntoTargets for Option<T> {
    fn into_targets(self) -> Vec<Goto> {
        self.into_iter().map(Into::into).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(update: Update<()>) -> Value {
        serde_json::from_str(&update.into_effects().into_json().unwrap()).unwrap()
    }

    #[test]
    fn an_empty_update_is_an_empty_object() {
        assert_eq!(json(Update::new()), serde_json::json!({}));
    }

    #[test]
    fn a_channel_written_twice_makes_two_objects() {
        let update = Update::new()
            .write("log", &["a"])
            .write("foo", "x")
            .write("log", &["b"])
            .goto("next");
        assert_eq!(
            json(update),
            serde_json::json!([{"update": {"log": ["a"], "foo": "x"}, "goto": ["next"]}, {"update": {"log": ["b"]}}])
        );
    }

    #[test]
    fn a_goto_alone_has_no_update() {
        let update = Update::new()
            .goto_if(false, "a")
            .send([Send::new("work", 3)]);
        assert_eq!(
            json(update),
            serde_json::json!({"goto": [{"node": "work", "input": 3}]})
        );
    }

    #[test]
    fn an_update_of_the_graph_around_says_so() {
        let outer = || Update::<u8>::new().write("foo", "x");
        assert_eq!(
            json(Update::to_parent(outer().goto("b"))),
            serde_json::json!({"update": {"foo": "x"}, "goto": ["b"], "graph": "__parent__"})
        );
        assert_eq!(
            json(Update::to_parent(Update::<u8>::new())),
            serde_json::json!({"graph": "__parent__"})
        );
        let twice = Update::<()>::to_parent(outer().write("foo", "y"));
        let error = twice.into_effects().into_json().unwrap_err();
        assert_eq!(error.kind(), "InvalidUpdateError");
    }

    #[test]
    fn a_value_that_is_no_json_fails_the_node() {
        let bad = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = Update::<()>::new()
            .write("map", &bad)
            .into_effects()
            .into_json()
            .unwrap_err();
        assert_eq!(error.kind(), "InvalidUpdateError");
        assert!(error.message().starts_with("channel `map`"), "{error}");
    }
}
