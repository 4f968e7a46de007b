//! Tokens and the keys that verify them. An input is four parts with a line `---` between them: the header and the claims
//! of a token, which is signed as an issuer would; an `authorization` header of somebody who cannot sign; a key set.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use selvedge_auth::{Authenticator, Denied, JwtOptions, KeySource, Options};
use selvedge_model::{Caller, Identity};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "selvedge";

/// The one who signs, and a host that knows the public half.
struct Issuer {
    turns: Runtime,
    directory: TempDir,
    key: Ed25519KeyPair,
    host: Authenticator,
}

static ISSUER_AND_HOST: LazyLock<Issuer> = LazyLock::new(Issuer::new);

fuzz_target!(|text: &str| {
    let mut parts = text.split("\n---\n");
    let mut part = || parts.next().unwrap_or_default();
    let (head, claims, foreign, keys) = (part(), part(), part(), part());
    let issuer = &*ISSUER_AND_HOST;
    if let Ok(caller) = issuer.identify(&issuer.host, &issuer.signed(head, claims)) {
        let claims: Value = serde_json::from_str(claims).expect("claims that were believed");
        assert_eq!(claims["iss"], ISSUER);
        let audience = &claims["aud"];
        let several = audience.as_array();
        assert!(
            audience == AUDIENCE || several.is_some_and(|some| some.contains(&json!(AUDIENCE)))
        );
        let identity = claims["sub"].as_str().and_then(Identity::new);
        assert!(identity.is_some() && identity.as_ref() == caller.scope.owner());
    }
    assert!(issuer.identify(&issuer.host, foreign).is_err());
    if keys.is_empty() {
        return;
    }
    if let Ok(host) = issuer.host_with(keys) {
        assert!(
            issuer
                .identify(&host, &issuer.signed(head, claims))
                .is_err()
        );
        let _ = issuer.identify(&host, foreign);
    }
});

impl Issuer {
    fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
        let x = URL_SAFE_NO_PAD.encode(key.public_key());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]});
        let turns = Builder::new_current_thread().enable_all().build();
        let turns = turns.expect("a thread");
        let directory = TempDir::new().expect("a directory");
        let host = host(&turns, &directory, "own.json", &keys.to_string());
        Self {
            host: host.expect("keys"),
            turns,
            directory,
            key,
        }
    }

    fn signed(&self, head: &str, claims: &str) -> String {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(head),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(message.as_bytes()));
        format!("Bearer {message}.{signature}")
    }

    fn identify(&self, host: &Authenticator, authorization: &str) -> Result<Caller, Denied> {
        let value = HeaderValue::from_str(authorization).map_err(|_| Denied::Invalid)?;
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        self.turns.block_on(host.identify(&headers))
    }

    /// A host that believes other keys.
    fn host_with(&self, keys: &str) -> Result<Authenticator, selvedge_auth::StartError> {
        host(&self.turns, &self.directory, "other.json", keys)
    }
}

fn host(
    turns: &Runtime,
    directory: &TempDir,
    file: &str,
    keys: &str,
) -> Result<Authenticator, selvedge_auth::StartError> {
    let path = directory.path().join(file);
    std::fs::write(&path, keys).expect("a file");
    turns.block_on(Authenticator::new(Options {
        api_keys: Vec::new(),
        jwt: Some(JwtOptions {
            keys: KeySource::File(path),
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            identity_claim: "sub".to_owned(),
            permissions_claim: "permissions".to_owned(),
        }),
    }))
}
