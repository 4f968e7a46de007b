//! Crons by a clock that the test turns.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use selvedge_model::cron::{CatchUp, Cron};
use selvedge_model::thread::Thread;
use selvedge_model::time::Clock;
use selvedge_model::{CronId, Json, Timestamp};
use selvedge_runtime::{CronPatch, NewCron, Options};
use selvedge_storage::{Reads, ThreadFilter, ThreadQuery, ThreadSort, Values};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

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
    let cron = house.stored.cron(id).await.expect("a read");
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
    let page = house.stored.search_threads(query).await;
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
    let (look, mut looks) = unbounded_channel();
    let count: Observer = Arc::new(move |step| {
        if step == Step::Looking {
            let _ = look.send(());
        }
    });
    let house = house(&clock, directory.path(), count).await;
    let looked = looks.recv().await;
    looked.expect("the first look");
    let frozen = Frozen::now();
    let yearly = house.create_cron(cron("0 0 1 1 *")).await;
    let every_second = CronPatch {
        schedule: Some("* * * * * *".to_owned()),
        body: Json::from(json!({"schedule": "* * * * * *"})),
        ..CronPatch::default()
    };
    let changed = house.runtime.patch_cron(yearly.cron_id, &every_second);
    let changed = changed.await.expect("a change");
    assert_eq!(changed.next_run_date, Some(point("2026-11-22T10:00:01Z")));
    let looked = timeout(PATIENCE, looks.recv()).await;
    looked.expect("nobody woke it").expect("a look");
    // The cron that is due in a year woke nobody.
    assert!(looks.try_recv().is_err());
    drop(frozen);
}
