//! `GET /threads/{thread}/stream/events` as a WebSocket: commands come up, their answers and events go down, all of them
//! JSON in text frames. Events are those of all subscriptions of the connection together, each sent once; the clients
//! tell apart which subscription one is for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use selvedge_model::{Caller, Json, ThreadId, Timestamp};
use selvedge_protocol::event::Address;
use selvedge_protocol::{Event, Filter};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;

use super::command::{self, Call, Code, Command, Refusal, answer};
use super::reader::{Reader, SETTLING};
use super::upgrade::{Socket, Upgrade};
use crate::error::ApiResult;
use crate::options::HEARTBEAT;
use crate::request::{PathIds, RequestId};
use crate::routes::Edge;
use crate::who::Who;

/// Commands of which several come at once, or which others follow at once.
const ASK_FOR_MORE: [&str; 4] = [
    "subscription.subscribe",
    "subscription.reconnect",
    "run.start",
    "input.respond",
];
/// The most subscriptions of one connection.
const MOST_SUBSCRIPTIONS: usize = 64;
/// A client from which nothing was heard for so long, not even the answer to a ping, is gone.
const SILENCE: Duration = Duration::from_secs(60);

pub(crate) async fn connect(
    State(edge): State<Arc<Edge>>,
    Who(caller): Who,
    path: PathIds,
    RequestId(request_id): RequestId,
    upgrade: Upgrade,
) -> ApiResult<Response> {
    let thread = path.thread()?;
    let place = edge.gate.stream(&caller)?;
    let weight = edge.gate.weight(Some(&caller));
    let options = edge.options.clone();
    let serve = move |socket| async move {
        let connection = Connection {
            edge,
            caller,
            thread,
            request_id,
            socket,
            subscriptions: Vec::new(),
            reader: None,
            held: Vec::new(),
            settled_at: Instant::now() + SETTLING,
            sent_at: Instant::now(),
            heard_at: Instant::now(),
        };
        connection.serve().await;
        drop(place);
    };
    Ok(upgrade.serve(&options, weight, serve))
}

struct Connection {
    edge: Arc<Edge>,
    caller: Caller,
    thread: ThreadId,
    request_id: String,
    socket: Socket,
    subscriptions: Vec<Subscription>,
    /// Once there is a subscription.
    reader: Option<Reader>,
    /// The end of a run, while the client may still be asking for what came before it. Nothing is read meanwhile.
    held: Vec<Event>,
    settled_at: Instant,
    sent_at: Instant,
    heard_at: Instant,
}

struct Subscription {
    id: String,
    filter: Filter,
}

/// What became of a subscription.
struct Added {
    id: String,
    replayed: usize,
    /// The number from which on anything of the thread is kept.
    first_kept: Option<u64>,
}

/// Why a connection is over.
enum Over {
    /// The client has gone.
    Gone,
    /// There is nothing more to read.
    Dry,
    /// What the caller has shown is good no longer.
    Expired,
    /// The client sends more than it may, or too slowly.
    TooMuch(CloseCode, String),
}

impl From<Error> for Over {
    fn from(error: Error) -> Self {
        match error {
            Error::Capacity(why) => Self::TooMuch(CloseCode::Size, why.to_string()),
            // Of the bounds, or of a connection that is broken; then nobody is told.
            Error::Io(why) => Self::TooMuch(CloseCode::Again, why.to_string()),
            _ => Self::Gone,
        }
    }
}

impl Connection {
    async fn serve(mut self) {
        let (code, reason) = match self.converse().await {
            Ok(()) | Err(Over::Gone) => return,
            // The clients come back by themselves.
            Err(Over::Dry) => {
                let reason = "the stream of events has ended";
                (CloseCode::Error, reason.to_owned())
            }
            Err(Over::Expired) => {
                let reason = "the credentials have expired";
                (CloseCode::Policy, reason.to_owned())
            }
            Err(Over::TooMuch(code, reason)) => (code, reason),
        };
        let reason = reason.into();
        let _ = self.socket.close(Some(CloseFrame { code, reason })).await;
    }

