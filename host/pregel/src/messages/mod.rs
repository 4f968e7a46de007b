//! LangChain's messages on JSON: `add_messages`, the reducer of chat histories.
//!
//! A history mostly grows at its end, so a merge says whether it only did; then a step stores what came and not the
//! whole history again. Ids come from the writer's task, never from chance: see `identified`.

mod coerce;

use std::collections::HashSet;

use selvedge_model::Json;
use selvedge_model::run::RunError;
use uuid::Uuid;

pub use coerce::{coerce, coerce_all};

use crate::errors::value_error;
use crate::ids;

/// The id of a `RemoveMessage` that removes everything before it.
pub const REMOVE_ALL: &str = "__remove_all__";

/// What merging messages into a history did.
#[derive(Clone, Debug, PartialEq)]
pub enum Merged {
    /// These came at the end.
    Append(Vec<Json>),
    /// The history is this now.
    Replace(Vec<Json>),
}

/// LangGraph's `add_messages`: new messages at the end, those with a known id in place of the old ones, and
/// removals.
///
/// # Errors
/// What is no message, and the removal of one that does not exist.
pub fn add_messages(history: &[Json], update: &Json) -> Result<Merged, RunError> {
    merge(history, update, "messages")
}

/// [`add_messages`], with the channel's name for ids that are still missing.
pub(crate) fn merge(history: &[Json], update: &Json, channel: &str) -> Result<Merged, RunError> {
    if update.is_null() {
        let given = if history.is_empty() { "right" } else { "left" };
        return Err(value_error(format!(
            "Must specify non-null arguments for both 'left' and 'right'. Only received: '{given}'."
        )));
    }
    let mut messages = Vec::new();
    for (index, message) in coerce_all(update)?.into_iter().enumerate() {
        messages.push(with_id(
            message,
            Uuid::nil(),
            channel,
            history.len() + index,
        ));
    }
    let is_remove_all = |m: &Json| is_removal(m) && id_of(m).as_deref() == Some(REMOVE_ALL);
    if let Some(last) = messages.iter().rposition(is_remove_all) {
        return Ok(Merged::Replace(messages.split_off(last + 1)));
    }
    apply(history, messages)
}

fn apply(history: &[Json], messages: Vec<Json>) -> Result<Merged, RunError> {
    let mut added: Vec<Json> = Vec::new();
    // Only once something old changes is the history copied.
    let mut changed: Option<Vec<Json>> = None;
    let mut removed: HashSet<String> = HashSet::new();
    for message in messages {
        let id = id_of(&message).unwrap_or_default();
        let removal = is_removal(&message);
        let known = position(changed.as_deref().unwrap_or(history), &id);
        match (known, position(&added, &id)) {
            (None, None) if removal => {
                return Err(value_error(format!(
                    "Attempting to delete a message with an ID that doesn't exist ('{id}')"
                )));
            }
            (None, None) => added.push(message),
            _ if removal => {
                removed.insert(id);
            }
            (Some(at), _) => {
                removed.remove(&id);
                changed.get_or_insert_with(|| history.to_vec())[at] = message;
            }
            (None, Some(at)) => {
                removed.remove(&id);
                added[at] = message;
            }
        }
    }
    if changed.is_none() && removed.is_empty() {
        return Ok(Merged::Append(added));
    }
    let mut all = changed.unwrap_or_else(|| history.to_vec());
    all.extend(added);
    if !removed.is_empty() {
        all.retain(|m| id_of(m).is_none_or(|id| !removed.contains(&id)));
    }
    Ok(Merged::Replace(all))
}

/// The messages in a node's write to any channel, in their serialised form: what LangGraph streams as messages when a
/// node returns them. Anything else in it is passed over.
#[must_use]
pub fn in_update(value: &Json) -> Vec<Json> {
    let items = value.items().unwrap_or_else(|| vec![value.clone()]);
    items.into_iter().filter(is_message).collect()
}

fn is_message(value: &Json) -> bool {
    const KINDS: [&str; 7] = [
        "human",
        "ai",
        "system",
        "tool",
        "function",
        "chat",
        "AIMessageChunk",
    ];
    value.as_str().contains("\"content\":")
        && value.members().is_some_and(|m| {
            let kind = m.get("type").and_then(|t| t.decode::<String>().ok());
            m.contains_key("content") && kind.is_some_and(|k| KINDS.contains(&k.as_str()))
        })
}

