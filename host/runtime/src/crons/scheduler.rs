//! The task that sleeps until a cron is due. It polls nothing: storage knows what is due next, and whoever creates or
//! changes a cron that is due before says so.

use std::sync::Arc;
use std::time::Duration;

use selvedge_model::Timestamp;

use super::fire::Passed;
use super::plan::LATEST;
use crate::Runtime;

/// The longest sleep, so that a clock that was set is noticed. What comes up meanwhile is in time when it is.
const LONGEST_SLEEP: Duration = Duration::from_secs(LATEST.as_secs() / 2);
/// How long to leave storage alone after it failed, and the queue while it is full.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until a shutdown begins. Should it panic, it begins again: crons are not to end in silence.
pub(crate) async fn schedule(runtime: Runtime) {
    while let Err(panic) = tokio::spawn(watch(runtime.clone())).await {
        tracing::error!(%panic, "the scheduler of crons has stopped; it begins again");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn watch(runtime: Runtime) {
    let shared = Arc::clone(&runtime.0);
    let crons = &shared.crons;
    loop {
        crons.alarm.looking();
        let passed = runtime.fire_due_crons().await;
        let now = crons.clock.now();
        let (look, may_be_earlier) = match passed {
            Ok(Passed::Whole { next_due }) => (earlier(next_due, now.after(LONGEST_SLEEP)), true),
            Ok(Passed::Behind { next_due }) => (earlier(next_due, now.after(PAUSE)), true),
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
