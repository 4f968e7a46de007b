//! Randomness, through WASI: the hash seeds of std are fixed in a component.

/// Cryptographically strong random bytes.
#[must_use]
pub fn bytes(count: usize) -> Vec<u8> {
    #[cfg(target_arch = "wasm32")]
    return wasip2::random::random::get_random_bytes(count as u64);
    #[cfg(not(target_arch = "wasm32"))]
    (0..count.div_ceil(8))
        .flat_map(|_| u64().to_le_bytes())
        .take(count)
        .collect()
}

/// A random number; natively, in tests, it is not cryptographically strong.
#[must_use]
pub fn u64() -> u64 {
    #[cfg(target_arch = "wasm32")]
    return wasip2::random::random::get_random_u64();
    #[cfg(not(target_arch = "wasm32"))]
    {
        use std::hash::{BuildHasher, Hasher, RandomState};
        RandomState::new().build_hasher().finish()
    }
}
