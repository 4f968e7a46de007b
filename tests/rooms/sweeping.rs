//! What nobody is shown any more is really gone after a while.

use std::time::Duration;

use selvedge_model::item::IndexedParts;
use selvedge_model::{Json, Scope, Timestamp};
use selvedge_runtime::Options;
use selvedge_runtime::items::{ItemTtl, NewItem};
use selvedge_storage::Reads;
use tokio::time::Instant;

use crate::house::{House, PATIENCE};

#[tokio::test]
async fn items_whose_time_is_over_are_deleted_without_anybody_asking_for_them() {
    let often = ItemTtl {
        sweep_interval: Duration::from_millis(10),
        ..ItemTtl::default()
    };
    let house = House::with(Options {
        item_ttl: often,
        ..Options::default()
    })
    .await;
    let put = async |key: &str, ttl| {
        let item = NewItem {
            namespace: vec!["a".into()],
            key: key.into(),
            value: Json::object::<&str>([]),
            ttl,
            parts: IndexedParts::AsConfigured,
        };
        let put = house.runtime.put_item(&Scope::Host, item);
        put.await.expect("a put");
    };
    // Storage is asked as of then, when the item's time had not come: so it is found as long as it is there.
    let then = Timestamp::now();
    let stored = async |key: &str| {
        let item = house
            .stored
            .item(&Scope::Host, vec!["a".into()], key.into(), then);
        item.await.expect("a read").is_some()
    };
    put("stays", None).await;
    put("goes", Some(Duration::from_millis(1))).await;
    let begun = Instant::now();
    while stored("goes").await {
        assert!(begun.elapsed() < PATIENCE, "the item is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(stored("stays").await);
}
