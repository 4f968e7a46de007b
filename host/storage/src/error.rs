//! [`StorageError`]: why storage could not do what was asked.

/// Why storage could not do what was asked: the caller's choices.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The lease is not the run's newest: another worker has it, or it is gone. Stop writing.
    #[error("the run was claimed by another worker or deleted")]
    Fenced,
    /// No room on the disk. Refuse new work (507); what is stored is intact and it works again once there is room.
    #[error(
        "the disk that holds the data directory is full; make room on it, or choose another \
         directory (`storage.path` or `--data-dir`)"
    )]
    Full,
    /// The data directory cannot be written to.
    #[error(
        "the data directory is read-only for this process; let it write there, or choose another \
         directory (`storage.path` or `--data-dir`)"
    )]
    ReadOnly,
    /// The data directory is in use, closed, or away for a while: answer 503.
    #[error("storage is unavailable: {0}")]
    Unavailable(String),
    /// Too much is queued before the writer: answer 503 with `Retry-After`.
    #[error("storage is overloaded")]
    Overloaded,
    /// A search or a list passed over more than it had time for: answer 503.
    #[error(
        "the search took too long and was given up (`storage.max_search_secs`); ask for less, by a filter, a namespace or a smaller offset"
    )]
    TooLong,
    /// The rows that were asked for weigh more together than one read may hold in memory: ask for fewer.
    #[error("the rows asked for hold more than {} MiB together; ask for at most {fit}", .max_bytes >> 20)]
    TooLarge {
        /// What a read may hold.
        max_bytes: usize,
        /// How many of the rows fit; at least one.
        fit: usize,
    },
    /// What is stored cannot be read: a newer version's, or damage.
    #[error("{0}")]
    Incompatible(String),
    /// Anything else that the database said.
    #[error("storage failed: {0}")]
    Failed(String),
}

impl StorageError {
    /// Whether storage may do later, by itself, what it does not do now: nothing is wrong with what it was asked for.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Full | Self::ReadOnly | Self::Unavailable(_) | Self::Overloaded
        )
    }
}
