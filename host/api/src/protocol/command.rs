//! `POST /threads/{thread}/commands`: `{"id", "method", "params"}`, answered by `{"type": "success" | "error", "id", …}`.

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use selvedge_model::{Caller, Json, ThreadId};
use selvedge_protocol::Filter;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{asking, runs};
use crate::error::{ApiError, ApiResult};
use crate::request::{Fields, JsonValue, PathIds, RequestId};
use crate::routes::Edge;
use crate::who::Who;

/// Whom a command is about, and who gave it.
pub(super) struct Call<'a> {
    pub(super) edge: &'a Arc<Edge>,
    pub(super) caller: &'a Caller,
    pub(super) thread: ThreadId,
    pub(super) request_id: &'a str,
}

/// What a client wants done.
pub(super) struct Command {
    pub(super) id: u64,
    pub(super) method: String,
    pub(super) params: Fields,
}

/// Why it was not done.
#[derive(Debug)]
pub(super) struct Refusal {
    code: Code,
    message: String,
}

/// In the protocol's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidArgument,
    UnknownCommand,
    UnknownError,
    NoSuchRun,
    NoSuchSubscription,
    NoSuchInterrupt,
    NoSuchNamespace,
    NoSuchCheckpoint,
    PermissionDenied,
    ResumeGap,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::UnknownCommand => "unknown_command",
            Self::UnknownError => "unknown_error",
            Self::NoSuchRun => "no_such_run",
            Self::NoSuchSubscription => "no_such_subscription",
            Self::NoSuchInterrupt => "no_such_interrupt",
            Self::NoSuchNamespace => "no_such_namespace",
            Self::NoSuchCheckpoint => "no_such_checkpoint",
            Self::PermissionDenied => "permission_denied",
            Self::ResumeGap => "resume_gap",
        }
    }
}

impl Refusal {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A parameter is not what it should be.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// The same, where another part of the edge has found it out.
    #[allow(clippy::needless_pass_by_value)] // as `map_err` has it
    pub(super) fn of_parameters(error: ApiError) -> Self {
        Self::invalid(error.detail())
    }
}

/// What the rest of the edge refuses: the protocol has no words for most of that, so the status is told with it.
impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let code = match error.status() {
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            _ => Code::UnknownError,
        };
        Self::new(
            code,
            format!("{}: {}", error.status().as_u16(), error.detail()),
        )
    }
}

/// An answer as it is sent. `through` is the number of the last event that the connection was told before it.
pub(super) fn answer(id: u64, outcome: Result<Value, Refusal>, through: u64) -> Value {
    match outcome {
        Ok(result) => json!({
            "type": "success", "id": id, "result": result, "meta": {"applied_through_seq": through},
        }),
        Err(refusal) => error(Some(id), &refusal),
    }
}

/// A refusal of a command, or of what is none.
pub(super) fn error(id: Option<u64>, refusal: &Refusal) -> Value {
    json!({"type": "error", "id": id, "error": refusal.code.as_str(), "message": refusal.message})
}

impl Command {
    /// Reads an envelope, or says so in the form of an answer.
    pub(super) fn read(body: &Json) -> Result<Self, Value> {
        let fields = Fields::of(body).unwrap_or_default();
        let id = fields.json("id").and_then(|id| id.decode().ok());
        let method = fields
            .json("method")
            .and_then(|method| method.decode().ok());
        let (Some(id), Some(method)) = (id, method) else {
            let message = "Protocol commands must include an integer id and string method.";
            return Err(error(id, &Refusal::invalid(message)));
        };
        let params = fields.fields("params");
        let params = params.map_err(|why| error(Some(id), &Refusal::of_parameters(why)))?;
        Ok(Self { id, method, params })
    }
}

pub(crate) async fn command(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    RequestId(request_id): RequestId,
    JsonValue(body): JsonValue,
) -> ApiResult<Response> {
    let call = Call {
        edge: &edge,
        caller: &caller,
        thread: path.thread()?,
        request_id: &request_id,
    };
    let command = match Command::read(&body) {
        Ok(command) => command,
        Err(answer) => return Ok((StatusCode::BAD_REQUEST, JsonBody(answer)).into_response()),
    };
    let outcome = match command.method.as_str() {
        "subscription.subscribe" => subscribe(&command.params),
        "subscription.unsubscribe" => unsubscribe(&command.params),
        "subscription.reconnect" => Err(no_run()),
        _ => carry_out(&call, &command).await,
    };
    Ok(JsonBody(answer(command.id, outcome, 0)).into_response())
}

/// Carries out what needs no connection.
pub(super) async fn carry_out(call: &Call<'_>, command: &Command) -> Result<Value, Refusal> {
    let params = &command.params;
    match command.method.as_str() {
        "run.start" => runs::start(call, params).await,
        "input.respond" => runs::respond(call, params).await,
        "agent.getTree" => asking::tree(call, params).await,
        "state.get" => asking::state(call, params).await,
        unknown => Err(Refusal::new(
            Code::UnknownCommand,
            format!("Unknown protocol command: {unknown}"),
        )),
    }
}

/// Without a connection there is nothing to subscribe: as in LangGraph the answer says only that the filter is one.
fn subscribe(params: &Fields) -> Result<Value, Refusal> {
    filter(params)?;
    Ok(json!({"subscription_id": Uuid::new_v4(), "replayed_events": 0}))
}

fn unsubscribe(params: &Fields) -> Result<Value, Refusal> {
    Err(no_subscription(&subscription_id(params)?))
}

pub(super) fn filter(params: &Fields) -> Result<Filter, Refusal> {
    Filter::read(params.members()).map_err(|error| Refusal::invalid(error.to_string()))
}

pub(super) fn subscription_id(params: &Fields) -> Result<String, Refusal> {
    let id = params.string("subscription_id").ok().flatten();
    id.ok_or_else(|| Refusal::invalid("subscription.unsubscribe requires a subscription_id."))
}

pub(super) fn no_subscription(id: &str) -> Refusal {
    Refusal::new(
        Code::NoSuchSubscription,
        format!("Unknown subscription: {id}"),
    )
}

pub(super) fn no_run() -> Refusal {
    Refusal::new(Code::NoSuchRun, "No active run is bound to this thread.")
}
