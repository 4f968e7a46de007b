//! Where `pregel` gets ids and time from while a run is executed.

use selvedge_model::{CheckpointId, Timestamp};
use selvedge_pregel::Mint;
use uuid::Uuid;

/// 100-nanosecond intervals between 1582-10-15 and 1970-01-01 (RFC 9562, section 5.1).
const GREGORIAN_TO_UNIX_TICKS: u64 = 0x01b2_1dd2_1381_4000;

/// The system's clock, and UUIDv6 checkpoint ids as LangGraph makes them: the clock sequence is the step, and ids of
/// one execution sort in the order in which they were made.
pub(crate) struct SystemMint {
    node: [u8; 6],
    last_ticks: u64,
}

impl SystemMint {
    /// Ids that sort after `newest`, also when the system's clock has gone back since that was made.
    pub(crate) fn after(newest: Option<CheckpointId>) -> Self {
        let time = newest.and_then(|id| id.0.get_timestamp());
        Self {
            node: rand::random(),
            last_ticks: time.map_or(0, |time| time.to_gregorian().0),
        }
    }
}

impl Mint for SystemMint {
    fn now(&mut self) -> Timestamp {
        Timestamp::now()
    }

    fn checkpoint_id(&mut self, step: i64) -> CheckpointId {
        let unix_micros = u64::try_from(Timestamp::now().as_micros()).unwrap_or(0);
        let ticks = GREGORIAN_TO_UNIX_TICKS + unix_micros * 10;
        self.last_ticks = ticks.max(self.last_ticks + 1);
        // The field has 14 bits; a longer thread's steps start again from 0 there, and time still sorts the ids.
        let sequence = u16::try_from(step & 0x3fff).unwrap_or(0);
        let time = uuid::Timestamp::from_gregorian_time(self.last_ticks, sequence);
        CheckpointId(Uuid::new_v6(time, &self.node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoint_ids_sort_in_the_order_in_which_they_were_made() {
        let mut mint = SystemMint::after(None);
        let ids: Vec<CheckpointId> = (-1..2_000).map(|step| mint.checkpoint_id(step)).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].0.get_version_num(), 6);
    }

    #[test]
    fn checkpoint_ids_sort_after_the_newest_although_the_clock_went_back() {
        let in_an_hour = GREGORIAN_TO_UNIX_TICKS
            + u64::try_from(Timestamp::now().as_micros()).unwrap() * 10
            + 36_000_000_000;
        let time = uuid::Timestamp::from_gregorian_time(in_an_hour, 7);
        let newest = CheckpointId(Uuid::new_v6(time, &[0; 6]));
        assert!(SystemMint::after(Some(newest)).checkpoint_id(0) > newest);
    }
}
