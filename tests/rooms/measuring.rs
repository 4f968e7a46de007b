//! What an operator's metrics say of what waits in storage, also while storage does not answer.

use std::time::Duration;

use selvedge_model::ThreadId;
use selvedge_model::run::RunStatus;
use selvedge_storage::Storage;
use tokio::net::TcpListener;

use crate::house::{House, ended};
use crate::waking::Frozen;

/// So old may be what is said of storage.
const SECOND: Duration = Duration::from_secs(1);

async fn waiting_deliveries(house: &House) -> Option<u64> {
    let measures = house.runtime.measures().await;
    measures.waiting.map(|waiting| waiting.deliveries)
}

#[tokio::test]
async fn storage_is_asked_once_a_second_and_what_it_does_not_say_is_unknown() {
    let mut house = House::open(1).await;
    house.writes.close();
    // It accepts nothing, so the delivery stays.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("an address"));
    let _frozen = Frozen::now();
    assert_eq!(waiting_deliveries(&house).await, Some(0));
    let mut run = house.create_run(ThreadId::new(), Some(&url)).await;
    assert_eq!(ended(&mut run.stream).await.status, RunStatus::Success);
    assert_eq!(waiting_deliveries(&house).await, Some(0));
    tokio::time::advance(SECOND).await;
    assert_eq!(waiting_deliveries(&house).await, Some(1));

    house.stored.close().await;
    tokio::time::advance(SECOND).await;
    let measures = house.runtime.measures().await;
    assert!(measures.waiting.is_none());
    assert_eq!(measures.ended[0], (RunStatus::Success, 1));
}
