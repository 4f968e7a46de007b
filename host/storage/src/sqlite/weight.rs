//! What the rows of one answer may weigh together.

use crate::StorageError;

/// The largest body of a request, unless configured otherwise. A single row may weigh anything. An answer that ended
/// early instead would make a caller who counts pages miss rows.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// Weighs an answer while it grows.
#[derive(Default)]
pub(super) struct Weight {
    bytes: usize,
    rows: usize,
}

impl Weight {
    /// Before a row of so many bytes is added.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), StorageError> {
        self.bytes += bytes;
        if self.bytes > MAX_ANSWER_BYTES && self.rows > 0 {
            return Err(StorageError::TooLarge {
                max_bytes: MAX_ANSWER_BYTES,
                fit: self.rows,
            });
        }
        self.rows += 1;
        Ok(())
    }
}
