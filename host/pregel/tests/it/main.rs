//! The tests of the algorithm from outside: against recordings of LangGraph, and properties that always hold.

mod differential;
mod guest;
mod harness;
mod properties;
mod reports;
