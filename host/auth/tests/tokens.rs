//! Tokens of each algorithm, signed by others, and what is done to them on the way.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use selvedge_auth::{Authenticator, Denied, JwtOptions, KeySource, Options, StartError};
use selvedge_model::{Caller, Identity, Scope};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Signed by OpenSSL; the private key was thrown away. The token is good until the year 2100.
const RS256: &str = include_str!("data/rs256.json");

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn claims() -> Value {
    json!({"iss": "https://issuer.example", "aud": "selvedge", "sub": "ann", "exp": 4_102_444_800_u64})
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!(
        "{}.{}",
        base64(header.to_string().as_bytes()),
        base64(claims.to_string().as_bytes())
    );
    let signature = sign(message.as_bytes());
    format!("{message}.{}", base64(&signature))
}

async fn authenticator(directory: &TempDir, jwks: &Value) -> Result<Authenticator, StartError> {
    let path = directory.path().join("jwks.json");
    std::fs::write(&path, jwks.to_string()).expect("a file");
    let options = Options {
        api_keys: Vec::new(),
        jwt: Some(JwtOptions {
            keys: KeySource::File(path),
            issuer: "https://issuer.example".to_owned(),
            audience: "selvedge".to_owned(),
            identity_claim: "sub".to_owned(),
            permissions_claim: "permissions".to_owned(),
        }),
    };
    Authenticator::new(options).await
}

async fn identify(authenticator: &Authenticator, token: &str) -> Result<Caller, Denied> {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
    headers.insert(header::AUTHORIZATION, value);
    authenticator.identify(&headers).await
}

fn ann() -> Scope {
    Scope::Of(Identity::new("ann").expect("an identity"))
}

/// A key of Ed25519 and its entry in a set.
fn ed25519() -> (Ed25519KeyPair, Value) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
    let x = base64(key.public_key().as_ref());
    let entry = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x});
    (key, entry)
}

#[tokio::test]
async fn a_token_of_rs256_is_believed_and_one_with_a_changed_byte_is_not() {
    let given: Value = serde_json::from_str(RS256).expect("JSON");
    let directory = TempDir::new().expect("a directory");
    let authenticator = authenticator(&directory, &given["jwks"])
        .await
        .expect("keys");
    let token = given["token"].as_str().expect("a token");
    let found = identify(&authenticator, token).await.expect("somebody");
    assert_eq!(found.scope, ann());
    for position in [10, token.find('.').expect("a dot") + 5, token.len() - 20] {
        let mut changed = token.as_bytes().to_vec();
        changed[position] = if changed[position] == b'A' {
            b'B'
        } else {
            b'A'
        };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert_eq!(
            identify(&authenticator, &changed).await,
            Err(Denied::Invalid)
        );
    }
}

#[tokio::test]
async fn a_token_of_es256_is_believed() {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("a key");
    let point = key.public_key().as_ref();
    let entry = json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": base64(&point[1..33]), "y": base64(&point[33..])});
    let directory = TempDir::new().expect("a directory");
    let authenticator = authenticator(&directory, &json!({"keys": [entry]})).await;
    let authenticator = authenticator.expect("keys");
    let sign = |message: &[u8]| {
        key.sign(&random, message)
            .expect("a signature")
            .as_ref()
            .to_vec()
    };
    let header = json!({"alg": "ES256", "kid": "ec"});
    let found = identify(&authenticator, &token(&header, &claims(), sign)).await;
    assert_eq!(found.expect("somebody").scope, ann());
}

#[tokio::test]
async fn what_a_token_says_of_its_signature_has_to_be_what_the_key_is_for() {
    let (key, entry) = ed25519();
    let directory = TempDir::new().expect("a directory");
    let authenticator = authenticator(&directory, &json!({"keys": [entry]})).await;
    let authenticator = authenticator.expect("keys");
    let sign = |message: &[u8]| key.sign(message).as_ref().to_vec();
    for header in [
        json!({"alg": "EdDSA", "kid": "ed"}),
        json!({"alg": "EdDSA"}),
    ] {
        let found = identify(&authenticator, &token(&header, &claims(), sign)).await;
        assert_eq!(found.expect("somebody").scope, ann(), "{header}");
    }
    for header in [
        json!({"alg": "none", "kid": "ed"}),
        json!({"alg": "HS256", "kid": "ed"}),
        json!({"alg": "RS256", "kid": "ed"}),
        json!({"alg": "eddsa", "kid": "ed"}),
        json!({"alg": "EdDSA", "kid": "another"}),
        json!({"alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": false}),
        json!({"kid": "ed"}),
    ] {
        let found = identify(&authenticator, &token(&header, &claims(), sign)).await;
        assert_eq!(found, Err(Denied::Invalid), "{header}");
    }
    let unsigned = token(&json!({"alg": "none"}), &claims(), |_| Vec::new());
    assert_eq!(
        identify(&authenticator, &unsigned).await,
        Err(Denied::Invalid)
    );
    for nonsense in ["a.b.c", "..", ".", "a.b", "a.b.c.d.e"] {
        assert_eq!(
            identify(&authenticator, nonsense).await,
            Err(Denied::Invalid),
            "{nonsense}"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_for_encrypting_or_of_another_kind_verifies_nothing() {
    let (_, mut entry) = ed25519();
    entry["use"] = json!("enc");
    let secret = json!({"kty": "oct", "kid": "hs", "k": "c2VjcmV0"});
    let directory = TempDir::new().expect("a directory");
    for entries in [json!([entry]), json!([secret]), json!([])] {
        let refused = authenticator(&directory, &json!({"keys": entries})).await;
        assert!(
            matches!(refused.err(), Some(StartError::NoKeys(_))),
            "{entries}"
        );
    }
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_found_when_a_token_names_it() {
    let (_, old) = ed25519();
    let (key, mut new) = ed25519();
    new["kid"] = json!("new");
    let directory = TempDir::new().expect("a directory");
    let authenticator = authenticator(&directory, &json!({"keys": [old]}))
        .await
        .expect("keys");
    let both = json!({"keys": [old, new]});
    std::fs::write(directory.path().join("jwks.json"), both.to_string()).expect("a file");
    let sign = |message: &[u8]| key.sign(message).as_ref().to_vec();
    let token = token(&json!({"alg": "EdDSA", "kid": "new"}), &claims(), sign);
    let found = identify(&authenticator, &token).await.expect("somebody");
    assert_eq!(found.scope, ann());
}
