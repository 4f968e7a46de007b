//! Crons by a clock that the test turns.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use selvedge_model::cron::{CatchUp, Cron};
use selvedge_model::thread::Thread;
use selvedge_model::time::Clock;
use selvedge_model::{CronId, Json, Scope, Timestamp};
use selvedge_runtime::{CronPatch, NewCron, Options};
use selvedge_storage::{Reads, ThreadFilter, ThreadQuery, ThreadSort, Values};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};

use crate::eventually;
use crate::house::{House, PATIENCE, cron, probe};
use crate::waking::Frozen;
use crate::watched::{Observer, Step};

/// Shows what it is set to.
struct Hands(AtomicI64);

impl Hands {
    fn at(time: &str) -> Arc<Self> {
        let hands = Arc::new(Self(AtomicI64::new(0)));
        hands.turn(time);
        hands
    }

    fn turn(&self, time: &str) {
        self.0.store(point(time).as_micros(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

fn point(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

async fn house(clock: &Arc<Hands>, directory: &Path, observer: Observer) -> House {
    let (clock, options) = (clock.clone(), Options::default());
    let mut house = House::by(clock, directory, options, &probe(), observer).await;
    house.writes.close();
    house
}

async fn stored(house: &House, id: CronId) -> Cron {
    let cron = house.stored.cron(&Scope::Host, id).await.expect("a read");
    cron.expect("the cron")
}

/// The cron once its next date is another.
async fn passed(house: &House, before: &Cron) -> Cron {
    eventually("the due time passes", async || {
        let now = stored(house, before.cron_id).await;
        (now.next_run_date != before.next_run_date).then_some(now)
    })
    .await
}

/// Each run leaves one.
async fn threads(house: &House) -> Vec<Thread> {
    let query = ThreadQuery {
        filter: ThreadFilter::default(),
        sort_by: ThreadSort::CreatedAt,
        descending: false,
        limit: 1_000,
        offset: 0,
        values: Values::Skip,
    };
    let page = house.stored.search_threads(&Scope::Host, query).await;
    page.expect("a read").rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn due_times_that_were_missed_make_one_run_or_each_one_or_none() {
    for (catch_up, runs) in [(CatchUp::One, 1), (CatchUp::All, 5), (CatchUp::None, 0)] {
        let directory = TempDir::new().expect("a temporary directory");
        let clock = Hands::at("2026-11-22T10:30:00Z");
        let before = house(&clock, directory.path(), Arc::new(|_| {})).await;
        let hourly = NewCron {
            catch_up,
            ..cron("0 * * * *")
        };
        let created = before.create_cron(hourly).await;
        assert_eq!(created.next_run_date, Some(point("2026-11-22T11:00:00Z")));
        before.close().await;

        clock.turn("2026-11-22T15:30:00Z");
        let house = house(&clock, directory.path(), Arc::new(|_| {})).await;
        let after = eventually("the next date", async || {
            let now = stored(&house, created.cron_id).await;
            (now.next_run_date == Some(point("2026-11-22T16:00:00Z"))).then_some(now)
        })
        .await;
        assert_eq!(threads(&house).await.len(), runs, "{catch_up:?}");
        assert_eq!(after.last_error, None);
        house.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_very_many_missed_due_times_the_newest_thousand_make_runs_and_the_cron_says_so() {
    let directory = TempDir::new().expect("a temporary directory");
    let clock = Hands::at("2026-11-22T10:00:00Z");
    let before = house(&clock, directory.path(), Arc::new(|_| {})).await;
    let often = NewCron {
        catch_up: CatchUp::All,
        ..cron("* * * * * */2")
    };
    let created = before.create_cron(often).await;
    before.close().await;

    clock.turn("2026-11-22T11:00:01Z");
    let house = house(&clock, directory.path(), Arc::new(|_| {})).await;
    let after = eventually("the next date", async || {
        let now = stored(&house, created.cron_id).await;
        (now.next_run_date == Some(point("2026-11-22T11:00:02Z"))).then_some(now)
    })
    .await;
    let threads = threads(&house).await;
    assert_eq!(threads.len(), 1_000);
    let error = after.last_error.expect("an error");
    assert_eq!(error.error, "Missed");
    // 1,800 times were missed.
    let left_out = "from 2026-11-22T10:00:02.000000+00:00 to 2026-11-22T10:26:40.000000+00:00";
    assert!(error.message.contains(left_out), "{}", error.message);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cron_keeps_to_the_wall_when_clocks_are_changed() {
    let directory = TempDir::new().expect("a temporary directory");
    let clock = Hands::at("2026-03-28T07:00:00Z");
    let first = house(&clock, directory.path(), Arc::new(|_| {})).await;
    let in_berlin = NewCron {
        timezone: Some("Europe/Berlin".to_owned()),
        ..cron("0 9 * * *")
    };
    let mut seen = first.create_cron(in_berlin).await;
    first.close().await;
    let wall = [
        "2026-03-28T08:00:00Z",
        "2026-03-29T07:00:00Z",
        "2026-03-30T07:00:00Z",
    ];
    for (earlier, due) in wall.into_iter().enumerate() {
        assert_eq!(seen.next_run_date, Some(point(due)));
        clock.turn(due);
        let house = house(&clock, directory.path(), Arc::new(|_| {})).await;
        seen = passed(&house, &seen).await;
        assert_eq!(threads(&house).await.len(), earlier + 1);
        house.close().await;
    }
}

#[tokio::test]
async fn the_scheduler_sleeps_until_a_cron_is_due_before_it_would_look_again() {
    let directory = TempDir::new().expect("a temporary directory");
    let clock = Hands::at("2026-11-22T10:00:00Z");
    let (observer, mut steps) = steps();
    let house = house(&clock, directory.path(), observer).await;
    looked(&mut steps).await;
    let frozen = Frozen::now();
    let yearly = house.create_cron(cron("0 0 1 1 *")).await;
    let every_second = CronPatch {
        schedule: Some("* * * * * *".to_owned()),
        body: Json::from(json!({"schedule": "* * * * * *"})),
        ..CronPatch::default()
    };
    let changed = house
        .runtime
        .patch_cron(&Scope::Host, yearly.cron_id, &every_second, 1 << 20);
    let changed = changed.await.expect("a change");
    assert_eq!(changed.next_run_date, Some(point("2026-11-22T10:00:01Z")));
    looked(&mut steps).await;
    // The cron that is due in a year woke nobody.
    assert!(steps.try_recv().is_err());
    drop(frozen);
}

#[tokio::test]
async fn the_scheduler_looks_at_the_very_millisecond_at_which_a_cron_is_due() {
    let directory = TempDir::new().expect("a temporary directory");
    let clock = Hands::at("2026-11-22T10:00:00.250Z");
    let (observer, mut steps) = steps();
    let house = house(&clock, directory.path(), observer).await;
    looked(&mut steps).await;
    let frozen = Frozen::now();
    let begun = Instant::now();
    house.create_cron(cron("* * * * * 10")).await;
    looked(&mut steps).await;
    let wait = Duration::from_millis(9_750);
    let looked_at = loop {
        if let Ok((step, at)) = steps.try_recv() {
            assert_eq!(step, Step::Looking);
            break at;
        }
        assert!(begun.elapsed() < 2 * wait, "it sleeps too long");
        tokio::time::advance(Duration::from_millis(1)).await;
    };
    let late = looked_at - begun;
    assert!(late >= wait, "{late:?}");
    // As exact as tokio's timers are.
    assert!(late <= wait + Duration::from_millis(2), "{late:?}");
    drop(frozen);
}

/// Each step of a look, and when it was.
fn steps() -> (Observer, UnboundedReceiver<(Step, Instant)>) {
    let (step, steps) = unbounded_channel();
    let observer: Observer = Arc::new(move |now| {
        if matches!(now, Step::Looking | Step::Looked) {
            let _ = step.send((now, Instant::now()));
        }
    });
    (observer, steps)
}

/// Waits until the scheduler has found nothing. It looks twice: for what is in time, and for what was missed.
async fn looked(steps: &mut UnboundedReceiver<(Step, Instant)>) {
    for expected in [Step::Looking, Step::Looked].repeat(2) {
        let step = timeout(PATIENCE, steps.recv()).await;
        let (step, _) = step.expect("nobody woke it").expect("a step");
        assert_eq!(step, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cron_whose_run_storage_fails_at_says_so_and_the_others_fire() {
    let directory = TempDir::new().expect("a temporary directory");
    let clock = Hands::at("2026-11-22T10:30:00Z");
    let before = house(&clock, directory.path(), Arc::new(|_| {})).await;
    let mut crons = Vec::new();
    for _ in 0..3 {
        crons.push(before.create_cron(cron("0 * * * *")).await);
    }
    before.close().await;

    clock.turn("2026-11-22T10:59:59.900Z");
    let house = house(&clock, directory.path(), Arc::new(|_| {})).await;
    *house.unstorable.lock().expect("a lock") = Some(crons[1].cron_id);
    clock.turn("2026-11-22T11:00:00Z");
    for (position, cron) in crons.iter().enumerate() {
        let after = passed(&house, cron).await;
        assert_eq!(after.next_run_date, Some(point("2026-11-22T12:00:00Z")));
        let error = after.last_error.map(|error| error.error);
        let expected = (position == 1).then_some("StorageFailed");
        assert_eq!(error.as_deref(), expected);
    }
    assert_eq!(threads(&house).await.len(), 2);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crons_that_catch_up_leave_half_of_the_queue_and_hide_no_cron_that_is_in_time() {
    const MOST_PENDING: u64 = 20;
    let directory = TempDir::new().expect("a temporary directory");
    let clock = Hands::at("2026-11-22T10:00:00Z");
    let before = house(&clock, directory.path(), Arc::new(|_| {})).await;
    for _ in 0..12 {
        let often = NewCron {
            catch_up: CatchUp::All,
            ..cron("* * * * * *")
        };
        before.create_cron(often).await;
    }
    before.close().await;

    // No run ends before this test lets it.
    clock.turn("2026-11-22T12:00:00.500Z");
    let options = Options {
        max_running_runs: 1,
        max_pending_runs: MOST_PENDING,
        ..Options::default()
    };
    let observer: Observer = Arc::new(|_| {});
    let mut house = House::by(clock.clone(), directory.path(), options, &probe(), observer).await;
    let pending = async || house.stored.count_pending_runs().await.expect("a read");
    eventually("half of the queue", async || {
        (pending().await >= MOST_PENDING / 2).then_some(())
    })
    .await;
    let in_time = NewCron {
        catch_up: CatchUp::None,
        ..cron("1 12 * * *")
    };
    let in_time = house.create_cron(in_time).await;
    clock.turn("2026-11-22T12:01:00Z");
    let after = passed(&house, &in_time).await;
    assert_eq!(after.last_error, None);
    assert_eq!(pending().await, MOST_PENDING / 2 + 1);
    house.writes.close();
    while house.writes.try_recv().is_ok() {}
    house.close().await;
}
