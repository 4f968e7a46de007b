//! Which handler answers what.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderName, Method, StatusCode};
use selvedge_runtime::Runtime;
use selvedge_storage::Reads;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, CorsLayer};

use crate::error::ApiError;
use crate::gate::{self, Gate};
use crate::mcp::Mcp;
use crate::neighbourhood::Neighbourhoods;
use crate::paths::Routes;
use crate::{
    Options, a2a, assistants, crons, deliveries, development, drawings, history, leftover, mcp,
    metrics, protocol, runs, search, state, store, system, thread_stream, threads,
};

/// What every handler has.
pub(crate) struct Edge {
    pub(crate) runtime: Runtime,
    pub(crate) reads: Arc<dyn Reads>,
    pub(crate) options: Options,
    pub(crate) gate: Arc<Gate>,
    pub(crate) neighbourhoods: Neighbourhoods,
    pub(crate) mcp: Mcp,
}

pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let mut routes = Routes::new()
        .route("/", get(system::ok))
        .route("/ok", get(system::ok))
        .merge(assistant_routes())
        .route("/runs/batch", post(runs::batch))
        .route("/runs/cancel", post(runs::cancel_many))
        .merge(delivery_routes())
        .merge(cron_routes())
        .route(
            "/store/items",
            get(store::get).put(store::put).delete(store::delete),
        )
        .route("/store/items/search", post(store::search))
        .route("/store/namespaces", post(store::namespaces))
        .merge(run_routes(&edge.gate, ""))
        .merge(thread_routes(&edge.gate, "/threads"))
        // LangGraph's documentation says `/thread/…` where its clients say `/threads/…`.
        .merge_undocumented(thread_routes(&edge.gate, "/thread"));
    if edge.options.meta {
        routes = routes.route("/info", get(system::info));
    }
    if edge.options.meta && edge.options.metrics {
        routes = routes.route("/metrics", get(metrics::metrics));
    }
    if edge.options.mcp {
        routes = routes.route("/mcp", edge.gate.lasting(post(mcp::post)));
    }
    if edge.options.a2a {
        routes = routes.merge(agent_routes(&edge.gate));
    }
    if edge.options.development {
        routes = routes.route("/internal/truncate", post(development::truncate));
    }
    let router = match edge.options.meta {
        true => routes.documented(),
        false => routes.undocumented(),
    };
    router
        .fallback(async || ApiError::not_found("Not Found"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        })
        .layer(axum::middleware::from_fn_with_state(
            edge.gate.clone(),
            gate::pass,
        ))
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(cors(&edge))
        .layer(axum::middleware::from_fn_with_state(
            edge.gate.clone(),
            outermost,
        ))
        .with_state(edge)
}

/// What holds for every answer, also for those of the layers in between: to browsers that ask first, and after a panic.
async fn outermost(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let mut response = leftover::take(request, next).await;
    gate.harden(response.headers_mut());
    response
}

fn assistant_routes() -> Routes {
    let assistant = get(assistants::get)
        .patch(assistants::patch)
        .delete(assistants::delete);
    let subgraphs = "/assistants/{assistant_id}/subgraphs";
    Routes::new()
        .route("/assistants", post(assistants::create))
        .route("/assistants/search", post(search::assistants))
        .route("/assistants/count", post(search::count_assistants))
        .route("/assistants/{assistant_id}", assistant)
        .route("/assistants/{assistant_id}/graph", get(drawings::drawing))
        .route("/assistants/{assistant_id}/schemas", get(drawings::schemas))
        .route(subgraphs, get(drawings::subgraphs))
        .route(
            &format!("{subgraphs}/{{namespace}}"),
            get(drawings::subgraphs),
        )
        .route(
            "/assistants/{assistant_id}/versions",
            post(assistants::versions),
        )
        .route(
            "/assistants/{assistant_id}/latest",
            post(assistants::set_latest),
        )
}

/// All but the creation on a thread, which is with the routes of threads.
fn cron_routes() -> Routes {
    let cron = get(crons::get).patch(crons::patch).delete(crons::delete);
    Routes::new()
        .route("/runs/crons", post(crons::create))
        .route("/runs/crons/search", post(crons::search))
        .route("/runs/crons/count", post(crons::count))
        .route("/runs/crons/{cron_id}", cron)
}

