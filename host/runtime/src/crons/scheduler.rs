//! The task that sleeps until a cron is due. It polls nothing: storage knows what is due next, and whoever creates or
//! changes a cron that is due before says so.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::Timestamp;

use super::fire::Passed;
use crate::Runtime;

/// The longest sleep, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How long to leave storage alone after it failed, and the queue while it is full.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until a shutdown begins.
pub(crate) async fn schedule(runtime: Runtime) {
    let shared = Arc::clone(&runtime.0);
    let crons = &shared.crons;
    loop {
        crons.alarm.looking();
        let passed = runtime.fire_due_crons().await;
        let now = crons.clock.now();
        let (look, may_be_earlier) = match passed {
            Ok(Passed::Whole { next_due }) => (earlier(next_due, now.after(LONGEST_SLEEP)), true),
            // Another cron would have to wait as well.
            Ok(Passed::Crowded) => {
                tracing::warn!("too many runs are pending: crons wait");
                (now.after(PAUSE), false)
            }
            Ok(Passed::Stopping) => return,
            Err(error) => {
                tracing::warn!(%error, "crons that are due cannot fire; trying again");
                (now.after(PAUSE), false)
            }
        };
        crons.alarm.planned(look);
        tokio::select! {
            () = tokio::time::sleep(now.until(look)) => {}
            () = crons.alarm.rings(), if may_be_earlier => {}
            () = shared.draining() => return,
        }
    }
}

fn earlier(due: Option<Timestamp>, other: Timestamp) -> Timestamp {
    due.map_or(other, |due| due.min(other))
}
