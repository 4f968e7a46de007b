//! Any history of changes, with forks anywhere, is read back from any of its checkpoints, in any order, also after
//! a restart: compared with a model that keeps every value in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use selvedge_model::checkpoint::{Change, ChannelValue, CheckpointWrite};
use selvedge_model::{Json, Scope};
use selvedge_storage::Storage;

use crate::given::{checkpoint_id, running, step, write};
use crate::home::Home;

const CHANNELS: [&str; 3] = ["a", "b", "c"];

/// A change, before it is known what the channel holds.
#[derive(Clone, Debug)]
enum Plan {
    Whole(usize),
    List(Vec<usize>),
    Append(Vec<usize>),
    Clear,
}

#[derive(Clone, Debug)]
struct Step {
    /// How far back the parent is; 0 is the newest.
    back: prop::sample::Index,
    fork: bool,
    changes: Vec<(usize, Plan)>,
}

/// Lengths of items: mostly short, sometimes long enough for a list to be written anew.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0_usize..200, 1 => 5_000_usize..20_000]
}

fn plan() -> impl Strategy<Value = Plan> {
    prop_oneof![
        1 => length().prop_map(Plan::Whole),
        1 => prop::collection::vec(length(), 0..4).prop_map(Plan::List),
        8 => prop::collection::vec(length(), 0..4).prop_map(Plan::Append),
        1 => Just(Plan::Clear),
    ]
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    let changes = prop::collection::vec((0..CHANNELS.len(), plan()), 0..4);
    let step = (
        any::<prop::sample::Index>(),
        prop::bool::weighted(0.2),
        changes,
    );
    let step = step.prop_map(|(back, fork, changes)| Step {
        back,
        fork,
        changes,
    });
    prop::collection::vec(step, 1..40)
}

/// A string that differs from every other of its history.
fn item(serial: &mut usize, length: usize) -> Json {
    *serial += 1;
    Json::string(&format!("{serial}:{}", "x".repeat(length)))
}

type Values = BTreeMap<String, ChannelValue>;

/// The change as the engine would make it, applied to the model.
fn apply(plan: &Plan, channel: &str, values: &mut Values, serial: &mut usize) -> Change {
    let mut items =
        |lengths: &[usize]| -> Vec<Json> { lengths.iter().map(|&n| item(serial, n)).collect() };
    let change = match plan {
        Plan::Whole(length) => Change::Set(ChannelValue::Whole(items(&[*length]).remove(0))),
        Plan::List(lengths) => Change::Set(ChannelValue::List(Arc::new(items(lengths)))),
        Plan::Append(lengths) => match values.get(channel) {
            Some(ChannelValue::Whole(_)) => Change::Clear,
            _ => Change::Append(items(lengths)),
        },
        Plan::Clear => Change::Clear,
    };
    match &change {
        Change::Set(value) => {
            values.insert(channel.to_owned(), value.clone());
        }
        Change::Clear => {
            values.remove(channel);
        }
        Change::Append(more) => {
            let mut list = match values.remove(channel) {
                Some(ChannelValue::List(list)) => Arc::unwrap_or_clone(list),
                _ => Vec::new(),
            };
            list.extend(more.iter().cloned());
            values.insert(channel.to_owned(), ChannelValue::List(Arc::new(list)));
        }
    }
    change
}

async fn play(
    home: &dyn Home,
    storage: &mut Arc<dyn Storage>,
    steps: &[Step],
    order: &[prop::sample::Index],
) -> Result<(), TestCaseError> {
    let lease = running(storage).await;
    let mut model: Vec<Values> = Vec::new();
    let mut serial = 0;
    for (n, planned) in steps.iter().enumerate() {
        let parent = match model.len() {
            0 => None,
            count if planned.fork => Some(planned.back.index(count)),
            count => Some(count - 1),
        };
        let mut values = parent.map_or_else(Values::new, |parent| model[parent].clone());
        let mut changes = BTreeMap::new();
        for (channel, plan) in &planned.changes {
            let name = CHANNELS[*channel];
            if !changes.contains_key(name) {
                changes.insert(name.to_owned(), apply(plan, name, &mut values, &mut serial));
            }
        }
        let written = CheckpointWrite {
            changes,
            ..write(n as u64, parent.map(|parent| parent as u64), [])
        };
        storage.commit_step(lease, step([written])).await.unwrap();
        model.push(values);
        // Reading between the writes, and a restart in the middle, change nothing.
        if n == steps.len() / 2 {
            storage.close().await;
            *storage = home.open();
        }
        let looked_at = order[n % order.len()].index(model.len());
        compare(storage, lease.thread_id, looked_at, &model).await?;
    }
    for at in (0..model.len()).rev() {
        compare(storage, lease.thread_id, at, &model).await?;
    }
    Ok(())
}

async fn compare(
    storage: &Arc<dyn Storage>,
    thread: selvedge_model::ThreadId,
    at: usize,
    model: &[Values],
) -> Result<(), TestCaseError> {
    let saved = storage
        .checkpoint(&Scope::Host, thread, "", Some(checkpoint_id(at as u64)))
        .await
        .unwrap();
    prop_assert_eq!(
        &saved.unwrap().checkpoint.values,
        &model[at],
        "checkpoint {}",
        at
    );
    Ok(())
}

pub async fn any_history_is_read_back_from_any_of_its_checkpoints(home: &dyn Home) {
    let strategy = (
        history(),
        prop::collection::vec(any::<prop::sample::Index>(), 1..8),
    );
    let handle = tokio::runtime::Handle::current();
    let mut storage = home.open();
    tokio::task::block_in_place(|| {
        let config = Config {
            cases: 48,
            failure_persistence: None,
            ..Config::default()
        };
        let storage = std::cell::RefCell::new(&mut storage);
        TestRunner::new(config)
            .run(&strategy, |(steps, order)| {
                handle.block_on(play(home, *storage.borrow_mut(), &steps, &order))
            })
            .unwrap();
    });
}
