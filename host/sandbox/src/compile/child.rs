//! The child that compiles: it gives up what it does not need before it reads a byte of the component.

use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::engine;
use crate::options::Compiling;

/// The first argument of the program. What follows are the numbers of [`Bounds`], in their order.
pub const COMMAND: &str = "compile-component";

/// The component is wrong: stderr says how.
pub(super) const REFUSED: u8 = 1;
/// The child is: stderr says how.
const UNFIT: u8 = 3;

/// What the child keeps itself to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Private writable memory: heap, and stacks of threads.
    pub memory_bytes: u64,
    /// CPU time of all its threads.
    pub cpu_secs: u64,
    /// What it may write.
    pub output_bytes: u64,
}

impl Bounds {
    pub(super) fn of(options: &Compiling) -> Self {
        Self {
            memory_bytes: options.memory_bytes,
            // The kernel counts whole seconds.
            cpu_secs: options.cpu.as_secs().max(1),
            output_bytes: options.output_bytes,
        }
    }

    pub(super) fn arguments(self) -> [String; 4] {
        [
            COMMAND.to_owned(),
            self.memory_bytes.to_string(),
            self.cpu_secs.to_string(),
            self.output_bytes.to_string(),
        ]
    }
}

/// All that a process does whose first argument is [`COMMAND`]: compiles the component on stdin to stdout. Call it from
/// `main`, before there is another thread, and end with what it returns.
#[must_use]
pub fn child(bounds: Bounds) -> ExitCode {
    if let Err(error) = confine(bounds) {
        return ended(UNFIT, &error);
    }
    let mut component = Vec::new();
    if let Err(error) = io::stdin().lock().read_to_end(&mut component) {
        return ended(UNFIT, &error);
    }
    let engine = match engine::compiler() {
        Ok(engine) => engine,
        Err(error) => return ended(UNFIT, &format_args!("{error:#}")),
    };
    let code = match engine.precompile_component(&component) {
        Ok(code) => code,
        Err(error) => return ended(REFUSED, &format_args!("{error:#}")),
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(&code).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ended(UNFIT, &error),
    }
}

fn ended(code: u8, reason: &dyn std::fmt::Display) -> ExitCode {
    // Whoever would read it may be gone.
    let _ = writeln!(io::stderr(), "{reason}");
    ExitCode::from(code)
}

fn confine(bounds: Bounds) -> io::Result<()> {
    /// What the standard streams, and libraries that look something up and do without, have open at once.
    const FILES: u64 = 16;
    // Where memory is short this process is the one to go. Not every system has it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    for (resource, most) in [
        // Not the address space, of which the allocator sets aside much and uses little for each thread.
        (Resource::Data, bounds.memory_bytes),
        (Resource::Cpu, bounds.cpu_secs),
        (Resource::Fsize, bounds.output_bytes),
        (Resource::Core, 0),
        (Resource::Nofile, FILES),
    ] {
        // One second more until the kernel insists: the signal that comes first tells what it is for.
        let insists = match resource {
            Resource::Cpu => most.saturating_add(1),
            _ => most,
        };
        setrlimit(
            resource,
            Rlimit {
                current: Some(most),
                maximum: Some(insists),
            },
        )?;
    }
    give_up_rights()?;
    std::thread::Builder::new()
        .name("orphan".into())
        .spawn(end_with_parent)?;
    Ok(())
}

/// Whoever waits for us holds the other end of our stderr.
fn end_with_parent() {
    let stderr = io::stderr();
    // Nothing is waited for but the error that the other end is closed.
    let mut watched = [PollFd::new(&stderr, PollFlags::empty())];
    while matches!(
        poll(&mut watched, None),
        Ok(0) | Err(rustix::io::Errno::INTR)
    ) {}
    std::process::exit(i32::from(UNFIT));
}

/// No file can be opened, no TCP connection made, no other process signalled or traced from here on: as far as the
/// kernel knows how (Landlock), for it is the last wall of several.
#[cfg(target_os = "linux")]
fn give_up_rights() -> io::Result<()> {
    use landlock::{ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, Scope};
    /// Of Linux 6.12. An older kernel does what it can.
    const RIGHTS: ABI = ABI::V6;
    rustix::thread::set_no_new_privs(true)?;
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(RIGHTS)))
        .and_then(|rules| rules.scope(Scope::from_all(RIGHTS)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self());
    // A container may forbid the calls themselves.
    drop(restricted);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn give_up_rights() -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::thread;

    use landlock::{
        ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    };

    use super::*;

    #[test]
    fn whoever_gave_up_its_rights_opens_no_file_where_the_kernel_can_keep_it_from_it() {
        // They are a thread's, so the other tests keep theirs.
        let confined = thread::spawn(|| {
            give_up_rights().unwrap();
            File::open("/").is_err()
        });
        let kernel_knows = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V1))
            .and_then(|rules| rules.create())
            .is_ok();
        assert_eq!(confined.join().unwrap(), kernel_knows);
        assert!(File::open("/").is_ok());
    }
}
