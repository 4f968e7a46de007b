//! How the words of the model stand in columns.

use std::time::Duration;

use rusqlite::Row;
use rusqlite::types::Type;
use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::checkpoint::Source;
use selvedge_model::cron::{CatchUp, OnRunCompleted};
use selvedge_model::delivery::DeliveryStatus;
use selvedge_model::run::{MultitaskStrategy, RunStatus};
use selvedge_model::thread::{ThreadStatus, TtlStrategy};
use selvedge_model::{Identity, Json, Timestamp};
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// Codes of an enum, by position.
const RUN_STATUS: [RunStatus; 6] = [
    RunStatus::Pending,
    RunStatus::Running,
    RunStatus::Error,
    RunStatus::Success,
    RunStatus::Timeout,
    RunStatus::Interrupted,
];
const THREAD_STATUS: [ThreadStatus; 4] = [
    ThreadStatus::Idle,
    ThreadStatus::Busy,
    ThreadStatus::Interrupted,
    ThreadStatus::Error,
];
const DELIVERY_STATUS: [DeliveryStatus; 6] = [
    DeliveryStatus::Pending,
    DeliveryStatus::Delivered,
    DeliveryStatus::Exhausted,
    DeliveryStatus::Blocked,
    DeliveryStatus::Gone,
    DeliveryStatus::Disabled,
];
const SOURCE: [Source; 4] = [Source::Input, Source::Loop, Source::Update, Source::Fork];
const MULTITASK: [MultitaskStrategy; 4] = [
    MultitaskStrategy::Reject,
    MultitaskStrategy::Rollback,
    MultitaskStrategy::Interrupt,
    MultitaskStrategy::Enqueue,
];
const CANCEL: [Option<CancelAction>; 3] = [
    None,
    Some(CancelAction::Interrupt),
    Some(CancelAction::Rollback),
];
const TTL_STRATEGY: [TtlStrategy; 2] = [TtlStrategy::Delete, TtlStrategy::KeepLatest];

const ON_RUN_COMPLETED: [OnRunCompleted; 2] = [OnRunCompleted::Delete, OnRunCompleted::Keep];
const CATCH_UP: [CatchUp; 3] = [CatchUp::One, CatchUp::All, CatchUp::None];

/// An enum that is stored as a number.
pub(super) trait Coded: Copy + PartialEq + 'static {
    const CODES: &'static [Self];

    fn code(self) -> i64 {
        let position = Self::CODES.iter().position(|value| *value == self);
        position.map_or(-1, |position| position as i64)
    }
}

impl Coded for RunStatus {
    const CODES: &'static [Self] = &RUN_STATUS;
}
impl Coded for ThreadStatus {
    const CODES: &'static [Self] = &THREAD_STATUS;
}
impl Coded for DeliveryStatus {
    const CODES: &'static [Self] = &DELIVERY_STATUS;
}
impl Coded for Source {
    const CODES: &'static [Self] = &SOURCE;
}
impl Coded for MultitaskStrategy {
    const CODES: &'static [Self] = &MULTITASK;
}
impl Coded for Option<CancelAction> {
    const CODES: &'static [Self] = &CANCEL;
}
impl Coded for TtlStrategy {
    const CODES: &'static [Self] = &TTL_STRATEGY;
}
impl Coded for OnRunCompleted {
    const CODES: &'static [Self] = &ON_RUN_COMPLETED;
}
impl Coded for CatchUp {
    const CODES: &'static [Self] = &CATCH_UP;
}

pub(super) fn coded<T: Coded>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let code: i64 = row.get(column)?;
    usize::try_from(code)
        .ok()
        .and_then(|code| T::CODES.get(code).copied())
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, code))
}

pub(super) fn id<T: From<Uuid>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    Ok(Uuid::from_bytes(row.get(column)?).into())
}

pub(super) fn optional_id<T: From<Uuid>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    let bytes: Option<[u8; 16]> = row.get(column)?;
    Ok(bytes.map(|bytes| Uuid::from_bytes(bytes).into()))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

/// The longest lifetime, a thousand years: added to any time that the clock can show it is still a number of
/// microseconds.
const MAX_LIFETIME: Duration = Duration::from_secs(1_000 * 365 * 86_400);

/// A lifetime as it is stored.
pub(super) fn micros(lifetime: Duration) -> i64 {
    i64::try_from(lifetime.min(MAX_LIFETIME).as_micros()).unwrap_or(i64::MAX)
}

/// The columns `cancel` and `cancel_message`, which follow each other.
pub(super) fn cancel_request(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<CancelRequest>> {
    let Some(action) = coded(row, column)? else {
        return Ok(None);
    };
    let message: Option<String> = row.get(column + 1)?;
    Ok(Some(CancelRequest {
        action,
        message: message.unwrap_or_default(),
    }))
}

/// Whom a row belongs to.
pub(super) fn identity(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Identity>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(text) => Identity::new(text)
            .map(Some)
            .ok_or(rusqlite::Error::InvalidColumnType(
                column,
                "owner".to_owned(),
                Type::Text,
            )),
        None => Ok(None),
    }
}

pub(super) fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Json> {
    let text: String = row.get(column)?;
    Json::stored(text).map_err(|e| unreadable(column, e))
}

/// A Rust value that is stored as JSON.
pub(super) fn document<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|e| unreadable(column, e))
}

pub(super) fn optional_document<T: DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(text) => serde_json::from_str(text)
            .map(Some)
            .map_err(|e| unreadable(column, e)),
        None => Ok(None),
    }
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// Writes a value as JSON.
pub(super) fn to_document<T: serde::Serialize>(value: &T) -> Result<String, crate::StorageError> {
    serde_json::to_string(value)
        .map_err(|e| crate::StorageError::Failed(format!("writing a value as JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema's indices and queries spell these numbers out.
    #[test]
    fn codes_are_what_the_schema_says() {
        assert_eq!(
            (RunStatus::Pending.code(), RunStatus::Running.code()),
            (0, 1)
        );
        assert_eq!(DeliveryStatus::Pending.code(), 0);
        assert_eq!(ThreadStatus::Busy.code(), 1);
    }
}
