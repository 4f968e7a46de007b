//! What the black-box tests stand on.
//!
//! | module | gives |
//! |---|---|
//! | `callers` | callers with API keys |
//! | `deliveries` | what becomes of webhooks |
//! | `dns` | a name server with a script |
//! | `documented` | a look at every answer: is it what the OpenAPI document says? |
//! | `embeddings` | an embeddings' server, whose vectors say which words are there |
//! | `gate` | holds runs while a test looks |
//! | `graphs` | the components, built once by `selvedge build` |
//! | `issuer` | an issuer of tokens |
//! | `server` | a `selvedge serve` process of one's own, and its HTTP API |
//! | `model` | a chat model's server with a script |
//! | `namespace` | a disk that is small or read-only, names that lead elsewhere |
//! | `protocol` | commands and events of the event protocol |
//! | `raw` | a connection without a client on it |
//! | `receiver` | a webhook receiver that can misbehave |
//! | `sse` | reading event streams |
//! | `wait` | waiting for a condition, with a deadline |
//! | `wire` | a server below HTTP, for what no HTTP library would send |

pub mod callers;
mod deliveries;
pub mod dns;
pub mod documented;
pub mod embeddings;
pub mod gate;
pub mod graphs;
pub mod issuer;
pub mod model;
pub mod namespace;
pub mod protocol;
pub mod raw;
pub mod receiver;
pub mod server;
pub mod sse;
pub mod wait;
pub mod wire;

pub use dns::Dns;
pub use embeddings::Embeddings;
pub use gate::Gate;
pub use namespace::Disk;
pub use receiver::Receiver;
pub use server::{Server, Setup};
pub use wait::eventually;
pub use wire::{Say, Wire};

/// The binary under test.
pub const SELVEDGE: &str = env!("CARGO_BIN_EXE_selvedge");

/// The root of the repository.
pub fn root() -> std::path::PathBuf {
    let cli = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    cli.join("../..")
        .canonicalize()
        .expect("the repository is there")
}
