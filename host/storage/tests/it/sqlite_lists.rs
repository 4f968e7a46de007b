//! What a list passes over, by its offset, costs no more than a search may.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use selvedge_model::{AssistantId, RunId, Scope, ThreadId};
use selvedge_storage::sqlite::{Options, Sqlite};
use selvedge_storage::{DeliveryQuery, RunQuery, Storage, StorageError, VersionQuery};
use uuid::Uuid;

use crate::given::{at, new_run, queued, unclaimed};
use crate::home::{Home as _, SqliteHome};

/// Of each so many: a list that passes over all of them looks at the clock several times.
const MANY: u32 = 5_000;
/// Every run, delivery and assistant that a test names.
const ID: Uuid = Uuid::from_u128(1);

/// A database with many runs on one thread, deliveries of one run, and versions of one assistant.
async fn filled() -> SqliteHome {
    let home = SqliteHome::new();
    queued(&home.open(), unclaimed(new_run(ThreadId(ID), at(0)))).await;
    let id = ID.simple();
    home.database()
        .execute_batch(&format!(
            "CREATE TEMP TABLE n AS WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < {MANY}) \
             SELECT n FROM n; \
             INSERT INTO run (id, uuid, thread, thread_uuid, assistant, status, ready, multitask, created_at, updated_at, \
             fence, attempt) \
             SELECT n, randomblob(16), thread, thread_uuid, assistant, 2, 0, multitask, created_at, updated_at, 0, 0 \
             FROM run, n; \
             INSERT INTO run_request SELECT n, metadata, kwargs FROM run_request, n; \
             INSERT INTO delivery (uuid, run, thread, url, status, created_at, attempts, retry, ended_at) \
             SELECT randomblob(16), x'{id}', x'{id}', 'https://hooks.example.com/', 1, n, 1, 1, n FROM n; \
             INSERT INTO assistant (id, uuid, graph_id, name, config, context, metadata, created_at, updated_at, version) \
             VALUES (1, x'{id}', 'agent', 'agent', '{{}}', '{{}}', '{{}}', 1, 1, {MANY}); \
             INSERT INTO assistant_version (assistant, version, graph_id, name, config, context, metadata, created_at, \
             configured) SELECT 1, n, 'agent', 'agent', '{{}}', '{{}}', '{{}}', n, 0 FROM n"
        ))
        .unwrap();
    home
}

fn runs(offset: u32) -> RunQuery {
    RunQuery {
        thread_id: ThreadId(ID),
        status: None,
        limit: 1,
        offset,
    }
}

fn deliveries(offset: u32) -> DeliveryQuery {
    DeliveryQuery {
        run_id: Some(RunId(ID)),
        status: None,
        limit: 1,
        offset,
    }
}

fn versions(offset: u32) -> VersionQuery {
    VersionQuery {
        assistant_id: AssistantId(ID),
        metadata: None,
        limit: 1,
        offset,
    }
}

fn is_given_up<T: Debug>(listed: &Result<T, StorageError>) {
    assert!(matches!(listed, Err(StorageError::TooLong)), "{listed:?}");
}

#[tokio::test]
async fn a_list_that_has_passed_over_too_much_is_given_up() {
    let home = filled().await;
    let host = &Scope::Host;
    let storage = home.open();
    // One before the end: what is passed over is there.
    let last = MANY - 2;
    assert_eq!(storage.list_runs(host, runs(last)).await.unwrap().len(), 1);
    let page = storage.list_deliveries(host, deliveries(last)).await;
    assert_eq!(page.unwrap().rows.len(), 1);
    let found = storage.assistant_versions(host, versions(last)).await;
    assert_eq!(found.unwrap().len(), 1);
    drop(storage);

    let hurried = Options {
        max_walk: Duration::ZERO,
        ..home.options()
    };
    let storage: Arc<dyn Storage> = Sqlite::open(hurried).unwrap();
    is_given_up(&storage.list_runs(host, runs(last)).await);
    is_given_up(&storage.list_deliveries(host, deliveries(last)).await);
    is_given_up(&storage.assistant_versions(host, versions(last)).await);
}
