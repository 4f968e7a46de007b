//! Reading requests: from paths, queries, headers and bodies to what `runtime` and `storage` take, or a refusal.
//!
//! | module | job |
//! |---|---|
//! | `path`, `query`, `body` | the parts of a request, each with refusals of our own instead of axum's |
//! | `fields` | the members of a body |
//! | `new_run` | a run to be created |
//! | `run_queries` | which runs to list, how to follow one |
//! | `thread_queries` | what to show of a thread |
//! | `state` | which checkpoints to show, how a state is to change |
//! | `store` | items and namespaces of the store |
//! | `stream_modes`, `select` | parameters that several requests share |

mod body;
mod fields;
mod new_run;
mod path;
mod query;
mod run_queries;
mod select;
mod state;
mod store;
mod stream_modes;
mod thread_queries;

pub(crate) use body::{ObjectBody, OptionalObjectBody};
pub(crate) use fields::Fields;
pub(crate) use new_run::NewRun;
pub(crate) use path::{PathIds, parse_id};
pub(crate) use query::Query;
pub(crate) use run_queries::{Follow, ListRuns};
pub(crate) use select::Selection;
pub(crate) use state::{History, StateChange, named_checkpoint, supersteps};
pub(crate) use store::{DeleteItem, GetItem, ListNamespaces, PutItem, SearchItems};
pub(crate) use thread_queries::ThreadParts;
