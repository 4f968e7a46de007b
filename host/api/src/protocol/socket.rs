//! `GET /threads/{thread}/stream/events` as a WebSocket: commands come up, their answers and events go down, all of them
//! JSON in text frames. Events are those of all subscriptions of the connection together, each sent once; the clients
//! tell apart which subscription one is for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::{IntoResponse, Response};
use selvedge_model::{Caller, Json, ThreadId};
use selvedge_protocol::event::Address;
use selvedge_protocol::{Event, Filter};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::command::{self, Call, Code, Command, Refusal, answer};
use super::reader::Reader;
use crate::error::{ApiError, ApiResult};
use crate::options::HEARTBEAT;
use crate::request::{PathIds, RequestId};
use crate::routes::Edge;
use crate::who::Who;

/// The most subscriptions of one connection.
const MOST_SUBSCRIPTIONS: usize = 64;
/// A client from which nothing was heard for so long, not even the answer to a ping, is gone.
const SILENCE: Duration = Duration::from_secs(60);

pub(crate) async fn connect(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    RequestId(request_id): RequestId,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    let thread = path.thread()?;
    let upgrade = upgrade.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    let place = edge.gate.stream(&caller)?;
    let limit = edge.options.max_body_bytes;
    let upgraded = upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| async move {
            let connection = Connection {
                edge,
                caller,
                thread,
                request_id,
                socket,
                subscriptions: Vec::new(),
                reader: None,
                heard_at: Instant::now(),
            };
            connection.serve().await;
            drop(place);
        });
    Ok(upgraded.into_response())
}

struct Connection {
    edge: Arc<Edge>,
    caller: Caller,
    thread: ThreadId,
    request_id: String,
    socket: WebSocket,
    subscriptions: Vec<Subscription>,
    /// Once there is a subscription.
    reader: Option<Reader>,
    heard_at: Instant,
}

struct Subscription {
    id: String,
    filter: Filter,
}

/// Why a connection is over.
enum Over {
    /// The client has gone.
    Gone,
    /// There is nothing more to read.
    Dry,
}

impl From<axum::Error> for Over {
    fn from(_: axum::Error) -> Self {
        Self::Gone
    }
}

impl Connection {
    async fn serve(mut self) {
        if let Err(Over::Dry) = self.converse().await {
            // The clients come back by themselves.
            let frame = CloseFrame {
                code: close_code::ERROR,
                reason: "the stream of events has ended".into(),
            };
            let _ = self.socket.send(Message::Close(Some(frame))).await;
        }
    }

