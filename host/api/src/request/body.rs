//! Reading request bodies: bounded in size and time, JSON whatever the content type says.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use selvedge_model::Json;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor};

use super::Fields;
use crate::error::ApiError;
use crate::routes::Edge;

/// A body that must be a JSON object.
pub(crate) struct ObjectBody(pub(crate) Fields);

/// A body that must be an array of JSON objects, of at least one and at most `runtime.max_batch_runs`.
pub(crate) struct ArrayBody(pub(crate) Vec<Fields>);

impl FromRequest<Arc<Edge>> for ObjectBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        let bytes = read(request.into_body(), edge).await?;
        object(&bytes).map(Self)
    }
}

impl FromRequest<Arc<Edge>> for ArrayBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        let bytes = read(request.into_body(), edge).await?;
        let array = json(&bytes)?;
        let elements = elements(&array, edge.options.max_batch_runs)?;
        if elements.is_empty() {
            return Err(ApiError::invalid("[] has less than 1 item"));
        }
        let elements = elements.iter().enumerate();
        elements
            .map(|(position, element)| members(element).map_err(|error| error.of_item(position)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// The elements of an array that has no more than `most` of them; of a longer one no more than that are held.
fn elements(array: &Json, most: usize) -> Result<Vec<Json>, ApiError> {
    let mut text = serde_json::Deserializer::from_str(array.as_str());
    let elements = AtMost(most).deserialize(&mut text).map_err(|_| {
        let shown = shortened(array.as_str());
        ApiError::invalid(format!("{shown} is not of type \"array\""))
    })?;
    elements.ok_or_else(|| {
        let shown = shortened(array.as_str());
        ApiError::invalid(format!(
            "{shown} has more than {most} items (runtime.max_batch_runs)"
        ))
    })
}

/// Reads up to so many elements; `None` of more.
struct AtMost(usize);

impl<'de> DeserializeSeed<'de> for AtMost {
    type Value = Option<Vec<Json>>;

    fn deserialize<D: Deserializer<'de>>(self, array: D) -> Result<Self::Value, D::Error> {
        array.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AtMost {
    type Value = Option<Vec<Json>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < self.0 {
            match array.next_element()? {
                Some(element) => elements.push(element),
                None => return Ok(Some(elements)),
            }
        }
        let mut more = false;
        while array.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok((!more).then_some(elements))
    }
}

async fn read(body: Body, edge: &Edge) -> Result<bytes::Bytes, ApiError> {
    let limit = edge.options.max_body_bytes;
    let reading = Limited::new(body, limit).collect();
    match tokio::time::timeout(edge.options.request_timeout, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("Request body is larger than {limit} bytes (http.max_body_bytes)"),
        )),
        Ok(Err(_)) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "The request body could not be read",
        )),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "The request body took too long to arrive",
        )),
    }
}

fn object(bytes: &[u8]) -> Result<Fields, ApiError> {
    members(&json(bytes)?)
}

fn json(bytes: &[u8]) -> Result<Json, ApiError> {
    Json::parse_bytes(bytes).map_err(|error| match error {
        selvedge_model::json::JsonError::Syntax(_) => {
            ApiError::invalid("Invalid JSON in request body")
        }
        other => ApiError::invalid(format!("Invalid JSON in request body: {other}")),
    })
}

fn members(json: &Json) -> Result<Fields, ApiError> {
    Fields::of(json).ok_or_else(|| {
        ApiError::invalid(format!(
            "{} is not of type \"object\"",
            shortened(json.as_str())
        ))
    })
}

/// Enough of a value to recognise it in an error text.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(LONGEST);
    format!("{}…", &text[..end])
}
