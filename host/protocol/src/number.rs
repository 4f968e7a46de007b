//! Numbers of events: made of the ids under which a thread's events are kept, which rise over the thread and stay what
//! they are.
//!
//! Nothing is counted, so an event has its number whatever else is kept, and whoever reads it from wherever: a reader who
//! comes back with the last number that it was told misses nothing that came after it. Clients need numbers that rise and
//! that a double can hold; gaps mean nothing to them.

use selvedge_model::event::EventId;

/// Numbers that one event of a run has for what becomes of it. What is beyond them has the last one together, and is told
/// again to who comes back with that: its `event_id` says that it is known.
const PARTS: u64 = 16;
const IDS_PER_MS: u64 = EventId::PER_MS.unsigned_abs();

/// The number of an event that is the `part`th of what an event of a run becomes. Below 2^53 until the year 2109.
pub(crate) fn number(id: EventId, part: u64) -> u64 {
    let ms = u64::try_from(id.ms).unwrap_or(0);
    let n = u64::try_from(id.n).unwrap_or(0).min(IDS_PER_MS - 1);
    ms.saturating_mul(IDS_PER_MS)
        .saturating_add(n)
        .saturating_mul(PARTS)
        .saturating_add(part.min(PARTS - 1))
}

/// The last number that an event with this id, or one before it, can have.
pub(crate) fn last_of(id: EventId) -> u64 {
    number(id, PARTS - 1)
}

/// Whether an event with this number comes after what a reader has had up to `since`.
pub(crate) fn is_after(seq: u64, since: u64) -> bool {
    let may_be_of_several = seq % PARTS == PARTS - 1;
    seq > since || (seq == since && may_be_of_several)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_with_ids_and_parts_and_a_double_holds_them() {
        let in_2109 = EventId {
            ms: 4_390_000_000_000,
            n: EventId::PER_MS - 1,
        };
        assert!(last_of(in_2109) < 1 << 53);
        let numbers = [
            number(EventId::BEFORE_ALL, 0),
            number(EventId { ms: 7, n: 0 }, 0),
            number(EventId { ms: 7, n: 0 }, PARTS),
            number(EventId { ms: 7, n: 1 }, 0),
            last_of(EventId { ms: 7, n: 127 }),
            number(EventId { ms: 8, n: 0 }, 0),
        ];
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }

    #[test]
    fn what_shares_a_number_is_told_again() {
        let id = EventId { ms: 7, n: 0 };
        let of = |part| number(id, part);
        assert!(!is_after(of(3), of(3)) && is_after(of(4), of(3)));
        assert_eq!(of(20), of(30));
        assert!(is_after(of(30), of(20)));
    }
}
