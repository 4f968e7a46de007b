//! What a component does once it is loaded.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::guest::Guest;
use super::{Folder, counts, error_of, good_run_succeeds, run, setup};

/// A guest, its bounds, and what must come of a run of it.
struct Case {
    name: &'static str,
    guest: Guest,
    sandbox: Value,
    kind: &'static str,
    /// The key of the bound that ends it. `None`: it is no bound's business.
    limit: Option<&'static str>,
}

fn case(
    name: &'static str,
    guest: Guest,
    sandbox: Value,
    kind: &'static str,
    limit: &'static str,
) -> Case {
    Case {
        name,
        guest,
        sandbox,
        kind,
        limit: Some(limit),
    }
}

fn mistake(name: &'static str, guest: Guest, kind: &'static str) -> Case {
    Case {
        name,
        guest,
        sandbox: json!({"output_bytes": 1 << 20}),
        kind,
        limit: None,
    }
}

fn running(run_node: &'static str) -> Guest {
    Guest {
        run_node,
        ..Guest::default()
    }
}

/// Each suffers them all, then sees to its metrics and to its neighbour.
async fn suffer(cases: Vec<Case>) {
    let folder = Folder::new();
    let graphs = cases.iter().map(|case| {
        let path = folder.holding(case.name, &case.guest.encoded());
        (case.name, json!({"path": path, "sandbox": case.sandbox}))
    });
    let server = setup(graphs, &Guest::default()).start().await;
    for case in &cases {
        let before = counts(&server).await;
        let (kind, message) = error_of(&server, case.name, json!({"foo": 1})).await;
        assert_eq!(kind, case.kind, "{}: {message}", case.name);
        for ((limit, before), (_, after)) in before.iter().zip(counts(&server).await) {
            let here = Some(limit.as_str()) == case.limit;
            assert_eq!(after - before, u64::from(here), "{}: {limit}", case.name);
        }
        if let Some(limit) = case.limit {
            assert!(message.contains(&format!("sandbox.{limit}")), "{message}");
        }
        good_run_succeeds(&server).await;
    }
}

