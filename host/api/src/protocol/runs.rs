//! The commands that make runs: `run.start`, and `input.respond`, which goes on where a run has asked.

use selvedge_model::thread::{Interrupt, ThreadStatus};
use selvedge_model::{CheckpointId, Json, RunId};
use selvedge_runtime::{AdmitError, CreateRun};
use selvedge_storage::Values;
use serde_json::{Value, json};

use super::command::{Call, Code, Refusal};
use crate::answers::answering;
use crate::error::ApiError;
use crate::request::{Fields, protocol_run};

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
        let open = open_questions(call).await?;
        if !open.is_empty() {
            let answering = answering(run.clone(), &open, input.clone());
            match call.edge.runtime.create_run(call.caller, answering).await {
                // Somebody else has answered meanwhile: it is an input like any other.
                Err(AdmitError::NoQuestion(_)) => {}
                outcome => return Ok(started(outcome.map_err(refusal)?.run.run_id)),
            }
        }
        run.input = Some(input);
    }
    Ok(started(admit(call, run).await?))
}

fn started(run_id: RunId) -> Value {
    json!({"run_id": run_id})
}

/// Answers questions of the thread's last run.
pub(super) async fn respond(call: &Call<'_>, params: &Fields) -> Result<Value, Refusal> {
    let answers = answers(params)?;
    let scope = &call.caller.scope;
    let reads = &call.edge.reads;
    let thread = reads.thread(scope, call.thread, Values::Skip).await;
    let thread = thread.map_err(ApiError::from)?;
    let assistant = thread.and_then(|thread| {
        let metadata = thread.metadata.members()?;
        metadata.get("assistant_id").cloned()
    });
    let assistant = assistant.ok_or_else(|| {
        Refusal::new(
            Code::NoSuchRun,
            "No interrupted run is bound to this thread.",
        )
    })?;
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
    run.answers = answers.into_iter().map(|(id, _)| id).collect();
    admit(call, run).await?;
    Ok(json!({}))
}

fn read(call: &Call<'_>, params: &Fields) -> Result<CreateRun, Refusal> {
    let run = protocol_run(params, call.thread, call.request_id.to_owned());
    run.map_err(Refusal::of_parameters)
}

async fn admit(call: &Call<'_>, run: CreateRun) -> Result<RunId, Refusal> {
    let accepted = call.edge.runtime.create_run(call.caller, run).await;
    Ok(accepted.map_err(refusal)?.run.run_id)
}

fn refusal(error: AdmitError) -> Refusal {
    match error {
        AdmitError::NoCheckpoint { checkpoint, .. } => no_checkpoint(checkpoint),
        AdmitError::NoQuestion(_) => Refusal::new(Code::NoSuchInterrupt, error.to_string()),
        error => ApiError::from(error).into(),
    }
}

fn no_checkpoint(checkpoint: CheckpointId) -> Refusal {
    Refusal::new(
        Code::NoSuchCheckpoint,
        format!("Unknown checkpoint: {checkpoint}"),
    )
}

/// The questions of the thread, if it rests.
async fn open_questions(call: &Call<'_>) -> Result<Vec<Interrupt>, Refusal> {
    let reads = &call.edge.reads;
    let thread = reads.thread(&call.caller.scope, call.thread, Values::Skip);
    let thread = thread.await.map_err(ApiError::from)?;
    let resting = thread.filter(|thread| thread.status == ThreadStatus::Interrupted);
    let outcome = resting.and_then(|thread| thread.outcome);
    let questions = outcome.unwrap_or_default().interrupts;
    Ok(questions.into_values().flatten().collect())
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
