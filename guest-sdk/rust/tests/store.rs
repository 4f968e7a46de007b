//! The store of native tests follows the server's rules.

use selvedge_sdk::prelude::*;
use selvedge_sdk::store::PutOptions;
use selvedge_sdk::testing::{Fake, MemoryStore};

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Fact {
    n: i64,
}

fn filled() -> MemoryStore {
    let store = MemoryStore::new();
    for n in 0..12 {
        store.put(["a", "numbers"], &format!("{n:02}"), json!({"n": n}));
    }
    store.put(["ab"], "x", json!({"n": 0}));
    store
}

#[test]
fn an_item_is_put_read_and_deleted() {
    let fake = Fake::new();
    let store = fake.ctx().store();
    store.put(["u", "1"], "k", &Fact { n: 1 }).unwrap();
    let item = store.get::<Fact>(["u", "1"], "k").unwrap().unwrap();
    assert_eq!(
        (item.namespace.join("."), item.key, item.value),
        ("u.1".to_owned(), "k".to_owned(), Fact { n: 1 })
    );
    let unreadable = store.get::<Vec<u8>>(["u", "1"], "k").unwrap_err();
    assert_eq!(unreadable.kind(), "InvalidItem");
    store.delete(["u", "1"], "k").unwrap();
    assert!(store.get::<Fact>(["u", "1"], "k").unwrap().is_none());
}

#[test]
fn a_search_filters_pages_and_stays_below_its_prefix() {
    let fake = Fake::new().store(&filled());
    let store = fake.ctx().store();
    let keys = |found: Vec<selvedge_sdk::store::Item<Fact>>| -> Vec<String> {
        found.into_iter().map(|item| item.key).collect()
    };
    assert_eq!(keys(store.search(["a"]).items().unwrap()).len(), 10);
    let paged = store.search(["a"]).offset(10).limit(20).items().unwrap();
    assert_eq!(keys(paged), ["10", "11"]);
    let between = store
        .search(["a"])
        .filter(json!({"n": {"$gte": 3, "$lt": 5}}));
    assert_eq!(keys(between.items().unwrap()), ["03", "04"]);
    let equal = store.search([""; 0]).filter(json!({"n": 0}));
    assert_eq!(keys(equal.items().unwrap()), ["00", "x"]);
}

#[test]
fn namespaces_are_listed_by_prefix_suffix_and_depth() {
    let fake = Fake::new().store(&filled());
    let list = |namespaces: selvedge_sdk::store::Namespaces<'_>| namespaces.list().unwrap();
    let all = || fake.ctx().store().namespaces();
    assert_eq!(list(all()), [vec!["a", "numbers"], vec!["ab"]]);
    assert_eq!(list(all().suffix(["numbers"])), [["a", "numbers"]]);
    assert_eq!(list(all().prefix(["*", "*"]).max_depth(1)), [["a"]]);
    assert_eq!(list(all().offset(1).limit(1)), [["ab"]]);
}

#[test]
fn what_cannot_be_an_item_is_refused() {
    let fake = Fake::new();
    let store = fake.ctx().store();
    let refused = |namespace: &[&str]| {
        let put = store.put(namespace.iter().copied(), "k", &Fact { n: 1 });
        put.unwrap_err().kind().to_owned()
    };
    for namespace in [&[][..], &["a.b"], &["a", ""], &["langgraph"]] {
        assert_eq!(refused(namespace), "InvalidNamespaceError");
    }
    let list = store.put(["a"], "k", &[1]).unwrap_err();
    assert_eq!(list.kind(), "ValueError");
}

#[test]
fn options_of_a_put_are_taken_and_a_search_by_meaning_finds_without_scores() {
    let fake = Fake::new();
    let store = fake.ctx().store();
    let lifetime = std::time::Duration::from_secs(60);
    for (key, options) in [
        ("plain", PutOptions::new()),
        ("short", PutOptions::new().lifetime(lifetime).unindexed()),
        ("own", PutOptions::new().index(["n", "a.b[*].c"])),
    ] {
        store
            .put_with(["u"], key, &Fact { n: 1 }, &options)
            .unwrap();
    }
    let found = store.search(["u"]).query("one").items::<Fact>().unwrap();
    let found = found.into_iter().map(|item| (item.key, item.score));
    let expected = ["own", "plain", "short"].map(|key| (key.to_owned(), None));
    assert_eq!(found.collect::<Vec<_>>(), expected);
}
