//! Crons: they fire at their times, and each run is one like any other.

use serde_json::json;

use crate::support::{Receiver, Setup};

#[tokio::test]
async fn a_cron_makes_a_run_at_each_of_its_times() {
    let (server, receiver) = (
        Setup::probes(&["two"]).start().await,
        Receiver::start().await,
    );
    let body = json!({
        "assistant_id": "two", "schedule": "* * * * * *", "input": {"foo": "in"},
        "webhook": receiver.url("/"), "metadata": {"m": 1},
    });
    let cron = server.post_json("/runs/crons", &body).await;
    for received in receiver.wait_for(2).await {
        let run = received.json();
        assert_eq!(run["status"], "success");
        assert_eq!(run["metadata"]["m"], 1);
        assert_eq!(
            run["kwargs"]["config"]["configurable"]["cron_id"],
            cron["cron_id"]
        );
    }
}
