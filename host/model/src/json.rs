//! JSON that stays text.
//!
//! A channel's value travels from the database to a guest and back without being parsed: only what must look
//! inside it (a reducer, a filter) does. [`Json`] is that text, shared by reference count, with promises that hold
//! for every value in the program because there is no other way to make one: it is valid JSON, it has no
//! insignificant white space (so it fits one `data:` line of an event stream), it is at most [`MAX_DEPTH`] deep,
//! its strings hold neither U+0000 nor half a surrogate pair, and its numbers, however many digits they have, are
//! finite doubles.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// How deeply arrays and objects may nest, the whole value counted as level 1.
///
/// serde_json stops at 128 as well; the bound keeps every recursive reader behind it safe from a stack overflow.
pub const MAX_DEPTH: usize = 128;

/// One JSON value as text; cloning it costs a reference count.
#[derive(Clone)]
pub struct Json(Arc<str>);

/// Why a text is not a [`Json`].
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("not valid JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Nested deeper than allowed: [`MAX_DEPTH`] levels, or fewer where the caller said so.
    #[error("JSON nested more than {limit} levels deep")]
    TooDeep {
        /// The levels that are allowed.
        limit: usize,
    },
    /// A property name with U+0000 in it: it would not survive storage and is refused rather than renamed.
    #[error("a property name contains the character U+0000")]
    NulInName,
    /// A number that no reader of JSON could hold: it would become infinite, or nothing at all.
    #[error("the number {0} is beyond what a double can hold")]
    HugeNumber(String),
}

impl Json {
    /// Checks a text and keeps it, compacted.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, JsonError> {
        Self::parse_within(text, MAX_DEPTH)
    }

    /// As [`parse`](Self::parse), for a source that may nest less deeply; more than [`MAX_DEPTH`] it may not.
    pub fn parse_within(text: impl AsRef<str>, max_depth: usize) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_str(text.as_ref())?;
        Self::checked(raw.get(), max_depth.min(MAX_DEPTH))
    }

    /// The same for bytes, such as a request body.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_slice(bytes)?;
        Self::checked(raw.get(), MAX_DEPTH)
    }

    /// Writes a Rust value down.
    ///
    /// # Errors
    /// When the value has no JSON form (a map with keys that are not strings) or is too deep.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        Self::checked(&serde_json::to_string(value)?, MAX_DEPTH)
    }

    /// A text that was a [`Json`] when storage wrote it down. Only its syntax is checked: values that were joined
    /// may be a little deeper than [`MAX_DEPTH`], and must be readable again.
    pub fn stored(text: impl AsRef<str>) -> Result<Self, JsonError> {
        let raw: &RawValue = serde_json::from_str(text.as_ref())?;
        Ok(Self::part(raw))
    }

    /// The items of an array text that storage wrote down, split in one pass.
    pub fn stored_items(text: &str) -> Result<Vec<Self>, JsonError> {
        let items: Vec<&RawValue> = serde_json::from_str(text)?;
        Ok(items.into_iter().map(Self::part).collect())
    }

    /// Writes down a value of ours, whose parts may be as deep as values may be already.
    ///
    /// A type of ours that has no JSON form is a mistake, which stops a test and is `null` otherwise.
    #[must_use]
    pub fn written<T: Serialize + ?Sized>(value: &T) -> Self {
        let text = serde_json::to_string(value).map_err(JsonError::from);
        match text.and_then(|text| Self::checked(&text, usize::MAX)) {
            Ok(json) => json,
            Err(error) => {
                debug_assert!(false, "no JSON form: {error}");
                Self::null()
            }
        }
    }

    /// Cleans a text that is known to be JSON.
    fn checked(text: &str, max_depth: usize) -> Result<Self, JsonError> {
        Ok(Self(Arc::from(clean(text, max_depth)?)))
    }

    /// A part of a text that is a [`Json`] already and need not be checked again.
    fn part(raw: &RawValue) -> Self {
        Self(Arc::from(raw.get()))
    }

    /// `null`.
    #[must_use]
    pub fn null() -> Self {
        static NULL: LazyLock<Json> = LazyLock::new(|| Json(Arc::from("null")));
        NULL.clone()
    }

    /// A string; U+0000 in it is replaced.
    #[must_use]
    pub fn string(text: &str) -> Self {
        let mut quoted = String::with_capacity(text.len() + 2);
        if text.contains('\0') {
            push_string(&mut quoted, &text.replace('\0', "\u{fffd}"));
        } else {
            push_string(&mut quoted, text);
        }
        Self(Arc::from(quoted))
    }

    /// `{}` when there are no members, else the members in their order. The parts are trusted to be what they are,
    /// so joining costs a copy and no parsing.
    #[must_use]
    pub fn object<'a, K: AsRef<str>>(members: impl IntoIterator<Item = (K, &'a Json)>) -> Self {
        let mut text = String::from("{");
        for (name, value) in members {
            if text.len() > 1 {
                text.push(',');
            }
            push_string(&mut text, name.as_ref());
            text.push(':');
            text.push_str(value.as_str());
        }
        text.push('}');
        Self(Arc::from(text))
    }

    /// An array of the items.
    #[must_use]
    pub fn array<'a>(items: impl IntoIterator<Item = &'a Json>) -> Self {
        let mut text = String::from("[");
        for item in items {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(item.as_str());
        }
        text.push(']');
        Self(Arc::from(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Length of the text in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_str().len()
    }

    /// Never: the shortest JSON text has one character. Here because clippy wants it beside `len`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }

    /// Whether this is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }

    /// Whether this is an array.
    #[must_use]
    pub fn is_array(&self) -> bool {
        self.as_str().starts_with('[')
    }

    /// Splits an object at its top level; `None` for anything else. Of members with one name the last counts.
    #[must_use]
    pub fn members(&self) -> Option<IndexMap<String, Json>> {
        if !self.is_object() {
            return None;
        }
        let members: Members = serde_json::from_str(self.as_str()).ok()?;
        Some(members.0)
    }

    /// Splits an array at its top level; `None` for anything else.
    #[must_use]
    pub fn items(&self) -> Option<Vec<Json>> {
        if !self.is_array() {
            return None;
        }
        let items: Vec<&RawValue> = serde_json::from_str(self.as_str()).ok()?;
        Some(items.into_iter().map(Self::part).collect())
    }

    /// The whole value as a tree.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.decode().unwrap_or(Value::Null)
    }

    /// Reads the value into a Rust type.
    pub fn decode<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        let mut reader = serde_json::Deserializer::from_str(self.as_str());
        // The depth is bounded already, at a little more than serde_json's own bound once values are joined.
        reader.disable_recursion_limit();
        T::deserialize(&mut reader)
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::written(&value)
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.as_str() == other.as_str()
            || match (self.decode::<Value>(), other.decode::<Value>()) {
                (Ok(one), Ok(other)) => one == other,
                // Read back from storage, which takes what an earlier version wrote.
                _ => false,
            }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // serde_json writes a raw value as it is. Reading the text as one is the price; nothing is allocated.
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::checked(raw.get(), MAX_DEPTH).map_err(D::Error::custom)
    }
}

