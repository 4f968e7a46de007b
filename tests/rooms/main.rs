//! The rooms put together as `serve` does, with their storage watched: promises that nobody could see from outside.

mod cron_kills;
mod house;
mod kills;
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
