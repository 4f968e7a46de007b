//! `/a2a/{assistant_id}`: assistants as agents that other agents talk to, over the Agent2Agent protocol's JSON-RPC.
//!
//! A conversation (`contextId`) is a thread, a task is a run of the assistant on it, together with the runs that answer
//! what it asks. Both versions of the protocol are spoken, 0.3 and 1.0.
//!
//! | module | job |
//! |---|---|
//! | `rpc` | calls, and answers to them |
//! | `dialect` | what the two versions say differently |
//! | `desk` | the assistant, and who calls |
//! | `message`, `parts`, `said` | messages: into a graph's input, and out of its values |
//! | `task`, `tasks` | tasks as they stand; reading and cancelling them |
//! | `send` | messages that begin tasks, and the events of tasks |
//! | `card` | what an agent says of itself |

mod card;
mod desk;
mod dialect;
mod message;
mod parts;
mod rpc;
mod said;
mod send;
mod task;
mod tasks;

use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};
use selvedge_model::{Caller, Json};

use crate::error::ApiResult;
use crate::request::{PathIds, Query, read_body, request_id};
use crate::routes::Edge;
use crate::who::Who;
use desk::Desk;
use dialect::Method;
use message::Incoming;
use rpc::{Call, RpcError, RpcResult};

pub(crate) async fn post(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    request: Request,
) -> ApiResult<Response> {
    let (mut head, body) = request.into_parts();
    let path = PathIds::from_request_parts(&mut head, &edge).await?;
    let body = read_body(&head, body, &edge).await?;
    let call = match Call::read(&body) {
        Ok(call) => call,
        Err((id, refusal)) => return Ok(refusal.into_response(&id)),
    };
    let id = call.id.clone();
    let answered = answered(edge, caller, path.assistant_text(), &head, call).await;
    Ok(answered.unwrap_or_else(|refusal| refusal.into_response(&id)))
}

async fn answered(
    edge: Arc<Edge>,
    caller: Caller,
    assistant: &str,
    head: &Parts,
    call: Call,
) -> RpcResult<Response> {
    let Call { id, method, params } = call;
    let (method, dialect) = Method::parse(&method).ok_or_else(|| RpcError::no_method(&method))?;
    // Like LangGraph it is said first what is wrong with a message.
    let incoming = match method {
        Method::Send | Method::Stream => Some(Incoming::read(&params)?),
        _ => None,
    };
    let found = desk::find(&edge, &caller, assistant).await?;
    let (assistant, graph) = found.ok_or_else(|| desk::missing(assistant))?;
    if method == Method::Card {
        let card = card::of(&card::base_url(&edge, head), &assistant, &graph);
        return Ok(answer(&id, &Json::written(&card)));
    }
    let scope = head.headers.get(card::HISTORY_SCOPE);
    let desk = Desk {
        edge,
        caller,
        assistant,
        graph,
        dialect,
        task_only: scope.is_some_and(|scope| scope == "task"),
        request_id: request_id(&head.headers),
    };
    Ok(match (method, incoming) {
        (Method::Send, Some(incoming)) => send::send(desk, id, incoming).await?,
        (Method::Stream, Some(incoming)) => send::stream(desk, id, incoming).await?,
        (Method::Subscribe, _) => send::subscribe(desk, id, tasks::task_id(&params)?).await?,
        (Method::Cancel, _) => answer(&id, &tasks::cancel(&desk, &params).await?),
        (Method::List, _) => answer(&id, &tasks::list(&desk, &params).await?),
        _ => answer(&id, &tasks::get(&desk, &params).await?),
    })
}

fn answer(id: &Json, result: &Json) -> Response {
    rpc::json(&rpc::envelope(id, "result", result))
}

pub(crate) async fn card(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    head: Parts,
) -> Response {
    shown_card(&edge, &caller, path.assistant_text(), &head).await
}

/// Where a server with one agent has its card: here the caller says whose.
pub(crate) async fn card_by_query(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    query: Query,
    head: Parts,
) -> Response {
    match query.get("assistant_id") {
        Some(assistant) => shown_card(&edge, &caller, assistant, &head).await,
        None => {
            let text = "Missing required query parameter: assistant_id";
            no_card(StatusCode::BAD_REQUEST, &RpcError::invalid(text))
        }
    }
}

async fn shown_card(edge: &Edge, caller: &Caller, assistant: &str, head: &Parts) -> Response {
    match desk::find(edge, caller, assistant).await {
        Ok(Some((found, graph))) => {
            let card = card::of(&card::base_url(edge, head), &found, &graph);
            // It says where its caller reached the server, which is not true for everybody.
            ([(header::CACHE_CONTROL, "no-store")], JsonBody(card)).into_response()
        }
        Ok(None) => no_card(StatusCode::NOT_FOUND, &desk::missing(assistant)),
        Err(refusal) => {
            let status = refusal.failure().unwrap_or(StatusCode::BAD_REQUEST);
            let what = format!("Failed to get assistant '{assistant}'");
            no_card(status, &refusal.about(&what))
        }
    }
}

fn no_card(status: StatusCode, refusal: &RpcError) -> Response {
    let body = rpc::json(&Json::object([("error", &refusal.shown())]));
    (status, body).into_response()
}
