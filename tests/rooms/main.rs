//! The rooms put together as `serve` does, with their storage watched: promises that nobody could see from outside.
#![allow(
    clippy::print_stdout,
    reason = "counts of what was tried belong into the test's output"
)]

mod cron_kills;
#[path = "../hostile/guest.rs"]
#[allow(dead_code, reason = "the black-box tests use the rest")]
mod guest;
mod house;
mod kills;
mod measuring;
mod mutations;
mod ordering;
#[path = "../support/receiver.rs"]
#[allow(dead_code, reason = "the black-box tests use the rest")]
mod receiver;
mod sweeping;
mod ticking;
mod transactions;
#[path = "../support/wait.rs"]
mod wait;
mod waking;
mod watched;

use wait::eventually;
