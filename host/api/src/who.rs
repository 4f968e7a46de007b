//! Who asks, for the handlers. Whatever they look at or change needs the scope that is in here.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use selvedge_model::Caller;

use crate::error::ApiError;
use crate::routes::Edge;

/// The caller that the gate found, or anybody where authentication is off.
pub(crate) struct Who(pub(crate) Caller);

impl FromRequestParts<Arc<Edge>> for Who {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, edge: &Arc<Edge>) -> Result<Self, ApiError> {
        match parts.extensions.remove() {
            Some(caller) => Ok(Self(caller)),
            None if !edge.gate.authenticates() => Ok(Self(Caller::host())),
            None => Err(ApiError::unauthenticated("Missing credentials")),
        }
    }
}
