//! What holds for every graph, every order of answers and every guest.

use std::sync::Arc;

use proptest::prelude::*;
use selvedge_model::Json;
use selvedge_model::checkpoint::ChannelValue;
use selvedge_pregel::{EndKind, Entry, Failure, Graph, Outcome, Work, record, view};
use serde_json::{Value, json};

use crate::cases::{Case, cases};
use crate::guest::Guest;
use crate::harness::{Ran, Thread, graph, options, shown, stored};

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

/// `Send`s may multiply from step to step. Beyond this the guest fails, since it is not what is looked at.
const MOST_CALLS: usize = 1_000;

fn had_enough() -> Outcome {
    Outcome::Failed(Failure {
        kind: "RuntimeError".to_owned(),
        message: "enough".to_owned(),
        retryable: false,
    })
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
                if turn > MOST_CALLS {
                    return had_enough();
                }
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
    fn no_description_can_make_it_panic(case in cases(), changes in prop::collection::vec((any::<prop::sample::Index>(), anything()), 1..4)) {
        let mut description = case.description;
        for (at, value) in changes {
            let places = places(&description);
            *description.pointer_mut(&places[at.index(places.len())]).unwrap() = value;
        }
        // What is no description is refused before this room sees it.
        let Ok(description) = serde_json::from_value(description) else { return Ok(()) };
        let Ok(graph) = Graph::new(description) else { return Ok(()) };
        let _ = graph.drawing();
        let mut thread = Thread::new(graph);
        let mut calls = 0;
        let mut guest = |work: &Work| {
            calls += 1;
            let mut program = work.program(1);
            while calls <= MOST_CALLS && program.next().is_some() {
                program.answer(Ok(Json::from(json!({"update": {"log": [1]}}))));
            }
            if calls > MOST_CALLS { had_enough() } else { program.finish().map_or_else(Outcome::Failed, Outcome::Done) }
        };
        let mut own = options();
        own.recursion_limit = 12;
        let ran = thread.run(None, input(), own, &mut guest, &mut |_| 0);
        prop_assert!(ran.end.is_ok());
    }

    #[test]
    fn no_input_or_command_can_make_it_panic(case in cases(), given in anything(), command in commands()) {
        let mut thread = Thread::new(graph(&case.description));
        let mut guest = Guest::new(&case.behaviour);
        let mut calls = 0;
        let mut guest = |work: &Work| {
            calls += 1;
            if calls > MOST_CALLS { had_enough() } else { guest.work(work) }
        };
        for entry in [Entry::Input(Json::from(given)), Entry::Command(command)] {
            let mut own = options();
            own.recursion_limit = 12;
            let ran = thread.run(None, entry, own, &mut guest, &mut |_| 0);
            prop_assert!(ran.end.is_ok());
        }
    }
}

/// Pointers to all values within one, itself not included.
fn places(value: &Value) -> Vec<String> {
    let below = |name: String, inner: &Value| {
        let deeper = places(inner)
            .into_iter()
            .map(|rest| format!("/{name}{rest}"))
            .collect::<Vec<_>>();
        std::iter::once(format!("/{name}"))
            .chain(deeper)
            .collect::<Vec<_>>()
    };
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, inner)| below(name.replace('~', "~0").replace('/', "~1"), inner))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(at, inner)| below(at.to_string(), inner))
            .collect(),
        _ => Vec::new(),
    }
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
