//! Promises about the vectors of the store's items.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::item::IndexedParts;
use selvedge_model::{Identity, Scope};
use selvedge_storage::{
    IndexTicket, IndexedItem, ItemFilter, ItemQuery, PendingItem, PutItem, Storage,
};

use crate::given::{at, json};
use crate::home::Home;

fn item(key: &str, value: &str) -> PutItem {
    PutItem {
        namespace: vec!["a".to_owned()],
        key: key.to_owned(),
        value: json(value),
        ttl: None,
        parts: IndexedParts::AsConfigured,
        now: at(0),
    }
}

async fn put(storage: &Arc<dyn Storage>, item: PutItem) -> Option<IndexTicket> {
    storage.put_item(&Scope::Host, item).await.unwrap()
}

async fn pending(storage: &Arc<dyn Storage>) -> Vec<PendingItem> {
    let found = storage.pending_items(IndexTicket::default(), 100);
    found.await.unwrap()
}

async fn waiting(storage: &Arc<dyn Storage>) -> u64 {
    storage.count_pending_items().await.unwrap().waiting
}

async fn keep(storage: &Arc<dyn Storage>, ticket: IndexTicket, vectors: &[[f32; 2]]) {
    let vectors = vectors.iter().map(|vector| vector.to_vec()).collect();
    let items = vec![IndexedItem {
        ticket,
        vectors: Some(vectors),
    }];
    storage.index_items(items).await.unwrap();
}

/// Near to the first axis.
fn query() -> ItemQuery {
    ItemQuery {
        prefix: vec!["a".to_owned()],
        filter: ItemFilter::default(),
        near: Some(vec![1.0, 0.0]),
        limit: 10,
        offset: 0,
        now: at(0),
    }
}

type Found = Vec<(String, Option<f64>)>;

async fn found(storage: &Arc<dyn Storage>, scope: &Scope, query: ItemQuery) -> (Found, bool) {
    let page = storage.search_items(scope, query).await.unwrap();
    let rows = page.rows.into_iter();
    let rows = rows.map(|found| (found.item.key, found.score)).collect();
    (rows, page.more)
}

fn scored(expected: &[(&str, Option<f64>)]) -> Found {
    let expected = expected.iter();
    expected
        .map(|(key, score)| ((*key).to_owned(), *score))
        .collect()
}

