//! Texts to vectors: an endpoint that speaks OpenAI's `POST /embeddings`.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use selvedge_egress::{Body, Client, ClientError, ClientOptions, Request, Target};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::options::{Checked, Options};

/// Requests under way at once, those of searches included; more wait until their deadline.
const REQUESTS_AT_ONCE: usize = 64;
/// What of an answer that is no success is read.
const MAX_ERROR_BYTES: usize = 4 << 10;
/// What of it is shown.
const SHOWN_ERROR_CHARS: usize = 200;
/// Room in an answer for each number, in bytes, and for what stands around them.
const NUMBER_BYTES: usize = 32;
const ENVELOPE_BYTES: usize = 64 << 10;

/// Why there are no vectors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// The endpoint does not take these texts; others it may.
    #[error("the endpoint of store.index refuses the text: {0}")]
    Refused(String),
    /// It does not answer, or not as it should.
    #[error("the endpoint of store.index fails: {0}")]
    Unavailable(String),
}

pub(crate) struct Endpoint {
    client: Client,
    target: Target,
    headers: HeaderMap,
    model: String,
    dims: usize,
    timeout: Duration,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedded>,
}

#[derive(Deserialize)]
struct Embedded {
    index: usize,
    embedding: Vec<f32>,
}

impl Endpoint {
    pub(crate) fn new(options: &Options, checked: Checked) -> Result<Self, ClientError> {
        let client = ClientOptions {
            max_concurrent: REQUESTS_AT_ONCE,
            ..ClientOptions::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = checked.authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(Self {
            client: Client::new(Arc::new(checked.policy), &client)?,
            target: checked.target,
            headers,
            model: options.model.clone(),
            dims: options.dims,
            timeout: options.timeout,
        })
    }

    /// The vector of each text, of unit length.
    pub(crate) async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let body = json!({"model": self.model, "input": texts, "encoding_format": "float"});
        let request = Request {
            method: Method::POST,
            url: self.target.clone(),
            headers: self.headers.clone(),
            body: Body::from(body.to_string().into_bytes()),
            deadline: Instant::now() + self.timeout,
        };
        let failed = |error: &dyn std::fmt::Display| EmbedError::Unavailable(error.to_string());
        let mut answer = self.client.send(request).await.map_err(|e| failed(&e))?;
        let max_bytes = match answer.status {
            StatusCode::OK => ENVELOPE_BYTES + texts.len() * self.dims * NUMBER_BYTES,
            _ => MAX_ERROR_BYTES,
        };
        let mut text = Vec::new();
        let read = answer.body.read_at_most(max_bytes, &mut text).await;
        let is_whole = read.map_err(|e| failed(&e))?;
        match answer.status {
            StatusCode::OK if is_whole => self.vectors(&text, texts.len()),
            StatusCode::OK => Err(failed(&format_args!(
                "an answer of more than {max_bytes} bytes, where vectors of {} numbers are expected",
                self.dims
            ))),
            // The texts are too long, or hold what the model has no tokens for.
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY => {
                Err(EmbedError::Refused(told(answer.status, &text)))
            }
            status => Err(EmbedError::Unavailable(told(status, &text))),
        }
    }

    fn vectors(&self, text: &[u8], count: usize) -> Result<Vec<Vec<f32>>, EmbedError> {
        let failed = EmbedError::Unavailable;
        let answer: Answer = serde_json::from_slice(text)
            .map_err(|error| failed(format!("an answer without vectors: {error}")))?;
        let mut vectors = vec![Vec::new(); count];
        for Embedded { index, embedding } in answer.data {
            if embedding.len() != self.dims {
                return Err(failed(format!(
                    "vectors of {} numbers, where store.index.dims is {}",
                    embedding.len(),
                    self.dims
                )));
            }
            if let Some(vector) = vectors.get_mut(index) {
                *vector = of_unit_length(embedding);
            }
        }
        match vectors.iter().any(Vec::is_empty) {
            true => Err(failed("fewer vectors than texts".to_owned())),
            false => Ok(vectors),
        }
    }
}

/// What an answer says that is no success: OpenAI's message, or its beginning.
fn told(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let message = serde_json::from_str::<Value>(&text).ok().and_then(|value| {
        let message = value.pointer("/error/message").or(value.get("error"));
        Some(message?.as_str()?.to_owned())
    });
    let message = message.unwrap_or_else(|| text.into_owned());
    let shown: String = message
        .chars()
        .filter(|c| !c.is_control())
        .take(SHOWN_ERROR_CHARS)
        .collect();
    format!("{status}: {shown}")
}

/// One without a direction stays as it is: it is near to nothing.
fn of_unit_length(mut vector: Vec<f32>) -> Vec<f32> {
    let square: f64 = vector.iter().map(|number| f64::from(*number).powi(2)).sum();
    let length = square.sqrt();
    if length > 0.0 && length.is_finite() {
        for number in &mut vector {
            *number = (f64::from(*number) / length) as f32;
        }
    } else {
        vector.fill(0.0);
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_get_unit_length_unless_they_have_no_direction() {
        assert_eq!(of_unit_length(vec![3.0, 4.0]), [0.6, 0.8]);
        assert_eq!(of_unit_length(vec![0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(of_unit_length(vec![f32::INFINITY, 1.0]), [0.0, 0.0]);
        assert_eq!(of_unit_length(vec![f32::MAX, f32::MAX]), [0.707_106_77; 2]);
    }

    #[test]
    fn of_a_failure_is_told_what_the_endpoint_says() {
        let status = StatusCode::UNAUTHORIZED;
        let openai = br#"{"error": {"message": "Incorrect API key", "type": "x"}}"#;
        assert_eq!(told(status, openai), "401 Unauthorized: Incorrect API key");
        assert_eq!(told(status, br#"{"error": "no"}"#), "401 Unauthorized: no");
        assert_eq!(told(status, b"<html>\n"), "401 Unauthorized: <html>");
    }
}
