//! A crash at any moment of a run, and what was stored by then, lead to the same end as no crash.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use selvedge_model::run::{Breakpoints, Command};
use selvedge_model::{Json, TaskId};
use selvedge_pregel::{
    Addressed, End, EndKind, Entry, Execution, Options, Output, Step, Work, made_by, view,
};
use serde_json::{Value, json};

use crate::cases::{Case, NAMES, cases};
use crate::guest::Guest;
use crate::harness::{Counter, Ran, Thread, graph, options, shown, stored};

/// What someone asks of a thread, one run after the other.
#[derive(Clone, Debug)]
struct Turn {
    asks: Asks,
    before: Option<Breakpoints>,
    after: Option<Breakpoints>,
    /// Which of the thread's checkpoints it names, if any.
    at: Option<prop::sample::Index>,
}

#[derive(Clone, Debug)]
enum Asks {
    Input,
    Continue,
    /// An answer, by value as long as that is allowed, else by the questions' ids; with what else a command has.
    Resume {
        by_id: bool,
        update: bool,
        goto: Option<usize>,
    },
    Update {
        goto: Option<usize>,
    },
    Send(usize),
}

fn turns() -> impl Strategy<Value = Turn> {
    let node = || prop::option::of(0..5_usize);
    let asks = prop_oneof![
        Just(Asks::Input),
        Just(Asks::Continue),
        (any::<bool>(), any::<bool>(), node()).prop_map(|(by_id, update, goto)| Asks::Resume {
            by_id,
            update,
            goto
        }),
        node().prop_map(|goto| Asks::Update { goto }),
        (0..5_usize).prop_map(Asks::Send),
    ];
    let breakpoints = || {
        let nodes = prop::collection::vec(prop::sample::select(NAMES.to_vec()), 0..3);
        let nodes = nodes.prop_map(|n| n.into_iter().map(str::to_owned).collect());
        prop::option::weighted(0.4, nodes.prop_map(Breakpoints::Nodes))
    };
    let at = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (asks, breakpoints(), breakpoints(), at).prop_map(|(asks, before, after, at)| Turn {
        asks,
        before,
        after,
        at,
    })
}

/// A run as it is admitted: the same each time it is taken up.
#[derive(Clone)]
struct Admitted {
    entry: Entry,
    options: Options,
    at: Option<usize>,
}

fn admitted(thread: &Thread, turn: &Turn, number: usize) -> Admitted {
    let mut own = options();
    own.recursion_limit = 12;
    own.metadata = Json::from(json!({"run_id": format!("run {number}")}));
    own.interrupt_before.clone_from(&turn.before);
    own.interrupt_after.clone_from(&turn.after);
    let at = turn.at.filter(|_| !thread.order.is_empty());
    Admitted {
        entry: entry(thread, &turn.asks),
        options: own,
        at: at.map(|at| at.index(thread.order.len())),
    }
}

fn entry(thread: &Thread, asks: &Asks) -> Entry {
    let update = || Json::from(json!({"log": ["command"], "sum": 10}));
    let node = |index: &usize| Json::from(json!(NAMES[*index]));
    let command = match asks {
        Asks::Input => {
            return Entry::Input(Json::from(json!({"log": ["in"], "chat": "hello"})));
        }
        Asks::Continue => return Entry::Continue,
        Asks::Resume {
            by_id,
            update: updates,
            goto,
        } => Command {
            resume: Some(answers(thread, *by_id)),
            update: updates.then(update),
            goto: goto.as_ref().map(node),
        },
        Asks::Update { goto } => Command {
            update: Some(update()),
            goto: goto.as_ref().map(node),
            resume: None,
        },
        Asks::Send(to) => Command {
            goto: Some(Json::from(
                json!({"node": NAMES[*to], "input": {"log": []}}),
            )),
            ..Command::default()
        },
    };
    Entry::Command(command)
}

fn answers(thread: &Thread, by_id: bool) -> Json {
    let state = thread.newest().map(|newest| view(&thread.graph, newest));
    let open: Vec<Value> = state
        .iter()
        .flat_map(selvedge_pregel::StateView::interrupts)
        .map(|interrupt| json!(interrupt.id))
        .collect();
    if open.is_empty() || (open.len() == 1 && !by_id) {
        return Json::from(json!("answer"));
    }
    let by_id = open.iter().map(|id| {
        let id = id.as_str().unwrap();
        (id.to_owned(), json!(format!("answer to {id}")))
    });
    Json::from(by_id.collect::<Value>())
}

