//! The contract on WebAssembly: the imports as [`Host`], and the exports, which only translate and call
//! [`Graphs`]. Everything else in this crate builds natively as well.

use std::cell::RefCell;
use std::rc::Rc;

use crate::component::{Graph, Graphs};
use crate::configured::Setting;
use crate::context::Context;
use crate::error::NodeError;
use crate::host::Host;
use crate::log::Level;

/// Written by wit-bindgen from `wit/graph.wit`.
#[allow(unsafe_code, missing_docs, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/graph.wit",
        world: "configured-graph",
        pub_export_macro: true,
        default_bindings_module: "selvedge_sdk::export::bindings",
    });
}

use bindings::exports::selvedge::graph::guest::Failure;
use bindings::selvedge::graph as imports;

struct ComponentHost;

impl Host for ComponentHost {
    fn emit_custom(&self, value: &str) {
        imports::context::emit_custom(value);
    }

    fn emit_message(&self, chunk: &str, metadata: &str) {
        imports::context::emit_message(chunk, metadata);
    }

    fn interrupt(&self, value: &str) -> Option<String> {
        imports::context::interrupt(value).ok()
    }

    fn remaining_ms(&self) -> u64 {
        imports::context::remaining_ms()
    }
}

pub(crate) fn emit_tool(event: &str) {
    imports::context::emit_tool(event);
}

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => imports::log::Level::Trace,
        Level::Debug => imports::log::Level::Debug,
        Level::Info => imports::log::Level::Info,
        Level::Warn => imports::log::Level::Warn,
        Level::Error => imports::log::Level::Error,
    };
    imports::log::write(level, message);
}

thread_local! {
    /// The graph that this instance was last asked about: the calls of one task come in a row.
    static BUILT: RefCell<Option<(String, Rc<dyn Graph>)>> = const { RefCell::new(None) };
}

fn graph(graphs: Graphs, name: &str) -> Result<Rc<dyn Graph>, NodeError> {
    BUILT.with_borrow_mut(|built| {
        if let Some((last, graph)) = built
            && last == name
        {
            return Ok(Rc::clone(graph));
        }
        report_panics();
        let graph = graphs.find(name, &Setting::default())?;
        *built = Some((name.to_owned(), Rc::clone(&graph)));
        Ok(graph)
    })
}

/// The graph that this instance is asked about from now on.
pub fn configure(graphs: Graphs, name: &str, setting: &str) -> Result<(), Failure> {
    report_panics();
    let graph = graph_for(graphs, name, setting).map_err(failure)?;
    BUILT.set(Some((name.to_owned(), graph)));
    Ok(())
}

fn graph_for(graphs: Graphs, name: &str, setting: &str) -> Result<Rc<dyn Graph>, NodeError> {
    graphs.find(name, &serde_json::from_str(setting)?)
}

/// A panic ends in a trap, which says nothing. The host takes the last error line that begins with `panicked at` as
/// the trap's message.
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log(Level::Error, &format!("panicked at {place}: {payload}"));
    }));
}

pub fn describe(graphs: Graphs) -> String {
    report_panics();
    if let Err(problems) = graphs.check() {
        panic!("the graphs of this component cannot work:\n{problems}");
    }
    graphs.describe().to_string()
}

pub fn describe_for(graphs: Graphs, name: &str, setting: &str) -> Result<String, Failure> {
    report_panics();
    let graph = graph_for(graphs, name, setting).map_err(failure)?;
    let problems = graph.problems();
    if !problems.is_empty() {
        return Err(failure(NodeError::new("InvalidGraph", problems.join("\n"))));
    }
    Ok(graph.describe(name).to_string())
}

pub fn run_node(graphs: Graphs, name: &str, node: &str, task: String) -> Result<String, Failure> {
    graph(graphs, name)
        .and_then(|g| g.run_node(node, &Context::new(task, Rc::new(ComponentHost))))
        .map_err(failure)
}

pub fn route(
    graphs: Graphs,
    name: &str,
    node: &str,
    branch: &str,
    state: &str,
    task: String,
) -> Result<String, Failure> {
    let ctx = Context::new(task, Rc::new(ComponentHost));
    graph(graphs, name)
        .and_then(|g| g.route(node, branch, state, &ctx))
        .map_err(failure)
}

pub fn reduce(
    graphs: Graphs,
    name: &str,
    channel: &str,
    current: &str,
    updates: &str,
) -> Result<String, Failure> {
    graph(graphs, name)
        .and_then(|g| g.reduce(channel, current, updates))
        .map_err(failure)
}

fn failure(error: NodeError) -> Failure {
    Failure {
        kind: error.kind().to_owned(),
        message: error.message().to_owned(),
        retryable: error.is_retryable(),
    }
}

/// Exports the graphs that the function returns.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($graphs:ident) => {
        #[allow(unsafe_code)]
        const _: () = {
            use $crate::export::{self, bindings};

            struct Component;

            impl bindings::exports::selvedge::graph::guest::Guest for Component {
                fn describe() -> String {
                    export::describe($graphs())
                }
                fn run_node(
                    graph: String,
                    node: String,
                    task: String,
                ) -> Result<String, bindings::exports::selvedge::graph::guest::Failure> {
                    export::run_node($graphs(), &graph, &node, task)
                }
                fn route(
                    graph: String,
                    node: String,
                    branch: String,
                    state: String,
                    task: String,
                ) -> Result<String, bindings::exports::selvedge::graph::guest::Failure> {
                    export::route($graphs(), &graph, &node, &branch, &state, task)
                }
                fn reduce(
                    graph: String,
                    channel: String,
                    current: String,
                    updates: String,
                ) -> Result<String, bindings::exports::selvedge::graph::guest::Failure> {
                    export::reduce($graphs(), &graph, &channel, &current, &updates)
                }
            }

            impl bindings::exports::selvedge::graph::configured::Guest for Component {
                fn describe_for(
                    graph: String,
                    setting: String,
                ) -> Result<String, bindings::exports::selvedge::graph::guest::Failure> {
                    export::describe_for($graphs(), &graph, &setting)
                }
                fn configure(
                    graph: String,
                    setting: String,
                ) -> Result<(), bindings::exports::selvedge::graph::guest::Failure> {
                    export::configure($graphs(), &graph, &setting)
                }
            }

    bindings::export!(Component with_types_in bindings);
        };
    };
}
