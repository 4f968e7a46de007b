//! The environment: what the operator named for this graph.

/// A variable, or nothing where it is not set. Prefer [`Context::var`](crate::Context::var), which a test can fill.
#[must_use]
pub fn var(name: &str) -> Option<String> {
    vars()
        .into_iter()
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// All variables.
#[must_use]
pub fn vars() -> Vec<(String, String)> {
    #[cfg(target_arch = "wasm32")]
    return wasip2::cli::environment::get_environment();
    #[cfg(not(target_arch = "wasm32"))]
    std::env::vars().collect()
}
