//! Promises about the items of the store.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::item::{IndexedParts, Item};
use selvedge_model::{Scope, Timestamp};
use selvedge_storage::{
    ItemFilter, ItemQuery, LabelPattern, NamespaceQuery, PutItem, Storage, StorageError, Truncate,
};

use crate::given::{at, json};
use crate::home::Home;

fn labels(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

fn patterns(path: &str) -> Vec<LabelPattern> {
    labels(path).into_iter().map(LabelPattern::from).collect()
}

fn item(path: &str, key: &str, value: &str) -> PutItem {
    PutItem {
        namespace: labels(path),
        key: key.to_owned(),
        value: json(value),
        ttl: None,
        parts: IndexedParts::AsConfigured,
        now: at(0),
    }
}

async fn get(storage: &Arc<dyn Storage>, path: &str, key: &str, now: Timestamp) -> Option<Item> {
    let found = storage.item(&Scope::Host, labels(path), key.to_owned(), now);
    found.await.unwrap()
}

async fn found(storage: &Arc<dyn Storage>, query: ItemQuery) -> (Vec<String>, bool) {
    let page = storage.search_items(&Scope::Host, query).await.unwrap();
    let names = page
        .rows
        .iter()
        .map(|found| format!("{}:{}", found.item.namespace.join("/"), found.item.key));
    (names.collect(), page.more)
}

fn query(path: &[&str], filter: &str) -> ItemQuery {
    ItemQuery {
        prefix: path.iter().map(|label| (*label).to_owned()).collect(),
        filter: ItemFilter::parse(&json(filter)).unwrap(),
        near: None,
        limit: 10,
        offset: 0,
        now: at(0),
    }
}

pub async fn an_item_is_kept_where_it_is_put(home: &dyn Home) {
    let storage = home.open();
    storage
        .put_item(&Scope::Host, item("u/1", "k", r#"{"a":1}"#))
        .await
        .unwrap();
    let first = get(&storage, "u/1", "k", at(0)).await.unwrap();
    assert_eq!(
        (first.namespace, first.key.as_str(), first.value),
        (labels("u/1"), "k", json(r#"{"a":1}"#))
    );
    assert!(get(&storage, "u", "k", at(0)).await.is_none());
    assert!(get(&storage, "u/1", "other", at(0)).await.is_none());

    let again = PutItem {
        now: at(5),
        ..item("u/1", "k", r#"{"a":2}"#)
    };
    storage.put_item(&Scope::Host, again).await.unwrap();
    let second = get(&storage, "u/1", "k", at(5)).await.unwrap();
    assert_eq!(
        (second.created_at, second.updated_at, second.value),
        (at(0), at(5), json(r#"{"a":2}"#))
    );
    let delete = async || {
        storage
            .delete_item(&Scope::Host, labels("u/1"), "k".to_owned())
            .await
    };
    assert!(delete().await.unwrap());
    assert!(!delete().await.unwrap());
    assert!(get(&storage, "u/1", "k", at(5)).await.is_none());
}

pub async fn items_are_found_under_a_namespace(home: &dyn Home) {
    let storage = home.open();
    for (path, key, value) in [
        ("u/10", "a", r#"{"n":1}"#),
        ("u/1", "b", r#"{"n":2,"o":{"deep":"x"}}"#),
        ("u/1/notes", "c", r#"{"n":3}"#),
        ("u/1", "a", r#"{"n":4}"#),
        ("v", "a", r#"{"n":5}"#),
    ] {
        storage
            .put_item(&Scope::Host, item(path, key, value))
            .await
            .unwrap();
    }
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    for (path, filter, expected) in [
        (
            &[][..],
            "{}",
            &["u/1:a", "u/1:b", "u/1/notes:c", "u/10:a", "v:a"][..],
        ),
        (&["u", "1"], "{}", &["u/1:a", "u/1:b", "u/1/notes:c"]),
        (
            &["u"],
            r#"{"n":{"$gt":1,"$lte":3}}"#,
            &["u/1:b", "u/1/notes:c"],
        ),
        (&["u"], r#"{"o":{"deep":"x"}}"#, &["u/1:b"]),
        (&["x"], "{}", &[]),
    ] {
        let found = found(&storage, query(path, filter)).await;
        assert_eq!(found, (names(expected), false), "{path:?} {filter}");
    }
    let page = ItemQuery {
        limit: 2,
        offset: 1,
        ..query(&[], "{}")
    };
    assert_eq!(
        found(&storage, page).await,
        (names(&["u/1:b", "u/1/notes:c"]), true)
    );
    let what = Truncate {
        store: true,
        ..Truncate::default()
    };
    storage.truncate(what, at(1)).await.unwrap();
    assert!(found(&storage, query(&[], "{}")).await.0.is_empty());
}

pub async fn a_page_of_items_is_bounded_in_bytes(home: &dyn Home) {
    let storage = home.open();
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(12 << 20));
    for key in ["a", "b", "c"] {
        storage
            .put_item(&Scope::Host, item("u", key, &large))
            .await
            .unwrap();
    }
    let refused = storage
        .search_items(&Scope::Host, query(&["u"], "{}"))
        .await;
    assert!(
        matches!(refused, Err(StorageError::TooLarge { fit: 2, .. })),
        "{:?}",
        refused.map(|page| page.rows.len())
    );
    let two = ItemQuery {
        limit: 2,
        ..query(&["u"], "{}")
    };
    assert_eq!(
        storage
            .search_items(&Scope::Host, two)
            .await
            .unwrap()
            .rows
            .len(),
        2
    );
}

pub async fn namespaces_are_listed_each_once(home: &dyn Home) {
    let storage = home.open();
    for path in ["u/1/notes", "u/1/mail", "u/2/notes", "u/10", "v"] {
        for key in ["a", "b"] {
            storage
                .put_item(&Scope::Host, item(path, key, "{}"))
                .await
                .unwrap();
        }
    }
    let all = NamespaceQuery {
        prefix: Vec::new(),
        suffix: Vec::new(),
        max_depth: None,
        limit: 100,
        offset: 0,
        now: at(0),
    };
    let listed = async |query: NamespaceQuery| {
        let namespaces = storage.list_namespaces(&Scope::Host, query).await.unwrap();
        let paths: Vec<String> = namespaces.iter().map(|labels| labels.join("/")).collect();
        paths.join(" ")
    };
    let with = |change: &dyn Fn(&mut NamespaceQuery)| {
        let mut query = all.clone();
        change(&mut query);
        query
    };
    assert_eq!(
        listed(all.clone()).await,
        "u/1/mail u/1/notes u/10 u/2/notes v"
    );
    for (prefix, expected) in [
        ("u/1", "u/1/mail u/1/notes"),
        ("u/*/notes", "u/1/notes u/2/notes"),
        ("*/1", "u/1/mail u/1/notes"),
        ("u/1/notes/x", ""),
    ] {
        assert_eq!(
            listed(with(&|q| q.prefix = patterns(prefix))).await,
            expected
        );
    }
    for (suffix, expected) in [
        ("notes", "u/1/notes u/2/notes"),
        ("1/*", "u/1/mail u/1/notes"),
        ("a/b/c/d", ""),
    ] {
        assert_eq!(
            listed(with(&|q| q.suffix = patterns(suffix))).await,
            expected
        );
    }
    let deep = with(&|q| q.max_depth = Some(2));
    assert_eq!(listed(deep.clone()).await, "u/1 u/10 u/2 v");
    let page = NamespaceQuery {
        offset: 1,
        limit: 2,
        ..deep
    };
    assert_eq!(listed(page).await, "u/10 u/2");
}

pub async fn an_item_goes_when_its_time_has_come_unless_it_is_read(home: &dyn Home) {
    let storage = home.open();
    let mortal = |key: &str| PutItem {
        ttl: Some(Duration::from_secs(10)),
        ..item("u", key, "{}")
    };
    for key in ["a", "b", "c"] {
        storage.put_item(&Scope::Host, mortal(key)).await.unwrap();
    }
    storage
        .put_item(&Scope::Host, item("u", "stays", "{}"))
        .await
        .unwrap();
    let read = get(&storage, "u", "a", at(9)).await.unwrap();
    assert_eq!(read.ttl, Some(Duration::from_secs(10)));
    let names = ["a", "stays"].map(|key| (labels("u"), key.to_owned()));
    storage
        .refresh_items(&Scope::Host, names.to_vec(), at(9))
        .await
        .unwrap();

    // What has expired is not there, swept or not.
    assert!(get(&storage, "u", "b", at(10)).await.is_none());
    let late = ItemQuery {
        now: at(10),
        ..query(&["u"], "{}")
    };
    assert_eq!(found(&storage, late).await.0, ["u:a", "u:stays"]);
    assert_eq!(storage.sweep_items(at(10), 1).await.unwrap(), 1);
    assert_eq!(storage.sweep_items(at(10), 9).await.unwrap(), 1);
    assert_eq!(storage.sweep_items(at(10), 9).await.unwrap(), 0);
    assert!(get(&storage, "u", "a", at(18)).await.is_some());
    assert!(get(&storage, "u", "a", at(19)).await.is_none());

    // A new item in the place of an expired one is new.
    let again = PutItem {
        now: at(20),
        ..mortal("a")
    };
    storage.put_item(&Scope::Host, again).await.unwrap();
    let again = get(&storage, "u", "a", at(20)).await.unwrap();
    assert_eq!(again.created_at, at(20));
    let last = NamespaceQuery {
        prefix: Vec::new(),
        suffix: Vec::new(),
        max_depth: None,
        limit: 1,
        offset: 0,
        now: at(99),
    };
    assert_eq!(
        storage.list_namespaces(&Scope::Host, last).await.unwrap(),
        [labels("u")]
    );
}
