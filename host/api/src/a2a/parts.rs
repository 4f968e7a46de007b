//! What messages are made of: the protocol's parts, and the content of LangChain's messages, which graphs have.

use selvedge_model::Json;

use super::dialect::Dialect;
use super::rpc::{RpcError, RpcResult};
use crate::request::Fields;

/// A piece of a message.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Text(String),
    /// Any JSON.
    Data(Json),
    File(File),
}

#[derive(Clone, Debug)]
pub(super) struct File {
    source: Source,
    media_type: Option<String>,
    name: Option<String>,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
enum Source {
    Url(String),
    /// Here, in base64.
    Inline(String),
}

impl Part {
    /// Reads a part, in either dialect: it is what it has that tells its kind.
    pub(super) fn read(json: &Json) -> RpcResult<Self> {
        let fields = Fields::of(json).ok_or_else(|| RpcError::invalid("A part is an object"))?;
        if let Some(text) = fields.string("text")? {
            return Ok(Self::Text(text));
        }
        if let Some(data) = fields.json("data") {
            return Ok(Self::Data(with_whole_numbers(data)));
        }
        let inside = fields.fields("file")?;
        let file = match fields.json("file") {
            Some(_) => File {
                source: source(inside.string("uri")?, inside.string("bytes")?)?,
                media_type: inside.string("mimeType")?,
                name: inside.string("name")?,
            },
            None => File {
                source: source(fields.string("url")?, fields.string("raw")?)?,
                media_type: fields.string("mediaType")?,
                name: fields.string("filename")?,
            },
        };
        Ok(Self::File(file))
    }

    pub(super) fn shown(&self, dialect: Dialect) -> Json {
        let kind = |kind| dialect.kind(kind).map(Json::string);
        match self {
            Self::Text(text) => {
                object(&[("kind", kind("text")), ("text", Some(Json::string(text)))])
            }
            Self::Data(data) => object(&[("kind", kind("data")), ("data", Some(data.clone()))]),
            Self::File(file) => file.shown(dialect),
        }
    }

    /// As a block of a message's content.
    fn block(&self) -> Json {
        match self {
            Self::Text(text) => object(&[
                ("type", Some(Json::string("text"))),
                ("text", Some(Json::string(text))),
            ]),
            Self::Data(data) => data.clone(),
            Self::File(file) => file.block(),
        }
    }

    fn of_block(block: &Json) -> Self {
        let Some(fields) = Fields::of(block) else {
            return match block.decode::<String>() {
                Ok(text) => Self::Text(text),
                Err(_) => Self::Data(block.clone()),
            };
        };
        let text = |name: &str| fields.string(name).ok().flatten();
        let file = |source| File {
            source,
            media_type: text("mime_type"),
            name: fields
                .fields("extras")
                .ok()
                .and_then(|extras| extras.string("filename").ok().flatten()),
        };
        match (
            text("type").as_deref(),
            text("text"),
            text("url"),
            text("base64"),
        ) {
            (Some("text"), Some(text), ..) => Self::Text(text),
            (Some("image" | "audio" | "video" | "file"), _, Some(url), _) => {
                Self::File(file(Source::Url(url)))
            }
            (Some("image" | "audio" | "video" | "file"), _, None, Some(bytes)) => {
                Self::File(file(Source::Inline(bytes)))
            }
            _ => Self::Data(block.clone()),
        }
    }
}

/// The same with `1` for `1.0`. Clients whose messages are Protocol Buffers know no numbers but doubles and write all of
/// them so, and a graph that counts takes no fraction.
fn with_whole_numbers(json: &Json) -> Json {
    let mut rest = json.as_str();
    let mut written = String::with_capacity(rest.len());
    let begins = |letter: char| letter == '"' || letter == '-' || letter.is_ascii_digit();
    while let Some(at) = rest.find(begins) {
        let (before, token) = rest.split_at(at);
        written.push_str(before);
        let end = match token.starts_with('"') {
            true => end_of_string(token),
            false => token.find(|letter: char| !"+-.eE0123456789".contains(letter)),
        };
        let (token, behind) = token.split_at(end.unwrap_or(token.len()));
        match whole(token) {
            Some(number) => written.push_str(&number.to_string()),
            None => written.push_str(token),
        }
        rest = behind;
    }
    written.push_str(rest);
    // It was JSON, and a number in it is still a number.
    Json::parse(&written).unwrap_or_else(|_| json.clone())
}

/// Behind the quotes that end the string which the text begins with.
fn end_of_string(text: &str) -> Option<usize> {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some(at + 1),
            '\\' => {
                letters.next();
            }
            _ => {}
        }
    }
    None
}

/// The whole number that is written with a fraction or an exponent, where a double has each of its digits.
fn whole(token: &str) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if token.starts_with('"') || !token.contains(['.', 'e', 'E']) {
        return None;
    }
    let number: f64 = token.parse().ok()?;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

fn source(url: Option<String>, inline: Option<String>) -> RpcResult<Source> {
    match (url, inline) {
        (Some(url), None) => Ok(Source::Url(url)),
        (None, Some(bytes)) => Ok(Source::Inline(bytes)),
        _ => Err(RpcError::invalid(
            "A part has a text, data, or a file: with a URL or with its bytes",
        )),
    }
}

