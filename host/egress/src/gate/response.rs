//! Gate 6: how much of an answer is read.
//!
//! Redirects need no rule here: a 3xx is an answer like any other, and nothing in this room reads `Location`.

/// The largest head of an answer, and the most that is taken off its connection at once.
pub const MAX_HEAD_BYTES: usize = 65_536;

/// So many interim answers (1xx, RFC 9110 section 15.2) may come before the answer. A server sends one or two, and
/// nothing else about an answer without an end would end before its deadline.
pub const MAX_INTERIM_ANSWERS: usize = 32;

/// How many bytes of a body may still come.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    limit: u64,
    left: u64,
}

impl Allowance {
    /// At most `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, left: limit }
    }

    /// Takes the next piece; an error, the limit, when it is too much.
    pub fn take(&mut self, bytes: usize) -> Result<(), u64> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(bytes).ok_or(self.limit)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_up_to_the_limit() {
        let mut allowance = Allowance::new(10);
        assert_eq!(allowance.take(4), Ok(()));
        assert_eq!(allowance.take(6), Ok(()));
        assert_eq!(allowance.take(0), Ok(()));
        assert_eq!(allowance.take(1), Err(10));
    }
}
