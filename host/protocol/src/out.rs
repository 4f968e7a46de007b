//! Where events are put under their numbers and ids, if somebody wants them.

use selvedge_model::Json;
use selvedge_model::event::EventId;

use crate::event::{Address, Event};
use crate::number::number;

/// Where the events that one event becomes are put.
pub(crate) struct Out<'a> {
    wants: &'a dyn Fn(u64, &Address) -> bool,
    pub(crate) events: Vec<Event>,
    /// Of the event that is being read. All that comes out now is numbered by it, also a state that was held.
    now: EventId,
    pub(crate) numbered: u64,
    /// Of the event that is told of.
    pub(crate) id: EventId,
    parts: u32,
}

impl<'a> Out<'a> {
    pub(crate) fn new(now: EventId, wants: &'a dyn Fn(u64, &Address) -> bool) -> Self {
        Self {
            wants,
            events: Vec::new(),
            now,
            numbered: 0,
            id: now,
            parts: 0,
        }
    }

    /// What comes next is of this event.
    pub(crate) fn of(&mut self, id: EventId) -> &mut Self {
        (self.id, self.parts) = (id, 0);
        self
    }

    /// Under the id of the event that it is made of; further ones with a suffix.
    pub(crate) fn put(
        &mut self,
        address: Address,
        node: Option<String>,
        data: impl FnOnce() -> Json,
    ) {
        let suffix = match self.parts {
            0 => String::new(),
            n => format!(".{n}"),
        };
        self.parts += 1;
        let id = format!("{}{suffix}", self.id);
        self.put_as(id, address, node, data);
    }

    /// Under an id of its own.
    pub(crate) fn put_as(
        &mut self,
        id: String,
        address: Address,
        node: Option<String>,
        data: impl FnOnce() -> Json,
    ) {
        let seq = number(self.now, self.numbered);
        self.numbered += 1;
        if (self.wants)(seq, &address) {
            self.events.push(Event {
                seq,
                id,
                address,
                timestamp: self.id.ms,
                node,
                data: data(),
            });
        }
    }
}
