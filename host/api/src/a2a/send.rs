//! `message/send`, `message/stream` and `tasks/resubscribe`: a message begins a task, or goes on with one, and its
//! sender is told once or all along what comes of it.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use selvedge_model::event::{EventKind, MessagePart, StreamEvent};
use selvedge_model::run::{Run, StreamMode};
use selvedge_model::{Json, ThreadId, Timestamp};
use selvedge_runtime::hub::{Ending, Finished, Next, Subscription};
use selvedge_runtime::runs::Followed;
use selvedge_runtime::{AssistantRef, CreateRun, Place};
use tokio::time::Instant;
use uuid::Uuid;

use super::desk::Desk;
use super::dialect::{Dialect, Role, State};
use super::message::{self, Incoming, START, mark};
use super::parts::object;
use super::rpc::{RpcError, RpcResult, envelope};
use super::said;
use super::task::{self, FIRST_RUN, Task, TaskId};
use crate::answers::answering;
use crate::options::HEARTBEAT;
use crate::{sse, waiting};

/// A task that goes on.
struct Begun {
    id: TaskId,
    run: Run,
    stream: Subscription,
}

/// Answers with the task when it has ended or asks for something, or at once where the sender does not wait.
pub(super) async fn send(desk: Desk, id: Json, incoming: Incoming) -> RpcResult<Response> {
    let begun = begin(&desk, &incoming).await?;
    if !incoming.waits {
        let task = submitted(&desk, begun.id, &incoming, begun.run.created_at);
        return Ok(super::answer(&id, &result(&desk, task)));
    }
    let length = incoming.history;
    let ended = async move {
        let ending = begun.stream.ended().await;
        let shown = match &ending {
            Ending::Finished(finished) => left(&desk, begun.id, finished, length).await,
            Ending::Released => Err(released()),
        };
        let answer = match shown {
            Ok(task) => envelope(&id, "result", &result(&desk, task)),
            Err(error) => error.answers(&id),
        };
        Bytes::from(answer.as_str().to_owned())
    };
    Ok(waiting::answer(Box::pin(ended)).await)
}

/// Answers with events until the task has ended or asks for something.
pub(super) async fn stream(desk: Desk, id: Json, incoming: Incoming) -> RpcResult<Response> {
    let begun = begin(&desk, &incoming).await?;
    let task = submitted(&desk, begun.id, &incoming, begun.run.created_at);
    Ok(events(desk, id, begun, task))
}

/// The same for a task that goes on already.
pub(super) async fn subscribe(desk: Desk, id: Json, task: TaskId) -> RpcResult<Response> {
    let found = Task::read(&desk, task).await?;
    let found = found.ok_or_else(|| RpcError::no_task(&task.to_string()))?;
    let over = || RpcError::unsupported("The task does not go on: nothing more comes of it");
    let (scope, run) = (&desk.caller.scope, found.run.run_id);
    let runtime = &desk.edge.runtime;
    match runtime.follow(scope, Some(task.thread), run, false).await? {
        Some(Followed::Live(run, stream)) => {
            let shown = found.shown(&desk, None);
            let begun = Begun {
                id: task,
                run: *run,
                stream,
            };
            Ok(events(desk, id, begun, shown))
        }
        Some(Followed::Ended(_)) => Err(over()),
        None => Err(RpcError::no_task(&task.to_string())),
    }
}

async fn begin(desk: &Desk, incoming: &Incoming) -> RpcResult<Begun> {
    let going_on = match incoming.task {
        Some(id) => Some(goes_on(desk, id).await?),
        None => None,
    };
    let thread = incoming.context;
    let thread = thread.unwrap_or_else(|| ThreadId::from(Uuid::new_v4()));
    let start = going_on
        .as_ref()
        .and_then(|task| task.start()?.parse().ok());
    let start = start.unwrap_or_else(Uuid::new_v4);
    let mut request = CreateRun {
        stream_mode: vec![StreamMode::Messages],
        ..CreateRun::new(
            AssistantRef::Id(desk.assistant.assistant_id),
            Place::Thread {
                id: thread,
                create: true,
            },
            desk.request_id.clone(),
        )
    };
    let start_text = start.to_string();
    match &going_on {
        Some(task) => {
            let first = task.id.run.to_string();
            request.metadata = mark(&[(START, &start_text), (FIRST_RUN, &first)]);
        }
        None => request.metadata = mark(&[(START, &start_text)]),
    }
    let asking = going_on.filter(|task| task.state == State::InputRequired);
    match asking {
        Some(task) => request = answering(request, task.questions(), incoming.answer()),
        None => request.input = Some(incoming.input(desk, start)?),
    }
    let accepted = desk.edge.runtime.create_run(&desk.caller, request).await?;
    Ok(Begun {
        id: TaskId::of(&accepted.run),
        run: accepted.run,
        stream: accepted.stream,
    })
}

async fn goes_on(desk: &Desk, id: TaskId) -> RpcResult<Task> {
    let task = Task::read(desk, id).await?;
    let task = task.ok_or_else(|| RpcError::no_task(&id.to_string()))?;
    match task.state.is_terminal() {
        true => Err(RpcError::unsupported(
            "A terminal task cannot accept another message",
        )),
        false => Ok(task),
    }
}