/// The members of an object that is a [`Json`] already.
struct Members(IndexMap<String, Json>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = IndexMap::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            members.insert(name, Json::part(value));
        }
        Ok(Members(members))
    }
}

fn push_string(text: &mut String, value: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if value.bytes().all(is_plain) {
        text.push('"');
        text.push_str(value);
        text.push('"');
        return;
    }
    // A string always has a JSON form.
    text.push_str(&serde_json::to_string(value).unwrap_or_else(|_| "\"\"".to_owned()));
}

/// Removes white space between tokens, replaces `\u0000` and lone surrogates, and bounds the depth, in one pass
/// over a text that is known to be valid JSON. Borrowed when nothing had to change, which is the usual case.
fn clean(text: &str, max_depth: usize) -> Result<Cow<'_, str>, JsonError> {
    let bytes = text.as_bytes();
    let mut out: Option<String> = None;
    // `copied` is how far `text` is in `out` already.
    let mut copied = 0;
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = clean_string(text, at, &mut out, &mut copied)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > max_depth {
                    return Err(JsonError::TooDeep { limit: max_depth });
                }
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b' ' | b'\n' | b'\r' | b'\t' => {
                out.get_or_insert_default().push_str(&text[copied..at]);
                at += 1;
                copied = at;
            }
            b'-' | b'0'..=b'9' => at = check_number(text, at)?,
            _ => at += 1,
        }
    }
    Ok(match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(&text[copied..]);
            Cow::Owned(out)
        }
    })
}

/// Goes over the number that begins at `start` and returns the position after it.
fn check_number(text: &str, start: usize) -> Result<usize, JsonError> {
    /// Shorter numbers without an exponent are below 10^308.
    const ALWAYS_FINITE_BYTES: usize = 308;
    let rest = &text[start..];
    let in_number = |byte: u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let length = rest.bytes().take_while(|&byte| in_number(byte)).count();
    let number = &rest[..length];
    let may_be_huge = length > ALWAYS_FINITE_BYTES || number.contains(['e', 'E']);
    if may_be_huge && !number.parse().is_ok_and(f64::is_finite) {
        return Err(JsonError::HugeNumber(number.chars().take(40).collect()));
    }
    Ok(start + length)
}

