//! Promises about finding threads.

use std::sync::Arc;

use selvedge_model::run::RunStatus;
use selvedge_model::thread::ThreadStatus;
use selvedge_model::{Scope, ThreadId};
use selvedge_storage::{
    NewThread, RunEnd, Storage, StorageError, ThreadFilter, ThreadQuery, ThreadSort, Values,
};
use uuid::Uuid;

use crate::given::{
    at, claimed, end, finish, json, new_run, queued, step, unclaimed, whole, write,
};
use crate::home::Home;

fn id(n: u128) -> ThreadId {
    ThreadId(Uuid::from_u128(n))
}

fn query(filter: ThreadFilter) -> ThreadQuery {
    ThreadQuery {
        filter,
        sort_by: ThreadSort::CreatedAt,
        descending: false,
        limit: 10,
        offset: 0,
        values: Values::Skip,
    }
}

async fn found(storage: &Arc<dyn Storage>, query: ThreadQuery) -> Vec<u128> {
    let page = storage.search_threads(&Scope::Host, query).await.unwrap();
    page.rows
        .iter()
        .map(|thread| thread.thread_id.0.as_u128())
        .collect()
}

/// 3 idle with values, 1 busy, 4 with an error, 2 never run.
async fn four_threads(storage: &Arc<dyn Storage>) {
    for (n, seconds, metadata) in [
        (3, 0, r#"{"team":"x","n":1}"#),
        (1, 1, r#"{"team":"y"}"#),
        (4, 2, r#"{"team":"x"}"#),
        (2, 3, "{}"),
    ] {
        let new = NewThread {
            thread_id: id(n),
            metadata: json(metadata),
            created_at: at(seconds),
            ttl: None,
        };
        storage
            .create_thread(&Scope::Host, new, None)
            .await
            .unwrap();
    }
    queued(storage, unclaimed(new_run(id(1), at(20)))).await;
    let lease = claimed(storage, new_run(id(3), at(10))).await.lease;
    let last = RunEnd {
        step: step([write(9, None, [("city", whole(r#"{"name":"Ulm"}"#))])]),
        ..end(11)
    };
    finish(storage, lease, last).await;
    let lease = claimed(storage, new_run(id(4), at(10))).await.lease;
    let failed = RunEnd {
        status: RunStatus::Error,
        thread_status: ThreadStatus::Error,
        ..end(15)
    };
    finish(storage, lease, failed).await;
}

pub async fn threads_are_found_by_what_they_are(home: &dyn Home) {
    let storage = home.open();
    four_threads(&storage).await;
    let metadata = |text: &str| ThreadFilter {
        metadata: Some(json(text)),
        ..ThreadFilter::default()
    };
    let values = |text: &str| ThreadFilter {
        values: Some(json(text)),
        ..ThreadFilter::default()
    };
    let status = |status| ThreadFilter {
        status: Some(status),
        ..ThreadFilter::default()
    };
    for (filter, expected) in [
        (ThreadFilter::default(), vec![3, 1, 4, 2]),
        (metadata(r#"{"team":"x"}"#), vec![3, 4]),
        (metadata(r#"{"team":"x","n":1}"#), vec![3]),
        (values(r#"{"city":{"name":"Ulm"}}"#), vec![3]),
        (values("{}"), vec![3]),
        (status(ThreadStatus::Busy), vec![1]),
        (status(ThreadStatus::Error), vec![4]),
        (status(ThreadStatus::Idle), vec![3, 2]),
        (
            ThreadFilter {
                ids: Some(vec![id(2), id(3), id(9), id(3)]),
                ..ThreadFilter::default()
            },
            vec![3, 2],
        ),
        (
            ThreadFilter {
                ids: Some(vec![id(3), id(1)]),
                ..status(ThreadStatus::Busy)
            },
            vec![1],
        ),
    ] {
        let text = format!("{filter:?}");
        let count = storage
            .count_threads(&Scope::Host, filter.clone())
            .await
            .unwrap();
        assert_eq!(count, expected.len() as u64, "{text}");
        assert_eq!(found(&storage, query(filter)).await, expected, "{text}");
    }
}

pub async fn threads_are_sorted_and_come_in_pages(home: &dyn Home) {
    let storage = home.open();
    four_threads(&storage).await;
    for (sort_by, expected) in [
        (ThreadSort::ThreadId, [1, 2, 3, 4]),
        (ThreadSort::CreatedAt, [3, 1, 4, 2]),
        (ThreadSort::UpdatedAt, [2, 3, 4, 1]),
        (ThreadSort::StateUpdatedAt, [1, 4, 2, 3]),
        (ThreadSort::Status, [1, 4, 3, 2]),
    ] {
        let sorted = |descending, offset| ThreadQuery {
            sort_by,
            descending,
            limit: 2,
            offset,
            ..query(ThreadFilter::default())
        };
        assert_eq!(found(&storage, sorted(false, 0)).await, expected[..2]);
        assert_eq!(found(&storage, sorted(false, 2)).await, expected[2..]);
        let page = storage
            .search_threads(&Scope::Host, sorted(false, 1))
            .await
            .unwrap();
        assert!(page.more, "{sort_by:?}");
        let page = storage
            .search_threads(&Scope::Host, sorted(false, 2))
            .await
            .unwrap();
        assert!(!page.more, "{sort_by:?}");
        let mut reversed = expected;
        reversed.reverse();
        assert_eq!(found(&storage, sorted(true, 0)).await, reversed[..2]);
        // Named ones are sorted the same way.
        let named = ThreadQuery {
            filter: ThreadFilter {
                ids: Some([2, 4, 1, 3].map(id).to_vec()),
                ..ThreadFilter::default()
            },
            limit: 4,
            ..sorted(true, 0)
        };
        assert_eq!(found(&storage, named).await, reversed, "{sort_by:?}");
    }
}

pub async fn threads_are_found_with_their_values_when_asked(home: &dyn Home) {
    let storage = home.open();
    four_threads(&storage).await;
    let with_values = ThreadQuery {
        values: Values::Include,
        ..query(ThreadFilter::default())
    };
    let page = storage
        .search_threads(&Scope::Host, with_values)
        .await
        .unwrap();
    let values = json(r#"{"city":{"name":"Ulm"}}"#);
    assert_eq!(page.rows[0].values, Some(values));
    assert_eq!(page.rows[1].values, None);
    let without = query(ThreadFilter::default());
    let page = storage.search_threads(&Scope::Host, without).await.unwrap();
    assert_eq!(page.rows[0].values, None);
}

pub async fn a_page_of_threads_is_bounded_in_bytes(home: &dyn Home) {
    let storage = home.open();
    let large = format!("\"{}\"", "x".repeat(12 << 20));
    for n in 1..=3 {
        let lease = claimed(&storage, new_run(id(n), at(0))).await.lease;
        let last = RunEnd {
            step: step([write(1, None, [("a", whole(&large))])]),
            ..end(1)
        };
        finish(&storage, lease, last).await;
    }
    let page = |values, limit| ThreadQuery {
        values,
        limit,
        ..query(ThreadFilter::default())
    };
    let refused = storage
        .search_threads(&Scope::Host, page(Values::Include, 3))
        .await;
    assert!(matches!(
        refused,
        Err(StorageError::TooLarge { fit: 2, .. })
    ));
    assert_eq!(found(&storage, page(Values::Include, 2)).await, [1, 2]);
    assert_eq!(found(&storage, page(Values::Skip, 3)).await, [1, 2, 3]);
}