#[tokio::test]
async fn whoever_takes_cpu_time_without_end_is_ended_wherever_it_does() {
    let cpu = || json!({"cpu_ms": 200});
    let spinning = |name, guest| case(name, guest, cpu(), "CpuLimitExceeded", "cpu_ms");
    suffer(vec![
        spinning("node", running("(call $spin)")),
        spinning(
            "route",
            Guest {
                route: "(call $spin)",
                ..Guest::default()
            },
        ),
        spinning(
            "reduce",
            Guest {
                reduce: "(call $spin)",
                ..Guest::saying(r#"{"update": {"custom": 1}}"#)
            },
        ),
        spinning(
            "calls",
            running("(loop $again (drop (call $remaining_ms)) (br $again))"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn whoever_takes_memory_without_end_is_ended_whichever_memory_it_takes() {
    let greedy = |name, guest, bytes: u32| {
        let sandbox = json!({"memory_bytes": bytes});
        case(name, guest, sandbox, "MemoryLimitExceeded", "memory_bytes")
    };
    const OF_THE_TEMPLATE: u32 = 2 << 20;
    suffer(vec![
        greedy(
            "one",
            running("(loop $again (drop (memory.grow (i32.const 16))) (br $again))"),
            64 << 20,
        ),
        // Neither of them alone would reach the bound.
        greedy(
            "two",
            Guest {
                items: "(memory $second 0)",
                ..running(
                    "(drop (memory.grow $memory (i32.const 600)))
                     (drop (memory.grow $second (i32.const 600)))",
                )
            },
            64 << 20,
        ),
        greedy(
            "tables",
            Guest {
                items: "(table $a 0 funcref) (table $b 0 funcref) (table $c 0 funcref) (table $d 0 funcref)",
                ..running(
                    "(drop (table.grow $a (ref.null func) (i32.const 40000)))
                     (drop (table.grow $b (ref.null func) (i32.const 40000)))
                     (drop (table.grow $c (ref.null func) (i32.const 40000)))
                     (drop (table.grow $d (ref.null func) (i32.const 40000)))",
                )
            },
            OF_THE_TEMPLATE + (1 << 20),
        ),
    ])
    .await;
}

#[tokio::test]
async fn whoever_asks_for_a_larger_table_than_the_bound_is_ended_by_its_own_bound() {
    let table = |name, items, run_node, sandbox| {
        let guest = Guest {
            items,
            ..running(run_node)
        };
        let (kind, limit) = ("TableLimitExceeded", "table_elements");
        case(name, guest, sandbox, kind, limit)
    };
    suffer(vec![
        table(
            "at_once",
            "(table $a 0 funcref)",
            "(drop (table.grow $a (ref.null func) (i32.const 40001)))",
            json!({}),
        ),
        table(
            "beyond_memory",
            "(table $a 0 funcref)",
            "(drop (table.grow $a (ref.null func) (i32.const 100000000)))",
            json!({}),
        ),
        table(
            "below_its_neighbours",
            "(table $a 0 50 funcref)",
            "(loop $again (drop (table.grow $a (ref.null func) (i32.const 1))) (br $again))",
            json!({"table_elements": 40}),
        ),
        // What it declared itself is its own affair.
        Case {
            kind: "GuestTrapped",
            limit: None,
            ..table(
                "declared",
                "(table $a 0 50 funcref)",
                "(if (i32.eq (table.grow $a (ref.null func) (i32.const 51)) (i32.const -1))
                   (then unreachable))",
                json!({}),
            )
        },
    ])
    .await;
}

#[tokio::test]
async fn whoever_calls_itself_without_end_is_ended_by_its_stack() {
    let deep = Guest {
        items: "(func $deeper (param i32) (result i32)
                  (i32.add (call $deeper (local.get 0)) (i32.const 1)))",
        ..running("(drop (call $deeper (i32.const 1)))")
    };
    suffer(vec![case(
        "deep",
        deep,
        json!({}),
        "StackLimitExceeded",
        "stack_bytes",
    )])
    .await;
}

#[tokio::test]
async fn a_graph_has_the_stack_that_the_operator_gives_it_and_its_neighbours_have_theirs() {
    // A hundred thousand frames are more than the default has, and less than sixteen megabytes.
    let deep = Guest {
        items: "(func $down (param i32) (result i32)
                  (if (result i32) (i32.eqz (local.get 0))
                    (then (i32.const 0))
                    (else (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))))",
        ..running("(drop (call $down (i32.const 100000)))")
    };
    let folder = Folder::new();
    let path = folder.holding("deep", &deep.encoded());
    let given = [
        ("default", json!({})),
        ("large", json!({"stack_bytes": 16 << 20})),
    ];
    let graphs = given.map(|(name, sandbox)| (name, json!({"path": path, "sandbox": sandbox})));
    let server = setup(graphs, &Guest::default()).start().await;
    for _ in 0..2 {
        let outcome = server
            .post_json("/runs/wait", &run("large", json!({"foo": 1})))
            .await;
        assert_eq!(outcome["foo"], 1, "{outcome}");
        let (kind, message) = error_of(&server, "default", json!({"foo": 1})).await;
        assert_eq!(kind, "StackLimitExceeded", "{message}");
        good_run_succeeds(&server).await;
    }
}

#[tokio::test]
async fn what_a_guest_says_that_is_too_long_too_deep_or_no_text_is_refused() {
    const ABOVE_HOSTCALL: &str = "(drop (memory.grow (i32.const 64)))
        (return (call $ok (i32.const 0) (i32.const 3145728)))";
    const ABOVE_OUTPUT: &str = "(return (call $ok (i32.const 0) (i32.const 1572864)))";
    const BEYOND_ITS_MEMORY: &str = "(return (call $ok (i32.const -16) (i32.const 1048576)))";
    const EVENT_ABOVE_OUTPUT: &str = "(call $emit_custom (i32.const 0) (i32.const 1572864))";
    let bounded = || json!({"output_bytes": 1 << 20});
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mistaken = |name, text: &[u8]| mistake(name, Guest::saying(text), "InvalidGuestOutput");
    suffer(vec![
        case(
            "hostcall",
            running(ABOVE_HOSTCALL),
            bounded(),
            "HostCallLimitExceeded",
            "hostcall_bytes",
        ),
        case(
            "output",
            running(ABOVE_OUTPUT),
            bounded(),
            "OutputLimitExceeded",
            "output_bytes",
        ),
        case(
            "event",
            running(EVENT_ABOVE_OUTPUT),
            bounded(),
            "OutputLimitExceeded",
            "output_bytes",
        ),
        case(
            "deep",
            Guest::saying(deep),
            json!({}),
            "DepthLimitExceeded",
            "json_depth",
        ),
        mistaken("half", br#"{"update": {"foo": "#),
        mistaken("words", b"here you are"),
        mistaken("no_utf8", b"{\"update\": {\"foo\": \"\xff\xfe\"}}"),
        mistaken("infinite", br#"{"update": {"foo": 1e999}}"#),
        mistake("nowhere", running(BEYOND_ITS_MEMORY), "GuestTrapped"),
        mistake(
            "no_variant",
            running("(i32.store8 (i32.const 16) (i32.const 9)) (return (i32.const 16))"),
            "GuestTrapped",
        ),
        mistake("trap", running("unreachable"), "GuestTrapped"),
    ])
    .await;
}

#[tokio::test]
async fn a_lie_about_a_graph_that_depends_on_its_configuration_ends_the_run_that_it_is_for() {
    let graph = || Guest::description()["graphs"][0].clone();
    let with = |name: &str, value: Value| {
        let mut graph = graph();
        graph[name] = value;
        graph.to_string()
    };
    let saying = |text: String, first| {
        let mut description = Guest::description();
        description["graphs"][0]["configured"] = json!(true);
        Guest {
            text: text.into_bytes(),
            describe_for: Some(first),
            ..Guest::describing(&description)
        }
    };
    let lie = |name, text: String| mistake(name, saying(text, ""), "InvalidGraphError");
    suffer(vec![
        lie("nothing", "{}".to_owned()),
        lie("list", "[1]".to_owned()),
        lie("another", with("name", json!("h"))),
        lie(
            "nowhere",
            with("edges", json!([{"from": ["node"], "to": "nobody"}])),
        ),
        mistake("no_json", saying("{".to_owned(), ""), "InvalidGuestOutput"),
        mistake(
            "trap",
            saying("{}".to_owned(), "unreachable"),
            "GuestTrapped",
        ),
        case(
            "spin",
            saying("{}".to_owned(), "(call $spin)"),
            json!({"cpu_ms": 200}),
            "CpuLimitExceeded",
            "cpu_ms",
        ),
    ])
    .await;
}

#[tokio::test]
async fn whoever_floods_readers_or_the_log_is_ended() {
    const EVENTS: &str =
        "(loop $again (call $emit_custom (i32.const 524288) (i32.const 2)) (br $again))";
    const LINES: &str =
        "(loop $again (call $log (i32.const 2) (i32.const 524288) (i32.const 2)) (br $again))";
    // The message is called AAAA, then BAAA, up to PPPA: 4,096 names.
    const MESSAGES: &str = "(local $n i32) (loop $again
        (i32.store8 (i32.const 524295) (i32.add (i32.const 65) (i32.and (local.get $n) (i32.const 15))))
        (i32.store8 (i32.const 524296) (i32.add (i32.const 65)
            (i32.and (i32.shr_u (local.get $n) (i32.const 4)) (i32.const 15))))
        (i32.store8 (i32.const 524297) (i32.add (i32.const 65)
            (i32.and (i32.shr_u (local.get $n) (i32.const 8)) (i32.const 15))))
        (call $emit_message (i32.const 524288) (i32.const 13) (i32.const 524301) (i32.const 2))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $again))";
    let messages = Guest {
        run_node: MESSAGES,
        ..Guest::saying(r#"{"id":"AAAA"}{}"#)
    };
    suffer(vec![
        case(
            "events",
            running(EVENTS),
            json!({"events_per_sec": 1_000_000}),
            "EventLimitExceeded",
            "events",
        ),
        case(
            "event_rate",
            running(EVENTS),
            json!({"events_per_sec": 10}),
            "EventRateExceeded",
            "events_per_sec",
        ),
        case(
            "event_bytes",
            running(EVENTS),
            json!({"event_bytes": 1_000}),
            "EventByteLimitExceeded",
            "event_bytes",
        ),
        case(
            "messages",
            messages,
            json!({}),
            "MessageLimitExceeded",
            "messages",
        ),
        case(
            "lines",
            running(LINES),
            json!({"log_lines": 100}),
            "LogLimitExceeded",
            "log_lines",
        ),
        case(
            "line_rate",
            running(LINES),
            json!({"log_lines_per_sec": 10}),
            "LogRateExceeded",
            "log_lines_per_sec",
        ),
    ])
    .await;
}

#[tokio::test]
async fn more_sends_than_the_bound_are_refused() {
    let sends = vec![json!({"node": "node", "input": 1}); 10_001];
    let guest = Guest::saying(json!({ "goto": sends }).to_string());
    suffer(vec![case(
        "sends",
        guest,
        json!({}),
        "SendLimitExceeded",
        "sends",
    )])
    .await;
}

/// What a guest calls its failure is its own business, and no bound of the operator's.
#[tokio::test]
async fn a_failure_that_a_guest_names_like_a_bound_is_not_counted_as_one() {
    let pretending = Guest {
        run_node: "(i32.store8 (i32.const 16) (i32.const 1))
            (i32.store (i32.const 20) (i32.const 524288)) (i32.store (i32.const 24) (i32.const 16))
            (i32.store (i32.const 28) (i32.const 524288)) (i32.store (i32.const 32) (i32.const 16))
            (i32.store8 (i32.const 36) (i32.const 0))
            (return (i32.const 16))",
        ..Guest::saying("CpuLimitExceeded")
    };
    suffer(vec![mistake("pretending", pretending, "CpuLimitExceeded")]).await;
}

/// Every key that bounds a task has a count, so that an operator's alarm needs no list of ours.
#[tokio::test]
async fn every_bound_has_a_metric() {
    let server = setup([], &Guest::default()).start().await;
    let counted: HashSet<String> = counts(&server)
        .await
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    let (code, schema) =
        crate::support::server::selvedge(&crate::support::root(), &["check", "--schema"]);
    assert_eq!(code, Some(0), "{schema}");
    let schema: Value = serde_json::from_str(&schema).expect("a schema");
    let keys = schema["properties"]["sandbox"]["properties"].as_object();
    let keys = keys.expect("the keys of the sandbox");
    // These make tasks wait, or refuse components.
    let others = ["max_instances", "max_component_bytes"];
    let of_tasks = |key: &&String| !others.contains(&key.as_str()) && !key.starts_with("compile_");
    for key in keys.keys().filter(of_tasks) {
        assert!(counted.contains(key), "{key}");
    }
}
