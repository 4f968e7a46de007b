//! The nearest known name to one that is not known.

use super::keys::Status;
use super::table::KEYS;

/// Names less alike than this are no help.
const ALIKE: f64 = 0.82;

/// The most similar of some names, if any is similar enough.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .map(|candidate| {
            (
                strsim::jaro_winkler(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Where else a key of that very name exists, for one that was put into the wrong group.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    KEYS.iter()
        .filter(|key| key.status == Status::Works && !key.path.contains('*'))
        .map(|key| key.path)
        .find(|path| path.rsplit('.').next() == Some(name))
}
