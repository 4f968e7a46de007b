//! Tokens of each algorithm, signed by others, and what is done to them on the way.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use selvedge_auth::{Denied, StartError};
use selvedge_model::{Identity, Scope};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::given::{Key, base64, claims, host_with, identify, put, token};

/// Signed by OpenSSL; the private key was thrown away. The token is good until the year 2100.
const RS256: &str = include_str!("../data/rs256.json");

fn ann() -> Scope {
    Scope::Of(Identity::new("ann").expect("an identity"))
}

#[tokio::test]
async fn a_token_of_rs256_is_believed_and_one_with_a_changed_byte_is_not() {
    let given: Value = serde_json::from_str(RS256).expect("JSON");
    let directory = TempDir::new().expect("a directory");
    let host = host_with(directory.path(), &given["jwks"]).await;
    let host = host.expect("keys");
    let token = given["token"].as_str().expect("a token");
    let found = identify(&host, token).await.expect("somebody");
    assert_eq!(found.scope, ann());
    for position in [10, token.find('.').expect("a dot") + 5, token.len() - 20] {
        let mut changed = token.as_bytes().to_vec();
        changed[position] = if changed[position] == b'A' {
            b'B'
        } else {
            b'A'
        };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert_eq!(identify(&host, &changed).await, Err(Denied::Invalid));
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
    let host = host_with(directory.path(), &json!({"keys": [entry]})).await;
    let host = host.expect("keys");
    let sign = |message: &[u8]| {
        key.sign(&random, message)
            .expect("a signature")
            .as_ref()
            .to_vec()
    };
    let header = json!({"alg": "ES256", "kid": "ec"});
    let found = identify(&host, &token(&header, &claims(), sign)).await;
    assert_eq!(found.expect("somebody").scope, ann());
}

#[tokio::test]
async fn what_a_token_says_of_its_signature_has_to_be_what_the_key_is_for() {
    let key = Key::new("ed");
    let directory = TempDir::new().expect("a directory");
    let host = host_with(directory.path(), &key.set()).await;
    let host = host.expect("keys");
    let sign = |message: &[u8]| key.sign(message);
    for header in [
        json!({"alg": "EdDSA", "kid": "ed"}),
        json!({"alg": "EdDSA"}),
    ] {
        let found = identify(&host, &token(&header, &claims(), sign)).await;
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
        let found = identify(&host, &token(&header, &claims(), sign)).await;
        assert_eq!(found, Err(Denied::Invalid), "{header}");
    }
    let unsigned = token(&json!({"alg": "none"}), &claims(), |_| Vec::new());
    assert_eq!(identify(&host, &unsigned).await, Err(Denied::Invalid));
    for nonsense in ["a.b.c", "..", ".", "a.b", "a.b.c.d.e"] {
        assert_eq!(
            identify(&host, nonsense).await,
            Err(Denied::Invalid),
            "{nonsense}"
        );
    }
}

#[tokio::test]
async fn a_key_that_is_for_encrypting_or_of_another_kind_verifies_nothing() {
    let mut entry = Key::new("ed").entry();
    entry["use"] = json!("enc");
    let secret = json!({"kty": "oct", "kid": "hs", "k": "c2VjcmV0"});
    let directory = TempDir::new().expect("a directory");
    for entries in [json!([entry]), json!([secret]), json!([])] {
        let refused = host_with(directory.path(), &json!({"keys": entries})).await;
        assert!(
            matches!(refused.err(), Some(StartError::NoKeys(_))),
            "{entries}"
        );
    }
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_found_when_a_token_names_it() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let directory = TempDir::new().expect("a directory");
    let host = host_with(directory.path(), &old.set()).await;
    let host = host.expect("keys");
    put(
        directory.path(),
        &json!({"keys": [old.entry(), new.entry()]}),
    );
    let found = identify(&host, &new.token()).await.expect("somebody");
    assert_eq!(found.scope, ann());
}
