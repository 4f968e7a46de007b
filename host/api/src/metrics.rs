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
    let measures = edge.runtime.measures().await;
    if query.get("format") == Some("json") {
        return Ok(JsonBody(json(&measures)).into_response());
    }
    let mut shown = text(&measures);
    shown.counters(
        "selvedge_http_refused_total",
        "Requests that no handler has seen: of pages of other origins, without good credentials, beyond a limit.",
        "reason",
        edge.gate.refused().counts(),
    );
    shown.counter(
        "selvedge_http_connections_refused_total",
        "Connections that were closed because there were enough from their address.",
        edge.neighbourhoods.refused(),
    );
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], shown.0).into_response())
}

fn json(measures: &Measures) -> Value {
    let Measures {
        running,
        places,
        waiting,
        ..
    } = measures;
    json!({
        "queue": {"n_pending": waiting.map(|waiting| waiting.runs), "n_running": running},
        "workers": {"max": places, "active": running, "available": places - running},
        "webhooks": {
            "n_pending": waiting.map(|waiting| waiting.deliveries),
            "oldest_pending_secs": waiting.map(|waiting| waiting.oldest_secs),
            "reported": reported(measures).into_iter().collect::<BTreeMap<_, _>>(),
        },
    })
}

fn text(measures: &Measures) -> Text {
    let Measures {
        running,
        places,
        webhooks,
        ..
    } = measures;
    let mut text = Text::default();
    waits(&mut text, measures);
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
        "selvedge_sandbox_waiting",
        "Tasks that wait for an instance.",
        measures.tasks.waiting,
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
    if let Some(index) = &measures.index {
        text.counter(
            "selvedge_store_indexed_total",
            "Items of the store whose vectors were made.",
            index.indexed,
        );
        text.counter(
            "selvedge_store_index_failures_total",
            "How often the endpoint of store.index failed while vectors were to be made.",
            index.failed,
        );
    }
    text.counters(
        "selvedge_webhook_reported_total",
        "Runs created with a URL that webhooks.url would refuse, were its mode not report.",
        "rule",
        reported(measures),
    );
    text
}

/// What waits in storage. What storage does not say is left out: a value would be a lie.
fn waits(text: &mut Text, measures: &Measures) {
    let waiting = measures.waiting.as_ref();
    text.gauge(
        "selvedge_storage_up",
        "1 when storage says what waits in it; 0 when it does not, and the metrics of that are missing.",
        u8::from(waiting.is_some()),
    );
    let Some(waiting) = waiting else { return };
    text.gauge("lg_api_num_pending_runs", "Runs that wait.", waiting.runs);
    text.gauge("selvedge_crons", "Crons that are enabled.", waiting.crons);
    text.gauge(
        "selvedge_webhook_outbox_deliveries",
        "Deliveries that are pending.",
        waiting.deliveries,
    );
    text.gauge(
        "selvedge_webhook_outbox_oldest_seconds",
        "How long ago the run of the oldest pending delivery ended.",
        waiting.oldest_secs,
    );
    text.gauge(
        "selvedge_webhook_outbox_overdue_seconds",
        "For how long the delivery that is due longest has waited for its attempt, the attempt included.",
        waiting.overdue_secs,
    );
    if measures.index.is_some() {
        text.gauge(
            "selvedge_store_index_pending",
            "Items of the store whose vectors are still to be made.",
            waiting.items.waiting,
        );
        text.gauge(
            "selvedge_store_index_refused",
            "Items of the store that the endpoint of store.index does not embed. The next start asks again.",
            waiting.items.refused,
        );
    }
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

#[cfg(test)]
mod tests {
    use selvedge_model::run::RunStatus;
    use selvedge_runtime::measures::{Counts, IndexCounts, TaskMeasures};

    use super::*;

    #[test]
    fn without_storage_the_counters_are_shown_and_nothing_is_invented() {
        let measures = Measures {
            ended: [
                (RunStatus::Success, 3),
                (RunStatus::Error, 0),
                (RunStatus::Timeout, 0),
                (RunStatus::Interrupted, 0),
            ],
            waiting: None,
            running: 1,
            places: 2,
            crons_fired: 0,
            cron_errors: 0,
            tasks: TaskMeasures {
                limits: Vec::new(),
                instances: 1,
                waiting: 0,
                memory_bytes: 65536,
            },
            webhooks: Counts {
                ended: DeliveryStatus::ALL.map(|status| (status, 0)),
                failed: 0,
                breaker_opened: 0,
                reported: selvedge_runtime::measures::Reported::default(),
            },
            index: Some(IndexCounts::default()),
        };
        let shown = text(&measures).0;
        assert!(shown.contains("selvedge_storage_up 0\n"), "{shown}");
        let counted = "selvedge_runs_ended_total{status=\"success\"} 3\n";
        assert!(shown.contains(counted), "{shown}");
        for name in [
            "lg_api_num_pending_runs",
            "selvedge_webhook_outbox",
            "selvedge_store_index_pending",
        ] {
            assert!(!shown.contains(name), "{shown}");
        }
        let json = json(&measures);
        assert_eq!(
            json["queue"],
            serde_json::json!({"n_pending": null, "n_running": 1})
        );
        assert_eq!(json["webhooks"]["n_pending"], Value::Null);
    }
}
