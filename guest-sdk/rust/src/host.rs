//! The side of the host that a running node talks to: the real one on WebAssembly, a fake one in tests.
//!
//! Only what the contract's own interfaces offer goes through here. WASI (clock, random, environment, HTTP) is
//! called directly where it is used, so that a graph that does not use it does not import it.

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
}
