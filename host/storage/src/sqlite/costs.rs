//! What one owner's requests cost however much others have: counted in operations of SQLite's machine, so that nothing
//! depends on a clock. Tests only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use selvedge_model::assistant::Assistant;
use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::delivery::DeliveryStatus;
use selvedge_model::{Identity, Scope, Timestamp};

use super::memory::Memory;
use super::open::{self, Options};
use super::writer::Desk;
use super::{assistants, cancel, claims, deliveries, runs};
use crate::types::{
    AssistantQuery, AssistantSort, CancelRuns, LastWords, Redeliver, Share, WhichRuns,
};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const KWARGS: &str = r#"{"input":null,"command":null,"config":{},"context":{},"stream_mode":[],"interrupt_before":null,"interrupt_after":null,"webhook":null,"feedback_keys":null,"temporary":true,"subgraphs":false,"resumable":false,"checkpoint_during":true,"durability":"async"}"#;
const SHARE: Share = Share {
    max_pending_runs: 1,
    max_running_runs: 1,
    max_crons: 1,
};

/// Of everything so much is Ann's, and one is Bob's.
fn database(anns: u32) -> (tempfile::TempDir, Connection) {
    let directory = tempfile::tempdir().unwrap();
    let conn = open::open_writer(&Options::new(directory.path())).unwrap();
    for (owner, count) in [("ann", anns), ("bob", 1)] {
        conn.execute_batch(&format!(
            "CREATE TEMP TABLE n AS WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count}) \
             SELECT n FROM n; \
             INSERT INTO assistant (uuid, graph_id, name, config, context, metadata, created_at, updated_at, version, \
             owner) SELECT randomblob(16), 'two', 'x', '{{}}', '{{}}', '{{}}', n, n, 1, '{owner}' FROM n; \
             INSERT INTO delivery (uuid, run, thread, url, status, created_at, attempts, retry, ended_at, owner) \
             SELECT randomblob(16), randomblob(16), randomblob(16), 'http://x/', 2, n, 1, 1, n, '{owner}' FROM n; \
             INSERT INTO run (uuid, thread_uuid, assistant, status, ready, multitask, created_at, updated_at, fence, \
             attempt, owner) \
             SELECT randomblob(16), randomblob(16), randomblob(16), 0, 1, 3, n, n, 0, 0, '{owner}' FROM n; \
             DROP TABLE n",
        ))
        .unwrap();
    }
    (directory, conn)
}

/// Operations of a piece of work.
fn operations(conn: &mut Connection, work: impl FnOnce(&Connection)) -> u64 {
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let counting = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    conn.progress_handler(1, Some(counting)).unwrap();
    work(conn);
    conn.progress_handler(1, None::<fn() -> bool>).unwrap();
    count.load(Ordering::Relaxed)
}

/// Asserts that a piece of work costs the same however much is Ann's.
fn assert_costs_the_same(work: impl Fn(&Connection, &Scope)) {
    let bob = Scope::Of(Identity::new("bob").unwrap());
    let costs = [20, 2_000].map(|anns| {
        let (_directory, mut conn) = database(anns);
        operations(&mut conn, |conn| work(conn, &bob))
    });
    // Branches of a deeper tree are a few more.
    assert!(costs[1] < costs[0] + 100, "{costs:?}");
}

#[test]
fn assistants_are_found_and_counted_past_those_of_others() {
    let query = AssistantQuery {
        name: None,
        graph_id: Some("two".to_owned()),
        metadata: None,
        sort_by: AssistantSort::CreatedAt,
        descending: true,
        limit: 10,
        offset: 0,
    };
    assert_costs_the_same(|conn, bob| {
        let found: Vec<Assistant> = assistants::search(conn, bob, &query).unwrap().rows;
        assert_eq!(found.len(), 1);
        assert_eq!(assistants::count(conn, bob, &query).unwrap(), 1);
    });
}

#[test]
fn deliveries_are_delivered_again_past_those_of_others() {
    let which = Redeliver {
        statuses: vec![DeliveryStatus::Exhausted],
        since: Timestamp::from_micros(0),
        before: NOW,
    };
    assert_costs_the_same(|conn, bob| {
        let count = deliveries::redeliver_ended(conn, bob, &which, NOW).unwrap();
        assert_eq!(count, 1);
    });
}

#[test]
fn runs_are_cancelled_past_those_of_others() {
    let all = CancelRuns {
        which: WhichRuns::All,
        request: CancelRequest {
            action: CancelAction::Interrupt,
            message: String::new(),
        },
        last_words: LastWords::default(),
        now: NOW,
    };
    assert_costs_the_same(|conn, bob| {
        let mut memory = Memory::default();
        let mut desk = Desk {
            conn,
            memory: &mut memory,
        };
        let cancelled = cancel::cancel(&mut desk, bob, &all).unwrap();
        assert_eq!(cancelled.ended.len() + cancelled.deleted.len(), 1);
    });
}

#[test]
fn claims_walk_over_the_backlog_of_an_owner_with_their_share_once() {
    let cost = |anns| {
        let (_directory, mut conn) = database(anns);
        conn.execute_batch(&format!(
            "INSERT INTO run_request SELECT id, '{{}}', '{KWARGS}' FROM run; \
             UPDATE run SET status = 1, ready = 0 WHERE created_at = 1"
        ))
        .unwrap();
        let mut memory = Memory::new(runs::population(&conn).unwrap());
        let mut claim = |conn: &Connection| {
            let mut desk = Desk {
                conn,
                memory: &mut memory,
            };
            claims::claim(&mut desk, NOW, 10, Some(SHARE)).unwrap()
        };
        while claim(&conn).unfinished {}
        operations(&mut conn, |conn| assert!(claim(conn).runs.is_empty()))
    };
    let costs = [20, 2_500].map(cost);
    assert!(costs[1] < costs[0] + 100, "{costs:?}");
}
