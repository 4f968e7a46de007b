//! The writer: one thread that owns the connection that writes, and commits in groups.
//!
//! It takes what is queued at that moment (it never waits for more), runs each unit under a savepoint in one
//! transaction, commits once, and answers everyone after that. On a busy machine a commit costs milliseconds and
//! a unit microseconds, so a group of 32 is worth 10 to 40 times the throughput.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::contained;
use super::memory::Memory;
use super::open::Options;
use super::queue::{Queue, closed};
use crate::StorageError;

/// Units in one transaction. A larger group gains nothing and makes its first caller wait for its last.
const MAX_GROUP_UNITS: usize = 512;
/// What the units of one transaction weigh together, for the same reason: 8 MiB are 50 ms at 160 MB/s.
const MAX_GROUP_BYTES: usize = 8 << 20;

/// What a unit works with.
pub(super) struct Desk<'a> {
    pub(super) conn: &'a Connection,
    pub(super) memory: &'a mut Memory,
}

impl Desk<'_> {
    /// A statement without parameters.
    pub(super) fn statement(&self, sql: &str) -> Result<(), StorageError> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

/// A unit of work and the caller who waits for it.
trait Unit: Send {
    /// Does the work inside the transaction.
    fn run(&mut self, desk: &mut Desk<'_>) -> Result<(), StorageError>;
    /// Tells the caller, after the transaction has ended.
    fn answer(self: Box<Self>, transaction: &Result<(), StorageError>);
}

struct Call<T, F> {
    work: Option<F>,
    result: Result<T, StorageError>,
    reply: oneshot::Sender<Result<T, StorageError>>,
}

impl<T, F> Unit for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Desk<'_>) -> Result<T, StorageError> + Send,
{
    fn run(&mut self, desk: &mut Desk<'_>) -> Result<(), StorageError> {
        // A panic is trusted to be no worse than an error: work can be left by `?` at any point too, so what it did in
        // the database is under its savepoint and what it did in memory is in the undo log, and both are taken back.
        if let Some(work) = self.work.take() {
            self.result = contained(|| work(desk));
        }
        self.result.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn answer(self: Box<Self>, transaction: &Result<(), StorageError>) {
        // A unit that failed on its own keeps its own error.
        let result = match (self.result, transaction) {
            (Ok(_), Err(error)) => Err(error.clone()),
            (result, _) => result,
        };
        // A caller that went away wants no answer; the work is done all the same.
        let _ = self.reply.send(result);
    }
}

/// The way to the writer thread.
pub(super) struct Writer {
    queue: Arc<Queue<Box<dyn Unit>>>,
    pending_runs: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread, which drops its `hold` after it has closed its connection.
    pub(super) fn start(
        conn: Connection,
        options: &Options,
        hold: impl Send + 'static,
    ) -> Result<(Self, JoinHandle<()>), StorageError> {
        let queue = Arc::new(Queue::new(
            options.max_queued_writes,
            options.max_queued_bytes,
        ));
        let memory = Memory::new(super::runs::population(&conn)?);
        let pending_runs = Arc::new(AtomicU64::new(memory.population().pending()));
        let mut service = Service {
            queue: Arc::clone(&queue),
            conn,
            memory,
            pending_runs: Arc::clone(&pending_runs),
        };
        let thread = std::thread::Builder::new()
            .name("sqlite-write".to_owned())
            .spawn(move || {
                service.serve();
                service.empty_log();
                drop(service);
                drop(hold);
            })
            .map_err(|e| StorageError::Failed(format!("starting the writer: {e}")))?;
        let writer = Self {
            queue,
            pending_runs,
        };
        Ok((writer, thread))
    }

    /// Queues a unit that weighs about so many bytes and waits until it is durable.
    ///
    /// Dropping the future does not stop the unit.
    pub(super) async fn write<T, F>(&self, bytes: usize, work: F) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Desk<'_>) -> Result<T, StorageError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let unit = Call {
            work: Some(work),
            result: Err(closed()),
            reply,
        };
        self.queue.push(bytes, Box::new(unit))?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// How many runs were pending at the last commit.
    pub(super) fn pending_runs(&self) -> Result<u64, StorageError> {
        self.check()?;
        Ok(self.pending_runs.load(Ordering::Relaxed))
    }

    /// Whether it still takes units.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        if self.queue.is_closed() {
            return Err(closed());
        }
        Ok(())
    }

    /// Refuses new units; the thread ends when those queued are done.
    pub(super) fn close(&self) {
        self.queue.close();
    }
}

struct Service {
    queue: Arc<Queue<Box<dyn Unit>>>,
    conn: Connection,
    memory: Memory,
    pending_runs: Arc<AtomicU64>,
}

impl Service {
    fn serve(&mut self) {
        while let Some(mut group) = self.queue.take(MAX_GROUP_UNITS, MAX_GROUP_BYTES) {
            let outcome = self.commit(&mut group);
            if outcome.is_ok() {
                self.memory.keep();
                self.pending_runs
                    .store(self.memory.population().pending(), Ordering::Relaxed);
            } else {
                self.memory.undo_to(0);
            }
            for unit in group {
                unit.answer(&outcome);
            }
        }
    }

