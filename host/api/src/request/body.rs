//! Reading request bodies: bounded in size, in time and in what all of them weigh, JSON whatever the content type says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use selvedge_model::Json;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor};

use super::Fields;
use crate::bodies::{NoRoom, Weight};
use crate::error::ApiError;
use crate::routes::Edge;

/// Parsing a body of this size takes about a millisecond.
const LONG_BYTES: usize = 256 << 10;

/// A body that must be a JSON object.
pub(crate) struct ObjectBody(pub(crate) Fields);

/// A body that must be an array of JSON objects, of at least one and at most `runtime.max_batch_runs`.
pub(crate) struct ArrayBody(pub(crate) Vec<Fields>);

/// A body that must be JSON, of whatever kind.
pub(crate) struct JsonValue(pub(crate) Json);

impl FromRequest<Arc<Edge>> for JsonValue {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let bytes = read(&head, body, edge).await?;
        let parse = |bytes: &[u8]| {
            Json::parse_bytes(bytes).map_err(|_| ApiError::bad_request("Invalid JSON body"))
        };
        parsed(bytes, parse).await.map(Self)
    }
}

impl FromRequest<Arc<Edge>> for ObjectBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let bytes = read(&head, body, edge).await?;
        parsed(bytes, object).await.map(Self)
    }
}

impl FromRequest<Arc<Edge>> for ArrayBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        let bytes = read(&head, body, edge).await?;
        let most = edge.options.max_batch_runs;
        let parse = move |bytes: &[u8]| array(bytes, most);
        parsed(bytes, parse).await.map(Self)
    }
}

/// All of a body, within the bounds; `head` is what came before it.
pub(crate) async fn read(head: &Parts, body: Body, edge: &Edge) -> Result<Vec<u8>, ApiError> {
    let weight = head.extensions.get::<Arc<Weight>>().map(AsRef::as_ref);
    let reading = whole(body, edge.options.max_body_bytes, weight);
    match tokio::time::timeout(edge.options.request_timeout, reading).await {
        Ok(read) => read,
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "The request body took too long to arrive",
        )),
    }
}

/// Pieces are copied together as they come: many small ones, each with what it takes to keep it, could weigh many times
/// what is in them.
async fn whole(body: Body, limit: usize, weight: Option<&Weight>) -> Result<Vec<u8>, ApiError> {
    let mut body = Limited::new(body, limit);
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreadable(error.as_ref(), limit))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if let Some(weight) = weight {
            weight.add(piece.len()).map_err(no_room)?;
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

fn unreadable(error: &(dyn std::error::Error + 'static), limit: usize) -> ApiError {
    match error.is::<LengthLimitError>() {
        true => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("Request body is larger than {limit} bytes (http.max_body_bytes)"),
        ),
        false => ApiError::new(
            StatusCode::BAD_REQUEST,
            "The request body could not be read",
        ),
    }
}

fn no_room(why: NoRoom) -> ApiError {
    let detail = "Too much is being sent at once (http.max_body_bytes_total). Try again.";
    match why {
        NoRoom::AtAll => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail),
        NoRoom::ForTheCaller => ApiError::too_many(detail, Duration::ZERO),
    }
}

/// A long body is parsed where it keeps nobody waiting: whoever else is served by the same thread would.
async fn parsed<T: Send + 'static>(
    bytes: Vec<u8>,
    parse: impl FnOnce(&[u8]) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if bytes.len() < LONG_BYTES {
        return parse(&bytes);
    }
    let parsing = tokio::task::spawn_blocking(move || parse(&bytes));
    parsing.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a body could not be parsed");
        Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal Server Error",
        ))
    })
}

fn object(bytes: &[u8]) -> Result<Fields, ApiError> {
    members(&json(bytes)?)
}

fn array(bytes: &[u8], most: usize) -> Result<Vec<Fields>, ApiError> {
    let array = json(bytes)?;
    let elements = elements(&array, most)?;
    if elements.is_empty() {
        return Err(ApiError::invalid("[] has less than 1 item"));
    }
    let elements = elements.iter().enumerate();
    elements
        .map(|(position, element)| members(element).map_err(|error| error.of_item(position)))
        .collect()
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
