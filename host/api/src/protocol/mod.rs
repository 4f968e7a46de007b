//! The event protocol of the newest clients (`threads.stream`): commands go up, events come down.
//!
//! What the events are is decided by the room `protocol`; here they are read from the thread's stream, framed, and the
//! commands carried out with what the other handlers use.
//!
//! | module | job |
//! |---|---|
//! | `reader` | a thread's events, as the protocol has them |
//! | `events` | `POST …/stream/events`: server-sent events |
//! | `socket` | the same path as a WebSocket: commands, subscriptions and events on one connection |
//! | `upgrade`, `incoming` | how a request becomes one, and the bounds of what comes in on it |
//! | `command` | `POST …/commands`: the envelope, and which command is carried out how |
//! | `runs` | the commands that make runs |
//! | `asking` | those that only ask |

mod asking;
mod command;
mod events;
mod incoming;
mod reader;
mod runs;
mod socket;
mod upgrade;

pub(crate) use command::command;
pub(crate) use events::events;
pub(crate) use socket::connect;
