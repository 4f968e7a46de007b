//! `GET /metrics`: Prometheus' text, or `?format=json` as LangGraph has it. Names that LangGraph has too begin as there.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;

use axum::Json as JsonBody;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use selvedge_model::delivery::DeliveryStatus;
use selvedge_runtime::measures::Measures;
use serde_json::{Value, json};

use crate::error::ApiResult;
use crate::request::Query;
use crate::routes::Edge;

/// Prometheus' text format, version 0.0.4.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn metrics(State(edge): State<Arc<Edge>>, query: Query) -> ApiResult<Response> {
    let measures = edge.runtime.measures().await?;
    if query.get("format") == Some("json") {
        return Ok(JsonBody(json(&measures)).into_response());
    }
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text(&measures)).into_response())
}

fn json(measures: &Measures) -> Value {
    let Measures {
        running, places, ..
    } = measures;
    json!({
        "queue": {"n_pending": measures.pending, "n_running": running},
        "workers": {"max": places, "active": running, "available": places - running},
        "webhooks": {
            "n_pending": measures.outbox,
            "oldest_pending_secs": measures.oldest_secs,
            "reported": reported(measures).into_iter().collect::<BTreeMap<_, _>>(),
        },
    })
}

fn text(measures: &Measures) -> String {
    let Measures {
        running,
        places,
        webhooks,
        ..
    } = measures;
    let mut text = Text::default();
    text.gauge(
        "lg_api_num_pending_runs",
        "Runs that wait.",
        measures.pending,
    );
    text.gauge(
        "lg_api_num_running_runs",
        "Runs that are executed.",
        running,
    );
    text.gauge(
        "lg_api_workers_max",
        "Runs that can be executed at once.",
        places,
    );
    text.gauge(
        "lg_api_workers_active",
        "Places that are taken by runs.",
        running,
    );
    text.gauge(
        "lg_api_workers_available",
        "Places that are free.",
        places - running,
    );
    let ended = measures.ended.iter();
    text.counters(
        "selvedge_runs_ended_total",
        "Runs that ended.",
        "status",
        ended.map(|(status, count)| (status.as_str(), *count)),
    );
    text.gauge("selvedge_crons", "Crons that are enabled.", measures.crons);
    text.counter(
        "selvedge_crons_fired_total",
        "Due times of crons that made a run.",
        measures.crons_fired,
    );
    text.counter(
        "selvedge_cron_errors_total",
        "Due times of crons that made no run although they should have.",
        measures.cron_errors,
    );
    text.counters(
        "selvedge_task_limits_total",
        "Tasks that a bound of the sandbox ended, by its key.",
        "limit",
        measures.tasks.limits.iter().copied(),
    );
    text.gauge(
        "selvedge_sandbox_instances",
        "Tasks that have an instance.",
        measures.tasks.instances,
    );
    text.gauge(
        "selvedge_sandbox_memory_bytes",
        "Memories and tables of all instances together.",
        measures.tasks.memory_bytes,
    );
    text.counters(
        "selvedge_webhook_attempts_total",
        "Attempts to deliver a webhook.",
        "result",
        [
            ("delivered", webhooks.ended_as(DeliveryStatus::Delivered)),
            ("failed", webhooks.failed),
            ("blocked", webhooks.ended_as(DeliveryStatus::Blocked)),
        ],
    );
    let given_up = [DeliveryStatus::Exhausted, DeliveryStatus::Gone];
    text.counters(
        "selvedge_webhook_given_up_total",
        "Deliveries that ended without having arrived.",
        "status",
        given_up.map(|status| (status.as_str(), webhooks.ended_as(status))),
    );
    text.counter(
        "selvedge_webhook_breaker_opened_total",
        "How often a receiver was left alone for a while because it failed again and again.",
        webhooks.breaker_opened,
    );
    text.counters(
        "selvedge_webhook_reported_total",
        "Runs created with a URL that webhooks.url would refuse, were its mode not report.",
        "rule",
        reported(measures),
    );
    text.gauge(
        "selvedge_webhook_outbox_deliveries",
        "Deliveries that are pending.",
        measures.outbox,
    );
    text.gauge(
        "selvedge_webhook_outbox_oldest_seconds",
        "How long ago the run of the oldest pending delivery ended.",
        measures.oldest_secs,
    );
    text.0
}

/// What report mode has let pass, by the rule that would have refused it.
fn reported(measures: &Measures) -> [(&'static str, u64); 3] {
    let reported = measures.webhooks.reported;
    [
        ("https", reported.https),
        ("ports", reported.ports),
        ("domains", reported.domains),
    ]
}

/// Metrics as Prometheus reads them. Labels here are words of ours, which need no escaping.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.head(name, help, "counter");
        for (word, value) in values {
            let _ = writeln!(self.0, "{name}{{{label}=\"{word}\"}} {value}");
        }
    }
}
