//! What costs too much to compile: its own process is ended by one of its bounds, or by somebody else, and the host says
//! so and goes on.

use std::fs;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use serde_json::json;

use super::guest::Guest;
use super::{Folder, setup};
use crate::support::server::{Setup, selvedge};
use crate::support::wait::eventually;

/// One function of 3,000 loops within each other, in 45 KB: to find registers for its locals takes minutes, and hundreds
/// of megabytes from its first second.
fn endless() -> Vec<u8> {
    const DEPTH: usize = 3_000;
    const LOCALS: usize = 1_000;
    let mut body = "(loop ".repeat(DEPTH);
    for at in 0..DEPTH {
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
    let endless = folder.holding("endless", &endless());
    let good = folder.holding("good", &Guest::default().encoded());
    for (component, key, most) in [
        (&endless, "compile_wall_secs", 1),
        (&endless, "compile_cpu_secs", 1),
        (&endless, "compile_memory_bytes", 64 << 20),
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
            "endless": folder.holding("endless", &endless()),
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
        row("endless").is_some_and(|row| !row.contains("none")),
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
        begun.compiler = eventually("a process that compiles", || ready(compiler_of(parent))).await;
        begun
    }

    async fn ended(&mut self) -> ExitStatus {
        let server = &mut self.server;
        eventually("the server's end", || {
            ready(server.try_wait().expect("the process can be asked"))
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
    let threads_of_parent = fs::read_dir(format!("/proc/{parent}/task")).expect("the server runs");
    let children =
        threads_of_parent.map(|thread| says(&thread.expect("a thread").path(), "children"));
    let children = children.collect::<Vec<_>>().concat();
    children
        .split_ascii_whitespace()
        .map(|child| Path::new("/proc").join(child))
        // Its own thread begins when everything else is done.
        .find(|child| says(child, "cmdline").contains("compile-component") && threads(child) > 1)
}

fn says(process: &Path, what: &str) -> String {
    fs::read_to_string(process.join(what)).unwrap_or_default()
}

/// What is open, in the order of the descriptors.
fn open_files(process: &Path) -> Vec<PathBuf> {
    let descriptors = fs::read_dir(process.join("fd")).expect("its descriptors");
    let mut descriptors: Vec<u32> = descriptors
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    descriptors.sort_unstable();
    let link = |descriptor: &u32| fs::read_link(process.join(format!("fd/{descriptor}"))).ok();
    // One that was closed meanwhile, such as that of the directory.
    descriptors.iter().filter_map(link).collect()
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
    let files = open_files(&compiling.compiler);
    let nameless = PathBuf::from("/memfd:component (deleted)");
    assert_eq!(files[..2], [nameless.clone(), nameless]);
    assert!(files[2].to_string_lossy().starts_with("pipe:"), "{files:?}");
    // Whoever runs the tests may have left them files of his own, which the server then has too.
    let inherited = open_files(Path::new("/proc/self"));
    let of_the_host: Vec<_> = files[3..]
        .iter()
        .filter(|file| !inherited.contains(file))
        .collect();
    assert!(of_the_host.is_empty(), "{of_the_host:?}");
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
    eventually("the compiler's end", || {
        // Who ended and was not yet waited for has no command line any more.
        let ended = says(&compiling.compiler, "cmdline").is_empty();
        ready(ended.then_some(()))
    })
    .await;
}
