//! `selvedge cron next`: when a schedule fires, by the rules that the server's crons follow.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use selvedge_model::Timestamp;
use selvedge_schedule::Zone;

use crate::args::NextArgs;
use crate::print;

/// Exit code 0: there is a next time; 1: all that the schedule names have passed.
pub fn next(args: &NextArgs) -> Result<ExitCode> {
    let mut after = args.after.unwrap_or_else(Timestamp::now);
    for shown in 0..args.count {
        let Some(time) = args.schedule.next_after(after, &args.tz) else {
            print::note("it does not fire again: the years that it names have passed");
            return Ok(if shown == 0 {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            });
        };
        print::line(row(time, &args.tz)?);
        after = time;
    }
    Ok(ExitCode::SUCCESS)
}

/// What clocks there show, the weekday, and the same time in UTC.
fn row(time: Timestamp, zone: &Zone) -> Result<String> {
    let utc = DateTime::<Utc>::from_timestamp_micros(time.as_micros());
    let offset = FixedOffset::east_opt(zone.offset_seconds(time));
    let (utc, offset) = utc.zip(offset).context("a time that no calendar has")?;
    let local = utc.with_timezone(&offset);
    Ok(format!(
        "{}  {}  {}",
        local.to_rfc3339_opts(SecondsFormat::Secs, false),
        local.format("%a"),
        utc.to_rfc3339_opts(SecondsFormat::Secs, true),
    ))
}