    async fn converse(&mut self) -> Result<(), Over> {
        let until = self.caller.until;
        let expired = async {
            match until {
                Some(until) => tokio::time::sleep(Timestamp::now().until(until)).await,
                None => std::future::pending().await,
            }
        };
        let mut expired = std::pin::pin!(expired);
        loop {
            let subscriptions = &self.subscriptions;
            let wants = |seq: u64, address: &Address| is_wanted(subscriptions, seq, address);
            let (holds, settled_at) = (!self.held.is_empty(), self.settled_at);
            let reading = async {
                match &mut self.reader {
                    Some(reader) if !holds => reader.next(&wants).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.socket.next() => {
                    let message = received.ok_or(Over::Gone)??;
                    self.heard_at = Instant::now();
                    self.hear(message).await?;
                }
                events = reading => {
                    let events = events.ok_or(Over::Dry)?;
                    if events.iter().any(Event::ends_a_run) {
                        self.held = events;
                    } else {
                        self.tell_all(&events).await?;
                    }
                }
                () = tokio::time::sleep_until(settled_at), if holds => {
                    let held = std::mem::take(&mut self.held);
                    self.tell_all(&held).await?;
                }
                () = tokio::time::sleep_until(self.sent_at + HEARTBEAT) => {
                    self.send(Message::Ping(Bytes::new())).await?;
                }
                () = tokio::time::sleep_until(self.heard_at + SILENCE) => return Err(Over::Gone),
                () = expired.as_mut() => return Err(Over::Expired),
            }
        }
    }

    async fn hear(&mut self, message: Message) -> Result<(), Over> {
        match &message {
            Message::Text(text) => self.obey(text.as_bytes()).await?,
            Message::Binary(bytes) => self.obey(bytes).await?,
            Message::Ping(payload) | Message::Pong(payload) => {
                self.socket.get_mut().forget_control(payload.len());
                return Ok(());
            }
            Message::Close(_) | Message::Frame(_) => return Err(Over::Gone),
        }
        drop(message);
        self.socket.get_mut().forget_message();
        Ok(())
    }

    async fn obey(&mut self, text: &[u8]) -> Result<(), Over> {
        let edge = self.edge.clone();
        let place = edge.gate.command(&self.caller);
        let Ok(body) = Json::parse_bytes(text) else {
            let refusal = Refusal::invalid("Protocol commands must be valid JSON.");
            return self.say(&command::error(None, &refusal)).await;
        };
        let command = match Command::read(&body) {
            Ok(command) => command,
            Err(answer) => return self.say(&answer).await,
        };
        if ASK_FOR_MORE.contains(&command.method.as_str()) {
            self.settled_at = Instant::now() + SETTLING;
        }
        let outcome = match place {
            Ok(_place) => self.carry_out(&command).await?,
            Err(error) => Err(error.into()),
        };
        let through = self.told();
        self.say(&answer(command.id, outcome, through)).await
    }

    async fn carry_out(&mut self, command: &Command) -> Result<Result<Value, Refusal>, Over> {
        Ok(match command.method.as_str() {
            "subscription.subscribe" => self.subscribe(command).await?,
            "subscription.reconnect" => self.reconnect(command).await?,
            "subscription.unsubscribe" => self.unsubscribe(command),
            _ => {
                let call = Call {
                    edge: &self.edge,
                    caller: &self.caller,
                    thread: self.thread,
                    request_id: &self.request_id,
                };
                command::carry_out(&call, command).await
            }
        })
    }

    async fn subscribe(&mut self, command: &Command) -> Result<Result<Value, Refusal>, Over> {
        match command::filter(&command.params) {
            Ok(mut filter) => {
                filter.forget_since_beyond(self.edge.runtime.last_event_id_given());
                Ok(self.add(filter).await?.map(
                    |added| json!({"subscription_id": added.id, "replayed_events": added.replayed}),
                ))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// As a subscription, from a number on behind which nothing may be missing.
    async fn reconnect(&mut self, command: &Command) -> Result<Result<Value, Refusal>, Over> {
        if command.params.json("since").is_none() {
            let message = "subscription.reconnect requires a non-negative integer since.";
            return Ok(Err(Refusal::invalid(message)));
        }
        let mut filter = match command::filter(&command.params) {
            Ok(filter) => filter,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let since = filter.since();
        let is_beyond = filter.forget_since_beyond(self.edge.runtime.last_event_id_given());
        Ok(self.add(filter).await?.and_then(|added| {
            let is_gap = since > 0 && added.first_kept.is_none_or(|first| first > since);
            if is_beyond || is_gap {
                self.subscriptions
                    .retain(|subscription| subscription.id != added.id);
                let message = format!("nothing is kept any more of the events up to {since}");
                return Err(Refusal::new(Code::ResumeGap, message));
            }
            Ok(
                json!({"subscription_id": added.id, "restored": true, "replayed_events": added.replayed}),
            )
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

    /// Adds a subscription and sends it what is kept; its id, how many events those were, and the number from which on
    /// anything is kept.
    ///
    /// The thread is read from its beginning again, up to where the reader of the connection is, which serves all
    /// subscriptions from there on. It stays: of what is not kept nobody else has what it is about to tell.
    async fn add(&mut self, filter: Filter) -> Result<Result<Added, Refusal>, Over> {
        if self.subscriptions.len() >= MOST_SUBSCRIPTIONS {
            let message = format!("a connection has {MOST_SUBSCRIPTIONS} subscriptions at most");
            return Ok(Err(Refusal::invalid(message)));
        }
        let reader = Reader::open(&self.edge.runtime, &self.caller.scope, self.thread).await;
        let mut reader = match reader {
            Ok(reader) => reader,
            Err(error) => return Ok(Err(error.into())),
        };
        let told = self
            .reader
            .as_ref()
            .map(|reader| reader.translator().through());
        let wants = |seq: u64, address: &Address| {
            told.is_none_or(|told| seq <= told) && filter.wants_now(seq, address)
        };
        let mut replayed = 0;
        let mut last = Vec::new();
        while let Some(events) = reader.next_kept(&wants).await {
            if events.is_empty() {
                continue;
            }
            replayed += events.len();
            let before = std::mem::replace(&mut last, events);
            self.tell_or_hold(before).await?;
        }
        // The last of what is kept may be the end of a run.
        match last.iter().any(Event::ends_a_run) {
            true => self.hold(last),
            false => self.tell_or_hold(last).await?,
        }
        let first_kept = reader.translator().first();
        self.reader.get_or_insert(reader);
        let id = Uuid::new_v4().to_string();
        self.subscriptions.push(Subscription {
            id: id.clone(),
            filter,
        });
        Ok(Ok(Added {
            id,
            replayed,
            first_kept,
        }))
    }

    /// The number of the last event that the client was told, or did not want.
    fn told(&self) -> u64 {
        let read = self.reader.as_ref();
        let read = read.map_or(0, |reader| reader.translator().through());
        self.held.first().map_or(read, |event| event.seq - 1)
    }

    /// Tells what comes before the end that is held.
    async fn tell_or_hold(&mut self, mut events: Vec<Event>) -> Result<(), Over> {
        if let Some(end) = self.held.first().map(|event| event.seq) {
            let later = events.iter().position(|event| event.seq >= end);
            let later = events.split_off(later.unwrap_or(events.len()));
            self.hold(later);
        }
        self.tell_all(&events).await
    }

    /// Holds events in their order, each once.
    fn hold(&mut self, events: Vec<Event>) {
        self.held.extend(events);
        self.held.sort_by_key(|event| event.seq);
        self.held.dedup_by_key(|event| event.seq);
    }

    async fn tell_all(&mut self, events: &[Event]) -> Result<(), Over> {
        for event in events {
            self.send(Message::text(event.to_json().as_str())).await?;
        }
        Ok(())
    }

    async fn say(&mut self, answer: &Value) -> Result<(), Over> {
        self.send(Message::text(answer.to_string())).await
    }

    /// Sends something, after which the client knows for a while that the connection lives.
    async fn send(&mut self, message: Message) -> Result<(), Over> {
        self.socket.send(message).await?;
        self.sent_at = Instant::now();
        Ok(())
    }
}

fn is_wanted(subscriptions: &[Subscription], seq: u64, address: &Address) -> bool {
    let mut filters = subscriptions
        .iter()
        .map(|subscription| &subscription.filter);
    filters.any(|filter| filter.wants_now(seq, address))
}
