//! Which deliveries were seen, and how often.

use std::collections::HashMap;

/// Ids that are remembered; a receiver that runs for weeks forgets rather than grows.
const MAX_IDS: usize = 100_000;

/// Counts requests and attempts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    attempts: HashMap<String, u32>,
    requests: u64,
}

impl Ledger {
    /// Counts a request; gives the number of this attempt, from 1, when the request has an id.
    pub(super) fn note(&mut self, id: Option<&str>) -> Option<u32> {
        self.requests += 1;
        let id = id?;
        if self.attempts.len() >= MAX_IDS && !self.attempts.contains_key(id) {
            self.attempts.clear();
        }
        let attempts = self.attempts.entry(id.to_owned()).or_default();
        *attempts += 1;
        Some(*attempts)
    }

    /// One line for the end.
    pub(super) fn summary(&self) -> String {
        let plural = |count: u64, one: &str, many: &str| {
            format!("{count} {}", if count == 1 { one } else { many })
        };
        format!(
            "{}, {}",
            plural(self.requests, "delivery", "deliveries"),
            plural(self.attempts.len() as u64, "distinct id", "distinct ids")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_for_each_id() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.note(Some("a")), Some(1));
        assert_eq!(ledger.note(Some("b")), Some(1));
        assert_eq!(ledger.note(Some("a")), Some(2));
        assert_eq!(ledger.note(None), None);
        assert_eq!(ledger.summary(), "4 deliveries, 2 distinct ids");
    }
}
