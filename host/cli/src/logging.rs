//! Log lines on stderr: text on a terminal, otherwise one JSON object a line.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};

/// A library that has lines for every request, some of them with what is in it. Whoever names it gets them.
const SILENT: &str = "rmcp=off";

/// Starts logging. The filter was checked with the configuration.
pub fn start(config: &TelemetryConfig) {
    let filter = format!("{SILENT},{}", config.log);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr);
    let text = match config.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    // Only a second subscriber in one process could be refused, and there is none.
    let _ = if text {
        lines.with_ansi(io::stderr().is_terminal()).try_init()
    } else {
        lines.json().flatten_event(true).try_init()
    };
}
