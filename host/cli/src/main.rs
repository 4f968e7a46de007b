//! The `selvedge` binary. It assembles the rooms and decides nothing that they could decide.
//!
//! | module | job |
//! |---|---|
//! | [`args`] | the command line |
//! | [`config`] | `langgraph.json`, variables and flags, validated once |
//! | [`build`] | Rust graphs → components |
//! | [`check`] | configuration, components, webhook policy |
//! | [`auth`] | making API keys |
//! | [`cron`] | when a schedule fires |
//! | [`components`] | loading what the configuration names |
//! | [`descriptors`] | how many connections the system has room for |
//! | [`listen`] | a receiver of webhooks for developing |
//! | [`serve`] | the rooms, put together and taken apart |
//! | [`banner`], [`logging`], [`print`] | what people see |
//!
//! Exit codes: 0 done; 1 it failed, or the answer is no; 2 the command line or the configuration is wrong.
#![forbid(unsafe_code)]

mod args;
mod auth;
mod banner;
mod build;
mod check;
mod components;
mod config;
mod cron;
mod descriptors;
mod listen;
mod logging;
mod print;
mod serve;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use args::{Args, AuthCommand, Command, CronCommand, WebhooksCommand};
use serve::Mode;

/// The command line or the configuration is wrong; clap uses the same code.
const MISUSE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    run(args.command).unwrap_or_else(|error| report(&error))
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Dev(args) => {
            let config = config::load(&args.flags())?;
            build::build_all(&config, false)?;
            async_runtime()?.block_on(serve::run(config, Mode::Dev))?;
        }
        Command::Serve(args) => {
            let config = config::load(&args.flags())?;
            async_runtime()?.block_on(serve::run(config, Mode::Serve))?;
        }
        Command::Build(args) => build::run(&args)?,
        Command::Check(args) => return async_runtime()?.block_on(check::run(&args)),
        Command::Webhooks(WebhooksCommand::Listen(args)) => {
            async_runtime()?.block_on(listen::run(args))?;
        }
        Command::Auth(AuthCommand::Key(args)) => auth::key(&args)?,
        Command::Cron(CronCommand::Next(args)) => return cron::next(&args),
        Command::CompileComponent(args) => {
            return Ok(selvedge_sandbox::compile::child(args.bounds()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn async_runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")
}

/// A wrong configuration has a line for each mistake; anything else has its causes.
fn report(failure: &anyhow::Error) -> ExitCode {
    match failure.downcast_ref::<config::Problems>() {
        Some(problems) => {
            problems.0.iter().for_each(print::error);
            ExitCode::from(MISUSE)
        }
        None => {
            print::chain(failure);
            ExitCode::FAILURE
        }
    }
}
