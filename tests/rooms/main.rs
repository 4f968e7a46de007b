//! The rooms put together as `serve` does, with their storage watched: promises that nobody could see from outside.

mod house;
mod transactions;
mod waking;
mod watched;
