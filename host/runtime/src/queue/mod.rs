//! Places for running runs, and what wakes the dispatcher.
//!
//! A new run takes a place directly when one is free and nobody waits before it; otherwise it stays pending in
//! storage, and the dispatcher claims it when a place comes free, when a run ahead of it on its thread ends, or when
//! its time has come.

mod dispatch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The right to execute one run. When it is dropped, whoever wants a place is told that there is one, whether a run
/// ended there or an admission came to nothing.
pub(crate) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    wanted: Arc<Wanted>,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Free before anyone looks for it.
        self.permit = None;
        if self.wanted.crowded.load(Ordering::SeqCst) {
            self.wanted.wake.notify_one();
        }
    }
}

/// What the dispatcher is woken by.
struct Wanted {
    /// Runs that could begin wait for a place: a new one must not overtake them.
    crowded: AtomicBool,
    wake: Notify,
}

pub(crate) struct Queue {
    places: Arc<Semaphore>,
    capacity: usize,
    wanted: Arc<Wanted>,
    /// Pending runs, those that wait for their time or for their thread included.
    waiting: AtomicU64,
    /// Runs that have ended, so that the dispatcher sees whether one did while it was looking.
    ended: AtomicU64,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            places: Arc::new(Semaphore::new(capacity)),
            capacity,
            wanted: Arc::new(Wanted {
                crowded: AtomicBool::new(false),
                wake: Notify::new(),
            }),
            waiting: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        }
    }

    /// A place for a run that is just being admitted, when one is free and it would overtake nobody.
    pub(crate) fn place_for_new_run(&self) -> Option<Place> {
        if self.wanted.crowded.load(Ordering::SeqCst) {
            return None;
        }
        self.place()
    }

    fn place(&self) -> Option<Place> {
        let permit = self.places.clone().try_acquire_owned().ok()?;
        Some(Place {
            permit: Some(permit),
            wanted: self.wanted.clone(),
        })
    }

    /// A run was admitted and not claimed: for want of a place, or because it has to wait for something else.
    pub(crate) fn run_was_queued(&self, for_want_of_a_place: bool) {
        if for_want_of_a_place {
            self.wanted.crowded.store(true, Ordering::SeqCst);
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.wanted.wake.notify_one();
    }

    /// Something other than an end may have made a pending run the next of its thread.
    pub(crate) fn look_again(&self) {
        self.wanted.wake.notify_one();
    }

    /// The dispatcher has claimed what it could: so many are pending now, and whether some of them want a place.
    pub(crate) fn dispatched(&self, waiting: u64, crowded: bool) {
        self.waiting.store(waiting, Ordering::SeqCst);
        self.wanted
            .crowded
            .store(crowded && waiting > 0, Ordering::SeqCst);
    }

    /// A run ended: its place is free, and its thread may have a next one.
    pub(crate) fn run_ended(&self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.wanted.wake.notify_one();
        }
    }

    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::SeqCst)
    }

    /// Free places, at most so many.
    pub(crate) fn take_places(&self, most: usize) -> Vec<Place> {
        let mut places = Vec::new();
        while places.len() < most
            && let Some(place) = self.place()
        {
            places.push(place);
        }
        places
    }

    /// Places that are taken, and how many there are.
    pub(crate) fn taken(&self) -> (usize, usize) {
        let free = self.places.available_permits();
        (self.capacity.saturating_sub(free), self.capacity)
    }

    pub(crate) async fn woken(&self) {
        self.wanted.wake.notified().await;
    }

    /// Waits until no run is being executed.
    pub(crate) async fn all_ended(&self) {
        let all = u32::try_from(self.capacity).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _ = self.places.acquire_many(all).await;
    }
}
