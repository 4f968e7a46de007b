//! JSON-RPC 2.0: one request in, one answer out.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use selvedge_model::Json;
use selvedge_runtime::AdmitError;
use selvedge_storage::StorageError;

use crate::error::ApiError;
use crate::request::Fields;

/// A method that is called.
pub(super) struct Call {
    /// A text, a number or `null`; the answer has it again.
    pub(super) id: Json,
    pub(super) method: String,
    pub(super) params: Fields,
}

/// Why a call has no result.
#[derive(Debug)]
pub(super) struct RpcError {
    code: i32,
    message: String,
    /// An answer that says no is an answer; only what the server itself cannot do is said by the status too.
    failure: Option<StatusCode>,
}

pub(super) type RpcResult<T> = Result<T, RpcError>;

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const INTERNAL_ERROR: i32 = -32603;
// These are the protocol's own.
const TASK_NOT_FOUND: i32 = -32001;
const TASK_NOT_CANCELABLE: i32 = -32002;
const PUSH_NOT_SUPPORTED: i32 = -32003;
const UNSUPPORTED_OPERATION: i32 = -32004;

impl RpcError {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            failure: None,
        }
    }

    pub(super) fn no_method(name: &str) -> Self {
        Self::new(METHOD_NOT_FOUND, format!("Method not found: {name}"))
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(INTERNAL_ERROR, message)
    }

    pub(super) fn no_task(id: &str) -> Self {
        Self::new(TASK_NOT_FOUND, format!("Task not found: {id}"))
    }

    pub(super) fn not_cancelable() -> Self {
        let text = "Task is not cancelable in its current state";
        Self::new(TASK_NOT_CANCELABLE, text)
    }

    pub(super) fn no_push() -> Self {
        Self::new(PUSH_NOT_SUPPORTED, "Push notifications are not supported")
    }

    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(UNSUPPORTED_OPERATION, message)
    }

    /// The same, and what it was that did not work.
    pub(super) fn about(self, what: &str) -> Self {
        Self {
            message: format!("{what}: {}", self.message),
            ..self
        }
    }

    /// The status for what the server cannot do.
    pub(super) fn failure(&self) -> Option<StatusCode> {
        self.failure
    }

    /// As it stands in the place of a result.
    pub(super) fn shown(&self) -> Json {
        Json::object([
            ("code", &Json::written(&self.code)),
            ("message", &Json::string(&self.message)),
        ])
    }

    /// As the answer to a call.
    pub(super) fn answers(&self, id: &Json) -> Json {
        envelope(id, "error", &self.shown())
    }

    pub(super) fn into_response(self, id: &Json) -> Response {
        let body = json(&self.answers(id));
        (self.failure.unwrap_or(StatusCode::OK), body).into_response()
    }
}

impl From<ApiError> for RpcError {
    fn from(error: ApiError) -> Self {
        match error.status() {
            status if status.is_server_error() => Self {
                failure: Some(status),
                ..Self::internal(error.detail())
            },
            _ => Self::invalid(error.detail()),
        }
    }
}

impl From<StorageError> for RpcError {
    fn from(error: StorageError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<AdmitError> for RpcError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::NoQuestion(_) => {
                Self::unsupported("What the task asked has been answered already")
            }
            error => Self::from(ApiError::from(error)).about("Failed to create run"),
        }
    }
}

impl Call {
    /// Reads a body; what is refused comes with the id that the answer is to have.
    pub(super) fn read(body: &[u8]) -> Result<Self, (Json, RpcError)> {
        let refused = |text: &str| (Json::null(), RpcError::new(INVALID_REQUEST, text));
        let json = Json::parse_bytes(body).map_err(|_| {
            let error = RpcError::new(PARSE_ERROR, "Invalid JSON payload");
            (Json::null(), error)
        })?;
        let fields =
            Fields::of(&json).ok_or_else(|| refused("Invalid message format: expected object"))?;
        let id = fields.json("id").cloned().unwrap_or_else(Json::null);
        if id.is_object() || id.is_array() || matches!(id.as_str(), "true" | "false") {
            return Err(refused(
                "Invalid JSON-RPC request: 'id' must be a string, number, or null",
            ));
        }
        let version = fields.string("jsonrpc").ok().flatten();
        if version.as_deref() != Some("2.0") {
            let text = "Invalid JSON-RPC message: missing or invalid jsonrpc version";
            return Err((id, RpcError::new(INVALID_REQUEST, text)));
        }
        let method = fields.string("method").ok().flatten();
        let is_call = fields.names().any(|name| name == "id");
        let (Some(method), true) = (method, is_call) else {
            return Err(refused(
                "Invalid message format: must be a JSON-RPC request or notification",
            ));
        };
        match fields.fields("params") {
            Ok(params) => Ok(Self { id, method, params }),
            Err(_) => Err((id, RpcError::invalid("'params' must be an object"))),
        }
    }
}

/// What came of a call.
pub(super) fn envelope(id: &Json, name: &str, value: &Json) -> Json {
    let version = Json::string("2.0");
    Json::object([("jsonrpc", &version), ("id", id), (name, value)])
}

pub(super) fn json(body: &Json) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, body.as_str().to_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &'static str) -> String {
        let (id, error) = Call::read(body.as_bytes()).err().unwrap();
        error.answers(&id).as_str().to_owned()
    }

    #[test]
    fn what_is_no_call_is_refused_under_the_id_that_it_has() {
        assert!(refusal("{").contains(r#""id":null,"error":{"code":-32700"#));
        assert!(refusal("[]").contains("expected object"));
        let no_version = refusal(r#"{"id":7,"method":"a"}"#);
        assert!(no_version.contains(r#""id":7,"error":{"code":-32600"#));
        let odd_id = refusal(r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#);
        assert!(odd_id.contains(r#""id":null"#) && odd_id.contains("'id' must be"));
        let no_id = refusal(r#"{"jsonrpc":"2.0","method":"a"}"#);
        assert!(no_id.contains("must be a JSON-RPC request"));
        let params = refusal(r#"{"jsonrpc":"2.0","id":"x","method":"a","params":[1]}"#);
        assert!(params.contains(r#""id":"x","error":{"code":-32602"#));
    }

    #[test]
    fn a_call_keeps_its_id_as_it_was_written() {
        let body = r#"{"jsonrpc":"2.0","id":12345678901234567890123,"method":"tasks/get"}"#;
        let call = Call::read(body.as_bytes()).ok().unwrap();
        assert_eq!(call.id.as_str(), "12345678901234567890123");
        assert_eq!(call.method, "tasks/get");
    }
}
