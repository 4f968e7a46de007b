//! Everything that the commands print, in one place: answers go to stdout, notes and errors to stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

/// A line of the answer. A reader that went away (`selvedge check | head`) is no error.
pub fn line(text: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// A line beside the answer.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A warning.
pub fn warning(text: impl Display) {
    note(format_args!("{} {text}", label("warning:", "33")));
}

/// One error, without its causes.
pub fn error(text: impl Display) {
    note(format_args!("{} {text}", label("error:", "31")));
}

/// An error and everything that led to it, one cause a line.
pub fn chain(failure: &anyhow::Error) {
    error(failure);
    for cause in failure.chain().skip(1) {
        note(format_args!("  because: {cause}"));
    }
}

/// Coloured on a terminal only, and not where <https://no-color.org> forbids it.
fn label(text: &str, colour: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stderr().is_terminal() && !plain {
        format!("\x1b[1;{colour}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
