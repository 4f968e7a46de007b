//! Whatever somebody without a key sends is refused, and whatever stands in a key set is a key or is none.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use proptest::prelude::*;
use selvedge_auth::Authenticator;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::given::{base64, claims, host_with};

fn turns() -> Runtime {
    let turns = Builder::new_current_thread().enable_all().build();
    turns.expect("a thread")
}

/// A host that believes these keys, unless none of them can be used.
fn believing(turns: &Runtime, keys: &Value) -> Option<Authenticator> {
    let directory = TempDir::new().expect("a directory");
    turns.block_on(host_with(directory.path(), keys)).ok()
}

/// A set with one key of each kind, whose private halves nobody has.
fn keys() -> Value {
    let part = |byte: u8, length| base64(vec![byte; length]);
    json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": part(1, 32)},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "x": part(2, 32), "y": part(3, 32)},
        {"kty": "RSA", "kid": "rsa", "n": part(0xf1, 256), "e": "AQAB"},
    ]})
}

/// The head of a token, as it should be and in every other way.
fn head() -> impl Strategy<Value = String> {
    let algorithms = prop::sample::select(vec!["EdDSA", "ES256", "RS256", "HS256", "none", ""]);
    let ids = prop::sample::select(vec![
        json!("ed"),
        json!("ec"),
        json!("rsa"),
        json!(1),
        Value::Null,
    ]);
    let usual =
        (algorithms, ids).prop_map(|(alg, kid)| json!({"alg": alg, "kid": kid}).to_string());
    prop_oneof![usual, ".{0,40}"]
}

/// A token that nobody signed, or what is none.
fn credential() -> impl Strategy<Value = String> {
    let claims = Just(claims().to_string());
    let signature = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        prop::collection::vec(any::<u8>(), 256)
    ];
    let token = (head(), prop_oneof![claims, ".{0,40}".boxed()], signature).prop_map(
        |(head, claims, signature)| {
            let signature = base64(signature);
            format!("Bearer {}.{}.{signature}", base64(&head), base64(&claims))
        },
    );
    prop_oneof![token, "Bearer [A-Za-z0-9._-]{0,60}", "[ -~]{0,60}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_nobody_signed_is_nobodys(
        credentials in prop::collection::vec(credential(), 20),
        name in prop::sample::select(vec!["authorization", "x-api-key"]),
    ) {
        let turns = turns();
        let host = believing(&turns, &keys()).expect("keys");
        for credential in credentials {
            let value = HeaderValue::from_str(&credential).expect("printable");
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
            prop_assert!(turns.block_on(host.identify(&headers)).is_err(), "{}", credential);
        }
    }

    #[test]
    fn a_key_set_is_used_or_refused_whatever_it_holds(
        entry in prop::collection::hash_map(
            prop::sample::select(vec!["kty", "crv", "kid", "x", "y", "n", "e", "use", "alg"]),
            prop_oneof![
                prop::sample::select(vec!["RSA", "EC", "OKP", "P-256", "Ed25519", "sig", "AQAB", "EdDSA"]).prop_map(Value::from),
                "[A-Za-z0-9_-]{0,90}".prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                Just(Value::Null),
            ],
            0..9,
        ),
        token in credential(),
    ) {
        let turns = turns();
        let entry: serde_json::Map<String, Value> =
            entry.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let set = json!({"keys": [entry]});
        if let Some(host) = believing(&turns, &set) {
            let headers = HeaderValue::from_str(&token).map(|value| (header::AUTHORIZATION, value));
            let headers = HeaderMap::from_iter(headers);
            prop_assert!(turns.block_on(host.identify(&headers)).is_err(), "{} {}", set, token);
        }
    }
}
