//! How much of requests' bodies is held at once: from each byte that has come to the head of the answer. What is only
//! announced counts for nothing, so that nobody takes room by announcing it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use selvedge_model::Identity;

/// A caller may have this part of what all bodies may have together, and at least one body of the largest size.
const PART_OF_ONE_CALLER: usize = 4;

/// What all bodies weigh.
pub(crate) struct Bodies {
    max: usize,
    max_of_one: usize,
    bytes: AtomicUsize,
    by_caller: Mutex<HashMap<Identity, usize>>,
}

/// Why there is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// All together have enough.
    AtAll,
    /// The caller has.
    ForTheCaller,
}

impl Bodies {
    pub(crate) fn new(max: usize, largest: usize) -> Self {
        Self {
            max,
            max_of_one: (max / PART_OF_ONE_CALLER).max(largest),
            bytes: AtomicUsize::new(0),
            by_caller: Mutex::default(),
        }
    }

    /// A body of which nothing has come yet; nobody's where callers do not say who they are.
    pub(crate) fn begin(self: &Arc<Self>, caller: Option<&Identity>) -> Weight {
        Weight {
            of: self.clone(),
            caller: caller.cloned(),
            bytes: AtomicUsize::new(0),
        }
    }
}

/// What one body weighs, until this is dropped.
pub(crate) struct Weight {
    of: Arc<Bodies>,
    caller: Option<Identity>,
    bytes: AtomicUsize,
}

impl Weight {
    /// So much more of it has come.
    pub(crate) fn add(&self, bytes: usize) -> Result<(), NoRoom> {
        if let Some(caller) = &self.caller {
            let mut by_caller = self.of.by_caller.lock();
            let sum = by_caller.get(caller).copied().unwrap_or(0) + bytes;
            if sum > self.of.max_of_one {
                return Err(NoRoom::ForTheCaller);
            }
            self.add_to_all(bytes)?;
            by_caller.insert(caller.clone(), sum);
        } else {
            self.add_to_all(bytes)?;
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// That of another body of the same caller's, of which nothing has come yet.
    pub(crate) fn anew(&self) -> Self {
        self.of.begin(self.caller.as_ref())
    }

    fn add_to_all(&self, bytes: usize) -> Result<(), NoRoom> {
        let before = self.of.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.of.max {
            self.of.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(NoRoom::AtAll);
        }
        Ok(())
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.of.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let Some(caller) = self.caller.as_ref().filter(|_| bytes > 0) else {
            return;
        };
        let mut by_caller = self.of.by_caller.lock();
        if let Some(sum) = by_caller.get_mut(caller) {
            *sum -= bytes;
            if *sum == 0 {
                by_caller.remove(caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_a_part_and_all_have_the_whole() {
        let bodies = Arc::new(Bodies::new(100, 10));
        let callers = ["ann", "bob", "carl", "dora"].map(|name| Identity::new(name).unwrap());
        let anns = bodies.begin(Some(&callers[0]));
        assert_eq!((anns.add(20), anns.add(5)), (Ok(()), Ok(())));
        let second = bodies.begin(Some(&callers[0]));
        assert_eq!(second.add(1), Err(NoRoom::ForTheCaller));
        let others = [1, 2, 3].map(|caller| bodies.begin(Some(&callers[caller])));
        assert!(others.iter().all(|other| other.add(25).is_ok()));
        let nobodys = bodies.begin(None);
        assert_eq!(nobodys.add(1), Err(NoRoom::AtAll));
        drop(anns);
        assert_eq!((second.add(1), nobodys.add(24)), (Ok(()), Ok(())));
        assert_eq!(nobodys.add(1), Err(NoRoom::AtAll));
        drop((second, others, nobodys));
        assert_eq!(bodies.bytes.load(Ordering::Relaxed), 0);
        assert!(bodies.by_caller.lock().is_empty());
    }

    #[test]
    fn one_body_of_the_largest_size_always_fits() {
        let bodies = Arc::new(Bodies::new(10, 10));
        let ann = Identity::new("ann");
        assert_eq!(bodies.begin(ann.as_ref()).add(10), Ok(()));
    }
}
