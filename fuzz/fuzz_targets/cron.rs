//! A cron's schedule: what is accepted has a next time after any instant, or never one again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use selvedge_model::Timestamp;
use selvedge_schedule::{Schedule, Zone};

fuzz_target!(|given: (&str, u8, i32)| {
    const ZONES: [&str; 4] = [
        "UTC",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "Pacific/Apia",
    ];
    let (text, zone, seconds) = given;
    let Ok(schedule) = text.parse::<Schedule>() else {
        return;
    };
    let zone: Zone = ZONES[usize::from(zone) % ZONES.len()]
        .parse()
        .expect("a zone");
    let after = Timestamp::from_micros(i64::from(seconds) * 1_000_000);
    if let Some(next) = schedule.next_after(after, &zone) {
        assert!(next > after, "{text} after {after}: {next}");
    }
});
