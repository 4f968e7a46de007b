//! Guests that mean harm, other than those that are merely wrong (`sandbox`): each is refused when it is loaded, or ends
//! its own run with the error kind of the bound that it met; the operator's metrics count it, and the next run on the
//! same host succeeds.
//!
//! `tests/graphs/hostile/guest.wat` is what they are made of.

mod compiling;
mod guest;
mod loading;
mod neighbours;
mod secrets;
mod tasks;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Server, Setup};
use guest::Guest;

/// A server of some components, and `good` beside them. What hostile components compile to is no other test's.
fn setup(graphs: impl IntoIterator<Item = (&'static str, Value)>, good: &Guest) -> Setup {
    let setup = Setup::with_graphs(json!({}));
    let shared = setup.data_dir().join("components");
    std::fs::remove_file(shared).expect("a link");
    let mut setup = setup;
    setup.config["graphs"]["good"] = json!(good.written_to(&setup.data_dir(), "good"));
    for (name, graph) in graphs {
        setup.config["graphs"][name] = graph;
    }
    setup
}

/// A place for the components of a test, and what writes them there.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::TempDir::new().expect("a temporary directory"))
    }

    fn holding(&self, name: &str, component: &[u8]) -> PathBuf {
        guest::write(self.0.path(), name, component)
    }
}

fn run(graph: &str, input: Value) -> Value {
    json!({"assistant_id": graph, "input": input})
}

/// The error of a run that must fail.
async fn error_of(server: &Server, graph: &str, input: Value) -> (String, String) {
    let outcome = server.post_json("/runs/wait", &run(graph, input)).await;
    let error = &outcome["__error__"];
    let text = |name: &str| {
        let text = error[name].as_str();
        text.unwrap_or_else(|| panic!("{graph}: {outcome}"))
            .to_owned()
    };
    (text("error"), text("message"))
}

async fn good_run_succeeds(server: &Server) {
    let outcome = server
        .post_json("/runs/wait", &run("good", json!({"foo": 1})))
        .await;
    assert_eq!(outcome["foo"], 1, "{outcome}");
}

/// How many tasks each bound has ended.
async fn counts(server: &Server) -> Vec<(String, u64)> {
    let text = server.get("/metrics").await.text().await.expect("text");
    let counts = text.lines().filter_map(|line| {
        let (limit, count) = line
            .strip_prefix("selvedge_task_limits_total{limit=\"")?
            .split_once("\"} ")?;
        Some((limit.to_owned(), count.parse().expect("a number")))
    });
    counts.collect()
}
