//! Components that were damaged on their way: each loads or is refused, and the host is none the worse for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use selvedge_egress::{Client, ClientOptions, Policy, PolicyOptions};
use selvedge_pregel::Graph;
use selvedge_sandbox::{
    Compiling, Component, ComponentSource, Limits, LoadError, Network, Options, Sandbox,
};
use tempfile::TempDir;

use crate::guest::{Guest, write};

/// How many. What is tried is the same each time.
const MUTATIONS: u64 = 2_000;
const AT_ONCE: usize = 4;

/// What a guest that was damaged into a loop costs.
const CPU: Duration = Duration::from_millis(50);

fn network() -> Network {
    let policy = Policy::new(&PolicyOptions::graphs()).expect("a policy");
    let client = Client::new(Arc::new(policy), &ClientOptions::default()).expect("a client");
    Network {
        client: Arc::new(client),
        timeout: Duration::from_secs(1),
        max_concurrent_per_run: 1,
    }
}

/// Numbers that look like chance and are the same for each seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).expect("below a length")
    }

    fn byte(&mut self) -> u8 {
        // Those at which lengths, types and numbers change their meaning come more often.
        const ODD: [u8; 8] = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xfe, 0xff];
        match self.below(2) {
            0 => ODD[self.below(ODD.len())],
            _ => self.roll().to_le_bytes()[0],
        }
    }
}

fn mutated(good: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut bytes = good.to_vec();
    for _ in 0..=dice.below(4) {
        // Behind the preamble, which is looked at before anything else.
        let at = 8 + dice.below(bytes.len() - 8);
        let length = dice.below(16).min(bytes.len() - at);
        match dice.below(6) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.byte(),
            2 => bytes.insert(at, dice.byte()),
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let piece = bytes[at..at + length].to_vec();
                let to = 8 + dice.below(bytes.len() - 8);
                bytes.splice(to..to, piece);
            }
            _ => bytes.truncate(at.max(16)),
        }
    }
    bytes
}

/// How a load ended, in a word.
fn outcome(loaded: &Result<Component, LoadError>) -> &'static str {
    match loaded {
        Ok(_) => "loaded",
        Err(LoadError::Compile { .. }) => "does not compile",
        Err(LoadError::Contract { .. }) => "does not fit the contract",
        Err(LoadError::Describe { .. }) => "describe failed",
        Err(LoadError::TooManyParts { .. }) => "too many parts",
        Err(LoadError::NotAComponent { .. }) => "no component",
        Err(LoadError::CompileBound { .. } | LoadError::Compiler { .. }) => "not compiled",
        Err(LoadError::Read { .. } | LoadError::TooLarge { .. } | LoadError::Stack { .. }) => {
            "not tried"
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_mutated_components_load_or_are_refused() {
    let good = Guest::default().encoded();
    let sandbox = Sandbox::start(Options {
        max_instances: AT_ONCE + 1,
        compiling: Compiling {
            program: Some(env!("CARGO_BIN_EXE_selvedge").into()),
            processes: AT_ONCE,
            ..Compiling::default()
        },
        ..Options::default()
    })
    .expect("a sandbox");
    let folder = TempDir::new().expect("a temporary directory");
    let network = network();
    let load = |name: String, bytes: &[u8]| {
        let source = ComponentSource {
            path: write(folder.path(), &name, bytes),
            environment: Vec::new(),
            limits: Limits {
                cpu: CPU,
                ..Limits::default()
            },
            network: network.clone(),
        };
        sandbox.load(source)
    };
    assert!(load("good".to_owned(), &good).await.is_ok());

    let mut loads = stream::iter(0..MUTATIONS)
        .map(|seed| {
            let loading = load(format!("mutated-{}", seed % 64), &mutated(&good, seed));
            async move { (seed, loading.await) }
        })
        .buffer_unordered(AT_ONCE);
    let mut outcomes: BTreeMap<&str, u32> = BTreeMap::new();
    while let Some((seed, loaded)) = loads.next().await {
        if let Err(error) = &loaded {
            assert!(!error.to_string().contains("panic"), "{seed}: {error}");
        }
        *outcomes.entry(outcome(&loaded)).or_default() += 1;
        for graph in loaded
            .iter()
            .flat_map(|component| &component.description().graphs)
        {
            // Sound or not, it is said and nothing else.
            let _ = Graph::new(graph.clone());
        }
    }
    drop(loads);
    println!("{outcomes:?}");
    for some in ["loaded", "does not compile", "describe failed"] {
        assert!(
            outcomes.contains_key(some),
            "no mutation {some}: {outcomes:?}"
        );
    }
    assert!(load("good".to_owned(), &good).await.is_ok());
}
