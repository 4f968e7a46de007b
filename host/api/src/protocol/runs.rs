//! The commands that make runs: `run.start`, and `input.respond`, which goes on where a run has asked.

use std::collections::HashSet;

use selvedge_model::run::RunStatus;
use selvedge_model::thread::{Thread, ThreadStatus};
use selvedge_model::{CheckpointId, Json};
use selvedge_runtime::{AdmitError, CreateRun};
use selvedge_storage::{RunQuery, Values};
use serde_json::{Value, json};

use super::command::{Call, Code, Refusal};
use crate::error::ApiError;
use crate::request::{Fields, protocol_run};

/// Runs of a thread that are looked through for answers that are on their way.
const MOST_ANSWERING: u32 = 100;

/// Starts a run, on a thread that need not exist. On one that waits for answers the input is the answer, unless the run
/// is to go on from an earlier checkpoint.
pub(super) async fn start(call: &Call<'_>, params: &Fields) -> Result<Value, Refusal> {
    if !matches!(params.string("assistant_id"), Ok(Some(_))) {
        return Err(Refusal::invalid("run.start requires an assistant_id."));
    }
    let mut run = read(call, params)?;
    run.command = None;
    if run.checkpoint_id.is_none()
        && let Some(input) = run.input.take()
    {
        match waiting(call).await? {
            Some(_) => run.command.get_or_insert_default().resume = Some(input),
            None => run.input = Some(input),
        }
    }
    let run_id = admit(call, run).await?;
    Ok(json!({"run_id": run_id}))
}

/// Answers questions of the thread's last run.
pub(super) async fn respond(call: &Call<'_>, params: &Fields) -> Result<Value, Refusal> {
    let answers = answers(params)?;
    let scope = &call.caller.scope;
    let reads = &call.edge.reads;
    let thread = reads.thread(scope, call.thread, Values::Skip).await;
    let thread = thread.map_err(ApiError::from)?;
    let assistant = thread.as_ref().and_then(|thread| {
        let metadata = thread.metadata.members()?;
        metadata.get("assistant_id").cloned()
    });
    let (Some(thread), Some(assistant)) = (thread, assistant) else {
        return Err(Refusal::new(
            Code::NoSuchRun,
            "No interrupted run is bound to this thread.",
        ));
    };
    let mut open = asked(&thread);
    for id in being_answered(call).await? {
        open.remove(&id);
    }
    if let Some((unknown, _)) = answers.iter().find(|(id, _)| !open.contains(id)) {
        return Err(Refusal::new(
            Code::NoSuchInterrupt,
            format!("Unknown or already-consumed interrupt: {unknown}"),
        ));
    }
    let mut command = vec![(
        "resume",
        Json::object(answers.iter().map(|(id, answer)| (id, answer))),
    )];
    for part in ["update", "goto"] {
        command.extend(params.json(part).map(|value| (part, value.clone())));
    }
    let command = Json::object(command.iter().map(|(name, value)| (name, value)));
    let run = params.with([("assistant_id", assistant), ("command", command)]);
    let mut run = read(call, &run)?;
    run.input = None;
    admit(call, run).await?;
    Ok(json!({}))
}

fn read(call: &Call<'_>, params: &Fields) -> Result<CreateRun, Refusal> {
    let run = protocol_run(params, call.thread, call.request_id.to_owned());
    run.map_err(Refusal::of_parameters)
}

async fn admit(call: &Call<'_>, run: CreateRun) -> Result<selvedge_model::RunId, Refusal> {
    match call.edge.runtime.create_run(call.caller, run).await {
        Ok(accepted) => Ok(accepted.run.run_id),
        Err(AdmitError::NoCheckpoint { checkpoint, .. }) => Err(no_checkpoint(checkpoint)),
        Err(error) => Err(ApiError::from(error).into()),
    }
}

fn no_checkpoint(checkpoint: CheckpointId) -> Refusal {
    Refusal::new(
        Code::NoSuchCheckpoint,
        format!("Unknown checkpoint: {checkpoint}"),
    )
}

/// The thread, if it rests and waits for answers.
async fn waiting(call: &Call<'_>) -> Result<Option<Thread>, Refusal> {
    let reads = &call.edge.reads;
    let thread = reads.thread(&call.caller.scope, call.thread, Values::Skip);
    let thread = thread.await.map_err(ApiError::from)?;
    Ok(thread
        .filter(|thread| thread.status == ThreadStatus::Interrupted && !asked(thread).is_empty()))
}

/// The questions that wait for an answer.
fn asked(thread: &Thread) -> HashSet<String> {
    let outcome = thread.outcome.iter();
    let questions = outcome.flat_map(|outcome| outcome.interrupts.values().flatten());
    questions.map(|question| question.id.clone()).collect()
}

/// The questions whose answers are with runs that have not ended.
async fn being_answered(call: &Call<'_>) -> Result<Vec<String>, Refusal> {
    let mut ids = Vec::new();
    for status in [RunStatus::Running, RunStatus::Pending] {
        let query = RunQuery {
            thread_id: call.thread,
            status: Some(status),
            limit: MOST_ANSWERING,
            offset: 0,
        };
        let runs = call.edge.runtime.list_runs(&call.caller.scope, query).await;
        for run in runs.map_err(ApiError::from)?.unwrap_or_default() {
            let resume = run.kwargs.command.and_then(|command| command.resume);
            let answers = resume
                .and_then(|resume| resume.members())
                .unwrap_or_default();
            ids.extend(answers.into_keys());
        }
    }
    Ok(ids)
}

/// One answer, or several under `responses`.
fn answers(params: &Fields) -> Result<Vec<(String, Json)>, Refusal> {
    let one = |fields: &Fields| {
        let id = fields.string("interrupt_id").ok().flatten();
        let id = id.ok_or_else(|| Refusal::invalid("input.respond requires an interrupt_id."))?;
        Ok((id, fields.json("response").cloned().unwrap_or_default()))
    };
    let Some(several) = params.json("responses") else {
        return Ok(vec![one(params)?]);
    };
    let several = several.items().unwrap_or_default();
    if several.is_empty() {
        return Err(Refusal::invalid(
            "input.respond requires at least one response.",
        ));
    }
    let read = |entry: &Json| one(&Fields::of(entry).unwrap_or_default());
    several.iter().map(read).collect()
}
