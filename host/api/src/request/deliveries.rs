//! Which webhook deliveries to list, and which to deliver again.

use axum::extract::FromRequestParts;
use http::request::Parts;
use selvedge_model::Timestamp;
use selvedge_model::delivery::DeliveryStatus;
use selvedge_storage::DeliveryQuery;

use super::{Fields, Query, parse_id};
use crate::error::{ApiError, ApiResult};

/// What can be delivered again in one go. Not what was delivered: to repeat all of that is nobody's wish, and each can be
/// named. What was disabled is pending again by itself once webhooks are enabled.
const REPEATABLE: [DeliveryStatus; 3] = [
    DeliveryStatus::Exhausted,
    DeliveryStatus::Blocked,
    DeliveryStatus::Gone,
];

/// A page of deliveries.
pub(crate) struct ListDeliveries {
    pub(crate) query: DeliveryQuery,
}

impl<S: Send + Sync> FromRequestParts<S> for ListDeliveries {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(query) = Query::from_request_parts(parts, state).await;
        let run = query.get("run_id").map(|text| parse_id(text, "run"));
        Ok(Self {
            query: DeliveryQuery {
                run_id: run.transpose()?,
                status: query.get("status").map(any_status).transpose()?,
                limit: query.integer("limit", 10, 1..=1000)?,
                offset: query.integer("offset", 0, 0..=i32::MAX as u32)?,
            },
        })
    }
}

/// All that ended in some way since a time.
pub(crate) struct RedeliverEnded {
    pub(crate) statuses: Vec<DeliveryStatus>,
    pub(crate) since: Timestamp,
}

impl RedeliverEnded {
    pub(crate) fn read(fields: &Fields) -> ApiResult<Self> {
        let since = fields.required_string("since")?;
        let since = since.parse().map_err(|_| {
            ApiError::invalid(format!("since: {since:?} is not a time like RFC 3339's"))
        })?;
        let statuses = match fields.strings("statuses")? {
            None => vec![DeliveryStatus::Exhausted],
            Some(names) => names
                .iter()
                .map(|name| status(name, &REPEATABLE))
                .collect::<ApiResult<_>>()?,
        };
        Ok(Self { statuses, since })
    }
}

fn any_status(text: &str) -> ApiResult<DeliveryStatus> {
    status(text, &DeliveryStatus::ALL)
}

fn status(text: &str, known: &[DeliveryStatus]) -> ApiResult<DeliveryStatus> {
    let found = text.parse().ok().filter(|status| known.contains(status));
    found.ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(|status| status.as_str()).collect();
        ApiError::invalid(format!(
            "status: {text:?} is not one of {}",
            known.join(", ")
        ))
    })
}
