//! Items and namespaces of the store, in LangGraph's forms and with its refusals.

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use selvedge_model::Timestamp;
use selvedge_model::item::{
    IndexedParts, LONGEST_TTL_MINUTES, NamespaceError, check_namespace, check_writable_namespace,
    lifetime,
};
use selvedge_runtime::items::{ItemSearch, NewItem};
use selvedge_storage::{ItemFilter, LabelPattern, NamespaceQuery};

use super::body::shortened;
use super::{Fields, Query};
use crate::error::{ApiError, ApiResult};

/// An item to be put.
pub(crate) struct PutItem(pub(crate) NewItem);

impl PutItem {
    pub(crate) fn read(fields: &Fields) -> ApiResult<Self> {
        let (namespace, key) = place(fields)?;
        if fields.json("value").is_none() {
            return Err(ApiError::invalid("\"value\" is a required property"));
        }
        let value = fields.object("value")?;
        let parts = indexed_parts(fields)?;
        let ttl = ttl(fields)?;
        check_writable_namespace(&namespace).map_err(refusal)?;
        Ok(Self(NewItem {
            namespace,
            key,
            value,
            ttl,
            parts,
        }))
    }
}

/// An item to be deleted.
pub(crate) struct DeleteItem {
    pub(crate) namespace: Vec<String>,
    pub(crate) key: String,
}

impl DeleteItem {
    pub(crate) fn read(fields: &Fields) -> ApiResult<Self> {
        let (namespace, key) = place(fields)?;
        check_namespace(&namespace).map_err(refusal)?;
        Ok(Self { namespace, key })
    }
}

/// An item to be read.
pub(crate) struct GetItem {
    pub(crate) namespace: Vec<String>,
    pub(crate) key: String,
    pub(crate) refresh: Option<bool>,
}

impl<S: Send + Sync> FromRequestParts<S> for GetItem {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(query) = Query::from_request_parts(parts, state).await;
        let Some(key) = query.get("key").filter(|key| !key.is_empty()) else {
            return Err(ApiError::bad_request("Key is required").written_as_error());
        };
        let key = key.to_owned();
        // The clients join the labels with dots; repeating the parameter does the same.
        let given: Vec<&str> = query.all("namespace").collect();
        let namespace: Vec<String> = given.join(".").split('.').map(str::to_owned).collect();
        check_namespace(&namespace).map_err(refusal)?;
        Ok(Self {
            namespace,
            key,
            refresh: query.get("refresh_ttl").map(|_| query.flag("refresh_ttl")),
        })
    }
}

/// Items to be found.
pub(crate) struct SearchItems(pub(crate) ItemSearch);

impl SearchItems {
    pub(crate) fn read(fields: &Fields) -> ApiResult<Self> {
        let Some(prefix) = fields.strings("namespace_prefix")? else {
            return Err(ApiError::invalid(
                "\"namespace_prefix\" is a required property",
            ));
        };
        let filter = fields.object("filter")?;
        Ok(Self(ItemSearch {
            prefix,
            filter: ItemFilter::parse(&filter)
                .map_err(|error| ApiError::bad_request(error.to_string()))?,
            query: fields.string("query")?,
            limit: fields.integer("limit", 10, 1, 1_000)?,
            offset: fields.integer("offset", 0, 0, i32::MAX as u32)?,
            refresh: fields.boolean("refresh_ttl")?,
        }))
    }
}

/// Namespaces to be listed.
pub(crate) struct ListNamespaces(pub(crate) NamespaceQuery);

impl ListNamespaces {
    pub(crate) fn read(fields: &Fields) -> ApiResult<Self> {
        let pattern = |name: &str| -> ApiResult<Vec<LabelPattern>> {
            let labels = fields.strings(name)?.unwrap_or_default();
            Ok(labels.into_iter().map(LabelPattern::from).collect())
        };
        let max_depth = match fields.json("max_depth") {
            None => None,
            Some(_) => Some(fields.integer("max_depth", 0, 1, i32::MAX as u32)?),
        };
        Ok(Self(NamespaceQuery {
            prefix: pattern("prefix")?,
            suffix: pattern("suffix")?,
            max_depth,
            limit: fields.integer("limit", 100, 1, 1_000)?,
            offset: fields.integer("offset", 0, 0, i32::MAX as u32)?,
            now: Timestamp::now(),
        }))
    }
}

fn place(fields: &Fields) -> ApiResult<(Vec<String>, String)> {
    let Some(namespace) = fields.strings("namespace")? else {
        return Err(ApiError::invalid("\"namespace\" is a required property"));
    };
    Ok((namespace, fields.required_string("key")?))
}

/// LangGraph's refusals of a namespace, each in its own form.
fn refusal(error: NamespaceError) -> ApiError {
    match error {
        NamespaceError::Label(label) => {
            let shown = NamespaceError::Label(shortened(&label));
            ApiError::invalid(shown.to_string()).written_as_text()
        }
        NamespaceError::Empty | NamespaceError::Reserved(_) => {
            ApiError::bad_request(error.to_string())
        }
    }
}

/// Which parts of the value are embedded: `false`, or a list of paths.
fn indexed_parts(fields: &Fields) -> ApiResult<IndexedParts> {
    if fields
        .json("index")
        .is_some_and(|index| index.as_str() == "false")
    {
        return Ok(IndexedParts::Nothing);
    }
    match fields.strings("index")? {
        None => Ok(IndexedParts::AsConfigured),
        Some(paths) => {
            IndexedParts::of_paths(paths).map_err(|error| ApiError::invalid(error.to_string()))
        }
    }
}

fn ttl(fields: &Fields) -> ApiResult<Option<Duration>> {
    let Some(minutes) = fields.typed::<f64>("ttl", "\"number\"")? else {
        return Ok(None);
    };
    match lifetime(minutes) {
        Some(ttl) => Ok(Some(ttl)),
        None => Err(ApiError::invalid(format!(
            "ttl: {minutes} is not between 0 and {LONGEST_TTL_MINUTES} minutes"
        ))),
    }
}