/// A write to a messages channel with its messages coerced and given ids that derive from `seed` (the writer's task),
/// so that the same write always means the same messages. What is no message stays as it is and fails in the reducer.
pub(crate) fn identified(write: &Json, seed: Uuid, channel: &str) -> Json {
    if let Some(value) = crate::channel::overwrite(write) {
        let value = identified(&value, seed, channel);
        return Json::object([("__overwrite__", &value)]);
    }
    if write.is_null() {
        return write.clone();
    }
    let Ok(messages) = coerce_all(write) else {
        return write.clone();
    };
    let messages: Vec<Json> = messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| with_id(message, seed, channel, index))
        .collect();
    match messages.as_slice() {
        [one] if !write.is_array() => one.clone(),
        all => Json::array(all),
    }
}

fn with_id(message: Json, seed: Uuid, channel: &str, index: usize) -> Json {
    if id_of(&message).is_some() {
        return message;
    }
    let Some(mut members) = message.members() else {
        return message;
    };
    let id = ids::message_id(seed, channel, index, message.as_str());
    members.insert("id".to_owned(), Json::string(&id));
    Json::object(members.iter())
}

fn id_of(message: &Json) -> Option<String> {
    message
        .members()?
        .get("id")?
        .decode::<Option<String>>()
        .ok()?
}

fn is_removal(message: &Json) -> bool {
    message.as_str().contains("\"type\":\"remove\"")
        && message
            .members()
            .is_some_and(|m| m.get("type").is_some_and(|t| t.as_str() == "\"remove\""))
}

/// Where a message with this id stands. Texts are searched before anything is parsed: a history is long, and hardly
/// ever does another message hold the id.
fn position(messages: &[Json], id: &str) -> Option<usize> {
    let needle = format!("\"id\":{}", Json::string(id));
    messages
        .iter()
        .rposition(|m| m.as_str().contains(&needle) && id_of(m).as_deref() == Some(id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn human(id: &str, content: &str) -> Json {
        coerce(&Json::from(
            json!({"role": "user", "content": content, "id": id}),
        ))
        .unwrap()
    }

    fn remove(id: &str) -> serde_json::Value {
        json!({"type": "remove", "content": "", "id": id})
    }

    #[test]
    fn new_messages_are_appended_and_known_ids_replaced() {
        let history = vec![human("1", "a"), human("2", "b")];
        let more = Json::from(json!([{"role": "user", "content": "c", "id": "3"}]));
        assert_eq!(
            add_messages(&history, &more).unwrap(),
            Merged::Append(vec![human("3", "c")])
        );
        let edit = Json::from(json!({"role": "user", "content": "A", "id": "1"}));
        assert_eq!(
            add_messages(&history, &edit).unwrap(),
            Merged::Replace(vec![human("1", "A"), human("2", "b")])
        );
    }

    #[test]
    fn messages_are_removed_one_by_one_or_all_before() {
        let history = vec![human("1", "a"), human("2", "b")];
        let one = Json::from(json!([remove("1")]));
        assert_eq!(
            add_messages(&history, &one).unwrap(),
            Merged::Replace(vec![human("2", "b")])
        );
        let all =
            Json::from(json!([remove(REMOVE_ALL), {"role": "user", "content": "c", "id": "3"}]));
        assert_eq!(
            add_messages(&history, &all).unwrap(),
            Merged::Replace(vec![human("3", "c")])
        );
        let error = add_messages(&history, &Json::from(json!(remove("9")))).unwrap_err();
        assert_eq!(
            error.message,
            "Attempting to delete a message with an ID that doesn't exist ('9')"
        );
    }

    #[test]
    fn the_messages_of_an_update_are_found_among_other_things() {
        let message = human("1", "a");
        let update = Json::array([
            &message,
            &Json::from(json!({"type": "x", "content": 1})),
            &Json::from(json!(5)),
        ]);
        assert_eq!(in_update(&update), vec![message.clone()]);
        assert_eq!(in_update(&message), vec![message]);
        assert_eq!(in_update(&Json::from(json!("text"))), Vec::<Json>::new());
    }

    #[test]
    fn a_message_without_an_id_gets_the_same_one_each_time() {
        let write = Json::from(json!(["hi", ["ai", "there"]]));
        let seed = Uuid::from_u128(7);
        let first = identified(&write, seed, "messages");
        assert_eq!(
            first.as_str(),
            identified(&write, seed, "messages").as_str()
        );
        let ids: HashSet<_> = first
            .items()
            .unwrap()
            .iter()
            .map(|m| id_of(m).unwrap())
            .collect();
        assert_eq!(ids.len(), 2);
        assert_ne!(
            first.as_str(),
            identified(&write, Uuid::nil(), "messages").as_str()
        );
    }
}
