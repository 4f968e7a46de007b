//! A signed token in its compact form: its parts, and whether the signature is one of a key.
//!
//! The algorithms are RS256, ES256 and EdDSA (Ed25519): all asymmetric, so that nothing that is public verifies what
//! anybody could have signed. Which one is used follows from the key; what the token says has to agree. Keys that a
//! token brings itself (`jwk`, `jku`, `x5c`) are not looked at.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Larger tokens are not looked at.
const MAX_TOKEN_BYTES: usize = 16 << 10;

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// Modulus and exponent.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point on P-256.
    P256(Vec<u8>),
    /// A point on Ed25519.
    Ed25519(Vec<u8>),
}

const RS256: &str = "RS256";
const ES256: &str = "ES256";
const EDDSA: &str = "EdDSA";
/// Tokens of any other are nobody's.
const ALGORITHMS: [&str; 3] = [RS256, ES256, EDDSA];

/// Lengths of an RSA modulus that is taken for one, in bytes: 2,048 to 8,192 bits.
const RSA_MODULUS_BYTES: RangeInclusive<usize> = 256..=1024;
/// Bytes of a coordinate, on either curve.
const COORDINATE_BYTES: usize = 32;

impl PublicKey {
    /// `None` for what no signature could be verified with: modulus or exponent of a wrong size.
    pub(crate) fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Self> {
        // Both are written without zeros in front. The exponent is 3 or any greater odd number of at most 33 bits.
        let is_modulus = RSA_MODULUS_BYTES.contains(&n.len()) && n.first() != Some(&0);
        let is_exponent = match e.as_slice() {
            [only] => *only >= 3 && only % 2 == 1,
            [first, .., last] => {
                *first != 0 && last % 2 == 1 && (e.len() <= 4 || e.len() == 5 && *first == 1)
            }
            [] => false,
        };
        (is_modulus && is_exponent).then_some(Self::Rsa { n, e })
    }

    pub(crate) fn p256(x: &[u8], y: &[u8]) -> Option<Self> {
        let is_point = x.len() == COORDINATE_BYTES && y.len() == COORDINATE_BYTES;
        is_point.then(|| Self::P256([&[4], x, y].concat()))
    }

    pub(crate) fn ed25519(x: Vec<u8>) -> Option<Self> {
        (x.len() == COORDINATE_BYTES).then_some(Self::Ed25519(x))
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => RS256,
            Self::P256(_) => ES256,
            Self::Ed25519(_) => EDDSA,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Self::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

/// A token whose signature has not been looked at.
pub(crate) struct Token<'a> {
    pub(crate) algorithm: String,
    pub(crate) key_id: Option<String>,
    /// What is signed.
    message: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Names extensions that must be understood: none is.
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        if text.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (message, signature) = text.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let header: Header = serde_json::from_slice(&decoded(header)?).ok()?;
        let is_understood = header.crit.is_none() && ALGORITHMS.contains(&header.alg.as_str());
        is_understood.then_some(Self {
            algorithm: header.alg,
            key_id: header.kid,
            message,
            payload,
            signature: decoded(signature)?,
        })
    }

    /// What it says, if it was signed by the holder of this key.
    pub(crate) fn verified(&self, key: &PublicKey) -> Option<Map<String, Value>> {
        let is_meant = self.algorithm == key.algorithm();
        if !is_meant || !key.verifies(self.message.as_bytes(), &self.signature) {
            return None;
        }
        serde_json::from_slice(&decoded(self.payload)?).ok()
    }
}

/// Base64 for URLs, as all parts of tokens and keys are written.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
