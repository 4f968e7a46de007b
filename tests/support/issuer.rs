//! Tokens, and what the host must be told to believe them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// In the year 2100.
const FAR: u64 = 4_102_444_800;

/// An issuer of tokens.
pub struct Issuer {
    key: Ed25519KeyPair,
    id: &'static str,
}

impl Issuer {
    pub fn new(id: &'static str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
        Self { key, id }
    }

    pub fn entry(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "use": "sig", "x": x})
    }

    pub fn token(&self, subject: &str, permissions: &[&str]) -> String {
        self.token_until(FAR, subject, permissions)
    }

    /// One that expires so many seconds after 1970.
    pub fn token_until(&self, expires: u64, subject: &str, permissions: &[&str]) -> String {
        let header = json!({"alg": "EdDSA", "kid": self.id});
        let claims = json!({
            "iss": "https://issuer.example", "aud": "selvedge", "exp": expires, "email": subject,
            "roles": permissions,
        });
        let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// `auth.jwt`, with its keys there.
pub fn jwt(jwks: &str) -> Value {
    json!({
        "jwks": jwks, "issuer": "https://issuer.example", "audience": "selvedge", "identity_claim": "email",
        "permissions_claim": "roles",
    })
}
