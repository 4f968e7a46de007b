//! `Last-Event-ID`: where a reader who comes back left off.

use http::HeaderMap;
use selvedge_model::event::EventId;

use crate::error::{ApiError, ApiResult};

/// The event after which to go on; `None` for a reader who wants what comes from now on.
///
/// `-` and `-1` are LangGraph's and its clients' words for the beginning; `5-*` stands before all events of its
/// millisecond.
pub(super) fn of(headers: &HeaderMap) -> ApiResult<Option<EventId>> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    let id = match (text, text.split_once('-')) {
        ("-" | "-1", _) => Some(EventId::BEFORE_ALL),
        // Without a counter: a millisecond as a whole, of which nothing was seen.
        (ms, None) | (_, Some((ms, "*"))) => ms.parse().ok().map(|id| EventId { n: -1, ..id }),
        (_, Some(_)) => text.parse().ok(),
    };
    id.map(Some)
        .ok_or_else(|| ApiError::invalid("Invalid last-event-id: must be a valid Redis stream ID"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Option<EventId>> {
        let headers = [(
            http::HeaderName::from_static("last-event-id"),
            http::HeaderValue::from_str(text).expect("a header"),
        )];
        of(&HeaderMap::from_iter(headers)).ok()
    }

    #[test]
    fn every_spelling_of_an_id_is_read_and_others_are_refused() {
        assert_eq!(of(&HeaderMap::new()).ok(), Some(None));
        let id = |ms, n| Some(Some(EventId { ms, n }));
        for beginning in ["-", "-1"] {
            assert_eq!(read(beginning), id(-1, -1));
        }
        assert_eq!(read("0"), id(0, -1));
        assert_eq!(read("7-*"), id(7, -1));
        assert_eq!(read("7-3"), id(7, 3));
        for bad in [
            "",
            "x",
            "1-2-3",
            "1-",
            "-2",
            "7-3-*",
            "99999999999999999999-0",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
