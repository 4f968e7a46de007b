//! The embedded default: SQLite in one data directory that one process owns.
//!
//! | module | job |
//! |---|---|
//! | `open` | the lock on the directory, pragmas, migrations |
//! | `queue` | the bounded queue before the threads |
//! | `writer`, `memory`, `population` | group commit on one thread, and what that thread remembers |
//! | `readers`, `turns` | read-only connections on a few threads, for short reads and for walks, which take turns |
//! | `reads`, `writes` | each promise of [`Reads`](crate::Reads) sent to a reader, of [`Storage`](crate::Storage) to the writer |
//! | `runs`, `claims`, `steps` | admission and reading; claims, fences, recovery; what a running run writes |
//! | `questions` | which questions of a thread wait for an answer |
//! | `cancel`, `rollback` | ending runs before their end, undoing them |
//! | `checkpoints`, `places`, `segments`, `load`, `history` | snapshots: writing, where values are, the values, reading |
//! | `threads`, `search`, `update`, `prune` | threads: themselves, finding them, changing them, what goes of them |
//! | `assistants`, `versions` | reading assistants, changing them |
//! | `crons`, `ticks` | crons, and the due times at which they make runs |
//! | `events` | stored streams |
//! | `items`, `namespaces` | the store |
//! | `item_index`, `nearest` | the vectors of its items: those to be made and those made, the search by them |
//! | `deliveries`, `delivery_records` | webhooks: to be delivered, and to look at |
//! | `contains`, `truncate` | containment of JSON, emptying for development |
//! | `scope` | whose rows a statement sees |
//! | `codec`, `error`, `weight` | columns, errors, what an answer may weigh |

mod assistants;
mod cancel;
mod checkpoints;
mod claims;
mod codec;
mod contains;
#[cfg(test)]
mod costs;
mod crons;
mod deliveries;
mod delivery_records;
mod error;
mod events;
mod history;
mod item_index;
mod items;
mod load;
mod memory;
mod namespaces;
mod nearest;
mod open;
mod places;
mod population;
mod prune;
mod questions;
mod queue;
mod readers;
mod reads;
mod rollback;
mod runs;
mod scope;
mod search;
mod segments;
mod steps;
mod threads;
mod ticks;
mod truncate;
mod turns;
mod update;
mod versions;
mod weight;
mod writer;
mod writes;

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::watch;

pub use open::{Options, Synchronous};

use crate::StorageError;
use readers::Readers;
use writer::Writer;

/// An open data directory. Dropping the last reference closes it too, and waits for what is queued.
pub struct Sqlite {
    writer: Writer,
    readers: Readers,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Its sender goes away when all threads have ended and the lock is free.
    ended: watch::Receiver<()>,
}

impl Sqlite {
    /// Opens a data directory, creating it when it is missing.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when another process has it open, [`StorageError::Incompatible`] when a newer
    /// version wrote it or it is damaged, [`StorageError::ReadOnly`], [`StorageError::Full`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are written where they are used and of no use afterwards"
    )]
    pub fn open(options: Options) -> Result<Arc<Self>, StorageError> {
        let options = &options;
        let lock = open::lock_directory(&options.path)?;
        let conn = open::open_writer(options)?;
        // Each thread holds this until its connection is closed, so that the lock outlives them all.
        let (alive, ended) = watch::channel(());
        let hold = Arc::new((lock, alive));
        let (readers, mut threads) = Readers::start(options, &hold)?;
        let (writer, thread) = Writer::start(conn, options, hold)?;
        threads.push(thread);
        Ok(Arc::new(Self {
            writer,
            readers,
            threads: Mutex::new(threads),
            ended,
        }))
    }

    fn close_queues(&self) {
        self.readers.close();
        self.writer.close();
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close_queues();
        for thread in self.threads.get_mut().drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}
