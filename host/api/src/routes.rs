//! Which handler answers what.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
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
    let router = router
        .fallback(async || ApiError::not_found("Not Found"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        });
    layered(router, &edge.gate, &edge.options).with_state(edge)
}

/// What stands before and behind every handler.
fn layered<S>(router: Router<S>, gate: &Arc<Gate>, options: &Options) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router
        .layer(from_fn_with_state(gate.clone(), gate::pass))
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(cors(gate, options))
        .layer(from_fn_with_state(gate.clone(), outermost))
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
fn cors(gate: &Gate, options: &Options) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(gate.visitors().cors())
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
        .allow_private_network(options.development)
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::header;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    async fn broken() -> StatusCode {
        panic!("on purpose")
    }

    #[tokio::test]
    async fn an_answer_after_a_panic_says_to_browsers_what_every_answer_says() {
        let options = Options::default();
        let gate = Arc::new(Gate::new(&options, None));
        let router = Router::new()
            .route("/broken", get(broken))
            .fallback(async || ApiError::not_found("Not Found"));
        let service = TowerToHyperService::new(layered(router, &gate, &options));
        let told = async |path: &str, status: StatusCode| {
            let request = Request::get(path).header(header::ORIGIN, "http://localhost:3000");
            let request = request.body(Body::empty()).unwrap();
            let mut answer = service.call(request).await.unwrap();
            assert_eq!(answer.status(), status);
            answer.headers_mut().remove(header::CONTENT_LENGTH);
            answer.headers().clone()
        };
        let headers = told("/broken", StatusCode::INTERNAL_SERVER_ERROR).await;
        assert_eq!(headers, told("/other", StatusCode::NOT_FOUND).await);
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let origin = &headers[header::ACCESS_CONTROL_ALLOW_ORIGIN];
        assert_eq!(origin, "http://localhost:3000");
    }
}
