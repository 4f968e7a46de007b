//! Streams and their readers: order, bounds, the end, and what is left behind.

use std::sync::Arc;

use selvedge_model::cancel::CancelRequest;
use selvedge_model::event::{EventId, EventKind, StreamEvent};
use selvedge_model::{Identity, Json, RunId, ThreadId};
use selvedge_storage::GoneThread;

use super::threads::OwnedThread;
use super::{Ending, Hub, Next, RunStream};
use crate::Options;

fn event(n: u64) -> StreamEvent {
    StreamEvent {
        kind: EventKind::Metadata,
        namespace: String::new(),
        data: Json::from(serde_json::json!(n)),
    }
}

fn stream(max_events: usize) -> Arc<RunStream> {
    let options = Options {
        max_stream_events: max_events,
        ..Options::default()
    };
    Hub::default().open(RunId::new(), &options)
}

#[tokio::test]
async fn every_reader_sees_every_event_in_order_and_then_the_end() {
    let stream = stream(100);
    let mut readers = [stream.subscribe(), stream.subscribe()];
    for n in 0..10 {
        stream.push(event(n));
    }
    stream.end(Ending::Released);
    for reader in &mut readers {
        for n in 0..10 {
            match reader.next().await {
                Next::Event(_, event) => assert_eq!(event.data.as_str(), n.to_string()),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(reader.next().await, Next::Ended(Ending::Released)));
    }
}

#[tokio::test]
async fn a_reader_that_falls_too_far_behind_is_told_and_others_are_not_harmed() {
    let stream = stream(3);
    let mut slow = stream.subscribe();
    let mut quick = stream.subscribe();
    for n in 0..5 {
        stream.push(event(n));
        assert!(matches!(quick.next().await, Next::Event(..)));
    }
    assert!(matches!(slow.next().await, Next::Lagged));
    stream.end(Ending::Released);
    assert!(matches!(slow.ended().await, Ending::Released));
    assert!(matches!(quick.next().await, Next::Ended(_)));
}

#[tokio::test]
async fn a_late_reader_sees_what_comes_after_it() {
    let stream = stream(100);
    stream.push(event(0));
    let mut reader = stream.subscribe();
    stream.push(event(1));
    match reader.next().await {
        Next::Event(_, event) => assert_eq!(event.data.as_str(), "1"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_visit_leaves_a_stream_only_where_someone_reads_or_writes() {
    let (hub, options, run) = (Hub::default(), Options::default(), RunId::new());
    {
        let _visit = hub.visit(run);
        let _reader = hub.open(run, &options).subscribe();
    }
    assert_eq!(hub.len(), 0);
    let visit = hub.visit(run);
    let reader = hub.open(run, &options).subscribe();
    drop(visit);
    assert_eq!(hub.len(), 1);
    drop(reader);
    let writer = hub.open(run, &options);
    drop(hub.visit(run));
    assert_eq!(hub.len(), 1);
    drop(writer);
}

#[tokio::test]
async fn a_wish_waits_for_the_execution_that_has_not_begun() {
    let (hub, options, run) = (Hub::default(), Options::default(), RunId::new());
    let wish = CancelRequest {
        action: selvedge_model::cancel::CancelAction::Rollback,
        message: "wanted".to_owned(),
    };
    hub.open(run, &options).cancel(&wish);
    // Someone looks at the run and goes away.
    {
        let _visit = hub.visit(run);
        let _reader = hub.open(run, &options).subscribe();
    }
    let execution = hub.open(run, &options);
    assert_eq!(execution.cancelled().await, wish);
}

#[tokio::test]
async fn what_everyone_has_read_is_not_kept() {
    let stream = stream(100);
    let (mut one, two) = (stream.subscribe(), stream.subscribe());
    let held = || stream.held();
    for n in 0..3 {
        stream.push(event(n));
    }
    assert!(matches!(one.next().await, Next::Event(..)));
    assert_eq!(held(), 3);
    drop(two);
    assert_eq!(held(), 2);
    let waits = tokio::spawn(one.ended());
    tokio::task::yield_now().await;
    assert_eq!(held(), 0);
    stream.end(Ending::Released);
    assert!(matches!(waits.await.unwrap(), Ending::Released));
}

#[tokio::test]
async fn the_streams_of_one_thread_id_of_two_owners_are_two() {
    let (hub, options, id) = (Hub::default(), Options::default(), ThreadId::new());
    let of = |owner: &str| OwnedThread {
        thread: id,
        owner: Identity::new(owner),
    };
    let (ann, bob) = (of("ann"), of("bob"));
    let mut readers = [&ann, &bob].map(|thread| hub.threads.watch(thread.clone(), &options).0);
    // Ann's thread is gone, and what runs there does not know it yet.
    hub.thread_is_gone(GoneThread {
        thread_id: id,
        owner: ann.owner.clone(),
        unended: Vec::new(),
    });
    hub.threads.show(&ann, None, &Arc::new(event(1)));
    hub.threads.show(&bob, None, &Arc::new(event(2)));
    let [anns, bobs] = &mut readers;
    assert!(matches!(anns.next().await, Next::Ended(Ending::Released)));
    match bobs.next().await {
        Next::Event(Some(_), event) => assert_eq!(event.data.as_str(), "2"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reader_of_a_thread_is_told_whether_what_it_was_too_slow_for_is_kept() {
    let hub = Hub::default();
    let options = Options {
        max_stream_events: 2,
        ..Options::default()
    };
    let thread = OwnedThread {
        thread: ThreadId::new(),
        owner: None,
    };
    for (ids, is_lost) in [
        ([None, None, None], true),
        ([None, Some(2), Some(3)], true),
        ([Some(1), None, None], false),
    ] {
        let (mut slow, _) = hub.threads.watch(thread.clone(), &options);
        for id in ids {
            let id = id.map(|n| EventId { ms: n, n: 0 });
            hub.threads.show(&thread, id, &Arc::new(event(0)));
        }
        assert!(matches!(slow.next().await, Next::Lagged));
        assert_eq!(slow.has_lost_events(), is_lost, "{ids:?}");
    }
}
