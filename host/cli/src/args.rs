//! The command line: names, help and defaults. What the words do is in the module of each command.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args as ClapArgs, Parser, Subcommand};
use selvedge_webhook::signing::{Secret, SecretError};

use selvedge_model::caller::MAX_IDENTITY_BYTES;
use selvedge_model::{Identity, Timestamp};
use selvedge_schedule::{Schedule, Zone};

use crate::config::Flags;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

const AFTER: &str = "\
Examples:
  selvedge dev                          build the graphs of ./langgraph.json and serve them
  selvedge check                        is the configuration right, do the graphs fit together?
  selvedge webhooks listen --port 9000  watch webhooks arrive, without a server of your own

Exit codes: 0 done; 1 it failed, or the answer is no; 2 the command line or the configuration is wrong.";

/// Runs LangGraph-compatible graphs that are WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "selvedge", version, styles = STYLES, after_help = AFTER, disable_help_subcommand = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build the graphs and serve them, for developing
    #[command(after_help = DEV)]
    Dev(ServeArgs),
    /// Serve the graphs that are built
    #[command(after_help = SERVE)]
    Serve(ServeArgs),
    /// Compile Rust graphs to WebAssembly components
    #[command(after_help = BUILD)]
    Build(BuildArgs),
    /// Check the configuration and the components
    #[command(after_help = CHECK)]
    Check(CheckArgs),
    /// Receive webhooks
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Make credentials
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Understand schedules
    #[command(subcommand)]
    Cron(CronCommand),
    /// What the server has done by a process of its own, in which nothing but a component is
    #[command(name = selvedge_sandbox::compile::COMMAND, hide = true)]
    CompileComponent(CompileArgs),
}

const DEV: &str = "\
Builds every graph whose source folder stands beside its component (./graphs/echo.wasm is built \
from ./graphs/echo/), then serves the LangGraph API. Threads, runs and webhook deliveries are \
kept in ./.selvedge, beside langgraph.json.

Examples:
  selvedge dev
  selvedge dev --port 9123 --data-dir /tmp/try
  curl -s http://127.0.0.1:8123/runs/wait -H 'content-type: application/json' \\
    -d '{\"assistant_id\": \"echo\", \"input\": {\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}}'";

const SERVE: &str = "\
Builds nothing: the components have to exist. Listens on loopback unless `auth` says who may \
call, or --no-auth that everybody may. Ends on \
SIGTERM or Ctrl-C: running runs may finish within runtime.shutdown_grace_secs, the others go on \
after the next start.

Examples:
  selvedge serve --config /etc/selvedge/langgraph.json --data-dir /var/lib/selvedge
  SELVEDGE_RUNTIME_MAX_RUNNING_RUNS=200 selvedge serve";

const BUILD: &str = "\
Without a folder: every graph of langgraph.json whose source folder stands beside its component. \
Uses the toolchain's own std for wasm32-unknown-unknown, or adds it by rustup (not with \
SELVEDGE_NO_RUSTUP=1), or unpacks Debian's packages into $SELVEDGE_HOME (default: \
$XDG_CACHE_HOME/selvedge or ~/.cache/selvedge) and compiles std there once.

Examples:
  selvedge build
  selvedge build ./graphs/agent -o ./graphs/agent.wasm";

const CHECK: &str = "\
Examples:
  selvedge check
  selvedge check --schema > langgraph.schema.json
  selvedge check --webhook https://hooks.example.com/in     exit code 0: allowed, 1: refused";

/// Where the server listens and keeps its data.
#[derive(Clone, Debug, ClapArgs)]
pub struct ServeArgs {
    /// Address to listen on: an IP address or `localhost`
    #[arg(long, env = "SELVEDGE_HOST", default_value = "127.0.0.1", value_parser = address)]
    pub host: IpAddr,
    /// Port to listen on; 0 picks a free one
    #[arg(long, env = "SELVEDGE_PORT", default_value_t = 8123)]
    pub port: u16,
    /// Where threads, runs and deliveries are kept, instead of `storage.path` (.selvedge beside the file)
    #[arg(long, env = "SELVEDGE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Let other machines call although nobody is asked who they are
    #[arg(long, env = "SELVEDGE_NO_AUTH", num_args = 0, value_parser = clap::builder::FalseyValueParser::new())]
    pub no_auth: bool,
    /// The file
    #[command(flatten)]
    pub file: FileArg,
}

/// Which configuration.
#[derive(Clone, Debug, ClapArgs)]
pub struct FileArg {
    /// The configuration
    #[arg(
        long,
        env = "SELVEDGE_CONFIG",
        value_name = "FILE",
        default_value = "langgraph.json"
    )]
    pub config: PathBuf,
}

impl ServeArgs {
    /// As the configuration takes them.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags {
            file: self.file.config.clone(),
            host: self.host,
            port: self.port,
            data_dir: self.data_dir.clone(),
            no_auth: self.no_auth,
        }
    }
}

/// What to build.
#[derive(Clone, Debug, ClapArgs)]
pub struct BuildArgs {
    /// A crate with crate-type cdylib; without it, the graphs of the configuration
    pub dir: Option<PathBuf>,
    /// Where the component goes; without it, beside the folder: ./graphs/echo/ becomes ./graphs/echo.wasm
    #[arg(short, long, value_name = "OUT.wasm", requires = "dir")]
    pub output: Option<PathBuf>,
    /// Show what cargo and the other tools say
    #[arg(short, long)]
    pub verbose: bool,
    /// The file
    #[command(flatten)]
    pub file: FileArg,
}

