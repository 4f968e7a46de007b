//! `memory`: two nodes that look at what is left of others in their instance.
//!
//! Each counts its calls in a static and appends the count. The first leaves a secret all over its memory when it is
//! given one to `keep`, and says how often it finds the one that it is given to `look_for` in the whole linear memory,
//! pages that it has only just asked for included. Secrets are given masked, so that looking for one does not bring it in.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use selvedge_sdk::prelude::*;

/// Each byte of a secret is given with all its bits turned.
const MASK: u8 = 0xFF;
/// How often a secret is left in memory.
const COPIES: usize = 100_000;

static CALLS: AtomicU64 = AtomicU64::new(0);
static KEPT: std::sync::Mutex<Vec<u8>> = std::sync::Mutex::new(Vec::new());

#[derive(State, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    keep: Option<Vec<u8>>,
    look_for: Option<Vec<u8>>,
    found: Option<usize>,
    #[channel(append)]
    calls: Vec<u64>,
}

pub fn graph() -> StateGraph<Memory> {
    StateGraph::new()
        .node("first", |state: Memory, _: &Context| {
            if let Some(masked) = &state.keep {
                keep(masked);
            }
            let found = state.look_for.map(|masked| occurrences(&masked));
            Ok(Memory::update().found(found).calls([count()]))
        })
        .node("second", |_: Memory, _: &Context| {
            Ok(Memory::update().calls([count()]))
        })
        .edge(START, "first")
        .edge("first", "second")
        .edge("second", END)
}

fn count() -> u64 {
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

fn keep(masked: &[u8]) {
    let secret: Vec<u8> = masked.iter().map(|byte| byte ^ MASK).collect();
    if let Ok(mut kept) = KEPT.lock() {
        *kept = secret.repeat(COPIES);
        black_box(&*kept);
    }
}

#[cfg(target_arch = "wasm32")]
pub(crate) fn occurrences(masked: &[u8]) -> usize {
    use core::arch::wasm32::{memory_grow, memory_size};
    const PAGE_BYTES: usize = 64 << 10;
    const NEW_PAGES: usize = 256;

    memory_grow::<0>(NEW_PAGES);
    #[allow(
        unsafe_code,
        reason = "linear memory beyond this program's own objects can be read in no other way"
    )]
    // SAFETY: every address below the memory's size is backed, and volatile reads need no object behind them.
    let byte_at = |address: usize| unsafe { core::ptr::read_volatile(address as *const u8) };
    let end = memory_size::<0>() * PAGE_BYTES - masked.len();
    let is_here = |at: &usize| {
        let mut bytes = masked.iter().enumerate();
        bytes.all(|(offset, byte)| byte_at(at + offset) ^ MASK == *byte)
    };
    (1..end).filter(is_here).count()
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn occurrences(_: &[u8]) -> usize {
    0
}
