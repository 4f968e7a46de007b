//! Who is calling: from the headers of a request to a [`Caller`], or to nobody.
//!
//! | module | job |
//! |---|---|
//! | [`options`] | what is configured |
//! | [`keys`] | API keys: random, kept as digests, compared without telling how far they agree |
//! | `token`, `claims` | JSON Web Tokens: signature, then what is said in them |
//! | `jwks` | the keys that tokens are signed with, from a file or a URL, fetched anew now and then |
//!
//! What this room never does: remember a credential, write one into a log line or an error, or say of a refused one
//! which part of it was wrong.
#![forbid(unsafe_code)]

mod claims;
mod jwks;
pub mod keys;
pub mod options;
mod token;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use selvedge_model::{Caller, Timestamp};

use jwks::Jwks;
use keys::ApiKeys;
pub use options::{ApiKey, JwtOptions, KeySource, Options, StartError};

/// Where LangGraph's clients put an API key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Tells who is calling.
pub struct Authenticator {
    keys: ApiKeys,
    tokens: Option<Tokens>,
}

struct Tokens {
    claims: claims::Expected,
    jwks: Jwks,
}

/// Why a request is nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It says nothing of who sent it.
    #[error(
        "Missing credentials: send an API key as x-api-key, or a bearer token as authorization"
    )]
    Missing,
    /// What it says is not true, or not any more.
    #[error("Invalid credentials")]
    Invalid,
    /// Whether it is true cannot be said at the moment: the keys that tokens are signed with cannot be had, or were read
    /// so lately that a new one might not be among them.
    #[error("Credentials cannot be verified at the moment. Try again later.")]
    Unavailable {
        /// When it is worth while to ask again.
        retry_after: Duration,
    },
}

impl Authenticator {
    /// Reads the keys that are in files. Those that are behind a URL are fetched when the first token comes.
    ///
    /// # Errors
    /// A file that cannot be read or holds no key, a URL that cannot be called.
    pub async fn new(options: Options) -> Result<Self, StartError> {
        let tokens = match options.jwt {
            None => None,
            Some(jwt) => Some(Tokens {
                jwks: Jwks::open(&jwt.keys).await?,
                claims: claims::Expected::new(jwt),
            }),
        };
        Ok(Self {
            keys: ApiKeys::new(options.api_keys),
            tokens,
        })
    }

    /// Who sent a request with these headers. `authorization` decides where both headers are sent: LangGraph's clients
    /// add an `x-api-key` from their environment unasked. In it, what has dots is a token, anything else an API key.
    ///
    /// # Errors
    /// [`Denied`], which says nothing of the credential.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Caller, Denied> {
        let known = match headers.get(header::AUTHORIZATION) {
            Some(value) => {
                let bearer = bearer(value).ok_or(Denied::Invalid)?;
                match bearer.contains('.') {
                    true => return self.by_token(bearer).await,
                    false => self.keys.find(bearer.as_bytes()),
                }
            }
            None => {
                let key = headers.get(API_KEY).ok_or(Denied::Missing)?;
                self.keys.find(key.as_bytes())
            }
        };
        known.ok_or(Denied::Invalid)
    }

    async fn by_token(&self, token: &str) -> Result<Caller, Denied> {
        let tokens = self.tokens.as_ref().ok_or(Denied::Invalid)?;
        let token = token::Token::read(token).ok_or(Denied::Invalid)?;
        let key = tokens.jwks.key(&token).await?;
        let claims = token.verified(&key).ok_or(Denied::Invalid)?;
        let caller = tokens.claims.caller(&claims, Timestamp::now());
        caller
            .filter(|caller| !self.is_a_key_holder(caller))
            .ok_or(Denied::Invalid)
    }

    /// Whether a token's identity is the name of an API key. An issuer may let people choose what it says of them, and
    /// nobody is to become somebody else by that.
    fn is_a_key_holder(&self, caller: &Caller) -> bool {
        let is_taken = caller
            .scope
            .owner()
            .is_some_and(|owner| self.keys.names(owner));
        if is_taken {
            tracing::debug!("a token names the holder of an API key, and is refused");
        }
        is_taken
    }
}

/// What follows the scheme `Bearer`, which is written in any case.
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, credential) = value.to_str().ok()?.split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}
