//! What the tests start from: keys, tokens, and a host that believes some of them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use selvedge_auth::{Authenticator, Denied, JwtOptions, KeySource, Options, StartError};
use selvedge_model::Caller;
use serde_json::{Value, json};

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A host that believes tokens by the keys of this source.
pub async fn host(keys: KeySource) -> Result<Authenticator, StartError> {
    let jwt = JwtOptions {
        keys,
        issuer: "https://issuer.example".to_owned(),
        audience: "selvedge".to_owned(),
        identity_claim: "sub".to_owned(),
        permissions_claim: "permissions".to_owned(),
    };
    let options = Options {
        api_keys: Vec::new(),
        jwt: Some(jwt),
    };
    Authenticator::new(options).await
}

/// One whose keys lie in a directory, where [`put`] may change them.
pub async fn host_with(directory: &Path, keys: &Value) -> Result<Authenticator, StartError> {
    put(directory, keys);
    host(KeySource::File(directory.join("jwks.json"))).await
}

pub fn put(directory: &Path, keys: &Value) {
    std::fs::write(directory.join("jwks.json"), keys.to_string()).expect("a file");
}

/// What the issuer says of Ann, until the year 2100.
pub fn claims() -> Value {
    json!({"iss": "https://issuer.example", "aud": "selvedge", "sub": "ann", "exp": 4_102_444_800_u64})
}

pub fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        base64(header.to_string()),
        base64(claims.to_string())
    );
    let signature = sign(message.as_bytes());
    format!("{message}.{}", base64(signature))
}

/// Who a host takes the bearer of a token for.
pub async fn identify(host: &Authenticator, token: &str) -> Result<Caller, Denied> {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
    host.identify(&headers).await
}

/// A key of Ed25519 that has a name.
pub struct Key {
    name: &'static str,
    pair: Ed25519KeyPair,
}

impl Key {
    pub fn new(name: &'static str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
        Self { name, pair }
    }

    /// How it stands in a set.
    pub fn entry(&self) -> Value {
        let x = base64(self.pair.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.name, "x": x})
    }

    /// A set of it alone.
    pub fn set(&self) -> Value {
        json!({"keys": [self.entry()]})
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// A token of Ann's.
    pub fn token(&self) -> String {
        let header = json!({"alg": "EdDSA", "kid": self.name});
        token(&header, &claims(), |message| self.sign(message))
    }
}
