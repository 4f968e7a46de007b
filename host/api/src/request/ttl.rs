//! `ttl` of a thread: minutes, or an object that says what happens then.

use std::time::Duration;

use selvedge_model::thread::{Ttl, TtlStrategy};

use super::Fields;
use crate::error::{ApiError, ApiResult};

/// A hundred years, so that sums of times stay representable.
const LONGEST_MINUTES: f64 = 100.0 * 365.25 * 1440.0;

pub(crate) fn thread_ttl(fields: &Fields) -> ApiResult<Option<Ttl>> {
    let Some(value) = fields.json("ttl") else {
        return Ok(None);
    };
    let Some(parts) = Fields::of(value) else {
        let after = minutes(fields)?;
        return Ok(after.map(|after| Ttl {
            strategy: TtlStrategy::default(),
            after,
        }));
    };
    let strategies = [
        ("delete", TtlStrategy::Delete),
        ("keep_latest", TtlStrategy::KeepLatest),
    ];
    let strategy = parts.word("strategy", &strategies)?.unwrap_or_default();
    let after =
        minutes(&parts)?.ok_or_else(|| ApiError::invalid("ttl: \"ttl\" is a required property"))?;
    Ok(Some(Ttl { strategy, after }))
}

fn minutes(fields: &Fields) -> ApiResult<Option<Duration>> {
    let Some(minutes) = fields.typed::<f64>("ttl", "\"number\" of minutes")? else {
        return Ok(None);
    };
    if minutes > 0.0 && minutes <= LONGEST_MINUTES {
        Ok(Some(Duration::from_secs_f64(minutes * 60.0)))
    } else {
        Err(ApiError::invalid(format!(
            "ttl: {minutes} is not above 0 and at most {LONGEST_MINUTES} minutes"
        )))
    }
}
