//! Black-box tests of the `selvedge` binary: real wasm, real HTTP, real processes, real receivers.
//!
//! Each module is a promise that a user would look for. `support` starts servers and receivers. Nothing here looks
//! inside the program; where a promise is about what is durable, the database file is looked at.
#![allow(
    clippy::disallowed_names,
    clippy::needless_pass_by_value,
    reason = "`foo` is the channel of the reference's own examples, and helpers take what `json!` makes"
)]
#![allow(
    clippy::print_stdout,
    reason = "counts of what was tried belong into the test's output"
)]

mod a2a;
mod agent;
mod assistants;
mod auth;
mod bad_input;
mod batch;
mod bounds;
mod cancel;
mod cancel_anytime;
mod commands;
mod commits;
mod complaints;
mod configuration;
mod configured;
mod connections;
mod contract;
mod coverage;
mod crashes;
mod cron_requests;
mod crons;
mod disconnect;
mod discovery;
mod disks;
mod egress;
mod event_protocol;
mod event_since;
mod event_socket;
mod examples;
mod faults;
mod history;
mod hostile;
mod interrupts;
mod isolation;
mod lifecycle;
mod limits;
mod mcp;
mod metrics;
mod mistakes;
mod multitask;
mod name_server;
mod names;
mod nested;
mod odd_requests;
mod openapi;
mod owners;
mod policies;
mod queueing;
mod receivers;
mod refusals;
mod resumable;
mod run_options;
mod runs;
mod sandbox;
mod slots;
mod state;
mod stateless;
mod store;
mod store_by_meaning;
mod store_in_graphs;
mod stream_modes;
mod streams;
mod supersteps;
mod support;
mod thread_changes;
mod thread_search;
mod thread_stream;
mod threads;
mod time_travel;
mod tls;
mod truncate;
mod web_pages;
mod webhook_deliveries;
mod webhook_endpoints;
mod webhook_outcomes;
mod webhook_policy;
mod webhook_signing;
mod webhooks;
