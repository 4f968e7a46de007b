//! The rooms put together as `serve` does, with their storage watched: promises that nobody could see from outside.

mod house;
mod sweeping;
mod transactions;
mod waking;
mod watched;
