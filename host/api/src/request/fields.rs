//! The members of a request body, taken out one by one with LangGraph's kind of error text.
//!
//! Members that nobody asks for are ignored, as the clients rely on; an explicit `null` counts as absent.

use std::time::Duration;

use indexmap::IndexMap;
use selvedge_model::Json;
use serde::de::DeserializeOwned;

use super::body::shortened;
use crate::error::{ApiError, ApiResult};

/// A JSON object that is being read.
#[derive(Default)]
pub(crate) struct Fields(IndexMap<String, Json>);

/// The longest `after_seconds`: a hundred years, so that sums of times stay representable.
const LONGEST_DELAY_SECS: f64 = 100.0 * 365.25 * 86_400.0;

impl Fields {
    pub(crate) fn of(json: &Json) -> Option<Self> {
        json.members().map(Self)
    }

    /// All of it, as it was sent.
    pub(crate) fn whole(&self) -> Json {
        Json::object(&self.0)
    }

    pub(crate) fn members(&self) -> &IndexMap<String, Json> {
        &self.0
    }

    /// The same with other members beside or in the place of its own.
    pub(crate) fn with<const N: usize>(&self, others: [(&str, Json); N]) -> Self {
        let mut members = self.0.clone();
        members.extend(others.map(|(name, value)| (name.to_owned(), value)));
        Self(members)
    }

    /// Those of its members that have these names.
    pub(crate) fn only(&self, names: &[&str]) -> Self {
        let mut members = self.0.clone();
        members.retain(|name, _| names.contains(&name.as_str()));
        Self(members)
    }

    /// Whether a member is there, and is `null`.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Json::is_null)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The member as it is; `None` when absent or `null`.
    pub(crate) fn json(&self, name: &str) -> Option<&Json> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn string(&self, name: &str) -> ApiResult<Option<String>> {
        self.typed(name, "\"string\"")
    }

    pub(crate) fn required_string(&self, name: &str) -> ApiResult<String> {
        self.string(name)?
            .ok_or_else(|| ApiError::invalid(format!("\"{name}\" is a required property")))
    }

    pub(crate) fn boolean(&self, name: &str) -> ApiResult<Option<bool>> {
        self.typed(name, "\"boolean\"")
    }

    pub(crate) fn strings(&self, name: &str) -> ApiResult<Option<Vec<String>>> {
        self.typed(name, "\"array\" of strings")
    }

    /// An object; `{}` when absent.
    pub(crate) fn object(&self, name: &str) -> ApiResult<Json> {
        match self.json(name) {
            None => Ok(Json::object::<&str>([])),
            Some(value) if value.is_object() => Ok(value.clone()),
            Some(value) => Err(wrong_type(name, value, "\"object\"")),
        }
    }

    /// An object, where there is one.
    pub(crate) fn object_if_any(&self, name: &str) -> ApiResult<Option<Json>> {
        self.json(name).map(|_| self.object(name)).transpose()
    }

    /// The rows of a page.
    pub(crate) fn limit(&self) -> ApiResult<u32> {
        self.integer("limit", 10, 1, 1000)
    }

    /// The rows before a page.
    pub(crate) fn offset(&self) -> ApiResult<u32> {
        self.integer("offset", 0, 0, i32::MAX as u32)
    }

    /// The members of an object; none when it is absent.
    pub(crate) fn fields(&self, name: &str) -> ApiResult<Self> {
        let Some(value) = self.json(name) else {
            return Ok(Self::default());
        };
        Self::of(value).ok_or_else(|| wrong_type(name, value, "\"object\""))
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&self, name: &str, default: u32, min: u32, max: u32) -> ApiResult<u32> {
        let Some(value) = self.json(name) else {
            return Ok(default);
        };
        let number: i64 = value
            .decode()
            .map_err(|_| wrong_type(name, value, "\"integer\""))?;
        match u32::try_from(number) {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ if number < i64::from(min) => Err(ApiError::invalid(format!(
                "{name}: {number} is less than the minimum of {min}"
            ))),
            _ => Err(ApiError::invalid(format!(
                "{name}: {number} is greater than the maximum of {max}"
            ))),
        }
    }

    pub(crate) fn seconds(&self, name: &str) -> ApiResult<Duration> {
        let Some(value) = self.json(name) else {
            return Ok(Duration::ZERO);
        };
        let seconds: f64 = value
            .decode()
            .map_err(|_| wrong_type(name, value, "\"number\""))?;
        if (0.0..=LONGEST_DELAY_SECS).contains(&seconds) {
            Ok(Duration::from_secs_f64(seconds))
        } else {
            Err(ApiError::invalid(format!(
                "{name}: {seconds} is not between 0 and {LONGEST_DELAY_SECS}"
            )))
        }
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> ApiResult<Option<T>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let known: Vec<String> = words
                    .iter()
                    .map(|(word, _)| format!("\"{word}\""))
                    .collect();
                Err(ApiError::invalid(format!(
                    "{name}: {text:?} is not one of {}",
                    known.join(", ")
                )))
            }
        }
    }

    /// Any form that the type reads.
    pub(crate) fn typed<T: DeserializeOwned>(
        &self,
        name: &str,
        expected: &str,
    ) -> ApiResult<Option<T>> {
        match self.json(name) {
            None => Ok(None),
            Some(value) => value
                .decode()
                .map(Some)
                .map_err(|_| wrong_type(name, value, expected)),
        }
    }
}

fn wrong_type(name: &str, value: &Json, expected: &str) -> ApiError {
    let shown = shortened(value.as_str());
    ApiError::invalid(format!("{name}: {shown} is not of type {expected}"))
}
