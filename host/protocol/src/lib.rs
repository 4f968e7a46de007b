//! The event protocol that the newest clients speak (`threads.stream`): what the runs of a thread show, as its events.
//!
//! [`Translator`] reads the events of a thread's runs, as they are kept or as they come, and makes the protocol's of
//! them; [`Filter`] says which of those somebody wants. Both are pure: the same events always give the same answer,
//! whoever reads a thread, and whenever they come. `api` asks here and knows the wire.
//!
//! | module | job |
//! |---|---|
//! | [`event`] | one event of the protocol |
//! | [`filter`] | channels, namespaces, depth |
//! | [`translate`] | from a thread's events to the protocol's, numbered |
//! | `number` | numbers of events, made of the ids under which they are kept |
//! | `out` | where events are put, if somebody wants them |
//! | `words` | what single events tell, in the protocol's words |
//! | `messages` | from pieces of messages to blocks that begin, grow and finish |
//! | [`tree`] | the graphs within a run's graph, and how each stands |
//! | `compact` | state without what says nothing |
#![forbid(unsafe_code)]

mod compact;
pub mod event;
pub mod filter;
mod messages;
mod number;
mod out;
pub mod translate;
pub mod tree;
mod words;

pub use event::{Event, Method};
pub use filter::{Filter, FilterError};
pub use translate::Translator;
pub use tree::Branch;