/// Goes over the string that opens at `start` and returns the position after its closing quote.
fn clean_string(
    text: &str,
    start: usize,
    out: &mut Option<String>,
    copied: &mut usize,
) -> Result<usize, JsonError> {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    let mut held_nul = false;
    while at < bytes.len() && bytes[at] != b'"' {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        let Some(unit) = escaped_unit(bytes, at) else {
            at += 2;
            continue;
        };
        let (replacement, length) = match unit {
            0 => (Some("\u{fffd}"), 6),
            0xd800..=0xdbff => match escaped_unit(bytes, at + 6) {
                Some(0xdc00..=0xdfff) => (None, 12),
                _ => (Some("?"), 6),
            },
            0xdc00..=0xdfff => (Some("?"), 6),
            _ => (None, 6),
        };
        if let Some(replacement) = replacement {
            held_nul |= unit == 0;
            let out = out.get_or_insert_default();
            out.push_str(&text[*copied..at]);
            out.push_str(replacement);
            *copied = at + length;
        }
        at += length;
    }
    let end = (at + 1).min(bytes.len());
    let is_name = bytes[end..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
    if held_nul && is_name {
        return Err(JsonError::NulInName);
    }
    Ok(end)
}

/// The UTF-16 unit of a `\uXXXX` at this position.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    if !escape.starts_with(b"\\u") {
        return None;
    }
    let digits = std::str::from_utf8(&escape[2..]).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_between_tokens_goes_and_inside_strings_stays() {
        let json = Json::parse("{ \"a b\" : [ 1 ,\n\t\"x \\\" y\" ] }\r\n").unwrap();
        assert_eq!(json.as_str(), r#"{"a b":[1,"x \" y"]}"#);
    }

    #[test]
    fn nul_and_lone_surrogates_are_replaced_and_pairs_are_kept() {
        let json =
            Json::parse(r#"["a\u0000b","\ud800","\udc00x","\ud83d\ude00","\\u0000"]"#).unwrap();
        assert_eq!(
            json.as_str(),
            "[\"a\u{fffd}b\",\"?\",\"?x\",\"\\ud83d\\ude00\",\"\\\\u0000\"]"
        );
        assert_eq!(json.to_value()[3], "😀");
    }

    #[test]
    fn a_property_name_with_nul_is_refused() {
        assert!(matches!(
            Json::parse(r#"{"a\u0000":1}"#),
            Err(JsonError::NulInName)
        ));
    }

    #[test]
    fn depth_is_bounded_and_the_deepest_allowed_value_can_be_read() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let json = Json::parse(deep(MAX_DEPTH)).unwrap();
        assert!(json.to_value().is_array());
        assert!(matches!(
            Json::parse(deep(MAX_DEPTH + 1)),
            Err(JsonError::TooDeep { limit: MAX_DEPTH })
        ));
        assert!(Json::parse_within(deep(3), 3).is_ok());
        assert!(matches!(
            Json::parse_within(deep(4), 3),
            Err(JsonError::TooDeep { limit: 3 })
        ));
        assert!(Json::parse_within(deep(MAX_DEPTH + 1), usize::MAX).is_err());
    }

    #[test]
    fn a_value_of_ours_holds_parts_of_any_allowed_depth() {
        let deepest = Json::parse(format!(
            "{}{}",
            "[".repeat(MAX_DEPTH),
            "]".repeat(MAX_DEPTH)
        ));
        let parts = [deepest.unwrap(), Json::string("\0")];
        let whole = Json::written(&parts);
        assert_eq!(whole.items().unwrap()[0].as_str(), parts[0].as_str());
        assert_eq!(whole.items().unwrap()[1].as_str(), "\"\u{fffd}\"");
    }

    #[test]
    fn numbers_keep_their_digits_and_are_finite() {
        let number = |text: &str| Json::parse(text);
        let digits = "1".repeat(309);
        for kept in [
            "12345678901234567890123",
            "1.10",
            "-0.0",
            "1e-999",
            "1.7e308",
            &digits[1..],
        ] {
            assert_eq!(number(kept).unwrap().as_str(), kept);
        }
        for huge in [
            "1e999",
            "-1E309",
            "[{\"a\": 2e308}]",
            &digits.replace('1', "9"),
        ] {
            assert!(
                matches!(number(huge), Err(JsonError::HugeNumber(_))),
                "{huge}"
            );
        }
        assert_eq!(number("1.0").unwrap(), number("1.00").unwrap());
    }

    #[test]
    fn splitting_and_joining_are_inverse() {
        let json = Json::parse(r#"{"a":[1,{"b":null}],"c":"d\n"}"#).unwrap();
        let members = json.members().unwrap();
        assert_eq!(Json::object(&members).as_str(), json.as_str());
        let items = members["a"].items().unwrap();
        assert_eq!(Json::array(&items).as_str(), members["a"].as_str());
        assert!(json.items().is_none());
    }
}
