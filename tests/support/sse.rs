//! Reading event streams as they come over the wire.

use futures_util::StreamExt;
use reqwest::Response;
use serde_json::Value;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: Value,
    /// Of an event that is kept.
    pub id: Option<String>,
}

/// All events until the stream closes.
pub async fn events(response: Response) -> Vec<Event> {
    let text = response.text().await.expect("a stream that ends");
    text.split("\r\n\r\n").filter_map(event).collect()
}

/// Events one by one, while the stream is open.
pub struct Events {
    response: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Events {
    pub fn of(response: Response) -> Self {
        Self {
            response: response.bytes_stream().boxed(),
            text: String::new(),
        }
    }

    /// The next event; `None` when the stream has ended or broke off.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\r\n\r\n") {
                let event = event(frame);
                self.text = rest.to_owned();
                match event {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            let piece = self.response.next().await?.ok()?;
            self.text
                .push_str(std::str::from_utf8(&piece).expect("UTF-8"));
        }
    }
}

/// A frame as an event; comments are none.
fn event(frame: &str) -> Option<Event> {
    let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
    let data = field("data: ")?;
    Some(Event {
        name: field("event: ")?.to_owned(),
        data: serde_json::from_str(data).expect("JSON on one line"),
        id: field("id: ").map(str::to_owned),
    })
}
