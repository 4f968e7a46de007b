//! Who may have how many requests under way. [`crate::Client`] asks before each.

use std::sync::{Arc, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many requests somebody may have under way at once, of all that a client has. A clone is the same share.
#[derive(Clone, Debug)]
pub struct Share(Arc<Semaphore>);

impl Share {
    /// A share of so many requests.
    #[must_use]
    pub fn new(max_concurrent: usize) -> Self {
        Self(Arc::new(Semaphore::new(
            max_concurrent.min(Semaphore::MAX_PERMITS),
        )))
    }

    /// The share for as long as somebody has it, its requests under way included.
    #[must_use]
    pub fn downgrade(&self) -> WeakShare {
        WeakShare(Arc::downgrade(&self.0))
    }
}

/// A [`Share`] that may be gone.
#[derive(Clone, Debug)]
pub struct WeakShare(Weak<Semaphore>);

impl WeakShare {
    /// The share, if somebody still has it.
    #[must_use]
    pub fn upgrade(&self) -> Option<Share> {
        self.0.upgrade().map(Share)
    }
}

/// The right to one request under way.
pub(crate) struct Slots {
    _of_share: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

impl Slots {
    /// Waits for the share before it waits for a slot. `None` never: these semaphores are not closed.
    pub(crate) async fn of(share: Option<&Share>, all: &Arc<Semaphore>) -> Option<Self> {
        let of_share = match share {
            Some(Share(share)) => Some(Arc::clone(share).acquire_owned().await.ok()?),
            None => None,
        };
        Some(Self {
            _of_share: of_share,
            _of_all: Arc::clone(all).acquire_owned().await.ok()?,
        })
    }
}
