//! What is refused when it is loaded: the process says which component and why, and ends as it does for any mistake.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};

use super::guest::Guest;
use super::{Folder, good_run_succeeds, run, setup};

/// A start with this component must be refused with these words.
fn is_refused(name: &'static str, component: &Path, words: &[&str]) {
    let setup = setup([(name, json!(component))], &Guest::default())
        .set("sandbox.cpu_ms", 300)
        .set("sandbox.output_bytes", 1 << 20);
    let (code, log) = (setup.exit_code(), setup.log());
    assert_eq!(code, Some(1), "{name}: {log}");
    for word in words {
        assert!(log.contains(word), "{name}: no «{word}» in {log}");
    }
    assert!(!log.contains("panicked"), "{name}: {log}");
}

fn guest_is_refused(name: &'static str, guest: &Guest, words: &[&str]) {
    let folder = Folder::new();
    is_refused(name, &folder.holding(name, &guest.encoded()), words);
}

fn description_is_refused(name: &'static str, description: impl Into<Vec<u8>>, words: &[&str]) {
    let guest = Guest {
        description: Some(description.into()),
        ..Guest::default()
    };
    guest_is_refused(name, &guest, words);
}

#[test]
fn a_component_that_does_not_end_to_load_is_ended() {
    let bounds = |items, describe| Guest {
        items,
        describe,
        ..Guest::default()
    };
    const DEEP: &str = "(func $deeper (result i32) (i32.add (call $deeper) (i32.const 1)))";
    for (name, guest, kind) in [
        ("start", bounds("(start $spin)", ""), "CpuLimitExceeded"),
        ("describe", bounds("", "(call $spin)"), "CpuLimitExceeded"),
        (
            "deep",
            bounds(DEEP, "(drop (call $deeper))"),
            "StackLimitExceeded",
        ),
        (
            "greedy",
            bounds(
                "",
                "(loop $again (drop (memory.grow (i32.const 16))) (br $again))",
            ),
            "MemoryLimitExceeded",
        ),
        ("trap", bounds("", "unreachable"), "GuestTrapped"),
    ] {
        guest_is_refused(name, &guest, &["describe failed", kind]);
    }
}

#[test]
fn a_component_of_more_parts_than_a_slot_has_is_refused() {
    let with = |items| Guest {
        items,
        ..Guest::default()
    };
    for (name, items) in [
        ("memories", "(memory $b 0) (memory $c 0)"),
        (
            "tables",
            "(table 0 funcref) (table 0 funcref) (table 0 funcref) (table 0 funcref) (table 0 funcref)
             (table 0 funcref) (table 0 funcref) (table 0 funcref) (table 0 funcref)",
        ),
        ("memory", "(memory $b 5000)"),
        ("table", "(table 100000000 funcref)"),
    ] {
        guest_is_refused(name, &with(items), &["needs more than the slot of a task has"]);
    }
}

#[test]
fn a_component_that_imports_what_is_not_offered_is_refused() {
    let folder = Folder::new();
    for (name, component) in [
        (
            "stranger",
            r#"(component (import "evil:host/secrets@1.0.0" (instance (export "read" (func (result string))))))"#,
        ),
        (
            "later",
            r#"(component (import "selvedge:graph/context@0.1.1" (instance (export "read-all" (func (result string))))))"#,
        ),
        (
            "other_type",
            r#"(component (import "selvedge:graph/context@0.1.1" (instance (export "emit-custom" (func (param "value" u64))))))"#,
        ),
        ("without_exports", "(component)"),
    ] {
        let component = wat::parse_str(component).expect("a component");
        let path = folder.holding(name, &component);
        is_refused(name, &path, &["does not fit the contract selvedge:graph"]);
    }
}

#[test]
fn a_file_that_is_no_component_or_no_whole_one_is_refused() {
    let folder = Folder::new();
    let good = Guest::default().encoded();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x10;
    let module = wat::parse_str("(module)").expect("a module");
    for (name, bytes, words) in [
        ("empty", &[][..], "it is empty"),
        ("text", b"#!/bin/sh\n", "it does not begin like one"),
        (
            "native",
            b"\x7fELF\x02\x01\x01\0\0",
            "it is a native program",
        ),
        ("module", &module, "it is a core module"),
        ("truncated", &good[..good.len() / 2], "does not compile"),
        ("head", &good[..8], "does not fit the contract"),
    ] {
        is_refused(name, &folder.holding(name, bytes), &[words]);
    }
    // Half a gigabyte that takes no room on the disk.
    let large = folder.holding("large", &[]);
    let file = File::options().write(true).open(&large).expect("a file");
    file.set_len(500_000_000).expect("a sparse file");
    is_refused(
        "large",
        &large,
        &["500000000 bytes", "sandbox.max_component_bytes"],
    );
}

#[test]
fn a_component_that_lies_about_its_graphs_is_refused() {
    let with = |change: fn(&mut Value)| {
        let mut description = Guest::description();
        change(&mut description["graphs"][0]);
        description.to_string()
    };
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let many: Vec<Value> = (0..20_000)
        .map(|n| json!({"name": format!("c{n}")}))
        .collect();
    let many = json!({"graphs": [{"name": "g", "channels": many, "nodes": []}]}).to_string();
    for (name, description, words) in [
        ("no_json", "{\"graphs\": ".to_owned(), "InvalidGuestOutput"),
        ("deep", deep, "DepthLimitExceeded"),
        ("another", "[1, 2]".to_owned(), "wit/describe.schema.json"),
        (
            "nothing",
            json!({"graphs": []}).to_string(),
            "it names no graph",
        ),
        (
            "reducer",
            with(|graph| graph["channels"][0]["reducer"] = json!("bitcoin")),
            "wit/describe.schema.json",
        ),
        (
            "nowhere",
            with(|graph| graph["edges"][0]["to"] = json!("nobody")),
            "leads to the unknown node `nobody`",
        ),
        (
            "control",
            with(|graph| graph["nodes"][0]["name"] = json!("\u{1b}[2J\u{0}\nready")),
            "contains a control character",
        ),
        (
            "long",
            with(|graph| graph["nodes"][0]["name"] = json!("x".repeat(100_000))),
            "is longer than 1024 bytes",
        ),
        (
            "configured",
            with(|graph| graph["configured"] = json!(true)),
            "exports no selvedge:graph/configured",
        ),
        ("many", many, "more than 10000"),
        ("huge", "x".repeat((1 << 20) + 1), "OutputLimitExceeded"),
    ] {
        description_is_refused(name, description, &[words]);
    }
    description_is_refused(
        "no_utf8",
        b"{\"graphs\": \"\xff\"}",
        &["InvalidGuestOutput"],
    );
}

#[tokio::test]
async fn thousands_of_channels_are_served() {
    let mut description = Guest::description();
    let channels = description["graphs"][0]["channels"].as_array_mut();
    channels
        .expect("channels")
        .extend((0..5_000).map(|n| json!({"name": format!("c{n}")})));
    let folder = Folder::new();
    let path = folder.holding("many", &Guest::describing(&description).encoded());
    let server = setup([("many", json!(path))], &Guest::default())
        .start()
        .await;
    let outcome = server
        .post_json("/runs/wait", &run("many", json!({"foo": 1, "c4999": 2})))
        .await;
    assert_eq!(outcome, json!({"foo": 1, "custom": 0, "c4999": 2}));
    good_run_succeeds(&server).await;
}
