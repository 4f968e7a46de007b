//! What holds for every graph, every order of answers and every guest.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use selvedge_model::checkpoint::ChannelValue;
use selvedge_model::{CheckpointId, Json};
use selvedge_pregel::{End, EndKind, Entry, Outcome, Work, record, view};
use serde_json::{Value, json};

use crate::guest::Guest;
use crate::harness::{Ran, Thread, graph, options};

/// A graph with what its nodes do: up to five nodes, edges any way, Sends, gotos, a join, a deferred node.
#[derive(Clone, Debug)]
struct Case {
    description: Value,
    behaviour: Value,
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

prop_compose! {
    fn cases()(
        edges in prop::collection::vec((0..5_usize, 0..5_usize), 0..7),
        branches in prop::collection::vec((0..5_usize, 0..5_usize, 0..5_usize, 2..8_usize), 0..4),
        asks in prop::collection::vec(0..3_usize, 5),
        gotos in prop::collection::vec((0..5_usize, 2..6_usize), 0..2),
        deferred in prop::option::of(0..5_usize),
        join in prop::option::of((0..4_usize, 0..4_usize)),
        messages in any::<bool>(),
    ) -> Case {
        case(&edges, &branches, &asks, &gotos, deferred, join, messages)
    }
}

fn case(
    edges: &[(usize, usize)],
    branches: &[(usize, usize, usize, usize)],
    asks: &[usize],
    gotos: &[(usize, usize)],
    deferred: Option<usize>,
    join: Option<(usize, usize)>,
    messages: bool,
) -> Case {
    let nodes: Vec<Value> = (0..5)
        .map(|i| json!({"name": NAMES[i], "defer": deferred == Some(i), "destinations": NAMES}))
        .collect();
    let mut all = vec![
        json!({"from": ["__start__"], "to": "a"}),
        json!({"from": ["__start__"], "to": "b"}),
    ];
    all.extend(
        edges
            .iter()
            .map(|(f, t)| json!({"from": [NAMES[*f]], "to": NAMES[*t]})),
    );
    if let Some((x, y)) = join.filter(|(x, y)| x != y) {
        all.push(json!({"from": [NAMES[x], NAMES[y]], "to": "e"}));
    }
    let mut described = Vec::new();
    let mut routes = BTreeMap::new();
    for (index, (from, to, send, limit)) in branches.iter().enumerate() {
        let name = format!("r{index}");
        described.push(json!({"from": NAMES[*from], "name": name}));
        let send = json!({"node": NAMES[*send], "input": {"log": []}});
        let targets = json!([NAMES[*to], send, "nowhere"]);
        routes.insert(
            format!("{}/{name}", NAMES[*from]),
            json!([{"if": ["shorter", "log", limit], "to": targets}]),
        );
    }
    let mut behaviour = BTreeMap::new();
    for (index, name) in NAMES.iter().enumerate() {
        // Few nodes ask.
        let questions = asks[index].saturating_sub(1);
        let mut steps: Vec<Value> = (0..questions)
            .map(|q| json!({"interrupt": format!("{name}{q}")}))
            .collect();
        let mut update = json!({"log": [{"$": "name"}], "sum": 1, "cus": {"$": "name"}});
        if messages {
            update["chat"] = json!([["ai", name]]);
        }
        for (_, limit) in gotos.iter().filter(|(n, _)| *n == index) {
            steps.push(json!({"if": ["shorter", "log", limit], "return": {"update": update, "goto": ["a"]}}));
        }
        steps.push(json!({"return": {"update": update}}));
        behaviour.insert(*name, Value::from(steps));
    }
    Case {
        description: json!({
            "name": "g",
            "channels": [
                {"name": "log", "reducer": "append"}, {"name": "sum", "reducer": "sum"},
                {"name": "cus", "reducer": "custom", "default": ""}, {"name": "chat", "reducer": "add_messages"},
            ],
            "nodes": nodes, "edges": all, "branches": described,
        }),
        behaviour: json!({"nodes": behaviour, "branches": routes}),
    }
}

fn run(case: &Case, thread: &mut Thread, entry: Entry, order: u64) -> Ran {
    let mut guest = Guest::new(&case.behaviour);
    let mut turn = order;
    let mut pick = |n: usize| {
        turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(turn >> 33).unwrap() % n
    };
    let mut own = options();
    own.recursion_limit = 12;
    thread.run(None, entry, own, &mut |w| guest.work(w), &mut pick)
}

fn input() -> Entry {
    Entry::Input(Json::from(json!({"log": ["in"], "chat": "hello"})))
}

fn shown(end: &End) -> String {
    format!(
        "{:?} {} {:?} {:?}",
        end.kind, end.values, end.next, end.interrupts
    )
}

/// Everything that is stored.
fn stored(thread: &Thread) -> String {
    let checkpoints = thread.saved.values().map(|s| {
        // Whether a run was taken up again is seen by what it has passed breakpoints with, and by nothing else.
        let mut checkpoint = s.checkpoint.clone();
        checkpoint.versions_seen.remove("__interrupt__");
        let pending: Vec<_> = s.pending.iter().map(|w| format!("{w:?}")).collect();
        format!("{checkpoint:?} {pending:?}\n")
    });
    checkpoints.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pregel_is_deterministic_same_checkpoint_and_same_writes_give_the_same_next_tasks_and_the_same_next_checkpoint(
        case in cases(), order in any::<u64>(), other in any::<u64>()
    ) {
        let mut one = Thread::new(graph(&case.description));
        let mut two = Thread::new(graph(&case.description));
        let first = run(&case, &mut one, input(), order);
        let second = run(&case, &mut two, input(), other);
        prop_assert_eq!(shown(&first.end.unwrap()), shown(&second.end.unwrap()));
        prop_assert_eq!(stored(&one), stored(&two));
    }

    #[test]
    fn a_run_taken_up_at_any_checkpoint_with_its_pending_writes_comes_to_the_same_result(
        case in cases(), cut in 1..12_usize, kept in 0..4_usize
    ) {
        let mut whole = Thread::new(graph(&case.description));
        let expected = run(&case, &mut whole, input(), 1).end.unwrap();
        // The limit counts from where a run begins.
        prop_assume!(!matches!(expected.kind, EndKind::Failed(_)));
        let mut crashed = whole.clone();
        let cut = cut.min(whole.order.len());
        let gone: Vec<CheckpointId> = crashed.order.split_off(cut);
        for id in &gone {
            crashed.saved.remove(id);
        }
        if !gone.is_empty() {
            let last = crashed.saved.last_entry().unwrap().into_mut();
            // The writes of one task are stored together or not at all.
            let mut tasks: Vec<_> = last.pending.iter().map(|w| w.task).collect();
            tasks.dedup();
            tasks.truncate(kept);
            last.pending.retain(|w| tasks.contains(&w.task));
        }
        crashed.mint = counter_at(cut);
        let again = run(&case, &mut crashed, Entry::Continue, 2).end.unwrap();
        prop_assert_eq!(shown(&again), shown(&expected));
        prop_assert_eq!(stored(&crashed), stored(&whole));
    }

    #[test]
    fn changes_folded_over_a_history_are_the_values_that_the_run_has(case in cases()) {
        let mut thread = Thread::new(graph(&case.description));
        let ran = run(&case, &mut thread, input(), 3);
        let end = ran.end.unwrap();
        prop_assume!(!matches!(end.kind, EndKind::Interrupted));
        let newest = &thread.newest().unwrap().checkpoint;
        let values = end.values.members().unwrap();
        for (name, value) in newest.values.iter().filter(|(n, _)| values.contains_key(*n)) {
            prop_assert_eq!(&value.to_json(), &values[name], "{}", name);
        }
        let is_list = |name: &str| newest.values.get(name).is_none_or(|v| matches!(v, ChannelValue::List(_)));
        prop_assert!(is_list("log") && is_list("chat"));
    }

    #[test]
    fn the_recursion_limit_stops_every_run(case in cases(), limit in 1..6_u32) {
        let mut thread = Thread::new(graph(&case.description));
        let mut guest = Guest::new(&case.behaviour);
        let mut own = options();
        own.recursion_limit = limit;
        let ran = thread.run(None, input(), own, &mut |w| guest.work(w), &mut |_| 0);
        let end = ran.end.unwrap();
        prop_assert!(thread.order.len() <= limit as usize + 2);
        if let EndKind::Failed(error) = end.kind {
            prop_assert_eq!(error.kind, "GraphRecursionError");
        }
    }

    #[test]
    fn no_guest_can_make_it_panic(case in cases(), answers in prop::collection::vec(anything(), 1..6)) {
        let mut thread = Thread::new(graph(&case.description));
        let mut turn = 0;
        let mut guest = |work: &Work| {
            let mut program = work.program(1);
            while program.next().is_some() {
                turn += 1;
                program.answer(Ok(Json::from(answers[turn % answers.len()].clone())));
            }
            program.finish().map_or_else(Outcome::Failed, Outcome::Done)
        };
        let ran = thread.run(None, input(), options(), &mut guest, &mut |_| 0);
        prop_assert!(ran.end.is_ok());
        let newest = thread.newest().unwrap();
        let _ = view(&thread.graph, newest);
        let _ = record(&thread.graph, newest);
    }

    #[test]
    fn no_input_or_command_can_make_it_panic(case in cases(), given in anything(), command in commands()) {
        let mut thread = Thread::new(graph(&case.description));
        run(&case, &mut thread, Entry::Input(Json::from(given)), 1);
        run(&case, &mut thread, Entry::Command(command), 1);
    }
}

fn counter_at(count: usize) -> crate::harness::Counter {
    use selvedge_pregel::Mint;
    let mut counter = crate::harness::Counter::default();
    for _ in 0..count {
        counter.checkpoint_id(0);
    }
    counter
}

fn commands() -> impl Strategy<Value = selvedge_model::run::Command> {
    let part = || prop::option::of(anything().prop_map(Json::from));
    (part(), part(), part()).prop_map(|(update, resume, goto)| selvedge_model::run::Command {
        update,
        resume,
        goto,
    })
}

/// JSON of any shape, often with the members that mean something.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_map(|f| serde_json::Number::from_f64(f).map_or(Value::Null, Value::Number)),
        prop::sample::select(vec![
            "a",
            "b",
            "__end__",
            "__start__",
            "__parent__",
            "remove",
            "user",
            "",
            "é\n\"'"
        ])
        .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "update",
        "goto",
        "graph",
        "node",
        "input",
        "arg",
        "log",
        "sum",
        "cus",
        "chat",
        "type",
        "role",
        "content",
        "id",
        "tool_calls",
        "__overwrite__",
        "value",
        "__command__",
    ]);
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..4).prop_map(|m| Value::Object(
                m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}

#[test]
fn a_list_grows_by_what_was_added_and_is_never_written_again() {
    use selvedge_model::checkpoint::Change;
    use selvedge_pregel::{Execution, Output, Step};
    let description = json!({
        "name": "g", "channels": [{"name": "log", "reducer": "append"}, {"name": "chat", "reducer": "add_messages"}],
        "nodes": [{"name": "a"}], "edges": [{"from": ["__start__"], "to": "a"}],
    });
    let mut thread = Thread::new(graph(&description));
    let behaviour = json!({"nodes": {"a": [{"return": {"update": {"log": ["more"], "chat": [["ai", "more"]]}}}]}, "branches": {}});
    let case = Case {
        description,
        behaviour,
    };
    run(&case, &mut thread, input(), 0);
    let (base, _) = thread.base(None);
    let graph = Arc::clone(&thread.graph);
    let mut mint = thread.mint.clone();
    let mut execution = Execution::start(graph, base, false, input(), options(), &mut mint);
    let mut guest = Guest::new(&case.behaviour);
    let mut changes = Vec::new();
    loop {
        match execution.step(&mut mint) {
            Step::Work(work) => work
                .iter()
                .for_each(|w| execution.complete(w.id, guest.work(w), &mut mint)),
            Step::Waiting => panic!("all work is answered"),
            Step::Ended(_) => break,
        }
        changes.extend(execution.take_output());
    }
    for output in changes {
        let Output::Checkpoint(write) = output else {
            continue;
        };
        for channel in ["log", "chat"] {
            match write.changes.get(channel) {
                None => {}
                Some(Change::Append(items)) => assert_eq!(items.len(), 1, "{channel}"),
                Some(other) => panic!("{channel} was written as {other:?}"),
            }
        }
    }
}