    /// Copies the write-ahead log back into the database file and empties it, so that the file alone is the whole and
    /// the next start has nothing to read again. SQLite does so by itself only when the last connection to close is
    /// this one. Waits for reads that are going on as long as for any lock, and then leaves the log: nothing is lost.
    fn empty_log(&self) {
        let emptied = self
            .conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                row.get::<_, i64>(0)
            });
        match emptied {
            Ok(0) => {}
            Ok(_) => tracing::warn!("the write-ahead log stays: a read was still going on"),
            Err(error) => tracing::warn!(%error, "the write-ahead log stays"),
        }
    }

    /// One transaction over all units. An error means that none of them happened.
    fn commit(&mut self, group: &mut [Box<dyn Unit>]) -> Result<(), StorageError> {
        // A rollback that failed last time (the disk was away) left its transaction open.
        if !self.conn.is_autocommit() {
            self.statement("ROLLBACK")?;
        }
        self.statement("BEGIN IMMEDIATE")?;
        let done = self
            .run_units(group)
            .and_then(|()| self.statement("COMMIT"));
        if let Err(error) = &done {
            tracing::warn!(%error, units = group.len(), "a group of writes was rolled back");
            if !self.conn.is_autocommit() {
                self.statement("ROLLBACK")?;
            }
        }
        done
    }

    fn run_units(&mut self, group: &mut [Box<dyn Unit>]) -> Result<(), StorageError> {
        for unit in group {
            let mark = self.memory.mark();
            self.statement("SAVEPOINT unit")?;
            let mut desk = Desk {
                conn: &self.conn,
                memory: &mut self.memory,
            };
            if let Err(error) = unit.run(&mut desk) {
                self.memory.undo_to(mark);
                // Some errors (a full disk, failing I/O) make SQLite end the whole transaction by itself.
                if self.conn.is_autocommit() {
                    return Err(error);
                }
                self.statement("ROLLBACK TO unit")?;
            }
            self.statement("RELEASE unit")?;
        }
        Ok(())
    }

    fn statement(&self, sql: &str) -> Result<(), StorageError> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

impl Drop for Service {
    /// Should the thread itself panic, whoever waits in the queue learns that nobody will come, and
    /// [`Reads::check`](crate::Reads::check) tells the operator's probe from then on.
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the writer has stopped: nothing can be stored before a restart");
        }
        self.queue.abandon();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::open;
    use super::*;

    fn writer(directory: &tempfile::TempDir) -> (Writer, JoinHandle<()>) {
        let options = Options::new(directory.path());
        let conn = open::open_writer(&options).unwrap();
        Writer::start(conn, &options, ()).unwrap()
    }

    fn note(text: &'static str) -> impl FnOnce(&mut Desk<'_>) -> Result<(), StorageError> {
        move |desk| {
            desk.conn.execute("INSERT INTO noted VALUES (?1)", [text])?;
            desk.memory.shift_runs(None, 1, 0);
            desk.memory.claim(7);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_unit_that_panics_leaves_nothing_and_harms_no_other_of_its_group() {
        let directory = tempfile::tempdir().unwrap();
        let (writer, thread) = writer(&directory);
        let (open_gate, gate) = mpsc::channel::<()>();
        let first = writer.write(0, move |desk| {
            desk.conn.execute_batch("CREATE TABLE noted (text)")?;
            // Until the next three are queued: they become one group.
            let _ = gate.recv();
            Ok(())
        });
        let breaking = writer.write(0, |desk| -> Result<(), StorageError> {
            note("broken")(desk)?;
            panic!("on purpose");
        });
        let queued = async {
            let group = tokio::join!(
                writer.write(0, note("before")),
                breaking,
                writer.write(0, note("after")),
                async { drop(open_gate) }
            );
            (group.0, group.1, group.2)
        };
        let (first, (before, broken, after)) = tokio::join!(first, queued);
        assert!(first.is_ok() && before.is_ok() && after.is_ok());
        assert!(
            matches!(&broken, Err(StorageError::Failed(text)) if text.contains("on purpose")),
            "{broken:?}"
        );
        let (noted, is_claimed) = writer
            .write(0, |desk| {
                let texts =
                    "SELECT group_concat(text) FROM (SELECT text FROM noted ORDER BY rowid)";
                let noted: String = desk.conn.query_row(texts, [], |row| row.get(0))?;
                Ok((noted, desk.memory.is_claimed(7)))
            })
            .await
            .unwrap();
        assert_eq!((noted.as_str(), is_claimed), ("before,after", true));
        assert_eq!(writer.pending_runs().unwrap(), 2);
        writer.close();
        thread.join().unwrap();
        assert!(matches!(writer.check(), Err(StorageError::Unavailable(_))));
    }
}
