//! The one error type of the edge: a status, and a sentence for the caller in LangGraph's form `{"detail": text}`.

use std::time::Duration;

use axum::Json as JsonBody;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use selvedge_runtime::items::{EmbedError, SearchError};
use selvedge_runtime::{AdmitError, AssistantError, CronRefusal, StateError};
use selvedge_storage::StorageError;
use serde_json::json;

/// A refusal as the caller sees it.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    detail: String,
    form: Form,
    /// In seconds.
    retry_after: Option<u64>,
}

/// How LangGraph writes a refusal.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// `{"detail": text}`: all but a few.
    Detail,
    /// `{"error": text}`.
    Error,
    /// The text alone.
    Text,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// What a client is asked to wait before it tries again, in seconds.
const RETRY_AFTER_SECS: u64 = 1;

impl ApiError {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            form: Form::Detail,
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_SECS),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence for the caller.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// 401: nobody knows who asks.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: it is known who asks, and it is not for them.
    pub(crate) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden")
    }

    /// 429: the same caller may ask again after this.
    pub(crate) fn too_many(detail: impl Into<String>, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).until(wait)
    }

    /// 503: whoever it is may ask again after this.
    pub(crate) fn unavailable(detail: impl Into<String>, wait: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).until(wait)
    }

    /// The header has whole seconds: after so many the time is over.
    fn until(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait.as_secs() + 1),
            ..self
        }
    }

    /// In the form `{"error": text}`, which the store has for an item without a key.
    pub(crate) fn written_as_error(self) -> Self {
        Self {
            form: Form::Error,
            ..self
        }
    }

    /// As plain text, which the store has for labels of a namespace.
    pub(crate) fn written_as_text(self) -> Self {
        Self {
            form: Form::Text,
            ..self
        }
    }

    /// 400.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 422: understood and not acceptable.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// The same about one item of a list that was sent.
    pub(crate) fn of_item(self, position: usize) -> Self {
        let detail = format!("{}\n\nOn instance[{position}]", self.detail);
        Self { detail, ..self }
    }

    /// 404.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = match self.form {
            Form::Detail => JsonBody(json!({"detail": self.detail})).into_response(),
            Form::Error => JsonBody(json!({"error": self.detail})).into_response(),
            Form::Text => self.detail.into_response(),
        };
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<AdmitError> for ApiError {
    fn from(error: AdmitError) -> Self {
        let status = match error {
            AdmitError::Storage(error) => return Self::from(error),
            AdmitError::TooManyPendingOfCaller { .. } => {
                return Self::too_many(error.to_string(), Duration::ZERO);
            }
            AdmitError::NotFound | AdmitError::NoCheckpoint { .. } => StatusCode::NOT_FOUND,
            AdmitError::ConfigurableAndContext | AdmitError::ResumeWithoutThread => {
                StatusCode::BAD_REQUEST
            }
            AdmitError::UnknownGraph { .. } | AdmitError::Webhook(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            AdmitError::Busy | AdmitError::NoQuestion(_) => StatusCode::CONFLICT,
            AdmitError::TooManyPending { .. } | AdmitError::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, error.to_string())
    }
}

impl From<AssistantError> for ApiError {
    fn from(error: AssistantError) -> Self {
        let status = match error {
            AssistantError::Storage(error) => return Self::from(error),
            AssistantError::UnknownGraph { .. } => StatusCode::NOT_FOUND,
            AssistantError::NotYours => StatusCode::FORBIDDEN,
            AssistantError::ConfigurableAndContext(_) | AssistantError::Graph(_) => {
                StatusCode::BAD_REQUEST
            }
        };
        Self::new(status, error.to_string())
    }
}

impl From<StateError> for ApiError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Storage(error) => Self::from(error),
            StateError::Graph(_) => Self::new(StatusCode::BAD_REQUEST, error.to_string()),
        }
    }
}

impl From<CronRefusal> for ApiError {
    fn from(refusal: CronRefusal) -> Self {
        let status = match refusal {
            CronRefusal::Storage(error) => return Self::from(error),
            CronRefusal::NoAssistant(_) | CronRefusal::NoThread(_) | CronRefusal::NoCron(_) => {
                StatusCode::NOT_FOUND
            }
            CronRefusal::ConfigurableAndContext(_) => StatusCode::BAD_REQUEST,
            CronRefusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            // It does not pass by waiting, hence no 429, which clients wait after.
            CronRefusal::TooMany { .. } => StatusCode::CONFLICT,
            CronRefusal::Schedule { .. }
            | CronRefusal::Zone(_)
            | CronRefusal::Ended(_)
            | CronRefusal::Webhook(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, refusal.to_string())
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Storage(error) => Self::from(error),
            SearchError::Embed(error) => {
                let (status, detail) = match error {
                    EmbedError::Refused(_) => {
                        (StatusCode::BAD_REQUEST, "The query cannot be embedded.")
                    }
                    EmbedError::Unavailable(_) => (
                        StatusCode::SERVICE_UNAVAILABLE,
                        "The query cannot be embedded at the moment. Try again later.",
                    ),
                };
                Self::new(status, detail)
            }
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        // The caller learns what it can do; the log has the rest.
        match error {
            StorageError::TooLarge { .. } | StorageError::TooLong | StorageError::Overloaded => {
                tracing::debug!(%error, "storage refused a request");
            }
            _ => tracing::error!(%error, "storage failed a request"),
        }
        match error {
            StorageError::Full => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "The server's disk is full. Nothing was stored; try again once there is room.",
            ),
            StorageError::TooLarge { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            StorageError::TooLong => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            StorageError::Overloaded => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The server is overloaded. Try again.",
            ),
            StorageError::Unavailable(_) | StorageError::ReadOnly => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The server's storage is unavailable. Try again later.",
            ),
            StorageError::Fenced | StorageError::Incompatible(_) | StorageError::Failed(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }
}
