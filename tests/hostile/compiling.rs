//! What costs too much to compile: its own process is ended by one of its bounds, or by somebody else, and the host says
//! so and goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use serde_json::{Value, json};

use super::guest::Guest;
use super::{Folder, setup};
use crate::support::server::{Setup, selvedge};
use crate::support::wait::eventually;

/// One function of loops within loops, `depth` of them: to find registers for its locals takes minutes, and less memory
/// than a small one of the bounds.
fn endless() -> Vec<u8> {
    knot(3_000)
}

/// The same for a second, with as much memory as a larger one has.
fn greedy() -> Vec<u8> {
    knot(400)
}

fn knot(depth: usize) -> Vec<u8> {
    const LOCALS: usize = 1_000;
    let mut body = "(loop ".repeat(depth);
    for at in 0..depth {
        // Whatever is far enough apart.
        let [a, b, c] = [at * 7, at * 31 + 1, at * 101 + 2].map(|local| local % LOCALS);
        body += &format!("(br_if 0 (local.tee {c} (i32.add (local.get {a}) (local.get {b}))))) ");
    }
    let locals = "i32 ".repeat(LOCALS);
    let text = format!("(component (core module (func (local {locals}) {body})))");
    wat::parse_str(text).expect("a component")
}

/// A server of this component alone, which will not come up.
fn serving(component: &Path) -> Setup {
    let mut setup = setup([], &Guest::default());
    setup.config["graphs"] = json!({"hostile": component});
    setup
}

#[test]
fn what_goes_beyond_a_bound_of_compiling_is_refused_by_the_bounds_name() {
    let folder = Folder::new();
    let [endless, greedy, good] = [
        ("endless", endless()),
        ("greedy", greedy()),
        ("good", Guest::default().encoded()),
    ]
    .map(|(name, bytes)| folder.holding(name, &bytes));
    for (component, key, most) in [
        (&endless, "compile_wall_secs", 1),
        (&endless, "compile_cpu_secs", 1),
        (&greedy, "compile_memory_bytes", 64 << 20),
        (&good, "compile_output_bytes", 1_000),
    ] {
        let setup = serving(component).set(&format!("sandbox.{key}"), most);
        let (code, log) = (setup.exit_code(), setup.log());
        assert_eq!(code, Some(1), "{key}: {log}");
        for word in ["is not compiled", &format!("(sandbox.{key})")] {
            assert!(log.contains(word), "{key}: no «{word}» in {log}");
        }
    }
}

#[test]
fn what_cannot_be_compiled_stands_in_nobody_elses_way() {
    let folder = Folder::new();
    let config = json!({
        "graphs": {
            "greedy": folder.holding("greedy", &greedy()),
            "good": folder.holding("good", &Guest::default().encoded()),
        },
        "sandbox": {"compile_memory_bytes": 64 << 20},
    });
    let file = folder.holding("config", config.to_string().as_bytes());
    let file = file.to_str().expect("a path of text");
    let (code, said) = selvedge(&crate::support::root(), &["check", "--config", file]);
    assert_eq!(code, Some(1), "{said}");
    let row = |graph: &str| {
        said.lines()
            .find(|line| line.trim_start().starts_with(graph))
    };
    assert!(
        row("good").is_some_and(|row| row.contains("none")),
        "{said}"
    );
    assert!(
        row("greedy").is_some_and(|row| !row.contains("none")),
        "{said}"
    );
}

/// A server that compiles, and the process in which it does so.
struct Compiling {
    setup: Setup,
    server: Child,
    compiler: PathBuf,
    _folder: Folder,
}

impl Compiling {
    async fn begun() -> Self {
        let folder = Folder::new();
        let setup = serving(&folder.holding("endless", &endless()));
        let server = setup.command().spawn().expect("selvedge starts");
        let mut begun = Self {
            setup,
            server,
            compiler: PathBuf::new(),
            _folder: folder,
        };
        let parent = begun.server.id();
        begun.compiler = eventually("a process that compiles", async || compiler_of(parent)).await;
        begun
    }

    async fn ended(&mut self) -> ExitStatus {
        let server = &mut self.server;
        eventually("the server's end", async || {
            server.try_wait().expect("the process can be asked")
        })
        .await
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        // It may have ended, and its compiler ends with it.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The directory in `/proc` of the process that compiles for this one and is at work.
fn compiler_of(parent: u32) -> Option<PathBuf> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let children = children.expect("the server runs");
    children
        .split_ascii_whitespace()
        .map(|child| Path::new("/proc").join(child))
        // Its own thread begins when everything else is done.
        .find(|child| says(child, "cmdline").contains("compile-component") && threads(child) > 1)
}

fn says(process: &Path, what: &str) -> String {
    fs::read_to_string(process.join(what)).unwrap_or_default()
}

fn threads(process: &Path) -> usize {
    fs::read_dir(process.join("task")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_process_that_compiles_has_nothing_of_its_host() {
    let compiling = Compiling::begun().await;
    let environment = says(&compiling.compiler, "environ");
    let names: Vec<&str> = environment
        .split_terminator('\0')
        .filter_map(|variable| variable.split('=').next())
        .collect();
    assert_eq!(names, ["RAYON_NUM_THREADS"]);
    let mut files: Vec<PathBuf> = fs::read_dir(compiling.compiler.join("fd"))
        .expect("its open files")
        .map(|file| fs::read_link(file.expect("a file").path()).expect("what it is"))
        .collect();
    files.sort();
    let [given, made, stderr] = files.as_slice() else {
        panic!("{files:?}");
    };
    for nameless in [given, made] {
        assert_eq!(nameless, Path::new("/memfd:component (deleted)"));
    }
    assert!(stderr.starts_with("pipe:"), "{files:?}");
    let status = says(&compiling.compiler, "status");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

#[tokio::test]
async fn a_host_whose_compiler_is_killed_says_so() {
    let mut compiling = Compiling::begun().await;
    let compiler = compiling.compiler.file_name().expect("its id");
    let killed = Command::new("kill").arg("-KILL").arg(compiler).status();
    assert!(killed.expect("it is killed").success());
    assert_eq!(compiling.ended().await.code(), Some(1));
    let log = compiling.setup.log();
    assert!(log.contains("its compiler failed: signal: 9"), "{log}");
}

#[tokio::test]
async fn a_compiler_whose_host_is_killed_ends() {
    let mut compiling = Compiling::begun().await;
    compiling.server.kill().expect("it is killed");
    compiling.ended().await;
    eventually("the compiler's end", async || {
        // Who ended and was not yet waited for has no command line any more.
        says(&compiling.compiler, "cmdline")
            .is_empty()
            .then_some(())
    })
    .await;
}
