//! Tasks: the runs that a message leads to, and those that answers to their questions lead to.
//!
//! A task is known by its thread and its first run. Its later runs say in their metadata which that was.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use selvedge_model::run::{Run, RunError, RunStatus};
use selvedge_model::thread::Interrupt;
use selvedge_model::{Json, RunId, ThreadId, Timestamp};
use selvedge_runtime::hub::Finished;
use selvedge_storage::{RunQuery, Values};
use uuid::Uuid;

use super::desk::Desk;
use super::dialect::{Role, State};
use super::message::{self, START, marked};
use super::parts::{Part, object};
use super::rpc::RpcResult;
use super::said::{Said, messages};

/// In a run's metadata, beside [`START`]: the first run of its task.
pub(super) const FIRST_RUN: &str = "task_run_id";

/// How many of a conversation's newest runs are looked at: to find the newest of a task, and which messages belong to
/// which task.
const MOST_RUNS: u32 = 100;

/// `<thread>:<first run>`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskId {
    pub(super) thread: ThreadId,
    pub(super) run: RunId,
}

impl TaskId {
    /// The task that a run belongs to.
    pub(super) fn of(run: &Run) -> Self {
        let first = marked(&run.metadata, FIRST_RUN).and_then(|id| id.parse().ok());
        Self {
            thread: run.thread_id,
            run: first.unwrap_or(run.run_id),
        }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.thread, self.run)
    }
}

impl FromStr for TaskId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (thread, run) = text.split_once(':').ok_or(())?;
        Ok(Self {
            thread: thread.parse().map_err(|_| ())?,
            run: run.parse().map_err(|_| ())?,
        })
    }
}

/// A task as it stands.
pub(super) struct Task {
    pub(super) id: TaskId,
    /// Its newest run.
    pub(super) run: Run,
    pub(super) state: State,
    /// What marks the messages that began it.
    start: Option<String>,
    /// Nothing has happened in its conversation since.
    is_newest: bool,
    values: Json,
    /// What is said in them.
    said: Arc<[Said]>,
    interrupts: Vec<Interrupt>,
    error: Option<RunError>,
    /// Which task the messages after a mark belong to.
    starts: HashMap<String, TaskId>,
}

/// The tasks of a conversation with an assistant, newest first.
pub(super) struct Conversation {
    thread: ThreadId,
    runs: Vec<Run>,
    /// `null` until they are [read](Self::read_values).
    values: Json,
    said: Arc<[Said]>,
    interrupts: Vec<Interrupt>,
    error: Option<RunError>,
}

impl Conversation {
    /// Without its values; `None` when there is no such thread.
    pub(super) async fn read(desk: &Desk, thread: ThreadId) -> RpcResult<Option<Self>> {
        let scope = &desk.caller.scope;
        let query = RunQuery {
            thread_id: thread,
            status: None,
            limit: MOST_RUNS,
            offset: 0,
        };
        let Some(runs) = desk.edge.runtime.list_runs(scope, query).await? else {
            return Ok(None);
        };
        let found = desk.edge.reads.thread(scope, thread, Values::Skip).await?;
        Ok(found.map(|found| {
            let outcome = found.outcome.unwrap_or_default();
            Self {
                thread,
                runs,
                values: Json::null(),
                said: Arc::default(),
                interrupts: outcome.interrupts.into_values().flatten().collect(),
                error: outcome.error,
            }
        }))
    }

    /// Reads what its tasks have said and given.
    pub(super) async fn read_values(&mut self, desk: &Desk) -> RpcResult<()> {
        let thread = desk.edge.runtime.thread(&desk.caller.scope, self.thread);
        let values = thread.await?.and_then(|thread| thread.values);
        self.values = values.unwrap_or_else(Json::null);
        self.said = messages(&self.values).into();
        Ok(())
    }

