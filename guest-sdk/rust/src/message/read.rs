//! Reads a message in any of the forms that callers use.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Content, Message, Role};

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyForm)
    }
}

struct AnyForm;

impl<'de> Visitor<'de> for AnyForm {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a message: an object with `type` or `role`, a pair of role and text, or a text",
        )
    }

    /// A bare text is a person's.
    fn visit_str<E: Error>(self, text: &str) -> Result<Message, E> {
        Ok(Message::new(Role::Human, text.into(), None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Message, A::Error> {
        let role: String = pair
            .next_element()?
            .ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let content: Content = pair
            .next_element()?
            .ok_or_else(|| A::Error::invalid_length(1, &self))?;
        Ok(Message::new(role.as_str().into(), content, None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
        let mut role: Option<Role> = None;
        let mut message = Message::new(Role::Human, Content::Text(String::new()), None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                // The two never occur together, but for `role` in a chat message of LangChain's, where `type` leads.
                "type" => role = Some(map.next_value::<String>()?.as_str().into()),
                "role" => {
                    let name: String = map.next_value()?;
                    role.get_or_insert_with(|| name.as_str().into());
                }
                "content" => {
                    if let Some(content) = map.next_value::<Option<Content>>()? {
                        message.content = content;
                    }
                }
                "id" => message.id = map.next_value()?,
                "name" => message.name = map.next_value()?,
                "tool_calls" => {
                    message.tool_calls = map.next_value::<Option<_>>()?.unwrap_or_default();
                }
                "tool_call_id" => message.tool_call_id = map.next_value()?,
                _ => {
                    message.extra.insert(key, map.next_value::<Value>()?);
                }
            }
        }
        message.role =
            role.ok_or_else(|| A::Error::custom("a message needs a `type` or a `role`"))?;
        Ok(message)
    }
}

/// By hand, since serde's `untagged` first reads everything into a buffer and takes ten times the code.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrBlocks)
    }
}

struct TextOrBlocks;

impl<'de> Visitor<'de> for TextOrBlocks {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of content blocks")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut blocks = Vec::new();
        while let Some(block) = list.next_element()? {
            blocks.push(block);
        }
        Ok(Content::Blocks(blocks))
    }
}