fn submitted(desk: &Desk, id: TaskId, incoming: &Incoming, at: Timestamp) -> Json {
    let history = (incoming.history != Some(0)).then(|| {
        let message = incoming.shown(desk, id);
        Json::array([&message])
    });
    let status = task::status(desk, State::Submitted, None, at);
    task::shown(desk, id, &status, history.as_ref(), None)
}

async fn left(
    desk: &Desk,
    id: TaskId,
    finished: &Finished,
    length: Option<usize>,
) -> RpcResult<Json> {
    let task = Task::read(desk, id).await?;
    let task = task.ok_or_else(|| RpcError::no_task(&id.to_string()))?;
    Ok(task.left_by(finished).shown(desk, length))
}

fn released() -> RpcError {
    RpcError::internal("The server is shutting down; the task goes on after the restart")
}

/// A task as a result: 1.0 says by a member's name what a result is.
pub(super) fn result(desk: &Desk, task: Json) -> Json {
    named(desk, "task", task)
}

fn named(desk: &Desk, name: &'static str, object: Json) -> Json {
    match desk.dialect {
        Dialect::V03 => object,
        Dialect::V10 => Json::object([(name, &object)]),
    }
}

/// Whoever reads the events of a task.
struct Teller {
    desk: Desk,
    /// Of the call.
    id: Json,
    begun: Begun,
    /// Frames that are to be sent.
    next: VecDeque<Bytes>,
    over: bool,
}

fn events(desk: Desk, id: Json, begun: Begun, task: Json) -> Response {
    let mut teller = Teller {
        desk,
        id,
        begun,
        next: VecDeque::new(),
        over: false,
    };
    let first = result(&teller.desk, task);
    teller.tell(&first);
    let frames = stream::unfold(teller, |mut teller| async {
        let beat = Instant::now() + HEARTBEAT;
        loop {
            if let Some(frame) = teller.next.pop_front() {
                return Some((Ok::<_, Infallible>(frame), teller));
            }
            if teller.over {
                return None;
            }
            match tokio::time::timeout_at(beat, teller.begun.stream.next()).await {
                Ok(next) => teller.take(next).await,
                Err(_) => teller
                    .next
                    .push_back(Bytes::from_static(sse::HEARTBEAT_FRAME)),
            }
        }
    });
    sse::events(Body::from_stream(frames))
}

impl Teller {
    fn tell(&mut self, result: &Json) {
        let message = envelope(&self.id, "result", result);
        self.next.push_back(sse::message_frame(&message));
    }

    fn fail(&mut self, error: &RpcError) {
        self.next
            .push_back(sse::message_frame(&error.answers(&self.id)));
        self.over = true;
    }

    async fn take(&mut self, next: Next) {
        match next {
            Next::Event(_, event) => self.show(&event),
            Next::Lagged => self.fail(&RpcError::internal(
                "Events are missing here: this reader was too slow. Ask for the task",
            )),
            Next::Ended(Ending::Released) => self.fail(&released()),
            Next::Ended(Ending::Finished(finished)) => self.end(&finished).await,
        }
    }

    /// What the agent says, as far as it has said it.
    fn show(&mut self, event: &StreamEvent) {
        let EventKind::Messages(MessagePart::Partial | MessagePart::Complete) = event.kind else {
            return;
        };
        let (desk, id) = (&self.desk, self.begun.id);
        let messages = event.data.items().unwrap_or_default();
        let spoken = messages.iter().filter_map(said::spoken);
        let updates: Vec<Json> = spoken
            .map(|(message_id, parts)| {
                let role = Role::Agent;
                let said = message::shown(desk, role, &parts, &message_id, id.thread, Some(id));
                let status = task::status(desk, State::Working, Some(&said), Timestamp::now());
                self.status_update(&status, false)
            })
            .collect();
        for update in updates {
            self.tell(&update);
        }
    }

    async fn end(&mut self, finished: &Finished) {
        let task = match Task::read(&self.desk, self.begun.id).await {
            Ok(Some(task)) => task.left_by(finished),
            Ok(None) => return self.fail(&RpcError::no_task(&self.begun.id.to_string())),
            Err(error) => return self.fail(&error),
        };
        if let Some(artifact) = task.artifact(&self.desk) {
            let update = self.artifact_update(artifact);
            self.tell(&update);
        }
        let update = self.status_update(&task.status(&self.desk), true);
        self.tell(&update);
        self.over = true;
    }

    fn status_update(&self, status: &Json, is_last: bool) -> Json {
        // 1.0 does without: the end of the events says so.
        let is_last = (self.desk.dialect == Dialect::V03).then(|| Json::written(&is_last));
        let update = self.update(
            "status-update",
            [("status", Some(status.clone())), ("final", is_last)],
        );
        named(&self.desk, "statusUpdate", update)
    }

    fn artifact_update(&self, artifact: Json) -> Json {
        let update = self.update(
            "artifact-update",
            [
                ("artifact", Some(artifact)),
                ("lastChunk", Some(Json::written(&true))),
            ],
        );
        named(&self.desk, "artifactUpdate", update)
    }

    fn update(&self, kind: &'static str, [one, other]: [(&str, Option<Json>); 2]) -> Json {
        let id = self.begun.id;
        object(&[
            ("kind", self.desk.dialect.kind(kind).map(Json::string)),
            ("taskId", Some(Json::string(&id.to_string()))),
            ("contextId", Some(Json::string(&id.thread.to_string()))),
            one,
            other,
        ])
    }
}
