//! What to show of a thread.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;

use super::Query;
use crate::error::ApiError;

/// The parts of a thread that are shown only when `include` names them: once, repeated, or as a list with commas.
pub(crate) struct ThreadParts {
    pub(crate) ttl: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for ThreadParts {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(query) = Query::from_request_parts(parts, state).await;
        let mut ttl = false;
        let named = query.all("include").flat_map(|value| value.split(','));
        for name in named.map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "ttl" => ttl = true,
                _ => {
                    let text = format!("include: {name:?} is not one of \"ttl\"");
                    return Err(ApiError::invalid(text));
                }
            }
        }
        Ok(Self { ttl })
    }
}

/// Whether the caller of a change does not care for what it changed: `Prefer: return=minimal` (RFC 7240).
pub(crate) fn wants_nothing_back(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|wish| wish.trim().eq_ignore_ascii_case("return=minimal"))
}
