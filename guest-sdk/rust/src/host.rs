//! The side of the host that a running node talks to: the real one on WebAssembly, a fake one in tests.
//!
//! What every graph imports goes through here. The store, `emit-tool` and WASI (clock, random, environment, HTTP) are
//! called directly where they are used, so that a graph that does not use them does not import them.

/// What a node may ask of its run. The members are those of `selvedge:graph/context`.
pub(crate) trait Host {
    fn emit_custom(&self, value: &str);
    fn emit_message(&self, chunk: &str, metadata: &str);
    /// The answer as JSON, or nothing where there is none yet.
    fn interrupt(&self, value: &str) -> Option<String>;
    fn remaining_ms(&self) -> u64;
    /// A variable that a test has set; `None` asks the real environment.
    #[cfg(not(target_arch = "wasm32"))]
    fn var(&self, name: &str) -> Option<String>;
    /// Shows what comes of a tool's call, in a test.
    #[cfg(not(target_arch = "wasm32"))]
    fn emit_tool(&self, event: &str);
    /// Runs a graph of a test.
    #[cfg(not(target_arch = "wasm32"))]
    fn call_graph(&self, name: &str, input: &str) -> Result<String, crate::error::NodeError>;
    /// The store of a test.
    #[cfg(not(target_arch = "wasm32"))]
    fn store(&self) -> &crate::testing::MemoryStore;
}
