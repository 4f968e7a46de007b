//! What the store's items mean, as vectors.
//!
//! An item is put with nothing but the note that its vectors are to be made, in one transaction; the worker of this room
//! makes them and storage keeps them. `runtime` waits for that for a while, so that whoever puts an item finds it by its
//! meaning as soon as the answer is there, as in LangGraph. When the endpoint fails nobody waits: items are there, their
//! vectors follow once it answers again, also after a restart.
//!
//! | module | job |
//! |---|---|
//! | [`options`] | configuration, validated |
//! | [`path`] | which parts of a value are embedded |
//! | [`text`] | those parts as text |
//! | `endpoint` | texts to vectors, over HTTP |
//! | `batch` | the vectors of some items, or which of them are refused |
//! | `progress` | how far the worker has come, for those who wait |
//! | `worker` | makes what is to be made, and rests while the endpoint fails |
//! | [`handle`] | the part that others hold |
//!
//! Connections are made by `selvedge_egress` and nothing else. No transaction is open while something is embedded.
#![forbid(unsafe_code)]

mod batch;
mod endpoint;
pub mod handle;
pub mod options;
pub mod path;
mod progress;
pub mod text;
mod worker;

pub use endpoint::EmbedError;
pub use handle::{Counts, Index, StartError};
pub use options::{Options, OptionsError};
pub use path::Path;
