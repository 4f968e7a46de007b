//! `stream_mode`, as bodies and queries spell it.

use selvedge_model::run::StreamMode;

use super::{Fields, Query};
use crate::error::{ApiError, ApiResult};

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
    let mode = StreamMode::ALL
        .into_iter()
        .find(|mode| mode.as_str() == name);
    mode.ok_or_else(|| {
        let known = StreamMode::ALL.map(StreamMode::as_str).join(", ");
        ApiError::invalid(format!("stream_mode: {name:?} is not one of {known}"))
    })
}
