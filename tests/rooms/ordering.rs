//! The events of a thread come in the order of their ids, and none is missing, also while ends are being stored.

use selvedge_model::cancel::{CancelAction, CancelRequest};
use selvedge_model::event::{EventId, EventKind};
use selvedge_model::run::RunStatus;
use selvedge_model::{RunId, Scope, ThreadId};
use selvedge_runtime::hub::{Next, Subscription};
use selvedge_storage::WhichRuns;
use serde_json::Value;
use tokio::time::timeout;

use crate::house::{House, PATIENCE};
use crate::watched::Then;

/// The ends that a thread tells of, with the ids of their events, until there are so many.
async fn ends(reader: &mut Subscription, count: usize) -> Vec<(EventId, Value)> {
    let mut ends = Vec::new();
    while ends.len() < count {
        match timeout(PATIENCE, reader.next()).await.expect("an event") {
            Next::Event(Some(id), event) if event.kind == EventKind::Lifecycle => {
                let said = event.data.to_value();
                if said["event"] != "running" {
                    ends.push((id, said["run_id"].clone()));
                }
            }
            Next::Event(..) => {}
            other => panic!("{other:?}"),
        }
    }
    ends
}

fn ids(runs: [RunId; 2]) -> Vec<Value> {
    runs.iter().map(|run| run.to_string().into()).collect()
}

#[tokio::test]
async fn an_end_that_is_being_stored_comes_before_one_that_has_overtaken_it() {
    let mut house = House::open(1).await;
    let thread = ThreadId::new();
    let began = house.create_kept_run(thread).await;
    let (end, verdict) = house.end_of_run().await;
    assert_eq!(end.status, RunStatus::Success);
    let mut before = house.watch(thread).await;
    let waiting = house.create_kept_run(thread).await;
    let wish = CancelRequest {
        action: CancelAction::Interrupt,
        message: "the test says so".to_owned(),
    };
    let which = WhichRuns::Named {
        thread: Some(thread),
        ids: vec![waiting],
    };
    let cancelled = house.runtime.cancel(&Scope::Host, which, wish).await;
    cancelled.expect("a cancelled run");
    // Who comes now finds the one stored that came later.
    let mut between = house.watch(thread).await;
    let _ = verdict.send(Then::Stored);
    for reader in [&mut before, &mut between] {
        let ends = ends(reader, 2).await;
        assert!(ends[0].0 < ends[1].0, "{ends:?}");
        let runs: Vec<Value> = ends.into_iter().map(|(_, run)| run).collect();
        assert_eq!(runs, ids([began, waiting]));
    }
    let mut after = house.watch(thread).await;
    assert_eq!(ends(&mut after, 2).await.len(), 2);
    house.close().await;
}
