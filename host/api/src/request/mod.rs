//! Reading requests: from paths, queries, headers and bodies to what `runtime` and `storage` take, or a refusal.
//!
//! | module | job |
//! |---|---|
//! | `path`, `query`, `body` | the parts of a request, each with refusals of our own instead of axum's |
//! | `fields` | the members of a body |
//! | `new_run` | a run to be created |
//! | `command` | the command of a run or of an update |
//! | `cancel` | which runs to cancel, and how |
//! | `crons` | crons to be created, changed and found |
//! | `deliveries` | which webhook deliveries to list, which to deliver again |
//! | `run_queries` | which runs to list, how to follow one |
//! | `state` | which checkpoints to show, how a state is to change |
//! | `store` | items and namespaces of the store |
//! | `thread_queries`, `thread_stream`, `ttl` | what to show of a thread, how to watch it, how long it stays |
//! | `searches`, `extract` | which assistants and threads to find, and parts of what is found |
//! | `stream_modes`, `last_event`, `select` | parameters that several requests share |

mod body;
mod cancel;
mod command;
mod crons;
mod deliveries;
mod extract;
mod fields;
mod last_event;
mod new_run;
mod path;
mod query;
mod run_queries;
mod searches;
mod select;
mod state;
mod store;
mod stream_modes;
mod thread_queries;
mod thread_stream;
mod ttl;

pub(crate) use body::{ArrayBody, JsonValue, ObjectBody, read as read_body};
pub(crate) use cancel::{Cancel, CancelRuns};
pub(crate) use crons::{CreateCron, PatchCron, SearchCrons, cron_filter};
pub(crate) use deliveries::{ListDeliveries, RedeliverEnded};
pub(crate) use extract::Extract;
pub(crate) use fields::Fields;
pub(crate) use new_run::{NewRun, NewRuns, RequestId, protocol_run, request_id, run_config};
pub(crate) use path::{PathIds, parse_id};
pub(crate) use query::Query;
pub(crate) use run_queries::{Follow, ListRuns};
pub(crate) use searches::{SearchAssistants, SearchThreads, thread_filter};
pub(crate) use select::Selection;
pub(crate) use state::{History, StateChange, required_checkpoint, supersteps};
pub(crate) use store::{DeleteItem, GetItem, ListNamespaces, PutItem, SearchItems};
pub(crate) use thread_queries::{ThreadParts, wants_nothing_back};
pub(crate) use thread_stream::WatchThread;
pub(crate) use ttl::thread_ttl;
