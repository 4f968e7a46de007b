//! Promises about checkpoints.

use std::collections::BTreeMap;

use selvedge_model::checkpoint::{Change, ChannelValue, CheckpointWrite, PendingWrite, Source};
use selvedge_model::json::MAX_DEPTH;
use selvedge_model::{Json, Scope, TaskId};
use selvedge_storage::{PendingCommit, StepCommit, StorageError, Values};
use uuid::Uuid;

use crate::given::{append, checkpoint_id, json, list, running, step, whole, write};
use crate::home::Home;

pub async fn a_checkpoint_is_read_back_as_it_was_written(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let first = CheckpointWrite {
        step: -1,
        source: Source::Input,
        metadata: json(r#"{"run_attempt":1}"#),
        versions_seen: BTreeMap::from([
            ("node".to_owned(), BTreeMap::from([("a".to_owned(), 1)])),
            ("idle".to_owned(), BTreeMap::new()),
        ]),
        ..write(
            1,
            None,
            [
                ("a", whole(r#"{"x":[1]}"#)),
                ("set", Change::Set(list(&["1", "2"]))),
                ("empty", append(&[])),
                ("cleared", whole("1")),
            ],
        )
    };
    let second = write(
        2,
        Some(1),
        [("cleared", Change::Clear), ("set", append(&["3"]))],
    );
    storage
        .commit_step(lease, step([first.clone(), second]))
        .await
        .unwrap();

    let saved = storage
        .checkpoint(&Scope::Host, lease.thread_id, "", Some(first.id))
        .await
        .unwrap()
        .unwrap();
    let checkpoint = saved.checkpoint;
    assert_eq!((checkpoint.id, checkpoint.parent), (first.id, None));
    assert_eq!((checkpoint.step, checkpoint.source), (-1, Source::Input));
    assert_eq!(
        (checkpoint.created_at, checkpoint.metadata),
        (first.created_at, first.metadata)
    );
    assert_eq!(
        (checkpoint.versions, checkpoint.versions_seen),
        (first.versions, first.versions_seen)
    );
    assert_eq!(checkpoint.updated_channels, first.updated_channels);
    let values = BTreeMap::from([
        ("a".to_owned(), ChannelValue::Whole(json(r#"{"x":[1]}"#))),
        ("set".to_owned(), list(&["1", "2"])),
        ("empty".to_owned(), list(&[])),
        ("cleared".to_owned(), ChannelValue::Whole(json("1"))),
    ]);
    assert_eq!(checkpoint.values, values);

    let newest = storage
        .checkpoint(&Scope::Host, lease.thread_id, "", None)
        .await
        .unwrap()
        .unwrap()
        .checkpoint;
    assert_eq!(
        (newest.id, newest.parent),
        (checkpoint_id(2), Some(first.id))
    );
    assert_eq!(newest.values["set"], list(&["1", "2", "3"]));
    assert!(!newest.values.contains_key("cleared"));
}

pub async fn the_newest_checkpoint_of_a_namespace_is_the_one_without_a_name(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let sub = |n, parent| CheckpointWrite {
        namespace: "node:1".to_owned(),
        ..write(n, parent, [("inner", append(&["1"]))])
    };
    let checkpoints = [
        write(1, None, [("outer", whole("1"))]),
        sub(2, None),
        sub(3, Some(2)),
    ];
    storage.commit_step(lease, step(checkpoints)).await.unwrap();
    let newest = async |namespace| {
        let saved = storage
            .checkpoint(&Scope::Host, lease.thread_id, namespace, None)
            .await
            .unwrap();
        saved.map(|saved| saved.checkpoint)
    };
    assert_eq!(newest("").await.unwrap().id, checkpoint_id(1));
    let inner = newest("node:1").await.unwrap();
    assert_eq!(
        (inner.id, &inner.values["inner"]),
        (checkpoint_id(3), &list(&["1", "1"]))
    );
    assert!(newest("node:2").await.is_none());
    let wrong = storage
        .checkpoint(&Scope::Host, lease.thread_id, "", Some(checkpoint_id(3)))
        .await
        .unwrap();
    assert!(wrong.is_none());
}

pub async fn pending_writes_come_ordered_and_the_same_index_replaces(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let pending = |task: u128, index, value: &str| PendingWrite {
        task: TaskId(Uuid::from_u128(task)),
        index,
        channel: "a".to_owned(),
        value: json(value),
    };
    let commit = |writes| PendingCommit {
        checkpoint: checkpoint_id(1),
        namespace: String::new(),
        writes,
    };
    let together = StepCommit {
        checkpoints: vec![write(1, None, [("a", whole("1"))])],
        pending: vec![commit(vec![pending(2, 0, "1"), pending(1, 1, "2")])],
        ..StepCommit::default()
    };
    storage.commit_step(lease, together).await.unwrap();
    let later = StepCommit {
        pending: vec![commit(vec![pending(1, -1, "3"), pending(1, 1, "4")])],
        ..StepCommit::default()
    };
    storage.commit_step(lease, later).await.unwrap();
    let saved = storage
        .checkpoint(&Scope::Host, lease.thread_id, "", None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        saved.pending,
        [pending(1, -1, "3"), pending(1, 1, "4"), pending(2, 0, "1")]
    );
}

pub async fn a_fork_grows_its_own_list(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let grow = |n, parent, item: &str| write(n, parent, [("log", append(&[item]))]);
    let trunk = [
        grow(1, None, "1"),
        grow(2, Some(1), "2"),
        grow(3, Some(2), "3"),
    ];
    storage.commit_step(lease, step(trunk)).await.unwrap();
    let fork = [
        grow(4, Some(1), "4"),
        grow(5, Some(4), "5"),
        grow(6, Some(3), "6"),
    ];
    storage.commit_step(lease, step(fork)).await.unwrap();
    for (n, expected) in [
        (1, list(&["1"])),
        (3, list(&["1", "2", "3"])),
        (5, list(&["1", "4", "5"])),
        (6, list(&["1", "2", "3", "6"])),
    ] {
        let saved = storage
            .checkpoint(&Scope::Host, lease.thread_id, "", Some(checkpoint_id(n)))
            .await
            .unwrap();
        assert_eq!(
            saved.unwrap().checkpoint.values["log"],
            expected,
            "checkpoint {n}"
        );
    }
}

pub async fn values_joined_beyond_the_depth_of_requests_are_read_back(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let deepest = json(&format!(
        "{}{}",
        "[".repeat(MAX_DEPTH),
        "]".repeat(MAX_DEPTH)
    ));
    let deeper = Json::array([&deepest]);
    let first = write(
        1,
        None,
        [
            ("items", Change::Append(vec![deepest.clone()])),
            ("whole", Change::Set(ChannelValue::Whole(deeper.clone()))),
        ],
    );
    storage.commit_step(lease, step([first])).await.unwrap();
    let saved = storage
        .checkpoint(&Scope::Host, lease.thread_id, "", None)
        .await
        .unwrap()
        .unwrap();
    let ChannelValue::List(items) = &saved.checkpoint.values["items"] else {
        panic!("a list");
    };
    assert_eq!(items[0].as_str(), deepest.as_str());
    let thread = storage
        .thread(&Scope::Host, lease.thread_id, Values::Include)
        .await
        .unwrap()
        .unwrap();
    assert!(thread.values.unwrap().as_str().contains(deeper.as_str()));
}

pub async fn a_step_on_an_unknown_parent_is_refused(home: &dyn Home) {
    let storage = home.open();
    let lease = running(&storage).await;
    let orphan = write(2, Some(1), [("a", whole("1"))]);
    assert!(matches!(
        storage.commit_step(lease, step([orphan])).await,
        Err(StorageError::Failed(_))
    ));
    assert!(
        storage
            .checkpoint(&Scope::Host, lease.thread_id, "", None)
            .await
            .unwrap()
            .is_none()
    );
}
