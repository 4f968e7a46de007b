//! Signatures by Standard Webhooks 1.0: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
//!
//! Pure. The worker signs with all secrets of the operator; `selvedge webhooks listen` verifies as a receiver does.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderValue;
use selvedge_model::Timestamp;
use sha2::Sha256;

/// How secrets begin as their users write them; it may be left out.
const SECRET_PREFIX: &str = "whsec_";
/// The lengths that the specification allows for a symmetric key, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The version of the signatures that are made and verified here.
const VERSION: &str = "v1";
/// Secrets that are in use at once: two during a rotation, and some more for rotations that overlap.
pub const MAX_SECRETS: usize = 8;
/// How far the time of an attempt may be from the receiver's clock, as the official libraries have it.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// A key that sender and receiver share.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Why a text is no secret. The text itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// What follows the prefix is something else.
    #[error("is not base64, with or without \"whsec_\" before it")]
    NotBase64,
    /// Too short to be safe, or longer than the specification allows.
    #[error(
        "holds {0} bytes: a secret has 24 to 64, which `whsec_$(openssl rand -base64 32)` makes"
    )]
    Length(usize),
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
        let key = STANDARD
            .decode(encoded)
            .map_err(|_| SecretError::NotBase64)?;
        if KEY_BYTES.contains(&key.len()) {
            Ok(Self(key))
        } else {
            Err(SecretError::Length(key.len()))
        }
    }
}

/// Never the key.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length, so there is always one.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        Some(mac)
    }

    fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
        let mac = self.mac(id, timestamp, body)?.finalize().into_bytes();
        Some(format!("{VERSION},{}", STANDARD.encode(mac)))
    }
}

/// The value of `webhook-signature`: one signature for each secret, in their order; `None` without secrets. `body` is
/// what is sent, byte by byte.
#[must_use]
pub fn sign(secrets: &[Secret], id: &str, timestamp: &str, body: &[u8]) -> Option<HeaderValue> {
    let signatures: Vec<String> = secrets
        .iter()
        .filter_map(|secret| secret.sign(id, timestamp, body))
        .collect();
    if signatures.is_empty() {
        return None;
    }
    HeaderValue::try_from(signatures.join(" ")).ok()
}

/// What a receiver knows of a delivery's origin.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `webhook-id`
    pub id: &'a str,
    /// `webhook-timestamp`
    pub timestamp: &'a str,
    /// `webhook-signature`
    pub signatures: &'a str,
    /// The body, byte by byte.
    pub body: &'a [u8],
}

/// Why a delivery is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// `webhook-timestamp` is no number of seconds.
    #[error("the timestamp is no number")]
    Timestamp,
    /// It is further than [`TOLERANCE`] from now: it may be an old delivery that somebody sends again.
    #[error("the timestamp is more than five minutes from now")]
    Expired,
    /// No signature is by one of the secrets.
    #[error("no signature is by this secret")]
    Signature,
}

