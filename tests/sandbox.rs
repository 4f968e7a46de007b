//! What a graph does wrong ends its own run, with an error kind of its own, and nothing else.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Gate, Server, Setup, eventually};

/// The error of a run that must fail.
async fn error_of(server: &Server, graph: &str, input: Value) -> (String, String) {
    let outcome = server
        .post_json(
            "/runs/wait",
            &json!({"assistant_id": graph, "input": input}),
        )
        .await;
    let error = &outcome["__error__"];
    let text = |name: &str| {
        error[name]
            .as_str()
            .unwrap_or_else(|| panic!("{outcome}"))
            .to_owned()
    };
    (text("error"), text("message"))
}

/// A neighbour still works.
async fn next_run_succeeds(server: &Server) {
    let values = server
        .post_json(
            "/runs/wait",
            &json!({"assistant_id": "two", "input": {"foo": "x"}}),
        )
        .await;
    assert_eq!(values, json!({"foo": "xab", "log": ["a", "b"]}));
}

#[tokio::test]
async fn a_graph_that_fails_gives_its_own_error_and_a_panic_its_message() {
    let server = Setup::probes(&["two", "fail", "panic"]).start().await;
    let (kind, message) = error_of(&server, "fail", json!({})).await;
    assert_eq!((kind.as_str(), message.as_str()), ("ValueError", "boom"));

    let (kind, message) = error_of(&server, "panic", json!({})).await;
    assert_eq!(kind, "GuestPanicked");
    assert!(message.contains("probe panicked on purpose"), "{message}");
    next_run_succeeds(&server).await;
}

#[tokio::test]
async fn a_graph_that_traps_or_calls_itself_for_ever_fails_its_own_run() {
    let server = Setup::probes(&["two", "trap", "recurse"]).start().await;
    for (graph, words) in [("trap", "unreachable"), ("recurse", "wasm trap")] {
        let (kind, message) = error_of(&server, graph, json!({})).await;
        assert_eq!(kind, "GuestTrapped", "{message}");
        assert!(message.contains(words), "{message}");
    }
    next_run_succeeds(&server).await;
}

#[tokio::test]
async fn a_graph_that_loops_for_ever_is_ended_by_its_cpu_bound_and_delays_nobody() {
    let server = Setup::probes(&["two", "spin", "spinroute"])
        .set("sandbox.cpu_ms", 300)
        .start()
        .await;
    for graph in ["spin", "spinroute"] {
        let (spinning, ()) = tokio::join!(
            error_of(&server, graph, json!({})),
            next_run_succeeds(&server)
        );
        assert_eq!(spinning.0, "CpuLimitExceeded");
        assert!(spinning.1.contains("sandbox.cpu_ms"), "{}", spinning.1);
    }
    next_run_succeeds(&server).await;
}

#[tokio::test]
async fn a_graph_that_asks_for_too_much_memory_is_ended_by_its_memory_bound() {
    let server = Setup::probes(&["two", "bomb"])
        .set("sandbox.memory_bytes", 32 << 20)
        .start()
        .await;
    let (kind, message) = error_of(&server, "bomb", json!({})).await;
    assert_eq!(kind, "MemoryLimitExceeded");
    assert!(message.contains("sandbox.memory_bytes"), "{message}");
    next_run_succeeds(&server).await;
}

#[tokio::test]
async fn tasks_wait_for_the_memory_of_all_tasks_and_none_of_them_fails() {
    const RUNS: usize = 6;
    // Each task needs 11 MiB: two below the reserve, one in it, and the others wait.
    const AT_ONCE: usize = 3;
    let gate = Gate::closed().await;
    let server = gate
        .setup(&["excess"])
        .set("sandbox.memory_bytes", 16 << 20)
        .set("sandbox.total_memory_bytes", 40 << 20)
        .start()
        .await;
    let input = json!({"hoard": 10 << 20, "calls": 1, "url": gate.url()});
    let body = json!({"assistant_id": "excess", "input": input});
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let thread = server.new_thread().await;
        runs.push(server.create_run(&thread, &body).await);
    }
    eventually("as many tasks as there is memory for", async || {
        (gate.waiting() == AT_ONCE).then_some(())
    })
    .await;
    gate.open();
    for run in &runs {
        assert_eq!(server.ended_run(run).await["status"], "success");
    }
}

