//! What a thread's stream holds back behind events whose ids were given before they are durable.

use std::collections::BTreeSet;

use selvedge_model::event::EventId;

use super::log::Told;

/// Events that wait at most. Storage that takes so long gives up the place of what it stores: that is shown late then,
/// after events with higher ids.
const MAX_HELD_BACK: usize = 1_000;

/// Of one thread.
#[derive(Default)]
pub(super) struct Announced {
    /// The ids of what is not durable yet.
    open: BTreeSet<EventId>,
    /// What is to be shown, and has a higher id than one of these.
    held_back: Vec<Told>,
}

impl Announced {
    pub(super) fn add(&mut self, id: EventId) {
        self.open.insert(id);
    }

    /// What can be shown now that this event has come.
    pub(super) fn pass(&mut self, told: Told) -> Vec<Told> {
        self.held_back.push(told);
        if self.held_back.len() > MAX_HELD_BACK {
            self.open.clear();
        }
        self.ready()
    }

    /// What can be shown now that it is known what became of one that was announced.
    pub(super) fn conclude(&mut self, id: EventId, told: Option<Told>) -> Vec<Told> {
        self.open.remove(&id);
        self.held_back.extend(told);
        self.ready()
    }

    /// The lowest id of what is not durable yet: everything before it was shown.
    pub(super) fn first_open(&self) -> Option<EventId> {
        self.open.first().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.held_back.is_empty()
    }

    /// In the order of their ids, up to the first that is still open.
    fn ready(&mut self) -> Vec<Told> {
        self.held_back.sort_by_key(|told| told.id);
        let before_all_open = |told: &Told| self.open.first().is_none_or(|open| told.id < *open);
        let ready = self.held_back.partition_point(before_all_open);
        self.held_back.drain(..ready).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use selvedge_model::Json;
    use selvedge_model::event::{EventKind, StreamEvent};

    use super::*;

    fn id(n: i64) -> EventId {
        EventId { ms: 0, n }
    }

    fn told(n: i64) -> Told {
        Told {
            id: id(n),
            event: Arc::new(StreamEvent {
                kind: EventKind::StateUpdate,
                namespace: String::new(),
                data: Json::null(),
            }),
            is_kept: true,
        }
    }

    fn ids(events: Vec<Told>) -> Vec<i64> {
        events.into_iter().map(|told| told.id.n).collect()
    }

    #[test]
    fn events_wait_for_those_with_lower_ids_that_are_not_durable_yet() {
        let mut announced = Announced::default();
        announced.add(id(2));
        announced.add(id(4));
        assert_eq!(ids(announced.pass(told(1))), [1]);
        assert_eq!(ids(announced.pass(told(5))), [0; 0]);
        assert_eq!(ids(announced.pass(told(3))), [0; 0]);
        assert_eq!(ids(announced.conclude(id(2), Some(told(2)))), [2, 3]);
        assert!(!announced.is_empty());
        // One that was not stored is not shown.
        assert_eq!(ids(announced.conclude(id(4), None)), [5]);
        assert!(announced.is_empty());
    }

    #[test]
    fn not_more_wait_than_the_bound() {
        let mut announced = Announced::default();
        announced.add(id(0));
        let last = i64::try_from(MAX_HELD_BACK).unwrap() + 1;
        for n in 1..last {
            assert_eq!(ids(announced.pass(told(n))), [0; 0]);
        }
        assert_eq!(ids(announced.pass(told(last))).len(), MAX_HELD_BACK + 1);
        assert_eq!(ids(announced.conclude(id(0), Some(told(0)))), [0]);
        assert!(announced.is_empty());
    }
}
