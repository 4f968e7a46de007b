//! Which addresses may be called, and the only outbound connector in the program.
//!
//! A [`Policy`] is made once from [`PolicyOptions`]; [`Policy::check_url`] judges a URL without network I/O; a
//! [`Client`] belongs to one policy and judges again where the connection is made. Six gates stand in a row, each a
//! module of pure functions in [`gate`]:
//!
//! | gate | asks |
//! |---|---|
//! | [`gate::raw`] | is the text read in one way only? |
//! | [`gate::shape`] | scheme, credentials, fragment, port, host |
//! | [`gate::name`] | may this host be called by this name? |
//! | [`gate::address`] | may this address be called? |
//! | [`gate::connect`] | are all the addresses of this connection allowed, is the peer one of them, and not this server? |
//! | [`gate::response`] | how much of the answer is read |
//!
//! | module | job |
//! |---|---|
//! | [`options`], [`domain`] | raw configuration, turned into rules once |
//! | [`policy`], [`target`], [`refusal`] | the gates in their order, and what comes out |
//! | [`grounds`] | which rule admits what is not refused |
//! | [`report`] | what a policy that is being adopted would refuse |
//! | [`client`], [`share`], [`body`], [`error`] | requests and answers |
//! | [`resolver`] | names to addresses |
//! | [`secrets`], [`headers`] | what a graph may put into a request |
//!
//! What this room never does: follow a redirect, read a proxy from the environment, decompress, speak HTTP/2, connect
//! to an address that was not judged.
#![forbid(unsafe_code)]

pub mod body;
pub mod client;
mod connector;
pub mod domain;
pub mod error;
pub mod gate;
pub mod grounds;
pub mod headers;
mod io;
pub mod options;
pub mod policy;
pub mod refusal;
pub mod report;
pub mod resolver;
pub mod secrets;
pub mod share;
pub mod target;
mod tls;

pub use body::{Body, ResponseBody};
pub use client::{Client, ClientError, ClientOptions, Request, Response, Roots};
pub use error::{EgressError, Phase};
pub use grounds::Grounds;
pub use options::{Mode, PolicyError, PolicyOptions, Subject};
pub use policy::Policy;
pub use refusal::{Gate, Refusal, Rule};
pub use report::Reported;
pub use resolver::{Resolver, SystemResolver};
pub use secrets::{SecretOptions, Secrets};
pub use share::{Share, WeakShare};
pub use target::{Host, Target};