#[tokio::test]
async fn a_graph_that_sleeps_too_long_is_ended_by_the_wall_clock() {
    let server = Setup::probes(&["two", "slow"])
        .set("sandbox.wall_secs", 1)
        .start()
        .await;
    let (kind, message) = error_of(&server, "slow", json!({"ms": 3_600_000})).await;
    assert_eq!(kind, "WallClockExceeded");
    assert!(message.contains("sandbox.wall_secs"), "{message}");
    next_run_succeeds(&server).await;
}

#[tokio::test]
async fn an_answer_beyond_the_output_bound_is_refused() {
    let server = Setup::probes(&["two", "big"])
        .set("sandbox.output_bytes", 200_000)
        .start()
        .await;
    let (kind, message) = error_of(&server, "big", json!({"bytes": 400_000})).await;
    assert_eq!(kind, "OutputLimitExceeded");
    assert!(message.contains("sandbox.output_bytes"), "{message}");
    next_run_succeeds(&server).await;
}

/// A run within a bound of `excess` succeeds, and one beyond it ends with that bound's kind and names its key.
async fn is_bounded(setup: Setup, within: Value, beyond: Value, kind: &str, key: &str) {
    let server = setup.start().await;
    let body = json!({"assistant_id": "excess", "input": within});
    let outcome = server.post_json("/runs/wait", &body).await;
    assert!(outcome.get("__error__").is_none(), "{outcome}");

    let (found, message) = error_of(&server, "excess", beyond).await;
    assert_eq!(found, kind, "{message}");
    assert!(message.contains(key), "{message}");
    next_run_succeeds(&server).await;
}

fn excess(key: &str, bound: u32) -> Setup {
    Setup::probes(&["two", "excess"]).set(key, bound)
}

#[tokio::test]
async fn an_answer_that_nests_too_deeply_is_refused() {
    is_bounded(
        excess("sandbox.json_depth", 32),
        json!({"depth": 20}),
        json!({"depth": 40}),
        "DepthLimitExceeded",
        "sandbox.json_depth",
    )
    .await;
}

#[tokio::test]
async fn a_task_that_makes_too_many_sends_is_ended_by_their_bound() {
    is_bounded(
        excess("sandbox.sends", 5),
        json!({"sends": 5}),
        json!({"sends": 6}),
        "SendLimitExceeded",
        "sandbox.sends",
    )
    .await;
}

#[tokio::test]
async fn a_task_that_emits_too_many_events_is_ended_by_their_bound() {
    is_bounded(
        excess("sandbox.events", 5),
        json!({"events": 5}),
        json!({"events": 6}),
        "EventLimitExceeded",
        "sandbox.events",
    )
    .await;
}

#[tokio::test]
async fn a_task_that_logs_too_many_lines_is_ended_by_their_bound() {
    is_bounded(
        excess("sandbox.log_lines", 5),
        json!({"lines": 5}),
        json!({"lines": 6}),
        "LogLimitExceeded",
        "sandbox.log_lines",
    )
    .await;
}

#[tokio::test]
async fn a_task_that_makes_too_many_requests_is_ended_by_their_bound_although_it_ignores_errors() {
    // Egress refuses each of them, which counts all the same.
    let url = "https://nobody.invalid/";
    is_bounded(
        excess("sandbox.http_calls", 5),
        json!({"calls": 5, "url": url}),
        json!({"calls": 6, "url": url}),
        "HttpCallLimitExceeded",
        "sandbox.http_calls",
    )
    .await;
}

#[tokio::test]
async fn a_run_that_holds_its_requests_open_leaves_room_for_those_of_others() {
    let (gate, open) = (Gate::closed().await, Gate::closed().await);
    open.open();
    let server = gate
        .setup(&["excess"])
        .set("egress.allowed_ports", json!([]))
        .set("egress.max_concurrent", 3)
        .set("egress.max_concurrent_per_run", 2)
        .start()
        .await;
    let thread = server.new_thread().await;
    let greedy = server.create_run(&thread, &gate.run()).await;
    eventually("the share of the greedy run", async || {
        (gate.waiting() == 2).then_some(())
    })
    .await;
    let input = json!({"calls": 1, "url": open.url()});
    let body = json!({"assistant_id": "excess", "input": input});
    let thread = server.new_thread().await;
    let other = server.create_run(&thread, &body).await;
    assert_eq!(server.ended_run(&other).await["status"], "success");

    gate.open();
    assert_eq!(server.ended_run(&greedy).await["status"], "success");
}