/// What LangGraph does not have.
fn delivery_routes() -> Routes {
    Routes::new()
        .route("/runs/{run_id}/deliveries", get(deliveries::of_run))
        .route("/webhooks/deliveries", get(deliveries::list))
        .route(
            "/webhooks/deliveries/redeliver",
            post(deliveries::redeliver_ended),
        )
        .route("/webhooks/deliveries/{delivery_id}", get(deliveries::get))
        .route(
            "/webhooks/deliveries/{delivery_id}/redeliver",
            post(deliveries::redeliver),
        )
}

/// Assistants as agents for others.
fn agent_routes(gate: &Arc<Gate>) -> Routes {
    let agent = "/a2a/{assistant_id}";
    let card = |name: &str| format!("{agent}/.well-known/{name}");
    Routes::new()
        .route(agent, gate.lasting(post(a2a::post)))
        .route(&card("agent-card.json"), get(a2a::card))
        // Where the card was before the protocol's version 0.3.
        .merge_undocumented(Routes::new().route(&card("agent.json"), get(a2a::card)))
        .route("/.well-known/agent-card.json", get(a2a::card_by_query))
}

fn thread_routes(gate: &Arc<Gate>, prefix: &str) -> Routes {
    let at = |path: &str| format!("{prefix}{path}");
    Routes::new()
        .route(prefix, post(threads::create))
        .route(
            &at("/{thread_id}"),
            get(threads::get)
                .patch(threads::patch)
                .delete(threads::delete),
        )
        .route(
            &at("/{thread_id}/stream"),
            gate.lasting(get(thread_stream::watch)),
        )
        .route(&at("/{thread_id}/commands"), post(protocol::command))
        .route(
            &at("/{thread_id}/stream/events"),
            gate.lasting(post(protocol::events)).get(protocol::connect),
        )
        .route(
            &at("/{thread_id}/state"),
            get(state::newest).post(state::update),
        )
        .route(&at("/{thread_id}/state/checkpoint"), post(state::named))
        .route(
            &at("/{thread_id}/history"),
            get(history::get).post(history::post),
        )
        .route(&at("/search"), post(search::threads))
        .route(&at("/count"), post(search::count_threads))
        .route(&at("/prune"), post(threads::prune))
        .route(&at("/{thread_id}/copy"), post(threads::copy))
        .route(&at("/{thread_id}/storage"), get(threads::storage))
        .route(
            &at("/{thread_id}/state/{checkpoint_id}"),
            get(state::at_checkpoint),
        )
        .route(&at("/{thread_id}/runs"), get(runs::list))
        .route(&at("/{thread_id}/runs/crons"), post(crons::create))
        .merge(run_routes(gate, &at("/{thread_id}")))
}

/// The routes of runs, on a thread and without one.
fn run_routes(gate: &Arc<Gate>, prefix: &str) -> Routes {
    let at = |path: &str| format!("{prefix}/runs{path}");
    Routes::new()
        .route(&at(""), post(runs::create))
        .route(&at("/stream"), gate.lasting(post(runs::stream)))
        .route(&at("/wait"), gate.lasting(post(runs::wait)))
        .route(&at("/{run_id}"), get(runs::get).delete(runs::delete))
        .route(&at("/{run_id}/cancel"), post(runs::cancel))
        .route(&at("/{run_id}/join"), gate.lasting(get(runs::join)))
        .route(
            &at("/{run_id}/stream"),
            gate.lasting(get(runs::join_stream)),
        )
}

/// LangGraph's defaults but for the origins, and the headers that its browser client reads.
fn cors(edge: &Edge) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(edge.gate.visitors().cors())
        .allow_headers(AllowHeaders::mirror_request())
        .allow_methods([
            Method::DELETE,
            Method::GET,
            Method::HEAD,
            Method::OPTIONS,
            Method::PATCH,
            Method::POST,
            Method::PUT,
            Method::QUERY,
        ])
        .allow_private_network(edge.options.development)
        .expose_headers(
            [
                "x-pagination-total",
                "x-pagination-next",
                "content-location",
                "location",
            ]
            .map(HeaderName::from_static),
        )
        .max_age(std::time::Duration::from_secs(600))
}

/// A panic here is a mistake of ours; it costs its own request and nothing else.
#[allow(clippy::needless_pass_by_value)]
fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(panic = text, "a handler panicked");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").into_response()
}
