//! `stream_mode`, as bodies and queries spell it.

use selvedge_model::run::StreamMode;

use super::{Fields, Query};
use crate::error::{ApiError, ApiResult};

/// The stream modes that this version speaks.
const SPOKEN: [StreamMode; 4] = [
    StreamMode::Values,
    StreamMode::Updates,
    StreamMode::MessagesTuple,
    StreamMode::Custom,
];

/// One name or a list of them; `values` without any.
pub(super) fn of_body(fields: &Fields) -> ApiResult<Vec<StreamMode>> {
    let Some(asked) = fields.json("stream_mode") else {
        return Ok(vec![StreamMode::Values]);
    };
    let names: Vec<String> = match asked.decode::<String>() {
        Ok(one) => vec![one],
        Err(_) => asked.decode().map_err(|_| {
            ApiError::invalid("stream_mode: is neither a string nor an array of strings")
        })?,
    };
    names.iter().map(|name| mode(name)).collect()
}

/// Once, repeated, as a list with commas, or as a JSON array: the clients do all of that.
pub(super) fn of_query(query: &Query) -> ApiResult<Vec<StreamMode>> {
    let mut modes = Vec::new();
    for value in query.all("stream_mode").filter(|value| !value.is_empty()) {
        match serde_json::from_str::<Vec<String>>(value) {
            Ok(names) => {
                for name in names {
                    modes.push(mode(&name)?);
                }
            }
            Err(_) => {
                for name in value.split(',') {
                    modes.push(mode(name.trim())?);
                }
            }
        }
    }
    Ok(modes)
}

fn mode(name: &str) -> ApiResult<StreamMode> {
    if let Some(mode) = SPOKEN.into_iter().find(|mode| mode.as_str() == name) {
        return Ok(mode);
    }
    let spoken = SPOKEN.map(StreamMode::as_str).join(", ");
    let langgraphs = StreamMode::ALL.iter().any(|mode| mode.as_str() == name);
    Err(ApiError::invalid(if langgraphs {
        format!(
            "stream_mode: {name:?} is not supported by this version of Selvedge yet; it has {spoken}"
        )
    } else {
        format!("stream_mode: {name:?} is not one of {spoken}")
    }))
}
