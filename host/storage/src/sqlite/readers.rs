//! The readers: a few threads, each with a read-only connection of its own, on one bounded queue.
//!
//! A read sees what was committed when it began and waits for no writer. Threads of our own and not
//! `spawn_blocking`: a connection with its prepared statements stays on its thread, no pool needs a lock, and the
//! number of reads at once is bounded whatever else blocks in the process. Measured with the smallest read on two
//! busy cores: 16–32 µs against 21–61 µs for one caller, 8 µs a read against 20 µs for sixteen.
//!
//! A walk has a deadline, and whoever asks for several is served one after the other: what one caller looks for keeps
//! nobody waiting for long.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, Transaction};
use selvedge_model::Scope;
use tokio::sync::oneshot;

use super::error::contained;
use super::open::{Options, open_reader};
use super::queue::{Queue, closed};
use super::turns::Turns;
use crate::StorageError;

/// Reads at once. More than the two or three cores of a small machine would only compete with the runs.
const READERS: usize = 3;
/// Walks at once: reads that look at many rows for a few. They have readers of their own, because a run that is to begin
/// or to go on must not wait behind them.
const WALKERS: usize = 2;

/// Operations of SQLite's machine between two looks at the clock: some ten microseconds.
const OPERATIONS_BETWEEN_LOOKS: i32 = 1_000;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The pools.
pub(super) struct Readers {
    reads: Arc<Queue<Job>>,
    walks: Arc<Queue<Job>>,
    /// Whose turn it is to walk.
    turns: Arc<Turns>,
    /// How long a walk may take.
    max_walk: Duration,
}

impl Readers {
    /// Opens the connections and starts the threads; each drops its `hold` after it has closed its connection.
    pub(super) fn start(
        options: &Options,
        hold: &Arc<impl Send + Sync + 'static>,
    ) -> Result<(Self, Vec<JoinHandle<()>>), StorageError> {
        let queue = || Arc::new(Queue::new(options.max_queued_reads, usize::MAX));
        let readers = Self {
            reads: queue(),
            walks: queue(),
            turns: Arc::default(),
            max_walk: options.max_walk,
        };
        let pools = [
            ("read", READERS, &readers.reads, None),
            ("walk", WALKERS, &readers.walks, Some(options.max_walk)),
        ];
        let each = pools.into_iter().flat_map(|(job, size, queue, longest)| {
            (0..size).map(move |number| (job, number, queue, longest))
        });
        let mut threads = Vec::new();
        for (job, number, queue, longest) in each {
            let mut conn = open_reader(options)?;
            let deadline = longest.map(|longest| Deadline::on(&mut conn, longest));
            let deadline = deadline.transpose()?;
            let queue = Arc::clone(queue);
            let hold = Arc::clone(hold);
            let thread = std::thread::Builder::new()
                .name(format!("sqlite-{job}-{number}"))
                .spawn(move || {
                    serve(&queue, conn, deadline.as_ref());
                    drop(hold);
                })
                .map_err(|e| StorageError::Failed(format!("starting a reader: {e}")))?;
            threads.push(thread);
        }
        Ok((readers, threads))
    }

    /// Runs a read on one of the threads, inside one read transaction.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StorageError> + Send + 'static,
    {
        in_turn(&self.reads, work).await
    }

    /// The same for a read whose cost grows with what it passes over. Of one identity's walks the others wait meanwhile,
    /// each as long as a walk may take. What takes longer is given up: [`StorageError::TooLong`].
    pub(super) async fn walk<T, F>(&self, scope: &Scope, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &Scope) -> Result<T, StorageError> + Send + 'static,
    {
        let turn = match scope.owner() {
            Some(identity) => Some(self.turns.take(identity, self.max_walk).await?),
            None => None,
        };
        let scope = scope.clone();
        in_turn(&self.walks, move |conn| {
            // Held by the walk and not by who waits for it: whoever hangs up has not had another turn by that.
            let _turn = turn;
            work(conn, &scope)
        })
        .await
    }

    /// Refuses new reads; the threads end when the queues are empty.
    pub(super) fn close(&self) {
        self.reads.close();
        self.walks.close();
    }
}

impl Drop for Readers {
    /// Also when opening fails half-way: a thread that nobody closes would keep the lock.
    fn drop(&mut self) {
        self.close();
    }
}

