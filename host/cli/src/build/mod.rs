//! `selvedge build`: Rust crates → WebAssembly components. `dev` uses it before it serves.
//!
//! | module | job |
//! |---|---|
//! | `toolchain`, `debian` | a compiler with std for the target, and the linker that makes components |
//! | `crates` | one crate → one component, atomically |
//! | `process`, `progress` | the tools' output, and lines that say what is going on |

mod crates;
mod debian;
mod process;
mod progress;
mod toolchain;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::args::BuildArgs;
use crate::config::{self, Config, Flags};
pub use crates::{Built, Source};
use process::Tools;
use progress::Progress;

/// `selvedge build`
pub fn run(args: &BuildArgs) -> Result<()> {
    let Some(folder) = &args.dir else {
        let config = config::load_without_values(&Flags::of(&args.file.config))?;
        build_all(&config, args.verbose)?;
        return Ok(());
    };
    let source = Source {
        folder: folder.clone(),
        output: args.output.clone().unwrap_or_else(|| beside(folder)),
    };
    // Inside a project, the same directory as for all of its graphs, so that nothing is compiled twice.
    let project = args
        .file
        .config
        .parent()
        .filter(|_| args.file.config.is_file());
    build(
        &[source],
        &target_dir(project.unwrap_or(folder))?,
        args.verbose,
    )?;
    Ok(())
}

/// Builds every graph whose source folder stands beside its component, and says so where there is none. A component
/// that neither exists nor can be built is an error, after the others are built.
pub fn build_all(config: &Config, verbose: bool) -> Result<Vec<Built>> {
    let mut sources = Vec::new();
    let mut missing = Vec::new();
    for (component, ids) in components(config) {
        let folder = component.with_extension("");
        let graphs = ids.join(", ");
        if folder.join("Cargo.toml").is_file() {
            sources.push(Source {
                folder,
                output: component,
            });
        } else if component.is_file() {
            let note = format!(
                "{graphs}: {} is taken as it is, since {} holds no Cargo.toml",
                component.display(),
                folder.display()
            );
            crate::print::note(note);
        } else {
            missing.push(format!(
                "{graphs}: {} does not exist, and there is no crate in {} to build it from",
                component.display(),
                folder.display()
            ));
        }
    }
    let built = match sources.is_empty() {
        true => Vec::new(),
        false => build(&sources, &target_dir(&config.directory)?, verbose)?,
    };
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    Ok(built)
}

fn build(sources: &[Source], target_dir: &Path, verbose: bool) -> Result<Vec<Built>> {
    let tools = Tools { verbose };
    let progress = Progress::start();
    let mut built = Vec::with_capacity(sources.len());
    let mut toolchains = HashMap::new();
    for source in sources {
        let toolchain = match toolchains.entry(toolchain::toolchain_file(&source.folder)) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(none) => none.insert(toolchain::find(&source.folder, tools, progress)?),
        };
        progress.say(format_args!("building {}", source.folder.display()));
        let component = crates::build(source, toolchain, target_dir, tools)?;
        let what = if component.changed {
            "built"
        } else {
            "unchanged:"
        };
        progress.say(format_args!(
            "{what} {}, {} KiB",
            component.output.display(),
            component.bytes.div_ceil(1024)
        ));
        built.push(component);
    }
    Ok(built)
}

/// Every component once, with the graphs that it holds.
fn components(config: &Config) -> BTreeMap<PathBuf, Vec<&str>> {
    let mut components: BTreeMap<PathBuf, Vec<&str>> = BTreeMap::new();
    for graph in &config.graphs {
        components
            .entry(graph.path.clone())
            .or_default()
            .push(&graph.id);
    }
    components
}

/// One directory for all graphs of a project: what they share is compiled once. Apart from the project's own, since
/// the compiler may be another.
fn target_dir(project: &Path) -> Result<PathBuf> {
    let cargos = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let parent = cargos.unwrap_or_else(|| project.join("target"));
    Ok(std::path::absolute(parent.join("graphs"))?)
}

/// `./graphs/echo/` → `./graphs/echo.wasm`
fn beside(folder: &Path) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    // `absolute` keeps the name of `.` out of reach only for the root itself.
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".wasm");
    folder.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_lies_beside_its_folder() {
        assert_eq!(
            beside(Path::new("/p/graphs/echo/")),
            Path::new("/p/graphs/echo.wasm")
        );
        assert_eq!(
            beside(Path::new("/p/graphs/echo/.")),
            Path::new("/p/graphs/echo.wasm")
        );
    }

    #[test]
    fn a_component_that_cannot_be_had_is_an_error_that_names_its_graphs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("langgraph.json");
        std::fs::write(
            &file,
            r#"{ "graphs": { "a": "./x.wasm:a", "b": "./x.wasm:b", "c": "./c.wasm" }, "env": { "K": "${{ env.UNSET }}" } }"#,
        )
        .unwrap();
        std::fs::write(folder.path().join("c.wasm"), "taken as it is").unwrap();
        let config = config::load_without_values(&Flags::of(&file)).unwrap();
        let error = build_all(&config, false).unwrap_err().to_string();
        assert!(
            error.starts_with("a, b: ") && error.contains("x.wasm does not exist"),
            "{error}"
        );
        assert!(!error.contains("c.wasm"), "{error}");
    }
}
