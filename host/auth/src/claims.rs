//! What a token says, held against what is expected.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::{Caller, Identity, Timestamp};
use serde_json::{Map, Value};

use crate::options::JwtOptions;

/// How far the clocks of the issuer and of this host may differ.
const LEEWAY: Duration = Duration::from_secs(60);
/// Permissions that are read of one token; more make it invalid.
const MAX_PERMISSIONS: usize = 256;

/// What a token must say.
pub(crate) struct Expected {
    issuer: String,
    audience: String,
    identity_claim: String,
    permissions_claim: String,
}

impl Expected {
    pub(crate) fn new(options: JwtOptions) -> Self {
        Self {
            issuer: options.issuer,
            audience: options.audience,
            identity_claim: options.identity_claim,
            permissions_claim: options.permissions_claim,
        }
    }

    /// Whom the token is about, if it is meant for this host and for now. A claim of the wrong type is as bad as one
    /// that is missing.
    pub(crate) fn caller(&self, claims: &Map<String, Value>, now: Timestamp) -> Option<Caller> {
        let is_meant = claims.get("iss")?.as_str()? == self.issuer
            && names(claims.get("aud")?, &self.audience);
        if !is_meant {
            return None;
        }
        let until = valid_until(claims, now)?;
        let identity = claims.get(&self.identity_claim)?.as_str()?;
        let permissions = match claims.get(&self.permissions_claim) {
            None => Vec::new(),
            Some(claim) => permissions(claim)?,
        };
        Some(Caller {
            until: Some(until),
            ..Caller::authenticated(Identity::new(identity)?, Arc::from(permissions))
        })
    }
}

fn names(claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(one) => one == wanted,
        Value::Array(several) => several.iter().any(|one| one.as_str() == Some(wanted)),
        _ => false,
    }
}

/// When a token that is valid now is so no longer. `exp` must be there; `nbf` need not.
fn valid_until(claims: &Map<String, Value>, now: Timestamp) -> Option<Timestamp> {
    let leeway = LEEWAY.as_secs_f64();
    let expires = claims.get("exp")?.as_f64()? + leeway;
    let begins = match claims.get("nbf") {
        None => f64::MIN,
        Some(claim) => claim.as_f64()? - leeway,
    };
    let seconds = now.as_micros() as f64 / 1e6;
    // What is beyond every time is the last one.
    (begins <= seconds && seconds < expires).then(|| Timestamp::from_micros((expires * 1e6) as i64))
}

/// A list of texts, or one text with spaces between them as OAuth's `scope` has it.
fn permissions(claim: &Value) -> Option<Vec<String>> {
    let listed: Vec<String> = match claim {
        Value::Null => Vec::new(),
        Value::String(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Value::Array(several) => several
            .iter()
            .map(|one| one.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    (listed.len() <= MAX_PERMISSIONS).then_some(listed)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use selvedge_model::Scope;
    use serde_json::json;

    use super::*;
    use crate::options::KeySource;

    /// In seconds.
    const NOW: i64 = 1_800_000_000;

    fn caller(changes: &Value) -> Option<Caller> {
        let expected = Expected::new(JwtOptions {
            keys: KeySource::File(PathBuf::new()),
            issuer: "https://issuer.example".to_owned(),
            audience: "selvedge".to_owned(),
            identity_claim: "sub".to_owned(),
            permissions_claim: "scope".to_owned(),
        });
        let mut claims = json!({
            "iss": "https://issuer.example", "aud": ["others", "selvedge"], "sub": "ann", "exp": NOW + 600,
            "nbf": NOW - 600, "scope": "read write",
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims
                    .as_object_mut()
                    .unwrap()
                    .insert(name.clone(), value.clone()),
            };
        }
        expected.caller(
            claims.as_object().unwrap(),
            Timestamp::from_micros(NOW * 1_000_000),
        )
    }

    #[test]
    fn a_token_for_this_host_and_for_now_is_somebodys() {
        for changes in [
            json!({}),
            json!({"aud": "selvedge"}),
            json!({"nbf": null}),
            json!({"exp": NOW - 59}),
            json!({"nbf": NOW + 60}),
            json!({"exp": NOW as f64 + 0.5}),
        ] {
            let found = caller(&changes).unwrap();
            assert_eq!(
                Some(found.scope),
                Identity::new("ann").map(Scope::Of),
                "{changes}"
            );
            assert_eq!(*found.permissions, ["read".to_owned(), "write".to_owned()]);
        }
        let expired = |exp: Value| caller(&json!({"exp": exp})).unwrap().until;
        let last = Timestamp::from_micros((NOW + 660) * 1_000_000);
        assert_eq!(expired(json!(NOW + 600)), Some(last));
        assert_eq!(
            expired(json!(1e300)),
            Some(Timestamp::from_micros(i64::MAX))
        );
        let operator = caller(&json!({"scope": ["admin"]})).unwrap();
        assert_eq!(
            Some(operator.scope),
            Identity::new("ann").map(Scope::Operator)
        );
        assert!(
            caller(&json!({"scope": null}))
                .unwrap()
                .permissions
                .is_empty()
        );
    }

    #[test]
    fn any_other_is_nobodys() {
        for changes in [
            json!({"iss": "https://other.example"}),
            json!({"iss": null}),
            json!({"iss": ["https://issuer.example"]}),
            json!({"aud": "other"}),
            json!({"aud": []}),
            json!({"aud": null}),
            json!({"exp": NOW - 60}),
            json!({"exp": null}),
            json!({"exp": (NOW + 600).to_string()}),
            json!({"nbf": NOW + 61}),
            json!({"nbf": "soon"}),
            json!({"sub": null}),
            json!({"sub": ""}),
            json!({"sub": 7}),
            json!({"sub": "a\nb"}),
            json!({"scope": 7}),
            json!({"scope": ["read", 7]}),
            json!({"scope": vec!["p"; MAX_PERMISSIONS + 1]}),
        ] {
            assert_eq!(caller(&changes), None, "{changes}");
        }
    }
}