async fn in_turn<T, F>(queue: &Queue<Job>, work: F) -> Result<T, StorageError>
where
    T: Send + 'static,
    F: FnOnce(&Transaction<'_>) -> Result<T, StorageError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let job: Job = Box::new(move |conn| {
        // A caller that went away needs no answer.
        if !reply.is_closed() {
            // After a panic nothing is left to take back: the transaction ends as it is dropped.
            let _ = reply.send(contained(|| in_transaction(conn, work)));
        }
    });
    queue.push(0, job)?;
    answer.await.unwrap_or_else(|_| Err(closed()))
}

fn in_transaction<T>(
    conn: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    let transaction = conn.transaction()?;
    work(&transaction)
}

fn serve(queue: &Queue<Job>, mut conn: Connection, deadline: Option<&Deadline>) {
    while let Some(jobs) = queue.take(1, usize::MAX) {
        for job in jobs {
            if let Some(deadline) = deadline {
                deadline.begin();
            }
            job(&mut conn);
        }
    }
}

/// When what a connection does is broken off.
struct Deadline {
    at: Arc<Mutex<Instant>>,
    longest: Duration,
}

impl Deadline {
    fn on(conn: &mut Connection, longest: Duration) -> Result<Self, StorageError> {
        let at = Arc::new(Mutex::new(Instant::now() + longest));
        let seen = Arc::clone(&at);
        let is_over = move || Instant::now() >= *seen.lock();
        conn.progress_handler(OPERATIONS_BETWEEN_LOOKS, Some(is_over))?;
        Ok(Self { at, longest })
    }

    /// Counts from now on.
    fn begin(&self) {
        *self.at.lock() = Instant::now() + self.longest;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use selvedge_model::Identity;

    use super::super::open;
    use super::*;

    #[tokio::test]
    async fn reads_that_panic_do_not_use_up_the_readers() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::new(directory.path());
        let _database = open::open_writer(&options).unwrap();
        let (readers, _threads) = Readers::start(&options, &Arc::new(())).unwrap();
        for _ in 0..=READERS {
            let broken = readers
                .read(|_| -> Result<(), StorageError> { panic!("on purpose") })
                .await;
            assert!(
                matches!(&broken, Err(StorageError::Failed(text)) if text.contains("on purpose")),
                "{broken:?}"
            );
        }
        assert!(readers.read(|_| Ok(1)).await.is_ok());
    }

    /// Looks for something for ever.
    fn endless(conn: &Transaction<'_>, _: &Scope) -> Result<i64, StorageError> {
        let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n";
        Ok(conn.query_row(sql, [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn a_walk_that_takes_too_long_is_given_up_and_the_walker_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            max_walk: Duration::from_millis(20),
            ..Options::new(directory.path())
        };
        let _database = open::open_writer(&options).unwrap();
        let (readers, _threads) = Readers::start(&options, &Arc::new(())).unwrap();
        for _ in 0..=WALKERS {
            let walked = readers.walk(&Scope::Host, endless).await;
            assert!(matches!(walked, Err(StorageError::TooLong)), "{walked:?}");
        }
        assert!(readers.walk(&Scope::Host, |_, _| Ok(1)).await.is_ok());
    }

    #[tokio::test]
    async fn who_walks_leaves_a_walker_to_others_also_after_hanging_up() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::new(directory.path());
        let _database = open::open_writer(&options).unwrap();
        let (readers, _threads) = Readers::start(&options, &Arc::new(())).unwrap();
        let readers = Arc::new(readers);
        let of = |name| Scope::Of(Identity::new(name).unwrap());
        let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
        let mut gates = Vec::new();
        let mut anns = Vec::new();
        for _ in 0..=WALKERS {
            let (gate, opened) = mpsc::channel::<()>();
            let (readers, scope, begun) = (readers.clone(), of("ann"), begun.clone());
            gates.push(gate);
            anns.push(tokio::spawn(async move {
                let walk = readers.walk(&scope, move |_, _| {
                    let _ = begun.send(());
                    // Until its gate is dropped.
                    let _ = opened.recv();
                    Ok(())
                });
                walk.await
            }));
        }
        has_begun.recv().await.unwrap();
        // The walk goes on, and so does her turn.
        anns.remove(0).abort();
        let bob = of("bob");
        for _ in 0..=WALKERS {
            let walk = readers.walk(&bob, |_, _| Ok(()));
            let walked = tokio::time::timeout(Duration::from_secs(30), walk).await;
            assert!(walked.is_ok_and(|walked| walked.is_ok()));
        }
        assert!(has_begun.try_recv().is_err());
        drop(gates);
        for walk in anns {
            walk.await.unwrap().unwrap();
        }
    }
}
