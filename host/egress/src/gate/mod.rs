//! The six gates, each on its own: pure functions, no I/O, no order among them. [`crate::policy`] and
//! [`crate::client`] put them in a row.

pub mod address;
pub mod connect;
pub mod name;
pub mod raw;
pub mod response;
pub mod shape;
