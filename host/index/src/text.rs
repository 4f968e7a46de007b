//! The texts of an item: what its paths lead to, written as LangGraph does, so that the same item has the same vectors
//! here and there.

use selvedge_model::Json;
use serde_json::Value;

use crate::path::Path;

/// Texts of one item; what follows is not embedded.
pub const MOST_TEXTS: usize = 256;

/// Of a longer text the front is embedded. Some 8,000 tokens, which is what common models take.
pub const MAX_TEXT_BYTES: usize = 32 << 10;

/// What is to be embedded of a value: each text once, none of them empty, for which there is no vector.
#[must_use]
pub fn texts(value: &Json, paths: &[Path]) -> Vec<String> {
    let value = value.to_value();
    let mut texts: Vec<String> = Vec::new();
    for path in paths {
        let wants_more = path.visit(&value, &mut |part| {
            let text = text(part);
            if !text.is_empty() && !texts.contains(&text) {
                texts.push(text);
            }
            texts.len() < MOST_TEXTS
        });
        if !wants_more {
            break;
        }
    }
    texts
}

/// The front of a text that is embedded.
#[must_use]
pub fn front(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// A string as it is, anything else as Python's `str` and `json.dumps(sort_keys=True, ensure_ascii=False)` have it; empty
/// for `null`.
fn text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Null => {}
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::String(text) => out.push_str(front(text)),
        value => write(&mut out, value),
    }
    out.truncate(front(&out).len());
    out
}

/// Writes no more than is needed to fill a text.
fn write(out: &mut String, value: &Value) {
    if out.len() > MAX_TEXT_BYTES {
        return;
    }
    match value {
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if separate(out, position) {
                    write(out, item);
                }
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (position, (name, member)) in members.into_iter().enumerate() {
                if separate(out, position) {
                    write_string(out, name);
                    out.push_str(": ");
                    write(out, member);
                }
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Whether there is room for one more.
fn separate(out: &mut String, position: usize) -> bool {
    let has_room = out.len() <= MAX_TEXT_BYTES;
    if has_room && position > 0 {
        out.push_str(", ");
    }
    has_room
}

fn write_string(out: &mut String, text: &str) {
    // JSON's form of what can be in the text at all.
    out.push_str(&Value::from(front(text)).to_string());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: &Value, paths: &[&str]) -> Vec<String> {
        let paths: Vec<Path> = paths.iter().map(|path| path.parse().unwrap()).collect();
        texts(&Json::from(value.clone()), &paths)
    }

    #[test]
    fn values_are_written_as_langgraph_does() {
        let value = json!({"b": "zebra", "a": "ü\n\"", "t": true, "z": null, "f": 1.5, "l": [1, "x"], "o": {}});
        let whole = r#"{"a": "ü\n\"", "b": "zebra", "f": 1.5, "l": [1, "x"], "o": {}, "t": true, "z": null}"#;
        assert_eq!(of(&value, &["$"]), [whole]);
        assert_eq!(
            of(&value, &["a", "t", "z", "f", "l", "o"]),
            ["ü\n\"", "True", "1.5", "[1, \"x\"]", "{}"]
        );
        assert_eq!(of(&value, &["l[*]", "l[0]", "missing"]), ["1", "x"]);
    }

    #[test]
    fn texts_are_bounded_in_length_and_number() {
        let long = "ä".repeat(MAX_TEXT_BYTES);
        let value = json!({"long": long, "in": {"deep": [long, long]}, "many": (0..1_000).collect::<Vec<_>>()});
        for path in ["long", "in", "$"] {
            let texts = of(&value, &[path]);
            assert!(
                (MAX_TEXT_BYTES - 3..=MAX_TEXT_BYTES).contains(&texts[0].len()),
                "{path}"
            );
        }
        assert_eq!(of(&value, &["many[*]", "long"]).len(), MOST_TEXTS);
    }
}
