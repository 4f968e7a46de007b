//! The items that are nearest to a vector: an exact search over all that lie under a prefix and pass the filter.
//!
//! Vectors are of unit length, so that the cosine of two is their product. Behind the items with a score come those
//! without, in the order of namespace and key, so that nobody misses what is not embedded, or not yet.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};
use selvedge_model::Scope;
use selvedge_model::item::FoundItem;

use super::codec::json;
use super::items::{COLUMNS, from_row};
use super::namespaces::{behind, encode};
use super::weight::Weight;
use crate::StorageError;
use crate::types::{ItemQuery, Page};

/// Numbers that are multiplied side by side; a few of the machine's registers.
const LANES: usize = 16;

/// An item that the query admits.
#[derive(Clone, Copy)]
struct Admitted {
    id: i64,
    /// Among all of them, in the order of namespace and key.
    position: usize,
}

/// An item with its score. The greater is to come first.
struct Ranked {
    score: Option<f32>,
    item: Admitted,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let scores = match (self.score, other.score) {
            (Some(score), Some(others)) => score.total_cmp(&others),
            (score, others) => score.is_some().cmp(&others.is_some()),
        };
        scores.then_with(|| other.item.position.cmp(&self.item.position))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Ranked {}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

/// The best of what was seen, so many at most.
struct Best {
    most: usize,
    ranked: BinaryHeap<Reverse<Ranked>>,
}

impl Best {
    fn of(most: usize) -> Self {
        let ranked = BinaryHeap::new();
        Self { most, ranked }
    }

    fn see(&mut self, item: Admitted, score: Option<f32>) {
        self.ranked.push(Reverse(Ranked { score, item }));
        if self.ranked.len() > self.most {
            self.ranked.pop();
        }
    }

