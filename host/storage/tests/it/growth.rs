//! The cost of a step does not grow with the length of its thread, and neither does the file: in pages, not in
//! time.

use selvedge_model::checkpoint::{Change, ChannelValue};
use selvedge_model::{Json, Scope};
use selvedge_storage::Storage;
use selvedge_storage::sqlite::Sqlite;

use crate::given::{checkpoint_id, running, step, write};
use crate::home::SqliteHome;

const APPENDS: u64 = 2_000;
const ITEM_BYTES: usize = 200;

/// Appends one item per step; what they put into the write-ahead log, in bytes.
async fn append(
    home: &SqliteHome,
    storage: &std::sync::Arc<dyn Storage>,
    lease: selvedge_model::run::Lease,
    range: std::ops::Range<u64>,
) -> u64 {
    let busy: i64 = home
        .database()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(busy, 0);
    for n in range {
        let item = Json::string(&"x".repeat(ITEM_BYTES - 2));
        let parent = n.checked_sub(1);
        let written = write(n, parent, [("messages", Change::Append(vec![item]))]);
        storage.commit_step(lease, step([written])).await.unwrap();
    }
    std::fs::metadata(home.path().join("selvedge.db-wal"))
        .unwrap()
        .len()
}

#[tokio::test]
async fn two_thousand_appends_cost_the_same_each_and_four_times_their_content_at_most() {
    let home = SqliteHome::new();
    let storage: std::sync::Arc<dyn Storage> = Sqlite::open(home.options()).unwrap();
    let lease = running(&storage).await;
    let first = append(&home, &storage, lease, 0..100).await;
    append(&home, &storage, lease, 100..APPENDS - 100).await;
    let last = append(&home, &storage, lease, APPENDS - 100..APPENDS).await;
    println!("first 100 appends {first} bytes of log, last 100 {last}");
    assert!(
        last * 2 <= first * 3,
        "the last 100 wrote {last}, the first {first}"
    );

    let saved = storage
        .checkpoint(
            &Scope::Host,
            lease.thread_id,
            "",
            Some(checkpoint_id(APPENDS - 1)),
        )
        .await
        .unwrap();
    let ChannelValue::List(items) = &saved.unwrap().checkpoint.values["messages"] else {
        panic!("a list");
    };
    assert_eq!(items.len() as u64, APPENDS);
    // Written anew in full at 32, 64, 128 and 256 KiB of growth.
    let segments: i64 = home
        .database()
        .query_row(
            "SELECT count(DISTINCT segment) FROM channel_value",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(segments, 5);
    storage.close().await;
    let file = std::fs::metadata(home.path().join("selvedge.db"))
        .unwrap()
        .len();
    let content = APPENDS * ITEM_BYTES as u64;
    println!(
        "{file} bytes for {content} of content, {:.2} times",
        file as f64 / content as f64
    );
    assert!(file <= 4 * content, "{file} bytes for {content} of content");
}