#[tokio::test]
async fn a_task_gets_no_memory_that_others_have_taken_of_the_total() {
    let gate = Gate::closed().await;
    let server = gate
        .setup(&["two", "bomb"])
        .set("sandbox.memory_bytes", 32 << 20)
        .set("sandbox.total_memory_bytes", 32 << 20)
        .start()
        .await;
    let thread = server.new_thread().await;
    let waiting = server.create_run(&thread, &gate.run()).await;
    gate.holds(3).await;
    let (kind, message) = error_of(&server, "bomb", json!({})).await;
    assert_eq!(kind, "MemoryLimitExceeded");
    assert!(message.contains("sandbox.total_memory_bytes"), "{message}");
    next_run_succeeds(&server).await;
    gate.open();
    assert_eq!(server.ended_run(&waiting).await["status"], "success");
}

/// Invariant 5.
#[tokio::test]
async fn a_guest_can_fail_its_own_task_and_nothing_else() {
    let bad = [
        ("fail", json!({}), "ValueError"),
        ("panic", json!({}), "GuestPanicked"),
        ("trap", json!({}), "GuestTrapped"),
        ("exit", json!({}), "GuestTrapped"),
        ("recurse", json!({}), "GuestTrapped"),
        ("spin", json!({}), "CpuLimitExceeded"),
        ("bomb", json!({}), "MemoryLimitExceeded"),
        ("garbage", json!({"how": "not_json"}), "InvalidGuestOutput"),
        ("slow", json!({"ms": 3_600_000}), "WallClockExceeded"),
    ];
    let mut graphs = bad.each_ref().map(|(graph, ..)| *graph).to_vec();
    graphs.push("two");
    let gate = Gate::closed().await;
    let setup = gate
        .setup(&graphs)
        .set("sandbox.cpu_ms", 500)
        .set("sandbox.memory_bytes", 32 << 20);
    let slow = json!({"path": setup.config["graphs"]["slow"], "sandbox": {"wall_secs": 1}});
    let mut server = setup.set("graphs.slow", slow).start().await;
    // A neighbour is in the middle of its work all the while.
    let thread = server.new_thread().await;
    let neighbour = server.create_run(&thread, &gate.run()).await;
    gate.holds(3).await;

    let failing = bad.iter().map(async |(graph, input, kind)| {
        let (got, message) = error_of(&server, graph, input.clone()).await;
        assert_eq!(&got, kind, "{graph}: {message}");
    });
    tokio::join!(join_all(failing), next_run_succeeds(&server));
    next_run_succeeds(&server).await;
    let thread = server.get_json(&format!("/threads/{thread}")).await;
    assert_eq!(thread["status"], "busy");
    gate.open();
    assert_eq!(server.ended_run(&neighbour).await["status"], "success");
    assert_eq!(server.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn a_graph_reads_the_variables_that_the_configuration_names_and_no_others() {
    let mut setup = Setup::probes(&["env"]).env("OF_THE_HOST", "hidden");
    setup.config["env"] = json!({"SHOWN": "yes"});
    let server = setup.start().await;
    let values = server
        .post_json("/runs/wait", &json!({"assistant_id": "env", "input": {}}))
        .await;
    let text = values.to_string();
    assert!(text.contains("SHOWN") && text.contains("yes"), "{text}");
    assert!(
        !text.contains("OF_THE_HOST") && !text.contains("PATH"),
        "{text}"
    );
}

#[tokio::test]
async fn what_a_guest_prints_and_logs_becomes_log_lines_with_run_and_node() {
    let server = Setup::probes(&["stdout"]).start().await;
    let thread = server.new_thread().await;
    server
        .wait(&thread, &json!({"assistant_id": "stdout", "input": {}}))
        .await;
    let runs = server.get_json(&format!("/threads/{thread}/runs")).await;
    let run = runs[0]["run_id"].as_str().expect("a run id");
    let log = server.log();
    let of_run: Vec<&str> = log.lines().filter(|line| line.contains(run)).collect();
    assert!(of_run.len() >= 2, "{log}");
    assert!(
        of_run.iter().all(|line| line.contains("\"node\"")),
        "{of_run:?}"
    );
}
