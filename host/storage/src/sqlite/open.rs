//! Opening a data directory: the lock that keeps a second process out, the pragmas, the migrations.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::FlockOperation;

use super::error::of_file;
use crate::StorageError;

/// The database inside the data directory.
const DATABASE_FILE: &str = "selvedge.db";
/// Holds the lock and the process id of whoever has it.
const LOCK_FILE: &str = "selvedge.lock";
/// How long a statement waits for a lock of another program (a shell, a backup) before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// More than there are distinct statements, those with a scope written out for each kind of it, so that none is ever
/// prepared twice.
const STATEMENT_CACHE: usize = 256;
/// Pages in the WAL before a commit copies them back. Measured: 1,000 to 4,000 runs evenly, 16,000 stalls.
const WAL_AUTOCHECKPOINT: u32 = 2_000;
/// The WAL file is cut back to this after a burst.
const WAL_SIZE_LIMIT_BYTES: u32 = 64 << 20;
/// Page cache of the writer and of each reader; SQLite takes it as it needs it.
const WRITER_CACHE_KIB: i32 = 16 << 10;
const READER_CACHE_KIB: i32 = 4 << 10;

/// The schema of each version; the position of the last plus one is what `user_version` says.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
    include_str!("schema_9.sql"),
];

/// How a data directory is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory; created, readable by its owner only, when it is missing.
    pub path: PathBuf,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// The database file does not grow beyond this many bytes; further writes fail with
    /// [`StorageError::Full`] until something is deleted. `None`: the disk is the bound.
    pub max_database_bytes: Option<u64>,
    /// Writes that may wait for the writer; more are [`StorageError::Overloaded`].
    pub max_queued_writes: usize,
    /// Once those writes weigh so much together, more are [`StorageError::Overloaded`]; the one that reaches the bound
    /// may go beyond it.
    pub max_queued_bytes: usize,
    /// Reads that may wait for a reader; more are [`StorageError::Overloaded`].
    pub max_queued_reads: usize,
    /// How long a search or a list may take (`max_search_secs`); then it is [`StorageError::TooLong`]. And how long one
    /// waits for the same caller's others.
    pub max_walk: Duration,
}

impl Options {
    /// The defaults for a directory.
    ///
    /// 4,096 writes are what 1,000 running runs, 1,024 waiting requests and their deliveries can ask for at once,
    /// with room; 64 MiB are two request bodies of the largest size.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::Full,
            max_database_bytes: None,
            max_queued_writes: 4_096,
            max_queued_bytes: 64 << 20,
            max_queued_reads: 4_096,
            max_walk: Duration::from_secs(30),
        }
    }
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// The disk has it: a commit survives a power failure.
    #[default]
    Full,
    /// The operating system has it: a commit survives `kill -9`, and a power failure may take the last ones back.
    Normal,
}

/// Holds the lock on a data directory until it is dropped or the process ends, however it ends.
pub(super) struct DirectoryLock {
    file: File,
}

impl Drop for DirectoryLock {
    /// Closing the file is not enough: a child process that another thread is starting holds it too, until it has
    /// become its own program.
    fn drop(&mut self) {
        // Closing follows, and does the same a little later.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// Creates the directory when it is missing and takes the lock on it.
pub(super) fn lock_directory(directory: &Path) -> Result<DirectoryLock, StorageError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|e| of_file(&format!("creating {}", directory.display()), &e))?;
    let path = directory.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| of_file(&format!("opening {}", path.display()), &e))?;
    if let Err(error) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error == rustix::io::Errno::WOULDBLOCK {
            return Err(in_use(directory, &mut file));
        }
        return Err(of_file(
            &format!("locking {}", path.display()),
            &error.into(),
        ));
    }
    // Only a hint for whoever is refused: a disk too full for it is no reason not to start.
    let _ = file
        .set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()));
    Ok(DirectoryLock { file })
}

fn in_use(directory: &Path, file: &mut File) -> StorageError {
    let mut text = String::new();
    let holder = file
        .rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .ok()
        .and_then(|_| text.trim().parse::<u32>().ok())
        .map_or_else(
            || "another process".to_owned(),
            |pid| format!("process {pid}"),
        );
    StorageError::Unavailable(format!(
        "the data directory {} is in use by {holder}; stop that process, or choose another directory \
         (`storage.path` or `--data-dir`)",
        directory.display()
    ))
}

/// Opens the connection that writes, and brings the schema to this program's version.
pub(super) fn open_writer(options: &Options) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(options.path.join(DATABASE_FILE), flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Before anything is changed.
    refuse_newer(&conn, &options.path)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StorageError::Unavailable(format!(
            "the file system of {} cannot hold a write-ahead log (journal mode {mode}); use a local disk",
            options.path.display()
        )));
    }
    conn.pragma_update(
        None,
        "synchronous",
        match options.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        },
    )?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_AUTOCHECKPOINT)?;
    conn.pragma_update(None, "journal_size_limit", WAL_SIZE_LIMIT_BYTES)?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // Statement journals in memory: a full disk must not fail a statement that needs none of it.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    migrate(&mut conn)?;
    if let Some(bytes) = options.max_database_bytes {
        let page: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page;
        conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(conn)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(options: &Options) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(options.path.join(DATABASE_FILE), flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(conn)
}

fn schema_version(conn: &Connection) -> Result<usize, StorageError> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    usize::try_from(version).map_err(|_| {
        StorageError::Incompatible(format!("the database says it has version {version}"))
    })
}

fn refuse_newer(conn: &Connection, directory: &Path) -> Result<(), StorageError> {
    let version = schema_version(conn)?;
    if version > MIGRATIONS.len() {
        return Err(StorageError::Incompatible(format!(
            "the data directory {} was written by a newer Selvedge (schema version {version}, this one knows {}); \
             run that version, or choose another directory",
            directory.display(),
            MIGRATIONS.len()
        )));
    }
    Ok(())
}

fn migrate(conn: &mut Connection) -> Result<(), StorageError> {
    let version = schema_version(conn)?;
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for schema in &MIGRATIONS[version..] {
        transaction.execute_batch(schema)?;
    }
    transaction.execute_batch(&format!("PRAGMA user_version = {}", MIGRATIONS.len()))?;
    transaction.commit()?;
    Ok(())
}