    fn in_order(self) -> impl Iterator<Item = Ranked> {
        let sorted = self.ranked.into_sorted_vec().into_iter();
        sorted.map(|Reverse(ranked)| ranked)
    }
}

/// See [`Reads::search_items`](crate::Reads::search_items).
pub(super) fn search(
    conn: &Connection,
    scope: &Scope,
    query: &ItemQuery,
    near: &[f32],
) -> Result<Page<FoundItem>, StorageError> {
    let mut admitted = admitted(conn, scope, query)?;
    // The order of the vectors in the file: each page of it is read once, and behind the one before.
    admitted.sort_unstable_by_key(|item| item.id);
    let (offset, limit) = (query.offset as usize, query.limit as usize);
    // One more, to know whether there are more.
    let mut best = Best::of(offset.saturating_add(limit).saturating_add(1));
    let mut vectors = conn.prepare_cached(
        "SELECT vectors FROM item_vector WHERE item = ?1 \
         AND NOT EXISTS (SELECT 1 FROM item_pending WHERE item = ?1)",
    )?;
    for item in admitted {
        let score = vectors.query_row([item.id], |row| Ok(score(near, row.get_ref(0)?.as_blob()?)));
        best.see(item, score.optional()?.flatten());
    }
    let mut ranked = best.in_order().skip(offset);
    let mut found = Page {
        rows: Vec::new(),
        more: false,
    };
    let mut weight = Weight::default();
    let mut whole =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM store_item WHERE id = ?1"))?;
    for ranked in ranked.by_ref().take(limit) {
        let item = whole.query_row([ranked.item.id], |row| Ok(from_row(row)))??;
        weight.add(item.value.len())?;
        found.rows.push(FoundItem {
            item,
            score: ranked.score.map(f64::from),
        });
    }
    found.more = ranked.next().is_some();
    Ok(found)
}

/// All items under the prefix that pass the filter, in order. Where nothing is asked of values the index alone is read,
/// and not the rows.
fn admitted(
    conn: &Connection,
    scope: &Scope,
    query: &ItemQuery,
) -> Result<Vec<Admitted>, StorageError> {
    let over: HashSet<i64> = conn
        .prepare_cached(
            "SELECT id FROM store_item INDEXED BY store_item_expiry WHERE expires_at <= ?1",
        )?
        .query_map([query.now.as_micros()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let prefix = encode(scope, &query.prefix);
    let columns = match query.filter.is_empty() {
        true => "id",
        false => "id, value",
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {columns} FROM store_item WHERE namespace >= ?1 AND namespace < ?2 ORDER BY namespace, key"
    ))?;
    let mut rows = statement.query(params![prefix, behind(&prefix)])?;
    let mut admitted = Vec::new();
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        if !over.contains(&id) && (query.filter.is_empty() || query.filter.matches(&json(row, 1)?))
        {
            let position = admitted.len();
            admitted.push(Admitted { id, position });
        }
    }
    Ok(admitted)
}

/// The greatest cosine; `None` where there is no vector, or vectors of another length.
fn score(near: &[f32], vectors: &[u8]) -> Option<f32> {
    let length = size_of_val(near);
    if length == 0 || !vectors.len().is_multiple_of(length) {
        return None;
    }
    let scores = vectors.chunks_exact(length).map(|vector| dot(near, vector));
    scores.max_by(f32::total_cmp)
}

/// The product of two vectors, the second as it is stored.
fn dot(left: &[f32], right: &[u8]) -> f32 {
    const BYTES: usize = size_of::<f32>();
    let (blocks, rest) = left.as_chunks::<LANES>();
    let (stored, stored_rest) = right.split_at(blocks.len() * LANES * BYTES);
    let mut sums = [0.0; LANES];
    for (numbers, bytes) in blocks.iter().zip(stored.as_chunks::<{ LANES * BYTES }>().0) {
        let bytes = bytes.as_chunks::<BYTES>().0;
        for ((sum, number), bytes) in sums.iter_mut().zip(numbers).zip(bytes) {
            *sum += number * f32::from_le_bytes(*bytes);
        }
    }
    let rest = rest.iter().zip(stored_rest.as_chunks::<BYTES>().0);
    let rest = rest.map(|(number, bytes)| number * f32::from_le_bytes(*bytes));
    sums.into_iter().sum::<f32>() + rest.sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(vectors: &[Vec<f32>]) -> Vec<u8> {
        let numbers = vectors.iter().flatten();
        numbers.flat_map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn products_are_the_same_for_every_length() {
        for length in [1, 2, 15, 16, 17, 31, 32, 100] {
            let left: Vec<f32> = (0..length).map(|n| (n % 7) as f32).collect();
            let right: Vec<f32> = (0..length).map(|n| (n % 5) as f32 - 2.0).collect();
            let expected: f32 = left.iter().zip(&right).map(|(a, b)| a * b).sum();
            assert_eq!(dot(&left, &stored(&[right])), expected, "{length}");
        }
    }

    #[test]
    fn an_item_is_as_near_as_its_nearest_vector_and_vectors_of_another_length_are_none() {
        let near = [1.0, 0.0];
        let two = stored(&[vec![0.0, 1.0], vec![0.6, 0.8]]);
        assert_eq!(score(&near, &two), Some(0.6));
        assert_eq!(score(&near, &[]), None);
        assert_eq!(score(&near, &two[..12]), None);
        assert_eq!(score(&[], &two), None);
    }

    #[test]
    fn the_best_come_first_equal_ones_in_their_order_and_those_without_a_score_behind() {
        let seen = [None, Some(0.5), Some(0.9), None, Some(0.5), Some(-1.0)];
        let order = |most| {
            let mut best = Best::of(most);
            // Not in the order of positions.
            for (position, score) in seen.into_iter().enumerate().rev() {
                let id = position as i64;
                best.see(Admitted { id, position }, score);
            }
            let order = best.in_order().map(|ranked| ranked.item.id);
            order.collect::<Vec<_>>()
        };
        assert_eq!(order(10), [2, 1, 4, 5, 0, 3]);
        assert_eq!(order(2), [2, 1]);
        assert_eq!(order(5), [2, 1, 4, 5, 0]);
    }
}
