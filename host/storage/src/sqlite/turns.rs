//! Turns: of what one identity asks for one thing is done at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use selvedge_model::Identity;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::StorageError;

/// Of each identity that asks, or waits.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Identity, Arc<Semaphore>>>);

/// The right to go on, until it is dropped.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
    _place: Place,
}

impl Turns {
    /// Waits until nothing else is done for this identity; [`StorageError::Overloaded`] when that takes too long.
    pub(super) async fn take(
        self: &Arc<Self>,
        identity: &Identity,
        longest_wait: Duration,
    ) -> Result<Turn, StorageError> {
        let turn = self.of(identity);
        let place = Place {
            turns: self.clone(),
            identity: identity.clone(),
        };
        let permit = tokio::time::timeout(longest_wait, turn.acquire_owned()).await;
        // The semaphore is never closed.
        let Ok(Ok(permit)) = permit else {
            return Err(StorageError::Overloaded);
        };
        Ok(Turn {
            _permit: permit,
            _place: place,
        })
    }

    fn of(&self, identity: &Identity) -> Arc<Semaphore> {
        let mut turns = self.0.lock();
        turns
            .entry(identity.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(1)))
            .clone()
    }
}

/// Of somebody who has a turn or waits for one. Ends by forgetting the identity, if there is nobody else.
struct Place {
    turns: Arc<Turns>,
    identity: Identity,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut turns = self.turns.0.lock();
        if turns
            .get(&self.identity)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            turns.remove(&self.identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_has_one_turn_at_a_time_and_nobody_is_remembered_afterwards() {
        let turns = Arc::new(Turns::default());
        let [ann, bob] = ["ann", "bob"].map(|name| Identity::new(name).unwrap());
        let wait = Duration::from_secs(1);
        let anns = turns.take(&ann, wait).await.unwrap();
        let bobs = turns.take(&bob, wait).await.unwrap();
        let second = turns.take(&ann, wait).await;
        assert!(matches!(second, Err(StorageError::Overloaded)));
        let (second, ()) = tokio::join!(turns.take(&ann, wait), async { drop(anns) });
        drop((second.unwrap(), bobs));
        assert!(turns.0.lock().is_empty());
    }
}
