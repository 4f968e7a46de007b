//! Runs the tools that a build needs. What they say is kept, and shown when they fail or when `-v` asks for it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Result, anyhow, bail};

/// Lines of a failed tool that are shown, from the end: a compiler's first error is the one to read, and seldom
/// further up than this.
const SHOWN_LINES: usize = 200;

/// Runs tools.
#[derive(Clone, Copy, Debug)]
pub struct Tools {
    /// Let their stderr through to ours.
    pub verbose: bool,
}

impl Tools {
    /// Runs a tool and gives its stdout; an error holds what it said.
    pub fn run(self, command: &mut Command) -> Result<String> {
        let stderr = if self.verbose {
            Stdio::inherit()
        } else {
            Stdio::piped()
        };
        let output = command.stdin(Stdio::null()).stderr(stderr).output();
        let output = output.map_err(|error| cannot_start(command.get_program(), &error))?;
        if !output.status.success() {
            bail!(
                "{} failed ({}){}",
                shown(command),
                output.status,
                said(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What a tool prints, or nothing when it fails or does not exist.
    pub fn ask(self, command: &mut Command) -> Option<String> {
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Feeds one tool's stdout to another.
    pub fn pipe(self, from: &mut Command, to: &mut Command) -> Result<()> {
        let mut first = from
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| cannot_start(from.get_program(), &error))?;
        let input = first
            .stdout
            .take()
            .ok_or_else(|| anyhow!("{} has no output", shown(from)))?;
        let second = to
            .stdin(input)
            .output()
            .map_err(|error| cannot_start(to.get_program(), &error));
        let first = first.wait()?;
        let second = second?;
        if !second.status.success() {
            bail!(
                "{} failed ({}){}",
                shown(to),
                second.status,
                said(&second.stderr)
            );
        }
        if !first.success() {
            bail!("{} failed ({first})", shown(from));
        }
        Ok(())
    }
}

/// Whether a tool can be found.
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn cannot_start(program: &OsStr, error: &std::io::Error) -> anyhow::Error {
    let program = program.to_string_lossy();
    if error.kind() != ErrorKind::NotFound {
        return anyhow!("{program} cannot be started: {error}");
    }
    match program.as_ref() {
        "cargo" | "rustc" | "rustup" => {
            anyhow!("{program} is not on the PATH: install Rust from https://rustup.rs")
        }
        _ => anyhow!("{program} is not on the PATH"),
    }
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(1) {
        let _ = write!(text, " {}", argument.to_string_lossy());
    }
    text
}

fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    if last.is_empty() {
        String::new()
    } else {
        format!(":\n{}", last.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Tools = Tools { verbose: false };

    #[test]
    fn a_tool_that_fails_says_what_it_said() {
        let error = QUIET
            .run(Command::new("sh").args(["-c", "echo why >&2; exit 3"]))
            .unwrap_err();
        assert_eq!(error.to_string(), "sh -c failed (exit status: 3):\nwhy");
    }

    #[test]
    fn a_tool_that_is_missing_says_how_to_get_it() {
        let missing = std::io::Error::from(ErrorKind::NotFound);
        assert!(
            cannot_start(OsStr::new("cargo"), &missing)
                .to_string()
                .contains("rustup.rs")
        );
        assert_eq!(QUIET.ask(&mut Command::new("there-is-no-such-tool")), None);
    }

    #[test]
    fn output_goes_from_one_tool_to_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut tee = Command::new("tee");
        tee.arg(folder.path().join("out")).stdout(Stdio::null());
        QUIET
            .pipe(Command::new("echo").arg("hello"), &mut tee)
            .unwrap();
        assert_eq!(
            std::fs::read_to_string(folder.path().join("out")).unwrap(),
            "hello\n"
        );
        assert!(
            QUIET
                .pipe(&mut Command::new("false"), &mut Command::new("cat"))
                .is_err()
        );
    }
}
