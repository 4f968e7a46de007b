//! One delivery, for people or for scripts.

use std::fmt::Write as _;

use bytes::Bytes;
use chrono::{Local, SecondsFormat, Utc};
use http::request::Parts;
use serde_json::{Value, json};

use super::signature::Signature;

/// Lines of a body that are shown without `--full`.
const SHOWN_LINES: usize = 24;
/// Bytes of a line that are shown without `--full`.
const SHOWN_BYTES: usize = 160;

/// What arrived.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Path and query.
    pub(super) path: String,
    /// The header `webhook-id`: the same on every attempt.
    pub(super) id: Option<String>,
    /// Names and values, in the order of arrival.
    pub(super) headers: Vec<(String, String)>,
    /// The body.
    pub(super) body: Bytes,
    /// Which attempt this is, if it has an id.
    pub(super) attempt: Option<u32>,
    /// Whose it is; `None`: nobody asked.
    pub(super) signature: Option<Signature>,
    /// What it is answered.
    pub(super) answer: u16,
}

impl Delivery {
    /// Reads a request.
    pub(super) fn new(head: &Parts, body: Bytes) -> Self {
        let headers: Vec<(String, String)> = head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let id = headers.iter().find(|(name, _)| name == "webhook-id");
        Self {
            path: head.uri.to_string(),
            id: id.map(|(_, value)| value.clone()),
            headers,
            body,
            attempt: None,
            signature: None,
            answer: 200,
        }
    }

    /// The value of a header, by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> Value {
        let headers: Value = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({
            "received_at": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
            "path": self.path,
            "webhook_id": self.id,
            "attempt": self.attempt,
            "signature": self.signature.as_ref().map(Signature::to_string),
            "answer": self.answer,
            "headers": headers,
            "body": serde_json::from_slice(&self.body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&self.body))),
        })
    }

    /// A few lines.
    pub(super) fn text(&self, full: bool) -> String {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        let of = |name: &str| {
            body.as_ref()
                .and_then(|body| body[name].as_str().map(str::to_owned))
        };
        let mut text = format!(
            "\n{}  POST {}",
            Local::now().format("%H:%M:%S%.3f"),
            self.path
        );
        for (label, value) in [
            ("run", of("run_id")),
            ("status", of("status")),
            ("webhook-id", self.id.clone()),
            (
                "signature",
                self.signature.as_ref().map(Signature::to_string),
            ),
        ] {
            if let Some(value) = value {
                let _ = write!(text, "\n  {label:<11}{value}");
            }
        }
        if let Some(attempt) = self.attempt.filter(|attempt| *attempt > 1) {
            let _ = write!(text, "\n  {:<11}{attempt}", "attempt");
        }
        let _ = write!(text, "\n  {:<11}{}", "answered", self.answer);
        let pretty = match &body {
            Some(body) => serde_json::to_string_pretty(body).unwrap_or_default(),
            None => String::from_utf8_lossy(&self.body).into_owned(),
        };
        push_body(&mut text, &pretty, full);
        text
    }
}

fn push_body(text: &mut String, body: &str, full: bool) {
    let (lines, bytes) = if full {
        (usize::MAX, usize::MAX)
    } else {
        (SHOWN_LINES, SHOWN_BYTES)
    };
    for line in body.lines().take(lines) {
        let shown = &line[..line.floor_char_boundary(bytes)];
        let cut = if shown.len() < line.len() { "…" } else { "" };
        let _ = write!(text, "\n  {shown}{cut}");
    }
    let left = body.lines().count().saturating_sub(lines);
    if left > 0 {
        let _ = write!(text, "\n  … {left} more lines (--full shows them)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(body: &str) -> Delivery {
        let request = http::Request::post("/in?x=1")
            .header("webhook-id", "msg_1")
            .body(())
            .unwrap();
        Delivery::new(&request.into_parts().0, Bytes::from(body.to_owned()))
    }

    #[test]
    fn people_see_run_status_id_and_a_shortened_body() {
        let long =
            json!({ "run_id": "r1", "status": "success", "values": (0..50).collect::<Vec<u32>>() });
        let mut delivery = delivery(&long.to_string());
        delivery.attempt = Some(2);
        let text = delivery.text(false);
        for part in [
            "POST /in?x=1",
            "run        r1",
            "status     success",
            "webhook-id msg_1",
            "attempt    2",
            "more lines",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!delivery.text(true).contains("more lines"));
    }

    #[test]
    fn scripts_see_everything_in_one_line() {
        let json = delivery(r#"{"run_id":"r1"}"#).json();
        assert_eq!(json["body"]["run_id"], "r1");
        assert_eq!(json["headers"]["webhook-id"], "msg_1");
        assert_eq!(json["webhook_id"], "msg_1");
        assert!(!json.to_string().contains('\n'));
        assert_eq!(delivery("no json").json()["body"], "no json");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = delivery(&"ä".repeat(400)).text(false);
        assert!(text.contains(&format!("{}…", "ä".repeat(80))));
    }
}
