//! Graphs that look at what surrounds them.
//!
//! `env` returns all environment variables, and the one whose name the input gives. `given` returns the run's context,
//! its `configurable` and its metadata as the node sees them. `stdout` writes a line to the standard output, one to the
//! standard error and one to the log.

use std::collections::BTreeMap;

use selvedge_sdk::prelude::*;

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Surroundings {
    name: Option<String>,
    value: Option<String>,
    vars: Option<BTreeMap<String, String>>,
}

pub fn env() -> StateGraph<Surroundings> {
    let node = |state: Surroundings, ctx: &Context| {
        let vars: BTreeMap<_, _> = selvedge_sdk::env::vars().into_iter().collect();
        let value = state.name.and_then(|name| ctx.var(&name));
        Ok(Surroundings::update().vars(vars).value(value))
    };
    StateGraph::new()
        .node("env", node)
        .edge(START, "env")
        .edge("env", END)
}

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Given {
    context: Option<Value>,
    configurable: Option<Value>,
    metadata: Option<Value>,
}

pub fn given() -> StateGraph<Given> {
    let node = |_: Given, ctx: &Context| {
        let config = ctx.config();
        Ok(Given::update()
            .context(ctx.context::<Value>()?)
            .configurable(Value::Object(config.configurable.clone()))
            .metadata(Value::Object(config.metadata.clone())))
    };
    StateGraph::new()
        .node("given", node)
        .edge(START, "given")
        .edge("given", END)
}

pub fn stdout() -> StateGraph<Surroundings> {
    let node = |_: Surroundings, _: &Context| {
        print("to stdout\n", "to stderr\n");
        selvedge_sdk::info!("to the log");
        Ok(Surroundings::update().value("printed".to_owned()))
    };
    StateGraph::new()
        .node("stdout", node)
        .edge(START, "stdout")
        .edge("stdout", END)
}

#[cfg(target_arch = "wasm32")]
fn print(out: &str, err: &str) {
    // A closed stream is no concern of this graph.
    let _ = wasip2::cli::stdout::get_stdout().blocking_write_and_flush(out.as_bytes());
    let _ = wasip2::cli::stderr::get_stderr().blocking_write_and_flush(err.as_bytes());
}

#[cfg(not(target_arch = "wasm32"))]
fn print(out: &str, err: &str) {
    eprint!("{out}{err}");
}
