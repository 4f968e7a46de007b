//! The storage traits, named after promises, and their SQLite implementation.
//!
//! What must be atomic is one method of [`Storage`]; nothing outside this room knows about SQL. `runtime` and
//! `webhook` write through it, `api` is given its [`Reads`] only, and `tests/` holds every implementation to the
//! same conformance suite.
//!
//! | module | job |
//! |---|---|
//! | [`contract`] | the traits |
//! | [`types`] | what goes in and out of it |
//! | [`filter`], `numbers` | conditions on store items; how numbers compare |
//! | [`error`] | why it could not |
//! | [`sqlite`] | the embedded default: one writer thread with group commit, read-only readers beside it |
#![forbid(unsafe_code)]

pub mod contract;
pub mod error;
pub mod filter;
mod numbers;
pub mod sqlite;
pub mod types;

pub use contract::{Reads, Storage};
pub use error::StorageError;
pub use filter::{FilterError, ItemFilter};
pub use types::*;
