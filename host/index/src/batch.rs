//! The vectors of some items. What the endpoint refuses for all of them is asked again for halves, down to the item that
//! it is about: one text that nobody can embed keeps the others from nothing.

use selvedge_model::item::IndexedParts;
use selvedge_storage::{IndexTicket, IndexedItem, PendingItem};

use crate::endpoint::{EmbedError, Endpoint};
use crate::path::Path;
use crate::text::texts;

/// Texts of one request.
const TEXTS_AT_ONCE: usize = 64;
/// What they weigh together; a single one may weigh more.
const TEXT_BYTES_AT_ONCE: usize = 256 << 10;

/// An item and its texts.
pub(crate) struct Job {
    ticket: IndexTicket,
    texts: Vec<String>,
}

impl Job {
    /// A path of the item's own that cannot be read leads nowhere, as in LangGraph.
    pub(crate) fn new(item: &PendingItem, fields: &[Path]) -> Self {
        let texts = match &item.parts {
            IndexedParts::AsConfigured => texts(&item.value, fields),
            IndexedParts::Nothing => Vec::new(),
            IndexedParts::Paths(paths) => {
                let paths: Vec<Path> = paths.iter().filter_map(|path| path.parse().ok()).collect();
                texts(&item.value, &paths)
            }
        };
        let ticket = item.ticket;
        Self { ticket, texts }
    }
}

/// What becomes of each job. Fails as a whole when the endpoint does.
pub(crate) async fn embed(endpoint: &Endpoint, jobs: &[Job]) -> Result<Vec<IndexedItem>, String> {
    let mut indexed = Vec::with_capacity(jobs.len());
    let mut waiting = vec![jobs];
    while let Some(jobs) = waiting.pop() {
        match (embed_all(endpoint, jobs).await, jobs) {
            (Ok(items), _) => indexed.extend(items),
            (Err(EmbedError::Unavailable(message)), _) => return Err(message),
            (Err(EmbedError::Refused(message)), [job]) => {
                tracing::warn!(
                    ticket = job.ticket.0,
                    message,
                    "an item of the store cannot be embedded"
                );
                indexed.push(IndexedItem {
                    ticket: job.ticket,
                    vectors: None,
                });
            }
            (Err(EmbedError::Refused(_)), jobs) => {
                let (front, back) = jobs.split_at(jobs.len() / 2);
                waiting.extend([back, front]);
            }
        }
    }
    Ok(indexed)
}

async fn embed_all(endpoint: &Endpoint, jobs: &[Job]) -> Result<Vec<IndexedItem>, EmbedError> {
    let texts: Vec<String> = jobs
        .iter()
        .flat_map(|job| job.texts.iter().cloned())
        .collect();
    let mut vectors = Vec::with_capacity(texts.len());
    let mut rest = texts.as_slice();
    while !rest.is_empty() {
        let (request, behind) = rest.split_at(fitting(rest));
        vectors.extend(endpoint.embed(request).await?);
        rest = behind;
    }
    let mut vectors = vectors.into_iter();
    let items = jobs.iter().map(|job| IndexedItem {
        ticket: job.ticket,
        vectors: Some(vectors.by_ref().take(job.texts.len()).collect()),
    });
    Ok(items.collect())
}

/// How many of these texts one request takes; at least one.
fn fitting(texts: &[String]) -> usize {
    let mut bytes = 0;
    let fits = |text: &&String| {
        bytes += text.len();
        bytes <= TEXT_BYTES_AT_ONCE
    };
    let count = texts.iter().take(TEXTS_AT_ONCE).take_while(fits).count();
    count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_bounded_in_texts_and_bytes_and_never_empty() {
        let of = |count: usize, bytes: usize| vec!["x".repeat(bytes); count];
        assert_eq!(fitting(&of(3, 10)), 3);
        assert_eq!(fitting(&of(1_000, 10)), TEXTS_AT_ONCE);
        assert_eq!(fitting(&of(10, TEXT_BYTES_AT_ONCE / 4)), 4);
        assert_eq!(fitting(&of(2, TEXT_BYTES_AT_ONCE + 1)), 1);
    }
}