/// Runs until the end, or until so many times something was left to be stored; what is left then is lost.
fn run(
    case: &Case,
    thread: &mut Thread,
    admitted: &Admitted,
    order: u64,
    crash_after: Option<usize>,
) -> Option<End> {
    let mut guest = Guest::new(&case.behaviour);
    let mut turn = order;
    let mut mint = thread.mint.clone();
    let (base, addressed) = standing(thread, admitted);
    let finished = finished(thread, addressed);
    let mut execution = Execution::start(
        Arc::clone(&thread.graph),
        base,
        addressed,
        admitted.entry.clone(),
        admitted.options.clone(),
        &mut mint,
    );
    let mut ran = Ran::new();
    let mut waiting: Vec<Work> = Vec::new();
    let mut stored = 0;
    let mut end = None;
    while end.is_none() {
        match execution.step(&mut mint) {
            Step::Work(work) => waiting.extend(work),
            Step::Waiting => assert!(!waiting.is_empty(), "waits for nothing"),
            Step::Ended(ended) => end = Some(ended),
        }
        // As in the runtime: what a step left comes to storage together, the last of it with the end.
        let output = execution.take_output();
        if output.iter().any(|o| !matches!(o, Output::Event(_))) || end.is_some() {
            if crash_after == Some(stored) {
                thread.mint = Counter::at(thread.order.len());
                return None;
            }
            stored += 1;
        }
        thread.keep(output, &mut ran);
        if end.is_none() {
            turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pick = usize::try_from(turn >> 33).unwrap() % waiting.len();
            let work = waiting.remove(pick);
            let task = work.task.as_ref().map(|task| task.id);
            assert!(
                task.is_none_or(|id| !finished.contains(&id)),
                "{task:?} had finished"
            );
            execution.complete(work.id, guest.work(&work), &mut mint);
        }
    }
    thread.mint = mint;
    end
}

/// Where the runtime lets a run begin, and begin again.
fn standing(
    thread: &Thread,
    admitted: &Admitted,
) -> (
    Option<selvedge_model::checkpoint::SavedCheckpoint>,
    Addressed,
) {
    let is_own = thread
        .newest()
        .is_some_and(|n| made_by(&n.checkpoint.metadata, &admitted.options.metadata));
    thread.base(admitted.at.filter(|_| !is_own))
}

/// The tasks that need not run. From a checkpoint that was named everything runs again.
fn finished(thread: &Thread, addressed: Addressed) -> BTreeSet<TaskId> {
    let newest = thread.newest().filter(|_| addressed == Addressed::No);
    let tasks = newest.map(|newest| view(&thread.graph, newest).tasks);
    let tasks = tasks.into_iter().flatten();
    tasks
        .filter(|task| task.result.is_some())
        .map(|task| task.id)
        .collect()
}

/// LangGraph counts from where an execution begins, and so does one that begins again.
fn is_at_the_limit(end: &End) -> bool {
    matches!(&end.kind, EndKind::Failed(error) if error.kind == "GraphRecursionError")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_that_is_cut_off_anywhere_and_taken_up_again_comes_to_the_same_result(
        case in cases(),
        turns in prop::collection::vec(turns(), 1..6),
        crashes in prop::collection::vec(prop::collection::vec(0..5_usize, 0..4), 6),
        order in any::<u64>(),
    ) {
        let mut whole = Thread::new(graph(&case.description));
        let mut crashed = whole.clone();
        for (number, turn) in turns.iter().enumerate() {
            let admitted = admitted(&whole, turn, number);
            let expected = run(&case, &mut whole, &admitted, order, None).expect("an end");
            if is_at_the_limit(&expected) {
                break;
            }
            let attempts = crashes[number].iter().map(|after| Some(*after)).chain([None]);
            let ended = attempts
                .filter_map(|after| run(&case, &mut crashed, &admitted, order.rotate_left(7), after))
                .next()
                .expect("the last attempt is not cut off");
            prop_assert_eq!(shown(&ended), shown(&expected), "{:?}", turn);
            prop_assert_eq!(stored(&crashed), stored(&whole), "{:?}", turn);
        }
    }
}
