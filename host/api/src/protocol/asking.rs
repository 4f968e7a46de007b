//! The commands that only ask: how the graphs of the newest run stand, and what the state is.

use selvedge_model::Json;
use selvedge_model::run::{Run, RunStatus};
use selvedge_protocol::tree::{Branch, Status};
use selvedge_storage::RunQuery;
use serde_json::{Value, json};

use super::command::{Call, Code, Refusal, no_run};
use super::reader::Reader;
use crate::error::ApiError;
use crate::request::Fields;

/// `agent.getTree`: the graphs of the thread's newest run, as far as its events are kept.
pub(super) async fn tree(call: &Call<'_>, params: &Fields) -> Result<Value, Refusal> {
    let query = RunQuery {
        thread_id: call.thread,
        status: None,
        limit: 1,
        offset: 0,
    };
    let runs = call.edge.runtime.list_runs(&call.caller.scope, query).await;
    let newest = runs.map_err(ApiError::from)?.unwrap_or_default().pop();
    let run = newest.ok_or_else(no_run)?;
    let wanted = params.string("run_id").map_err(Refusal::of_parameters)?;
    if wanted.is_some_and(|wanted| wanted != run.run_id.to_string()) {
        return Err(no_run());
    }
    let mut reader = Reader::open(&call.edge.runtime, &call.caller.scope, call.thread).await?;
    while reader.next_kept(&|_, _| false).await.is_some() {}
    let translator = reader.translator();
    let seen = translator
        .tree()
        .filter(|_| translator.run() == Some(run.run_id));
    Ok(json!({"tree": seen.unwrap_or_else(|| alone(&run))}))
}

/// A run of which no events are kept.
fn alone(run: &Run) -> Branch {
    let metadata = run.metadata.members().unwrap_or_default();
    let graph = metadata.get("graph_id").and_then(|id| id.decode().ok());
    Branch {
        namespace: selvedge_protocol::event::Namespace::default(),
        status: match run.status {
            RunStatus::Pending => Status::Started,
            RunStatus::Running => Status::Running,
            RunStatus::Success => Status::Completed,
            RunStatus::Error | RunStatus::Timeout => Status::Failed,
            RunStatus::Interrupted => Status::Interrupted,
        },
        graph_name: graph.unwrap_or_default(),
        children: Vec::new(),
    }
}

/// `state.get`: the values of the newest checkpoint of a namespace, or some of them.
pub(super) async fn state(call: &Call<'_>, params: &Fields) -> Result<Value, Refusal> {
    let namespace = params
        .strings("namespace")
        .map_err(Refusal::of_parameters)?;
    let namespace = namespace.unwrap_or_default().join("|");
    let keys = params.strings("keys").map_err(Refusal::of_parameters)?;
    let runtime = &call.edge.runtime;
    let state = runtime.thread_state(&call.caller.scope, call.thread, &namespace, None, false);
    let state = state.await.map_err(ApiError::from)?.ok_or_else(no_run)?;
    if state.saved.is_none() && !namespace.is_empty() {
        return Err(Refusal::new(
            Code::NoSuchNamespace,
            format!("Unknown namespace: {namespace}"),
        ));
    }
    let values = match keys {
        None => state.view.values,
        Some(keys) => {
            let all = state.view.values.members().unwrap_or_default();
            Json::object(all.iter().filter(|(name, _)| keys.contains(name)))
        }
    };
    let mut result = json!({"values": values.to_value()});
    if let Some(saved) = state.saved {
        result["checkpoint"] = json!({"id": saved.checkpoint.id, "ns": namespace});
    }
    Ok(result)
}
