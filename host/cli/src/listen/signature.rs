//! Whether a delivery is signed by a secret that the listener knows.

use std::fmt;

use selvedge_model::Timestamp;
use selvedge_webhook::signing::{Secret, Signed, VerifyError, verify};

use super::show::Delivery;

/// What a receiver makes of a delivery's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// It is by one of the secrets.
    Good,
    /// One of the three headers is not there.
    Missing,
    /// It is not to be trusted.
    Bad(VerifyError),
}

impl Signature {
    /// Verifies; `None` without secrets.
    pub(super) fn of(secrets: &[Secret], delivery: &Delivery, now: Timestamp) -> Option<Self> {
        if secrets.is_empty() {
            return None;
        }
        let signed = delivery.id.as_deref().and_then(|id| {
            Some(Signed {
                id,
                timestamp: delivery.header("webhook-timestamp")?,
                signatures: delivery.header("webhook-signature")?,
                body: &delivery.body,
            })
        });
        let Some(signed) = signed else {
            return Some(Self::Missing);
        };
        Some(match verify(secrets, &signed, now) {
            Ok(()) => Self::Good,
            Err(error) => Self::Bad(error),
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Missing => f.write_str("missing"),
            Self::Bad(error) => write!(f, "bad: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use selvedge_webhook::signing::sign;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_614_265_330_000_000);

    fn delivery(signature: Option<&str>) -> Delivery {
        let mut request = http::Request::post("/")
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", "1614265330");
        if let Some(signature) = signature {
            request = request.header("webhook-signature", signature);
        }
        let request = request.body(()).unwrap();
        Delivery::new(&request.into_parts().0, Bytes::from_static(b"{}"))
    }

    #[test]
    fn a_signature_is_good_bad_or_missing_and_nobody_looks_without_a_secret() {
        let secret: Secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let ours = [secret];
        let signature = sign(&ours, "msg_1", "1614265330", b"{}").unwrap();
        let good = delivery(Some(signature.to_str().unwrap()));
        assert_eq!(Signature::of(&[], &good, NOW), None);
        assert_eq!(Signature::of(&ours, &good, NOW), Some(Signature::Good));
        let unsigned = Signature::of(&ours, &delivery(None), NOW);
        assert_eq!(unsigned, Some(Signature::Missing));
        let forged = Signature::of(&ours, &delivery(Some("v1,AAAA")), NOW);
        assert_eq!(forged, Some(Signature::Bad(VerifyError::Signature)));
    }
}
