//! What a webhook's receiver answers, a status and behind it `Retry-After`: the delivery ends, or is tried again in time.
#![no_main]

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use libfuzzer_sys::fuzz_target;
use selvedge_model::Timestamp;
use selvedge_model::delivery::Verdict;
use selvedge_webhook::options::Schedule;
use selvedge_webhook::verdict::{MAX_RETRY_AFTER, Outcome, retry_after, verdict};

/// In seconds: the first moment that is known, one between, and one that no clock will show.
const MOMENTS: [i64; 3] = [0, 1_795_000_000, 200_000_000_000];

fuzz_target!(|bytes: &[u8]| {
    let Some((status, value)) = bytes.split_at_checked(3) else {
        return;
    };
    let Ok(status) = StatusCode::from_bytes(status) else {
        return;
    };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(header::RETRY_AFTER, value);
    }
    let schedule = Schedule::default();
    for seconds in MOMENTS {
        let now = Timestamp::from_micros(seconds * 1_000_000);
        let wish = retry_after(&headers, now);
        assert!(wish.is_none_or(|wish| wish <= MAX_RETRY_AFTER));
        let outcome = Outcome::Answered {
            status,
            retry_after: wish,
        };
        for attempts in 1..=u32::try_from(schedule.secs.len()).expect("few attempts") {
            match verdict(outcome, attempts, &schedule, now, 0.5) {
                Verdict::RetryAt(at) => {
                    let planned = schedule.delay_after(attempts, 0.5);
                    let planned = planned.expect("an attempt that is left");
                    assert!(at >= now.after(planned.max(wish.unwrap_or(Duration::ZERO))));
                    assert!(at <= now.after(planned.max(MAX_RETRY_AFTER)));
                    assert!(!status.is_success() && status != StatusCode::GONE);
                }
                Verdict::End(_) => {}
            }
        }
    }
});
