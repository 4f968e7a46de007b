//! API keys.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use selvedge_model::{Caller, Identity};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::options::{ApiKey, KeyHash};

/// At the front of each key, so that people and scanners of repositories recognise one.
const PREFIX: &str = "selvedge_";

/// The keys that are known, by what they hash to.
pub(crate) struct ApiKeys(Vec<(KeyHash, Caller)>);

impl ApiKeys {
    pub(crate) fn new(keys: Vec<ApiKey>) -> Self {
        let caller = |key: ApiKey| {
            let permissions = Arc::from(key.permissions);
            (key.hash, Caller::authenticated(key.name, permissions))
        };
        Self(keys.into_iter().map(caller).collect())
    }

    /// Whether somebody of this name has a key.
    pub(crate) fn names(&self, identity: &Identity) -> bool {
        let mut owners = self.0.iter().map(|(_, caller)| caller.scope.owner());
        owners.any(|owner| owner == Some(identity))
    }

    /// Whose key this is. Looks at every key that is known, and at every byte of each.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Caller> {
        let hash = hash(key);
        let mut found = u32::MAX;
        for (position, (known, _)) in (0..).zip(&self.0) {
            found.conditional_assign(&position, known.0.ct_eq(&hash.0));
        }
        let (_, caller) = self.0.get(usize::try_from(found).ok()?)?;
        Some(caller.clone())
    }
}

/// What a key hashes to.
#[must_use]
pub fn hash(key: &[u8]) -> KeyHash {
    KeyHash(Sha256::digest(key).into())
}

/// A new key of 256 random bits, and what it hashes to.
///
/// # Errors
/// The system has no randomness.
pub fn generate() -> Result<(String, KeyHash), rand::rand_core::OsError> {
    let mut bits = [0_u8; 32];
    OsRng.try_fill_bytes(&mut bits)?;
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits));
    let hash = hash(key.as_bytes());
    Ok((key, hash))
}

#[cfg(test)]
mod tests {
    use selvedge_model::Scope;

    use super::*;

    #[test]
    fn a_key_is_its_holders_and_nearly_the_key_is_nobodys() {
        let (ann, hash_of_ann) = generate().unwrap();
        let (bob, hash_of_bob) = generate().unwrap();
        assert_ne!(ann, bob);
        let key = |name, hash, permission: &str| ApiKey {
            name: Identity::new(name).unwrap(),
            hash,
            permissions: vec![permission.to_owned()],
        };
        let keys = ApiKeys::new(vec![
            key("ann", hash_of_ann, "read"),
            key("bob", hash_of_bob, "admin"),
        ]);
        let scope = |key: &str| keys.find(key.as_bytes()).map(|caller| caller.scope);
        assert_eq!(scope(&ann), Identity::new("ann").map(Scope::Of));
        assert_eq!(scope(&bob), Identity::new("bob").map(Scope::Operator));
        for wrong in ["", &ann[1..], &ann[..ann.len() - 1], &format!("{ann} ")] {
            assert_eq!(scope(wrong), None);
        }
        assert_eq!(ApiKeys::new(Vec::new()).find(ann.as_bytes()), None);
    }
}
