//! Where an implementation under test lives.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use selvedge_storage::Storage;
use selvedge_storage::sqlite::{Options, Sqlite};
use tempfile::TempDir;

/// A place that outlives the process that uses it: opening it again is a restart.
pub trait Home: Send + Sync {
    /// Opens it; the one opened before must be closed or dropped.
    fn open(&self) -> Arc<dyn Storage>;
    /// From now on the database itself refuses the next insert into, or update or deletion in, a table.
    fn break_table(&self, table: &str);
    /// Takes all of those back.
    fn mend(&self);
}

/// A data directory of its own.
pub struct SqliteHome {
    directory: TempDir,
}

impl SqliteHome {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn options(&self) -> Options {
        Options::new(self.path())
    }

    /// The database behind the back of the implementation. The lock that keeps other processes out is on another
    /// file; SQLite's own locks keep the two connections apart.
    pub fn database(&self) -> Connection {
        Connection::open(self.path().join("selvedge.db")).unwrap()
    }
}

impl Home for SqliteHome {
    fn open(&self) -> Arc<dyn Storage> {
        Sqlite::open(self.options()).unwrap()
    }

    fn break_table(&self, table: &str) {
        for verb in ["INSERT", "UPDATE", "DELETE"] {
            self.database()
                .execute_batch(&format!(
                    "CREATE TRIGGER broken_{table}_{verb} BEFORE {verb} ON {table} \
                     BEGIN SELECT raise(ABORT, 'broken on purpose'); END"
                ))
                .unwrap();
        }
    }

    fn mend(&self) {
        let database = self.database();
        let mut statement = database
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
            .unwrap();
        let names: Vec<String> = statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for name in names {
            database
                .execute_batch(&format!("DROP TRIGGER {name}"))
                .unwrap();
        }
    }
}
