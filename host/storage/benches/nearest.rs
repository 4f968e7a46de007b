//! What a search by meaning costs: `cargo bench -p selvedge-storage --bench nearest`. Fills a data directory of about
//! 900 MB first; set `TMPDIR` to choose the disk.
//!
//! | benchmark | one iteration |
//! |---|---|
//! | `nearest/n` | the ten nearest of n items, one vector of 1,536 numbers each |
//! | `nearest_filtered/n` | the same with a filter, which half of the items pass |
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use selvedge_model::item::IndexedParts;
use selvedge_model::{Json, Scope, Timestamp};
use selvedge_storage::sqlite::{Options, Sqlite};
use selvedge_storage::{IndexedItem, ItemFilter, ItemQuery, PutItem, Storage};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const DIMS: usize = 1_536;
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Writes at once.
const PUT_AT_ONCE: usize = 200;
/// A paragraph.
const WORDS: usize = 60;

/// A direction that nobody chose.
fn vector(seed: usize) -> Vec<f32> {
    let mut state = seed as u64 + 1;
    let mut vector: Vec<f32> = (0..DIMS)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        })
        .collect();
    let length = vector.iter().map(|n| n * n).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|n| *n /= length);
    vector
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_000_000_000_000)
}

async fn put(storage: Arc<dyn Storage>, size: usize, number: usize) {
    // Items of one namespace are not written in the order of their keys.
    let key = format!("{:06}", number * 7_919 % size);
    let value = json!({"text": "lorem ".repeat(WORDS), "even": number.is_multiple_of(2)});
    let item = PutItem {
        namespace: vec![format!("n{size}")],
        key,
        value: Json::from(value),
        ttl: None,
        parts: IndexedParts::AsConfigured,
        now: now(),
    };
    let ticket = storage.put_item(&Scope::Host, item).await.unwrap();
    let indexed = IndexedItem {
        ticket: ticket.unwrap(),
        vectors: Some(vec![vector(number)]),
    };
    storage.index_items(vec![indexed]).await.unwrap();
}

fn nearest(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> =
        Sqlite::open(Options::new(directory.path().join("data"))).unwrap();
    runtime.block_on(async {
        storage.open_index("bench".to_owned()).await.unwrap();
        for size in SIZES {
            let mut puts = JoinSet::new();
            for number in 0..size {
                if puts.len() == PUT_AT_ONCE {
                    puts.join_next().await.unwrap().unwrap();
                }
                puts.spawn(put(storage.clone(), size, number));
            }
            puts.join_all().await;
        }
    });
    let half = Json::from(json!({"even": true}));
    let filters = [
        ("nearest", ItemFilter::default()),
        ("nearest_filtered", ItemFilter::parse(&half).unwrap()),
    ];
    for (name, filter) in filters {
        let mut group = c.benchmark_group(name);
        group.sample_size(10);
        for size in SIZES {
            let query = ItemQuery {
                prefix: vec![format!("n{size}")],
                filter: filter.clone(),
                near: Some(vector(usize::MAX >> 1)),
                limit: 10,
                offset: 0,
                now: now(),
            };
            group.bench_function(BenchmarkId::from_parameter(size), |b| {
                b.iter(|| {
                    let found = storage.search_items(&Scope::Host, query.clone());
                    assert_eq!(runtime.block_on(found).unwrap().rows.len(), 10);
                });
            });
        }
    }
}

criterion_group!(benches, nearest);
criterion_main!(benches);
