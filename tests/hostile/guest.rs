//! Components that no SDK would make, out of `tests/graphs/hostile/guest.wat` and a few lines of a test's own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// A guest whose one node answers with `text`, unless one of the other lines has it do something else.
#[derive(Clone, Default)]
pub struct Guest {
    /// `None`: one graph with the channels `foo`, and `custom` with a reducer of the graph's own, one node and one branch.
    pub description: Option<Vec<u8>>,
    /// The answer of the node; `{}` when empty.
    pub text: Vec<u8>,
    /// More parts of the module: memories, tables, a start function.
    pub items: &'static str,
    /// What comes before the answer of each function; one that returns puts its own in its place.
    pub describe: &'static str,
    pub run_node: &'static str,
    pub route: &'static str,
    pub reduce: &'static str,
    /// `Some`: a graph that depends on how a run is configured, of which `describe-for` says `text`.
    pub describe_for: Option<&'static str>,
}

/// What such a component exports beside the others.
const CONFIGURED: &str = r#"
  (func (export "selvedge:graph/configured@0.1.2#describe-for") (param i32 i32 i32 i32) (result i32)
    @describe_for
    (call $ok (i32.const 524288) (i32.const @text_bytes)))
  (func (export "selvedge:graph/configured@0.1.2#configure") (param i32 i32 i32 i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.const 16))"#;

impl Guest {
    /// What a good description says, for those that change a little of it.
    pub fn description() -> Value {
        json!({"graphs": [{
            "name": "g",
            "channels": [{"name": "foo"}, {"name": "custom", "reducer": "custom", "default": 0}],
            "nodes": [{"name": "node"}],
            "edges": [{"from": ["__start__"], "to": "node"}],
            "branches": [{"from": "node", "name": "on", "destinations": {"end": "__end__"}}],
        }]})
    }

    pub fn describing(description: &Value) -> Self {
        Self {
            description: Some(description.to_string().into_bytes()),
            ..Self::default()
        }
    }

    pub fn saying(text: impl Into<Vec<u8>>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// The component.
    pub fn encoded(&self) -> Vec<u8> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let template = root.join("tests/graphs/hostile/guest.wat");
        let template = std::fs::read_to_string(template).expect("the template");
        let description = self
            .description
            .clone()
            .unwrap_or_else(|| Self::description().to_string().into_bytes());
        let text = match self.text.is_empty() {
            true => b"{}",
            false => self.text.as_slice(),
        };
        let (world, configured) = match self.describe_for {
            None => ("graph", String::new()),
            Some(first) => (
                "configured-graph",
                CONFIGURED.replace("@describe_for", first),
            ),
        };
        let wat = template
            .replace("@configured", &configured)
            .replace("@description_bytes", &description.len().to_string())
            .replace("@text_bytes", &text.len().to_string())
            .replace("@description", &literal(&description))
            .replace("@text", &literal(text))
            .replace("@items", self.items)
            .replace("@describe", self.describe)
            .replace("@run_node", self.run_node)
            .replace("@route", self.route)
            .replace("@reduce", self.reduce);
        let mut module = wat::parse_str(&wat).expect("a module");
        let mut resolve = wit_parser::Resolve::default();
        let (package, _) = resolve.push_path(root.join("wit")).expect("the contract");
        let world = resolve
            .select_world(&[package], Some(world))
            .expect("its world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .expect("a module of the contract");
        ComponentEncoder::default()
            .module(&module)
            .and_then(|mut encoder| encoder.encode())
            .expect("a component")
    }

    pub fn written_to(&self, directory: &Path, name: &str) -> PathBuf {
        write(directory, name, &self.encoded())
    }
}

pub fn write(directory: &Path, name: &str, component: &[u8]) -> PathBuf {
    let path = directory.join(format!("{name}.wasm"));
    std::fs::write(&path, component).expect("the component is written");
    path
}

/// Bytes in the text format, each escaped.
fn literal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(3 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "\\{byte:02x}");
    }
    text
}
