//! The ids in a path. A text that is none, percent-encoded nonsense included, is refused like any wrong id.

use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use selvedge_model::{AssistantId, CheckpointId, CronId, DeliveryId, RunId, ThreadId};

use crate::error::{ApiError, ApiResult};

/// What stands in the place of the `{names}` of the matched route.
pub(crate) struct PathIds(RawPathParams);

impl<S: Send + Sync> FromRequestParts<S> for PathIds {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match RawPathParams::from_request_parts(parts, state).await {
            Ok(params) => Ok(Self(params)),
            Err(_) => Err(ApiError::invalid(
                "Invalid path: an id in it is not UTF-8 and must be a UUID",
            )),
        }
    }
}

impl PathIds {
    pub(crate) fn thread(&self) -> ApiResult<ThreadId> {
        self.id("thread_id", "thread")
    }

    /// The thread, on routes that are there with one and without.
    pub(crate) fn thread_if_any(&self) -> ApiResult<Option<ThreadId>> {
        self.text("thread_id").map(|_| self.thread()).transpose()
    }

    pub(crate) fn run(&self) -> ApiResult<RunId> {
        self.id("run_id", "run")
    }

    pub(crate) fn cron(&self) -> ApiResult<CronId> {
        self.id("cron_id", "cron")
    }

    pub(crate) fn delivery(&self) -> ApiResult<DeliveryId> {
        self.id("delivery_id", "delivery")
    }

    pub(crate) fn checkpoint(&self) -> ApiResult<CheckpointId> {
        self.id("checkpoint_id", "checkpoint")
    }

    pub(crate) fn assistant(&self) -> ApiResult<AssistantId> {
        self.id("assistant_id", "assistant")
    }

    /// The assistant, on the route that takes a graph's name too.
    pub(crate) fn assistant_text(&self) -> &str {
        self.text("assistant_id").unwrap_or_default()
    }

    /// A path of nodes, on the route that there is with one and without.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.text("namespace")
    }

    fn text(&self, name: &str) -> Option<&str> {
        let mut params = self.0.iter();
        params.find(|(known, _)| *known == name).map(|(_, id)| id)
    }

    fn id<T: FromStr>(&self, name: &str, what: &str) -> ApiResult<T> {
        parse_id(self.text(name).unwrap_or_default(), what)
    }
}

/// An id, in a path or in a body.
pub(crate) fn parse_id<T: FromStr>(text: &str, what: &str) -> ApiResult<T> {
    text.parse()
        .map_err(|_| ApiError::invalid(format!("Invalid {what} ID: must be a UUID")))
}