    /// The ids of the assistant's tasks.
    pub(super) fn tasks(&self, desk: &Desk) -> Vec<TaskId> {
        let mut ids = Vec::new();
        for run in self.runs_of(desk) {
            let id = TaskId::of(run);
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// The runs of a task that have not ended.
    pub(super) fn unended(&self, desk: &Desk, id: TaskId) -> Vec<RunId> {
        let of_task = self.runs_of(desk).filter(|run| TaskId::of(run) == id);
        let unended = of_task.filter(|run| !run.status.is_terminal());
        unended.map(|run| run.run_id).collect()
    }

    /// Where a task stands as long as not all of its runs have ended.
    fn goes_on(&self, desk: &Desk, id: TaskId) -> Option<State> {
        let of_task = || self.runs_of(desk).filter(|run| TaskId::of(run) == id);
        let any = |status: &RunStatus| of_task().any(|run| run.status == *status);
        let standing = [RunStatus::Running, RunStatus::Pending];
        standing
            .into_iter()
            .find(any)
            .map(|status| state(status, &[]))
    }

    fn runs_of(&self, desk: &Desk) -> impl Iterator<Item = &Run> {
        let assistant = desk.assistant.assistant_id;
        self.runs
            .iter()
            .filter(move |run| run.assistant_id == assistant)
    }

    /// A task of the assistant's.
    pub(super) fn task(&self, desk: &Desk, id: TaskId) -> Option<Task> {
        let run = self.runs_of(desk).find(|run| TaskId::of(run) == id)?;
        let is_newest = self
            .runs
            .first()
            .is_some_and(|newest| newest.run_id == run.run_id);
        let interrupts = match is_newest {
            true => self.interrupts.clone(),
            false => Vec::new(),
        };
        let starts = self.runs.iter().filter_map(|run| {
            let start = marked(&run.metadata, START)?;
            Some((start, TaskId::of(run)))
        });
        Some(Task {
            id,
            state: self
                .goes_on(desk, id)
                .unwrap_or_else(|| state(run.status, &interrupts)),
            start: marked(&run.metadata, START),
            is_newest,
            values: self.values.clone(),
            said: self.said.clone(),
            interrupts,
            error: self.error.clone().filter(|_| is_newest),
            starts: starts.collect(),
            run: run.clone(),
        })
    }
}

impl Task {
    /// The task, or `None` when there is no such task of the assistant's.
    pub(super) async fn read(desk: &Desk, id: TaskId) -> RpcResult<Option<Self>> {
        let Some(mut conversation) = Conversation::read(desk, id.thread).await? else {
            return Ok(None);
        };
        conversation.read_values(desk).await?;
        Ok(conversation.task(desk, id))
    }

    /// As its newest run left it, whatever has happened since.
    pub(super) fn left_by(self, finished: &Finished) -> Self {
        Self {
            state: state(finished.status, &finished.interrupts),
            is_newest: true,
            values: finished.values.clone(),
            said: messages(&finished.values).into(),
            interrupts: finished.interrupts.clone(),
            error: finished.error.clone(),
            ..self
        }
    }

    /// What marks its messages; of one that another kind of request began there is nothing.
    pub(super) fn start(&self) -> Option<&str> {
        self.start.as_deref()
    }

    /// What it asks.
    pub(super) fn questions(&self) -> &[Interrupt] {
        &self.interrupts
    }

    pub(super) fn shown(&self, desk: &Desk, length: Option<usize>) -> Json {
        let history = (length != Some(0)).then(|| self.history(desk, length, desk.task_only));
        self.with(desk, history.as_ref(), true)
    }

    /// Among others, with the newest so many messages of its own: those before it belong to tasks that are listed too.
    pub(super) fn listed(&self, desk: &Desk, length: usize, artifacts: bool) -> Json {
        let history = (length > 0).then(|| self.history(desk, Some(length), true));
        self.with(desk, history.as_ref(), artifacts)
    }

    fn with(&self, desk: &Desk, history: Option<&Json>, artifacts: bool) -> Json {
        let artifacts = artifacts.then(|| self.artifact(desk)).flatten();
        let artifacts = artifacts.map(|artifact| Json::array([&artifact]));
        shown(
            desk,
            self.id,
            &self.status(desk),
            history,
            artifacts.as_ref(),
        )
    }

    /// The conversation up to the end of this task, or what of it belongs to the task: the newest so many.
    fn history(&self, desk: &Desk, length: Option<usize>, task_only: bool) -> Json {
        let mut of = None;
        let mut heard = Vec::new();
        let mut until = None;
        for message in self.said.iter() {
            if let Some(start) = &message.start {
                of = self.starts.get(start).copied();
            }
            let Some(role) = message.role else { continue };
            if message.parts.is_empty() || (task_only && of != Some(self.id)) {
                continue;
            }
            heard.push((role, message, of));
            if of == Some(self.id) {
                until = Some(heard.len());
            }
        }
        heard.truncate(until.unwrap_or(heard.len()));
        let first = length.map_or(0, |length| heard.len().saturating_sub(length));
        let thread = self.id.thread;
        let shown: Vec<Json> = heard[first..]
            .iter()
            .map(|(role, message, of)| {
                message::shown(desk, *role, &message.parts, &message.id, thread, *of)
            })
            .collect();
        Json::array(&shown)
    }

    pub(super) fn status(&self, desk: &Desk) -> Json {
        let why = match (self.state, &self.error) {
            (State::Failed, Some(error)) => Some(format!("{}: {}", error.kind, error.message)),
            (State::Failed, None) => Some(format!("The run ended as {}", self.run.status.as_str())),
            (State::Canceled, _) => Some("Task was canceled".to_owned()),
            _ => None,
        };
        let why = why.map(|why| {
            // The same whenever it is asked for.
            let run = self.run.run_id.to_string();
            let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, run.as_bytes()).to_string();
            let parts = [Part::Text(why)];
            message::shown(
                desk,
                Role::Agent,
                &parts,
                &id,
                self.id.thread,
                Some(self.id),
            )
        });
        status(desk, self.state, why.as_ref(), self.run.updated_at)
    }

    /// What the task has given: the question, or the agent's last words, or the values of a graph that says none.
    pub(super) fn artifact(&self, desk: &Desk) -> Option<Json> {
        let described = format!("Response from assistant {}", desk.assistant.assistant_id);
        let (name, description, parts) = match self.state {
            State::InputRequired => (
                "Interrupt",
                "Agent requires input to continue".to_owned(),
                self.interrupts.iter().map(question).collect(),
            ),
            State::Completed => ("Assistant Response", described, self.response()?),
            _ => return None,
        };
        let parts: Vec<Json> = parts.iter().map(|part| part.shown(desk.dialect)).collect();
        Some(object(&[
            // A run gives one.
            (
                "artifactId",
                Some(Json::string(&self.run.run_id.to_string())),
            ),
            ("name", Some(Json::string(name))),
            ("description", Some(Json::string(&description))),
            ("parts", Some(Json::array(&parts))),
        ]))
    }

    fn response(&self) -> Option<Vec<Part>> {
        let mut of_task = self.start.is_none();
        let mut last = None;
        for message in self.said.iter() {
            if message.start.is_some() {
                of_task = message.start == self.start;
            }
            if of_task && message.role == Some(Role::Agent) && !message.parts.is_empty() {
                last = Some(&message.parts);
            }
        }
        // Values without messages are those of the newest task.
        last.cloned().or_else(|| {
            self.is_newest
                .then(|| vec![Part::Data(self.values.clone())])
        })
    }
}

fn state(status: RunStatus, interrupts: &[Interrupt]) -> State {
    match status {
        RunStatus::Pending => State::Submitted,
        RunStatus::Running => State::Working,
        RunStatus::Success if !interrupts.is_empty() => State::InputRequired,
        RunStatus::Success => State::Completed,
        RunStatus::Error | RunStatus::Timeout => State::Failed,
        RunStatus::Interrupted => State::Canceled,
    }
}

fn question(interrupt: &Interrupt) -> Part {
    Part::Data(Json::object([
        ("id", &Json::string(&interrupt.id)),
        ("value", &interrupt.value),
    ]))
}

pub(super) fn status(desk: &Desk, state: State, message: Option<&Json>, at: Timestamp) -> Json {
    object(&[
        ("state", Some(Json::string(desk.dialect.state(state)))),
        ("message", message.cloned()),
        ("timestamp", Some(Json::string(&at.to_string()))),
    ])
}

pub(super) fn shown(
    desk: &Desk,
    id: TaskId,
    status: &Json,
    history: Option<&Json>,
    artifacts: Option<&Json>,
) -> Json {
    object(&[
        ("kind", desk.dialect.kind("task").map(Json::string)),
        ("id", Some(Json::string(&id.to_string()))),
        ("contextId", Some(Json::string(&id.thread.to_string()))),
        ("history", history.cloned()),
        ("status", Some(status.clone())),
        ("artifacts", artifacts.cloned()),
    ])
}