/// Verifies a delivery as a receiver does that takes any of these secrets.
///
/// # Errors
/// Why it is not to be trusted.
pub fn verify(secrets: &[Secret], signed: &Signed<'_>, now: Timestamp) -> Result<(), VerifyError> {
    let sent_at: i64 = signed
        .timestamp
        .parse()
        .map_err(|_| VerifyError::Timestamp)?;
    let now_secs = now.as_millis().div_euclid(1000);
    if now_secs.abs_diff(sent_at) > TOLERANCE.as_secs() {
        return Err(VerifyError::Expired);
    }
    let is_by = |secret: &Secret, signature: &str| {
        let mac = signature
            .split_once(',')
            .filter(|(version, _)| *version == VERSION)
            .and_then(|(_, mac)| STANDARD.decode(mac).ok());
        let expected = secret.mac(signed.id, signed.timestamp, signed.body);
        // Compared in a time that does not depend on where they differ.
        mac.zip(expected)
            .is_some_and(|(mac, expected)| expected.verify_slice(&mac).is_ok())
    };
    let is_signed = signed
        .signatures
        .split(' ')
        .any(|signature| secrets.iter().any(|secret| is_by(secret, signature)));
    if is_signed {
        Ok(())
    } else {
        Err(VerifyError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector that Standard Webhooks' own libraries share.
    const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const THEN: Timestamp = Timestamp::from_micros(1_614_265_330_000_000);

    fn secret(text: &str) -> Secret {
        text.parse().unwrap()
    }

    fn other() -> Secret {
        secret(&format!("whsec_{}", STANDARD.encode([7; 32])))
    }

    fn signed(signatures: &str) -> Signed<'_> {
        Signed {
            id: ID,
            timestamp: TIMESTAMP,
            signatures,
            body: BODY,
        }
    }

    #[test]
    fn the_published_test_vector_holds_with_the_prefix_and_without() {
        for text in [SECRET.to_owned(), format!("{SECRET_PREFIX}{SECRET}")] {
            let signature = sign(&[secret(&text)], ID, TIMESTAMP, BODY).unwrap();
            assert_eq!(signature, SIGNATURE);
        }
        assert_eq!(sign(&[], ID, TIMESTAMP, BODY), None);
    }

    #[test]
    fn several_secrets_give_several_signatures_in_their_order() {
        let both = sign(&[other(), secret(SECRET)], ID, TIMESTAMP, BODY).unwrap();
        let text = both.to_str().unwrap();
        assert!(text.starts_with("v1,") && text.ends_with(&format!(" {SIGNATURE}")));
        for known in [other(), secret(SECRET)] {
            assert_eq!(verify(&[known], &signed(text), THEN), Ok(()));
        }
    }

    #[test]
    fn what_was_changed_on_its_way_is_not_trusted() {
        let ours = [secret(SECRET)];
        let changes: [fn(&mut Signed<'static>); 4] = [
            |signed| signed.body = b"{}",
            |signed| signed.id = "msg_other",
            |signed| signed.timestamp = "1614265331",
            |signed| signed.signatures = "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ];
        assert_eq!(verify(&ours, &signed(SIGNATURE), THEN), Ok(()));
        for change in changes {
            let mut changed = signed(SIGNATURE);
            change(&mut changed);
            assert_eq!(verify(&ours, &changed, THEN), Err(VerifyError::Signature));
        }
        assert_eq!(
            verify(&[other()], &signed(SIGNATURE), THEN),
            Err(VerifyError::Signature)
        );
        for signatures in ["", "v1", "v1,", "v1,no base64", "v2,AAAA"] {
            assert_eq!(
                verify(&ours, &signed(signatures), THEN),
                Err(VerifyError::Signature)
            );
        }
    }

    #[test]
    fn an_old_delivery_is_not_trusted_and_neither_is_one_from_the_future() {
        let ours = [secret(SECRET)];
        let later = THEN.after(TOLERANCE);
        assert_eq!(verify(&ours, &signed(SIGNATURE), later), Ok(()));
        let second = Duration::from_secs(1);
        for now in [later.after(second), THEN.before(TOLERANCE).before(second)] {
            let verdict = verify(&ours, &signed(SIGNATURE), now);
            assert_eq!(verdict, Err(VerifyError::Expired));
        }
        let nonsense = Signed {
            timestamp: "soon",
            ..signed(SIGNATURE)
        };
        assert_eq!(verify(&ours, &nonsense, THEN), Err(VerifyError::Timestamp));
    }

    #[test]
    fn a_secret_is_base64_of_24_to_64_bytes_and_is_never_shown() {
        let of = |bytes: usize| STANDARD.encode(vec![0; bytes]).parse::<Secret>();
        assert!(of(24).is_ok() && of(64).is_ok());
        assert_eq!(of(23), Err(SecretError::Length(23)));
        assert_eq!(of(65), Err(SecretError::Length(65)));
        assert_eq!(
            "whsec_not base64".parse::<Secret>(),
            Err(SecretError::NotBase64)
        );
        assert_eq!(format!("{:?}", other()), "Secret");
    }
}
