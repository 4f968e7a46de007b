//! The same times as croniter, as `croniter/record.py` recorded them; and what is right where croniter is wrong.

use std::io::Read as _;

use flate2::read::GzDecoder;
use selvedge_model::Timestamp;
use selvedge_schedule::{Refusal, Schedule, Zone};

const FIXTURE: &[u8] = include_bytes!("croniter/fixture.txt.gz");

/// Schedules and zones in which croniter forgets that a time comes twice, in the order of the fixture. It looks for an
/// earlier time under another offset only where the offset has changed between where it stands and the next time that
/// it found: a yearly `30 2 25 10 *` forgets the second 02:30, a daily one does not. And it takes the first time behind
/// where it stands, put back by that change, which may be too early to come again: then it forgets what does.
const FORGOTTEN: &str = include_str!("croniter/forgotten.txt");

/// croniter finds nothing that is further away.
const CRONITER_YEARS: i64 = 50;

const YEAR_SECONDS: i64 = 31_556_952;

/// What croniter said of one schedule in one zone.
struct List<'a> {
    schedule: &'a str,
    zone: &'a Zone,
    /// When it was asked, in seconds since 1970.
    asked: i64,
    times: Vec<i64>,
    /// It found no more.
    ended: bool,
}

fn fixture() -> String {
    let mut text = String::new();
    let read = GzDecoder::new(FIXTURE).read_to_string(&mut text);
    read.expect("gzip");
    text
}

fn zones(fixture: &str) -> Vec<Zone> {
    let names = fixture
        .lines()
        .filter_map(|line| line.strip_prefix("zone "));
    names.map(|name| name.parse().expect("a zone")).collect()
}

/// Every list of the fixture.
fn each_list(fixture: &str, zones: &[Zone], mut look: impl FnMut(&List<'_>)) {
    let mut schedule = "";
    let mut lists = 0;
    for line in fixture.lines() {
        if let Some(text) = line.strip_prefix("schedule ") {
            (schedule, lists) = (text, 0);
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            look(&list(schedule, &zones[lists], line));
            lists += 1;
        }
    }
}

fn list<'a>(schedule: &'a str, zone: &'a Zone, line: &str) -> List<'a> {
    let (line, ended) = match line.strip_suffix(" end") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let number = |text: &str| text.parse::<i64>().expect("a number");
    let mut words = line.split(' ');
    let asked = number(words.next().expect("when it was asked"));
    let mut times = Vec::new();
    for word in words {
        let (count, step) = word.split_once('x').unwrap_or(("1", word));
        for _ in 0..number(count) {
            times.push(times.last().unwrap_or(&asked) + number(step));
        }
    }
    List {
        schedule,
        zone,
        asked,
        times,
        ended,
    }
}

fn next(schedule: &Schedule, after: i64, zone: &Zone) -> Option<i64> {
    let next = schedule.next_after(Timestamp::from_micros(after * 1_000_000), zone)?;
    Some(next.as_micros() / 1_000_000)
}

/// Whether clocks showed the same time before, up to three hours ago.
fn comes_again(zone: &Zone, at: i64) -> bool {
    let offset = |at: i64| i64::from(zone.offset_seconds(Timestamp::from_micros(at * 1_000_000)));
    let back = offset(at - 3 * 3600) - offset(at);
    back > 0 && offset(at - back) == offset(at) + back
}

#[test]
fn the_next_times_are_those_of_croniter() {
    let fixture = fixture();
    let zones = zones(&fixture);
    let mut lists = 0;
    let mut forgotten_in = Vec::new();
    each_list(&fixture, &zones, |list| {
        let (text, zone) = (list.schedule, list.zone);
        lists += 1;
        let schedule = match text.parse::<Schedule>() {
            Ok(schedule) => schedule,
            Err(refusal) => {
                assert_eq!(refusal, Refusal::NeverFires, "{text}");
                assert!(list.times.is_empty() && list.ended, "{text}");
                return;
            }
        };
        let mut after = list.asked;
        let mut forgotten = false;
        for time in &list.times {
            let mut ours = next(&schedule, after, zone);
            while let Some(again) = ours.filter(|ours| ours < time && comes_again(zone, *ours)) {
                forgotten = true;
                ours = next(&schedule, again, zone);
            }
            assert_eq!(ours, Some(*time), "{text} in {zone} after {after}");
            after = *time;
        }
        if list.ended
            && let Some(ours) = next(&schedule, after, zone)
        {
            let far = ours - after > CRONITER_YEARS * YEAR_SECONDS;
            assert!(far || decides_alone(text), "{text} in {zone} at {ours}");
        }
        if forgotten {
            forgotten_in.push(format!("{text} in {zone}"));
        }
    });
    assert_eq!(lists, 2400 * 12);
    assert_eq!(forgotten_in, FORGOTTEN.lines().collect::<Vec<_>>());
}

/// `#`, `L5` and `W` decide alone beside a plain list in the other day field. croniter looks all the same for a day
/// that satisfies both, and where there is none it finds nothing at all.
fn decides_alone(schedule: &str) -> bool {
    let fields: Vec<&str> = schedule.split(' ').collect();
    let (day, weekday) = (fields[2].to_lowercase(), fields[4].to_lowercase());
    let special = day.contains('w') || weekday.contains(['#', 'l']);
    special && day != "*" && weekday != "*"
}

#[test]
fn what_croniter_refuses_is_refused() {
    let fixture = fixture();
    let bad = fixture.lines().filter_map(|line| line.strip_prefix("bad "));
    let taken: Vec<&str> = bad
        .filter(|text| text.parse::<Schedule>().is_ok())
        .collect();
    assert_eq!(taken, [""; 0]);
}

#[test]
fn a_time_that_comes_twice_fires_twice_also_where_croniter_forgets_it() {
    for (schedule, zone, after, right) in [
        // The times of the next year have the same offset: croniter sees no change of clocks on the way.
        (
            "30 2 25 10 *",
            "Europe/Berlin",
            "2020-10-25T00:30:00Z",
            "2020-10-25T01:30:00Z",
        ),
        (
            "30 1 1 11 *",
            "America/New_York",
            "2015-11-01T05:30:00Z",
            "2015-11-01T06:30:00Z",
        ),
        (
            "30 2 * 10 L0",
            "Europe/Berlin",
            "2013-10-27T00:30:00Z",
            "2013-10-27T01:30:00Z",
        ),
        // Half an hour comes again, and 01:28 is before it: croniter stops looking there and goes on at 02:00.
        (
            "*/7 1-3 * * *",
            "Australia/Lord_Howe",
            "2025-04-05T14:56:00Z",
            "2025-04-05T15:05:00Z",
        ),
        // An hour comes again from 02:45 on, and 02:00 is before it.
        (
            "*/10 2 * * *",
            "Pacific/Chatham",
            "2018-03-31T13:05:00Z",
            "2018-03-31T14:05:00Z",
        ),
    ] {
        let [after, right] = [after, right].map(|at| at.parse::<Timestamp>().expect("a time"));
        let zone = zone.parse().expect("a zone");
        let next = schedule
            .parse::<Schedule>()
            .map(|schedule| schedule.next_after(after, &zone));
        assert_eq!(next, Ok(Some(right)), "{schedule} in {zone}");
    }
}