pub async fn the_nearest_items_come_first_and_those_without_vectors_last(home: &dyn Home) {
    let storage = home.open();
    assert_eq!(storage.open_index("one".to_owned()).await.unwrap(), 0);
    let vectors: [(&str, &[[f32; 2]]); 4] = [
        ("far", &[[-1.0, 0.0]]),
        ("half", &[[0.0, 1.0], [0.5, 0.5]]),
        ("near", &[[0.75, 0.25]]),
        ("none", &[]),
    ];
    for (key, vectors) in vectors {
        let ticket = put(&storage, item(key, r#"{"a":1}"#)).await.unwrap();
        keep(&storage, ticket, vectors).await;
    }
    put(&storage, item("later", r#"{"a":2}"#)).await.unwrap();
    let mortal = PutItem {
        ttl: Some(Duration::from_secs(5)),
        ..item("mortal", "{}")
    };
    let ticket = put(&storage, mortal).await.unwrap();
    keep(&storage, ticket, &[[0.25, 0.0]]).await;

    let host = &Scope::Host;
    let all = scored(&[
        ("near", Some(0.75)),
        ("half", Some(0.5)),
        ("mortal", Some(0.25)),
        ("far", Some(-1.0)),
        ("later", None),
        ("none", None),
    ]);
    assert_eq!(found(&storage, host, query()).await, (all.clone(), false));
    for offset in 0..all.len() {
        let page = ItemQuery {
            limit: 2,
            offset: u32::try_from(offset).unwrap(),
            ..query()
        };
        let expected: Found = all.iter().skip(offset).take(2).cloned().collect();
        let more = offset + 2 < all.len();
        assert_eq!(found(&storage, host, page).await, (expected, more));
    }
    let some = ItemQuery {
        filter: ItemFilter::parse(&json(r#"{"a":{"$gte":1}}"#)).unwrap(),
        now: at(6),
        ..query()
    };
    let expected = scored(&[
        ("near", Some(0.75)),
        ("half", Some(0.5)),
        ("far", Some(-1.0)),
        ("later", None),
        ("none", None),
    ]);
    assert_eq!(found(&storage, host, some).await, (expected, false));
    let elsewhere = ItemQuery {
        prefix: vec!["b".to_owned()],
        ..query()
    };
    assert_eq!(found(&storage, host, elsewhere).await, (vec![], false));
    let ann = Scope::Of(Identity::new("ann").unwrap());
    assert_eq!(found(&storage, &ann, query()).await, (vec![], false));
}

pub async fn vectors_belong_to_the_value_that_they_were_made_of(home: &dyn Home) {
    let storage = home.open();
    storage.open_index("one".to_owned()).await.unwrap();
    let first = put(&storage, item("k", r#"{"a":1}"#)).await.unwrap();
    keep(&storage, first, &[[1.0, 0.0]]).await;
    let host = &Scope::Host;
    let near = scored(&[("k", Some(1.0))]);
    let unscored = scored(&[("k", None)]);
    assert_eq!(found(&storage, host, query()).await.0, near);

    let second = put(&storage, item("k", r#"{"a":2}"#)).await.unwrap();
    let third = put(&storage, item("k", r#"{"a":3}"#)).await.unwrap();
    assert!(first < second && second < third);
    assert_eq!(found(&storage, host, query()).await.0, unscored);
    keep(&storage, second, &[[1.0, 0.0]]).await;
    assert_eq!(found(&storage, host, query()).await.0, unscored);
    let all = pending(&storage).await;
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].ticket, &all[0].value), (third, &json(r#"{"a":3}"#)));
    keep(&storage, third, &[[1.0, 0.0]]).await;
    assert_eq!(found(&storage, host, query()).await.0, near);

    let unindexed = PutItem {
        parts: IndexedParts::Nothing,
        ..item("k", "{}")
    };
    assert_eq!(put(&storage, unindexed).await, None);
    assert_eq!(found(&storage, host, query()).await.0, unscored);

    let fourth = put(&storage, item("k", "{}")).await.unwrap();
    let deleted = storage.delete_item(host, vec!["a".to_owned()], "k".to_owned());
    assert!(deleted.await.unwrap());
    assert_eq!(waiting(&storage).await, 0);
    keep(&storage, fourth, &[[1.0, 0.0]]).await;
    assert_eq!(found(&storage, host, query()).await.0, scored(&[]));
}

pub async fn another_index_wants_all_vectors_anew(home: &dyn Home) {
    let storage = home.open();
    assert_eq!(put(&storage, item("before", "{}")).await, None);
    let paths = IndexedParts::Paths(vec!["a.b".to_owned()]);
    let own = PutItem {
        parts: paths.clone(),
        ..item("own", "{}")
    };
    assert_eq!(put(&storage, own).await, None);
    let unindexed = PutItem {
        parts: IndexedParts::Nothing,
        ..item("unindexed", "{}")
    };
    assert_eq!(put(&storage, unindexed).await, None);
    assert_eq!(storage.open_index("one".to_owned()).await.unwrap(), 2);
    let all = pending(&storage).await;
    let parts: Vec<&IndexedParts> = all.iter().map(|item| &item.parts).collect();
    assert_eq!(parts, [&IndexedParts::AsConfigured, &paths]);
    for item in all {
        keep(&storage, item.ticket, &[[1.0, 0.0]]).await;
    }
    storage.close().await;
    drop(storage);

    let storage = home.open();
    assert_eq!(storage.open_index("one".to_owned()).await.unwrap(), 0);
    assert_eq!(waiting(&storage).await, 0);
    let host = &Scope::Host;
    let near = scored(&[
        ("before", Some(1.0)),
        ("own", Some(1.0)),
        ("unindexed", None),
    ]);
    assert_eq!(found(&storage, host, query()).await.0, near);
    assert_eq!(storage.open_index("two".to_owned()).await.unwrap(), 2);
    assert_eq!(waiting(&storage).await, 2);
    let none = scored(&[("before", None), ("own", None), ("unindexed", None)]);
    assert_eq!(found(&storage, host, query()).await.0, none);
    let after = pending(&storage).await[0].ticket;
    assert_eq!(storage.pending_items(after, 100).await.unwrap().len(), 1);
}

pub async fn what_cannot_be_embedded_is_tried_again_once_the_index_is_opened_anew(home: &dyn Home) {
    let storage = home.open();
    storage.open_index("one".to_owned()).await.unwrap();
    let ticket = put(&storage, item("k", "{}")).await.unwrap();
    let refused = IndexedItem {
        ticket,
        vectors: None,
    };
    storage.index_items(vec![refused]).await.unwrap();
    let count = storage.count_pending_items().await.unwrap();
    assert_eq!((count.waiting, count.refused), (0, 1));
    assert!(pending(&storage).await.is_empty());
    let host = &Scope::Host;
    assert_eq!(
        found(&storage, host, query()).await.0,
        scored(&[("k", None)])
    );
    assert_eq!(storage.open_index("one".to_owned()).await.unwrap(), 1);
    assert_eq!(pending(&storage).await.len(), 1);
    keep(&storage, ticket, &[[1.0, 0.0]]).await;
    assert_eq!(
        found(&storage, host, query()).await.0,
        scored(&[("k", Some(1.0))])
    );
}
