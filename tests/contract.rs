//! What components say of themselves fits `wit/describe.schema.json`, and a component of an earlier version goes on
//! working.

use std::path::Path;

use serde_json::{Value, json};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use crate::support::server::text;
use crate::support::{Setup, graphs, root};

/// A component of each version of the contract before this one; `tests/compat/README.md` says how they were made.
fn earlier_components() -> [std::path::PathBuf; 2] {
    ["0.1.0", "0.1.1"].map(|version| root().join(format!("tests/compat/echo-{version}.wasm")))
}

/// What `describe` answers, before our host has read it. Whatever the component imports is there and must not be called.
fn description(engine: &Engine, path: &Path) -> Value {
    let describe = || {
        let component = Component::from_file(engine, path)?;
        let mut linker = Linker::new(engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let mut store = Store::new(engine, ());
        let instance = linker.instantiate(&mut store, &component)?;
        let name = "selvedge:graph/guest@0.1.0";
        let guest = instance.get_export_index(&mut store, None, name);
        let describe = instance.get_export_index(&mut store, guest.as_ref(), "describe");
        let describe = describe.ok_or_else(|| wasmtime::Error::msg("it exports no describe"))?;
        let describe = instance.get_typed_func::<(), (String,)>(&mut store, describe)?;
        Ok::<_, wasmtime::Error>(describe.call(&mut store, ())?.0)
    };
    let text = describe().unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn what_every_component_describes_fits_the_schema() {
    let schema = std::fs::read(root().join("wit/describe.schema.json")).expect("the schema");
    let schema: Value = serde_json::from_slice(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(!validator.is_valid(&json!({"graphs": [{"name": "no nodes", "channels": []}]})));

    let mut components = ["agent", "approval", "echo", "fan_out"]
        .map(graphs::example)
        .to_vec();
    components.push(graphs::probe());
    components.extend(earlier_components());
    let engine = Engine::default();
    for path in components {
        let description = description(&engine, &path);
        let problems: Vec<String> = validator
            .iter_errors(&description)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(problems, [""; 0], "{}", path.display());
    }
}

#[test]
fn only_a_component_that_uses_the_store_imports_it() {
    let engine = Engine::default();
    let imports_store = |path: &Path| {
        let component = Component::from_file(&engine, path).expect("a component");
        let imports = component.component_type();
        let mut names = imports.imports(&engine).map(|(name, _)| name.to_owned());
        names.any(|name| name.starts_with("selvedge:graph/store@"))
    };
    assert!(!imports_store(&graphs::example("echo")));
    assert!(imports_store(&graphs::probe()));
}

#[tokio::test]
async fn components_of_earlier_versions_load_and_run() {
    let [first, second] = earlier_components();
    let setup = Setup::with_graphs(json!({"first": first, "second": second}));
    let server = setup.start().await;
    for graph in ["first", "second"] {
        let thread = server.new_thread().await;
        let input = json!({"messages": [{"role": "user", "content": "hello"}]});
        let run = json!({"assistant_id": graph, "input": input});
        let values = server.wait(&thread, &run).await;
        let contents = values["messages"].as_array().expect("messages");
        let contents: Vec<&str> = contents
            .iter()
            .map(|message| text(&message["content"]))
            .collect();
        assert_eq!(contents, ["hello", "hello"], "{graph}");
    }
}