impl File {
    fn shown(&self, dialect: Dialect) -> Json {
        let (url, inline) = match &self.source {
            Source::Url(url) => (Some(Json::string(url)), None),
            Source::Inline(bytes) => (None, Some(Json::string(bytes))),
        };
        let media_type = self.media_type.as_deref().map(Json::string);
        let name = self.name.as_deref().map(Json::string);
        match dialect {
            Dialect::V10 => object(&[
                ("url", url),
                ("raw", inline),
                ("mediaType", media_type),
                ("filename", name),
            ]),
            Dialect::V03 => {
                let file = object(&[
                    ("uri", url),
                    ("bytes", inline),
                    ("mimeType", media_type),
                    ("name", name),
                ]);
                object(&[("kind", Some(Json::string("file"))), ("file", Some(file))])
            }
        }
    }

    fn block(&self) -> Json {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        let mut families = ["image", "audio", "video"].into_iter();
        let family = families.find(|family| media_type.split('/').next() == Some(family));
        let family = family.unwrap_or("file");
        let (url, inline) = match &self.source {
            Source::Url(url) => (Some(Json::string(url)), None),
            Source::Inline(bytes) => (None, Some(Json::string(bytes))),
        };
        let extras = self.name.as_deref().map(|name| {
            let name = Json::string(name);
            Json::object([("filename", &name)])
        });
        object(&[
            ("type", Some(Json::string(family))),
            ("url", url),
            ("base64", inline),
            ("mime_type", self.media_type.as_deref().map(Json::string)),
            ("extras", extras),
        ])
    }
}

/// The content of a message that says this: a lone text is the content itself.
pub(super) fn content(parts: &[&Part]) -> Json {
    match parts {
        [Part::Text(text)] => Json::string(text),
        parts => {
            let blocks: Vec<Json> = parts.iter().map(|part| part.block()).collect();
            Json::array(&blocks)
        }
    }
}

/// What the content of a message says; nothing when it is empty.
pub(super) fn of_content(content: &Json) -> Vec<Part> {
    let parts = match content.items() {
        Some(blocks) => blocks.iter().map(Part::of_block).collect(),
        None if content.is_null() => Vec::new(),
        None => vec![Part::of_block(content)],
    };
    let says_something = |part: &Part| !matches!(part, Part::Text(text) if text.is_empty());
    parts.into_iter().filter(says_something).collect()
}

/// An object of the members that are there.
pub(super) fn object(members: &[(&str, Option<Json>)]) -> Json {
    let there = members.iter();
    Json::object(there.filter_map(|(name, value)| value.as_ref().map(|value| (*name, value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn parts_of_either_dialect_become_content_and_come_back() {
        let parts = [
            (r#"{"kind":"text","text":"hi"}"#, r#"{"text":"hi"}"#),
            (
                r#"{"kind":"file","file":{"uri":"https://x/y","mimeType":"image/png"}}"#,
                r#"{"url":"https://x/y","mediaType":"image/png"}"#,
            ),
            (
                r#"{"kind":"file","file":{"bytes":"aGk=","mimeType":"text/plain","name":"n"}}"#,
                r#"{"raw":"aGk=","mediaType":"text/plain","filename":"n"}"#,
            ),
        ];
        for (v03, v10) in parts {
            for written in [v03, v10] {
                let part = Part::read(&json(written)).ok().unwrap();
                let back = Part::of_block(&part.block());
                assert_eq!(back.shown(Dialect::V03).as_str(), v03);
                assert_eq!(back.shown(Dialect::V10).as_str(), v10);
            }
        }
    }

    #[test]
    fn whole_numbers_in_data_are_written_without_a_fraction() {
        let read = |text: &str| match Part::read(&json(text)) {
            Ok(Part::Data(data)) => data.as_str().to_owned(),
            _ => panic!("no data: {text}"),
        };
        for (sent, taken) in [
            ("1.0", "1"),
            ("-0.0", "0"),
            ("[-2.50,3e2,1.5]", "[-2.50,300,1.5]"),
            (
                r#"{"a 1.0":"\\\"2.0","b":{"c":4.0}}"#,
                r#"{"a 1.0":"\\\"2.0","b":{"c":4}}"#,
            ),
            ("12345678901234567890.0", "12345678901234567890.0"),
            ("12345678901234567890", "12345678901234567890"),
            (r#""1.0""#, r#""1.0""#),
            ("true", "true"),
        ] {
            assert_eq!(read(&format!("{{\"data\":{sent}}}")), taken);
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for text in [
            "1",
            "{}",
            r#"{"text":1}"#,
            r#"{"url":"a","raw":"b"}"#,
            r#"{"file":{}}"#,
        ] {
            assert!(Part::read(&json(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_lone_text_is_content_by_itself_and_empty_content_says_nothing() {
        let text = Part::Text("hi".to_owned());
        assert_eq!(content(&[&text]).as_str(), r#""hi""#);
        let both = content(&[&text, &text]);
        assert_eq!(of_content(&both).len(), 2);
        for nothing in ["null", r#""""#, "[]", r#"[{"type":"text","text":""}]"#] {
            assert!(of_content(&json(nothing)).is_empty(), "{nothing}");
        }
    }
}
