//! The tests of the algorithm from outside: against recordings of LangGraph, and properties that always hold.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, too; clippy exempts only the test functions themselves.
mod cases;
mod differential;
mod guest;
mod harness;
mod nested;
mod properties;
mod recovery;
mod reports;
