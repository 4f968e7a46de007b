//! What SQLite, the operating system and our own mistakes say, as the caller's choices.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::StorageError;

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error() else {
            return unreadable_or_failed(&error);
        };
        // On a full disk the shared-memory file of the WAL cannot grow either, and SQLite has no FULL for that.
        if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE {
            return Self::Full;
        }
        match code.code {
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::ReadOnly => Self::ReadOnly,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Unavailable(
                "another program holds a lock on the database file; close it".to_owned(),
            ),
            // Nothing but the deadline of a walk interrupts.
            ErrorCode::OperationInterrupted => Self::TooLong,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Self::Incompatible(format!("the database file is damaged: {error}"))
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// A stored value that does not have its type was written by someone else; the rest is ours.
fn unreadable_or_failed(error: &rusqlite::Error) -> StorageError {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..) => {
            StorageError::Incompatible(format!("a stored value cannot be read: {error}"))
        }
        _ => StorageError::Failed(error.to_string()),
    }
}

/// The same for files.
pub(super) fn of_file(doing: &str, error: &io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            StorageError::ReadOnly
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full,
        _ => StorageError::Failed(format!("{doing}: {error}")),
    }
}

/// Runs the work of one caller, so that a panic in it is that caller's error and the thread goes on for the others.
/// Whoever calls this takes back what the work had done by then, as after any other error.
pub(super) fn contained<T>(
    work: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = text_of(panic.as_ref());
        tracing::error!(panic = text, "the work of one caller of storage panicked");
        Err(StorageError::Failed(format!("it panicked: {text}")))
    })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown")
}

/// A stored text that is not what was written.
pub(super) fn unreadable(what: &str, error: impl std::fmt::Display) -> StorageError {
    StorageError::Incompatible(format!("a stored {what} cannot be read: {error}"))
}