    async fn converse(&mut self) -> Result<(), Over> {
        loop {
            let beat = Instant::now() + HEARTBEAT;
            let subscriptions = &self.subscriptions;
            let wants = |seq: u64, address: &Address| is_wanted(subscriptions, seq, address);
            let reading = async {
                match &mut self.reader {
                    Some(reader) => reader.next(&wants).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.socket.recv() => {
                    let message = received.ok_or(Over::Gone)??;
                    self.heard_at = Instant::now();
                    self.hear(message).await?;
                }
                events = reading => {
                    for event in events.ok_or(Over::Dry)? {
                        self.tell(&event).await?;
                    }
                }
                () = tokio::time::sleep_until(beat) => {
                    if self.heard_at.elapsed() > SILENCE {
                        return Err(Over::Gone);
                    }
                    self.socket.send(Message::Ping(bytes::Bytes::new())).await?;
                }
            }
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), Over> {
        let text = match &message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes.as_ref(),
            Message::Close(_) => return Err(Over::Gone),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
        };
        let Ok(body) = Json::parse_bytes(text) else {
            let refusal = Refusal::invalid("Protocol commands must be valid JSON.");
            return self.say(&command::error(None, &refusal)).await;
        };
        let command = match Command::read(&body) {
            Ok(command) => command,
            Err(answer) => return self.say(&answer).await,
        };
        let outcome = match command.method.as_str() {
            "subscription.subscribe" => self.subscribe(&command).await?,
            "subscription.reconnect" => self.reconnect(&command).await?,
            "subscription.unsubscribe" => self.unsubscribe(&command),
            _ => {
                let call = Call {
                    edge: &self.edge,
                    caller: &self.caller,
                    thread: self.thread,
                    request_id: &self.request_id,
                };
                command::carry_out(&call, &command).await
            }
        };
        let through = self
            .reader
            .as_ref()
            .map_or(0, |reader| reader.translator().seq());
        self.say(&answer(command.id, outcome, through)).await
    }

    async fn subscribe(&mut self, command: &Command) -> Result<Result<Value, Refusal>, Over> {
        match command::filter(&command.params) {
            Ok(filter) => Ok(self.add(filter).await?.map(
                |(id, replayed, _)| json!({"subscription_id": id, "replayed_events": replayed}),
            )),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// As a subscription, from a number on that must be of the thread's present counting.
    async fn reconnect(&mut self, command: &Command) -> Result<Result<Value, Refusal>, Over> {
        if command.params.json("since").is_none() {
            let message = "subscription.reconnect requires a non-negative integer since.";
            return Ok(Err(Refusal::invalid(message)));
        }
        let filter = match command::filter(&command.params) {
            Ok(filter) => filter,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let since = filter.since;
        Ok(self.add(filter).await?.and_then(|(id, replayed, through)| {
            if through < since {
                self.subscriptions
                    .retain(|subscription| subscription.id != id);
                let message = format!(
                    "the events up to {since} are not kept any more; the last is {through}"
                );
                return Err(Refusal::new(Code::ResumeGap, message));
            }
            Ok(json!({"subscription_id": id, "restored": true, "replayed_events": replayed}))
        }))
    }

    fn unsubscribe(&mut self, command: &Command) -> Result<Value, Refusal> {
        let id = command::subscription_id(&command.params)?;
        let before = self.subscriptions.len();
        self.subscriptions
            .retain(|subscription| subscription.id != id);
        if self.subscriptions.len() == before {
            return Err(command::no_subscription(&id));
        }
        Ok(json!({}))
    }

    /// Adds a subscription and sends it what is kept; its id, how many events those were, and the number of the last.
    ///
    /// The thread is read from its beginning again. What the other subscriptions were told already is told to the new one
    /// alone; from there on one reader serves all.
    async fn add(&mut self, filter: Filter) -> Result<Result<(String, u64, u64), Refusal>, Over> {
        if self.subscriptions.len() >= MOST_SUBSCRIPTIONS {
            let message = format!("a connection has {MOST_SUBSCRIPTIONS} subscriptions at most");
            return Ok(Err(Refusal::invalid(message)));
        }
        let reader = Reader::open(&self.edge.runtime, &self.caller.scope, self.thread).await;
        let mut reader = match reader {
            Ok(Some(reader)) => reader,
            Ok(None) => return Ok(Err(command::no_run())),
            Err(error) => return Ok(Err(error.into())),
        };
        let told = self
            .reader
            .as_ref()
            .map_or(0, |reader| reader.translator().seq());
        let others = std::mem::take(&mut self.subscriptions);
        let mut replayed = 0;
        loop {
            let wants = |seq: u64, address: &Address| {
                (seq > filter.since && filter.wants(address))
                    || (seq > told && is_wanted(&others, seq, address))
            };
            let Some(events) = reader.next_kept(&wants).await else {
                break;
            };
            for event in events {
                if event.seq > filter.since && filter.wants(&event.address) {
                    replayed += 1;
                }
                self.tell(&event).await?;
            }
        }
        let through = reader.translator().seq();
        self.reader = Some(reader);
        self.subscriptions = others;
        let id = Uuid::new_v4().to_string();
        self.subscriptions.push(Subscription {
            id: id.clone(),
            filter,
        });
        Ok(Ok((id, replayed, through)))
    }

    async fn tell(&mut self, event: &Event) -> Result<(), Over> {
        self.send(event.to_json().as_str()).await
    }

    async fn say(&mut self, answer: &Value) -> Result<(), Over> {
        self.send(&answer.to_string()).await
    }

    async fn send(&mut self, text: &str) -> Result<(), Over> {
        Ok(self.socket.send(Message::Text(text.into())).await?)
    }
}

fn is_wanted(subscriptions: &[Subscription], seq: u64, address: &Address) -> bool {
    let mut filters = subscriptions
        .iter()
        .map(|subscription| &subscription.filter);
    filters.any(|filter| seq > filter.since && filter.wants(address))
}
