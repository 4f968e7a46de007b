//! Who asks, for the handlers. Whatever they look at or change needs the scope that is in here.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use selvedge_model::Caller;

/// The caller that the gate found, or anybody where authentication is off.
pub(crate) struct Who(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.remove().unwrap_or_else(Caller::host)))
    }
}