/// What to check.
#[derive(Clone, Debug, ClapArgs)]
pub struct CheckArgs {
    /// Print the JSON Schema of langgraph.json and do nothing else
    #[arg(long, conflicts_with = "webhook")]
    pub schema: bool,
    /// Say what the webhook policy decides for this URL, and which rule decided
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// The file
    #[command(flatten)]
    pub file: FileArg,
}

/// What to do about webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// Print the deliveries that arrive, as a stand-in for the receiver
    #[command(after_help = LISTEN)]
    Listen(ListenArgs),
}

const LISTEN: &str = "\
Deliveries to loopback have to be allowed: \"webhooks\": {\"url\": {\"require_https\": false, \
\"disable_loopback\": false}}.

Examples:
  selvedge webhooks listen
  selvedge webhooks listen --fail 2               answer 500 to the first two attempts of each delivery
  selvedge webhooks listen --secret whsec_…       verify signatures as a receiver does
  selvedge webhooks listen --delay 20s --json     be slow, and print one JSON line for each delivery";

/// How to receive.
#[derive(Clone, Debug, ClapArgs)]
pub struct ListenArgs {
    /// Port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 9000)]
    pub port: u16,
    /// Answer 500 to the first N attempts of each delivery
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub fail: u32,
    /// Wait before each answer: 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub delay: Duration,
    /// Verify signatures by this secret, and answer 401 to what is not signed by it; of several, any will do
    #[arg(
        long = "secret",
        value_name = "SECRET",
        env = "SELVEDGE_LISTEN_SECRET",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub secrets: Vec<GivenSecret>,
    /// Print whole bodies
    #[arg(long)]
    pub full: bool,
    /// Print one JSON object a line for each delivery
    #[arg(long)]
    pub json: bool,
}

/// A secret of the command line, or what is wrong with it. Read here and judged by the command: a text that clap itself
/// refuses is repeated in its message.
#[derive(Clone, Debug)]
pub struct GivenSecret(pub Result<Secret, SecretError>);

impl FromStr for GivenSecret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.parse()))
    }
}

/// What to do about credentials.
#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Make an API key
    #[command(after_help = KEY)]
    Key(KeyArgs),
}

const KEY: &str = "\
Prints a new key, which is kept nowhere, and what of it belongs into langgraph.json. Callers send it as x-api-key, or \
as authorization: Bearer.

Examples:
  selvedge auth key ann
  selvedge auth key ops --permission admin        an operator, who sees and changes everything";

/// Whose key.
#[derive(Clone, Debug, ClapArgs)]
pub struct KeyArgs {
    /// The caller's identity: what is created with the key belongs to it
    #[arg(value_parser = identity)]
    pub name: Identity,
    /// What else is said of the caller; may be given several times
    #[arg(long = "permission", value_name = "PERMISSION")]
    pub permissions: Vec<String>,
}

/// What to do about schedules.
#[derive(Debug, Subcommand)]
pub enum CronCommand {
    /// Print the next times of a schedule
    #[command(after_help = NEXT)]
    Next(NextArgs),
}

const NEXT: &str = "\
Prints what clocks in the time zone show, the weekday, and the same time in UTC. docs/crons.md says what a schedule \
can be.

Examples:
  selvedge cron next \"0 9 * * 1-5\" --tz Europe/Berlin
  selvedge cron next \"30 2 * * *\" --tz Europe/Berlin --after 2027-03-26T00:00:00Z
  selvedge cron next @monthly --count 3";

/// Which times of which schedule.
#[derive(Clone, Debug, ClapArgs)]
pub struct NextArgs {
    /// Minute, hour, day of month, month, day of week; quote it, so that the shell leaves the stars alone
    pub schedule: Schedule,
    /// IANA name of the time zone
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub tz: Zone,
    /// How many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub count: u16,
    /// Times after this one, written as in 2027-03-26T00:00:00Z; now, if it is not given
    #[arg(long, value_name = "TIME")]
    pub after: Option<Timestamp>,
}

fn identity(text: &str) -> Result<Identity, String> {
    Identity::new(text)
        .ok_or_else(|| format!("1 to {MAX_IDENTITY_BYTES} bytes that can be printed"))
}

/// Within which bounds, in the order of `Bounds`.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct CompileArgs {
    memory_bytes: u64,
    cpu_secs: u64,
    output_bytes: u64,
}

impl CompileArgs {
    /// As the sandbox takes them.
    #[must_use]
    pub fn bounds(self) -> selvedge_sandbox::compile::Bounds {
        selvedge_sandbox::compile::Bounds {
            memory_bytes: self.memory_bytes,
            cpu_secs: self.cpu_secs,
            output_bytes: self.output_bytes,
        }
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        text => text.parse().map_err(|_| "not an IP address".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err("write it like 500ms, 2s or 1m".to_owned()),
    };
    let number: f64 = digits
        .parse()
        .map_err(|_| "write it like 500ms, 2s or 1m".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_fits_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn times_are_written_with_their_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        for text in ["", "s", "2h", "-1s", "two", "NaN"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_number_or_localhost() {
        assert_eq!(address("localhost"), Ok(IpAddr::from([127, 0, 0, 1])));
        assert!(address("::1").is_ok_and(|address| address.is_loopback()));
        assert!(address("example.com").is_err());
    }
}
