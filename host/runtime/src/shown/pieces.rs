//! A message that comes in pieces, put together as LangChain does it: texts are joined, lists appended (items with
//! the same `index` are one), objects merged, the pieces of tool calls read as far as they have come.

use selvedge_model::Json;
use serde_json::{Map, Value, json};

/// The members that only pieces have.
const OF_PIECES: [&str; 2] = ["tool_call_chunks", "chunk_position"];

/// A message so far.
#[derive(Default)]
pub(crate) struct Pieces(Map<String, Value>);

impl Pieces {
    /// Adds a piece and gives the message as far as it has come.
    pub(crate) fn add(&mut self, piece: &Json) -> Json {
        self.hear(piece);
        self.message()
    }

    /// Adds a piece.
    pub(crate) fn hear(&mut self, piece: &Json) {
        if let Value::Object(piece) = piece.to_value() {
            for (name, value) in piece {
                match self.0.get_mut(&name) {
                    Some(Value::String(_)) if is_constant(&name) => {}
                    Some(old) => merge(old, value),
                    None => {
                        self.0.insert(name, value);
                    }
                }
            }
        }
    }

    /// The message as far as it has come.
    pub(crate) fn message(&self) -> Json {
        let mut message = self.0.clone();
        if let Some(Value::Array(chunks)) = message.get("tool_call_chunks")
            && !chunks.is_empty()
        {
            let calls = chunks.iter().map(tool_call).collect();
            message.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        for name in OF_PIECES {
            message.shift_remove(name);
        }
        if let Some(Value::String(kind)) = message.get_mut("type")
            && let Some(whole) = kind.strip_suffix("MessageChunk")
        {
            *kind = whole.to_lowercase();
        }
        Json::from(Value::Object(message))
    }
}

/// What every piece says again.
fn is_constant(name: &str) -> bool {
    matches!(
        name,
        "id" | "type" | "name" | "role" | "index" | "chunk_position"
    )
}

fn merge(old: &mut Value, new: Value) {
    match (old, new) {
        (_, Value::Null) => {}
        (old @ Value::Null, new) => *old = new,
        (Value::String(old), Value::String(new)) => old.push_str(&new),
        (Value::Array(old), Value::Array(new)) => new.into_iter().for_each(|item| add(old, item)),
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in new {
                match old.get_mut(&name) {
                    Some(Value::String(_)) if is_constant(&name) => {}
                    Some(known) if name != "index" => merge(known, value),
                    Some(_) => {}
                    None => {
                        old.insert(name, value);
                    }
                }
            }
        }
        // Counts of tokens.
        (Value::Number(old), Value::Number(new)) => {
            if let (Some(a), Some(b)) = (old.as_i64(), new.as_i64()) {
                *old = a.saturating_add(b).into();
            }
        }
        (old @ Value::String(_), Value::Array(new)) => {
            let text = json!({"type": "text", "text": old.take()});
            *old = Value::Array(std::iter::once(text).chain(new).collect());
        }
        (Value::Array(old), text @ Value::String(_)) => old.push(text),
        (old, new) => *old = new,
    }
}

fn add(items: &mut Vec<Value>, item: Value) {
    let index = item.get("index").filter(|index| !index.is_null());
    let known = index.and_then(|index| items.iter().position(|i| i.get("index") == Some(index)));
    match known {
        Some(at) => merge(&mut items[at], item),
        None => items.push(item),
    }
}

fn tool_call(chunk: &Value) -> Value {
    let of = |name: &str| chunk.get(name).cloned().unwrap_or_default();
    let args = chunk
        .get("args")
        .and_then(Value::as_str)
        .unwrap_or_default();
    json!({"name": of("name"), "args": as_far_as_it_came(args), "id": of("id"), "type": "tool_call"})
}

/// The object whose text has come in part: what is open is closed; what makes no sense yet is left out.
fn as_far_as_it_came(text: &str) -> Value {
    let mut open = Vec::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' if !in_string => open.push('}'),
            '[' if !in_string => open.push(']'),
            '}' | ']' if !in_string => {
                open.pop();
            }
            _ => {}
        }
    }
    let mut whole = text.to_owned();
    if escaped {
        whole.pop();
    }
    if in_string {
        whole.push('"');
    }
    let closing: String = open.into_iter().rev().collect();
    let closed = |text: &str| serde_json::from_str(&format!("{text}{closing}")).ok();
    let read = closed(&whole).or_else(|| closed(whole.trim_end().trim_end_matches(',')));
    read.filter(Value::is_object).unwrap_or_else(|| json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[Value]) -> Value {
        let mut message = Pieces::default();
        let mut last = Json::null();
        for piece in pieces {
            last = message.add(&Json::from(piece.clone()));
        }
        last.to_value()
    }

    #[test]
    fn texts_grow_and_counts_add_up() {
        let piece = |content: &str, tokens: u32| {
            json!({"type": "AIMessageChunk", "id": "1", "content": content, "tool_calls": [],
                "usage_metadata": {"output_tokens": tokens}, "tool_call_chunks": [], "chunk_position": null})
        };
        assert_eq!(
            said(&[piece("hel", 1), piece("lo", 2)]),
            json!({"type": "ai", "id": "1", "content": "hello", "tool_calls": [],
                "usage_metadata": {"output_tokens": 3}})
        );
    }

    #[test]
    fn a_tool_call_is_read_as_far_as_it_came() {
        let piece = |args: &str| {
            json!({"type": "AIMessageChunk", "content": "", "tool_call_chunks":
                [{"index": 0, "id": "c", "name": "search", "args": args, "type": "tool_call_chunk"}]})
        };
        let args = |pieces: &[Value]| said(pieces)["tool_calls"][0]["args"].clone();
        assert_eq!(args(&[piece(r#"{"q":"#)]), json!({}));
        assert_eq!(args(&[piece(r#"{"q": "we"#)]), json!({"q": "we"}));
        assert_eq!(
            args(&[piece(r#"{"q": "we"#), piece("ft\\")]),
            json!({"q": "weft"})
        );
        let whole = [
            piece(r#"{"q": "we"#),
            piece("ft\", \"n\": [1,"),
            piece("2]}"),
        ];
        assert_eq!(args(&whole), json!({"q": "weft", "n": [1, 2]}));
    }
}
