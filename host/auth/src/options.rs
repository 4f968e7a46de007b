//! What is configured: `auth` in `langgraph.json`, checked for its form.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use selvedge_model::Identity;

/// Who may call. With nothing in it, nobody.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `auth.api_keys`
    pub api_keys: Vec<ApiKey>,
    /// `auth.jwt`
    pub jwt: Option<JwtOptions>,
}

/// An API key as the host knows it.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Whose it is.
    pub name: Identity,
    /// What the key hashes to.
    pub hash: KeyHash,
    /// What else is said of its holder.
    pub permissions: Vec<String>,
}

/// `sha256:` and 64 hexadecimal digits. A key is 256 random bits, so that nobody can try them out however fast the
/// digest is: salt and a slow digest, which passwords need, would cost each request time and add nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub(crate) [u8; 32]);

const PREFIX: &str = "sha256:";

impl FromStr for KeyHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "must be `{PREFIX}` and 64 hexadecimal digits, as `selvedge auth key` prints it"
            )
        };
        let digits = text.strip_prefix(PREFIX).ok_or_else(wrong)?;
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash")
    }
}

/// Which tokens are believed, and what is read from them.
#[derive(Clone, Debug)]
pub struct JwtOptions {
    /// `auth.jwt.jwks`
    pub keys: KeySource,
    /// `auth.jwt.issuer`: the claim `iss` must be this.
    pub issuer: String,
    /// `auth.jwt.audience`: the claim `aud` must be or hold this.
    pub audience: String,
    /// `auth.jwt.identity_claim`
    pub identity_claim: String,
    /// `auth.jwt.permissions_claim`
    pub permissions_claim: String,
}

/// Where the keys are that tokens are signed with: a JSON Web Key Set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// Behind a URL.
    Url(String),
}

/// Nobody could be told from anybody.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file cannot be read.
    #[error("auth.jwt.jwks: {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing in it to verify a token with.
    #[error(
        "auth.jwt.jwks: {0} holds no key that can be used: RSA of 2,048 bits and more, EC on P-256, or OKP on Ed25519"
    )]
    NoKeys(PathBuf),
    /// The URL cannot be called.
    #[error("auth.jwt.jwks: {0}")]
    Url(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_written_as_it_is_read() {
        let text = format!("sha256:{}", "0a".repeat(32));
        let hash: KeyHash = text.parse().unwrap();
        assert_eq!((hash.0, hash.to_string()), ([10; 32], text));
        for wrong in [
            "",
            "sha256:",
            "md5:00",
            &format!("sha256:{}g", "0".repeat(63)),
        ] {
            assert!(wrong.parse::<KeyHash>().is_err(), "{wrong}");
        }
    }
}
