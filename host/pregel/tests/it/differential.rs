//! Compares the algorithm to recordings of LangGraph: `tests/differential/record.py` says how they are made.
//!
//! Compared after every action: the error, the output, the newest state as callers see it, every event of `values`,
//! `updates` and `tasks`, what nodes were called with, and for every checkpoint that was made its parent, step,
//! source, values, tasks, versions and versions seen; all ids to the letter.
//!
//! Left out on purpose, with the reason:
//!
//! * An answer given to no task in particular answers one question. LangGraph leaves it stored, and gives it to a
//!   later question when the thread is continued without an answer: a human's yes to one tool call would approve the
//!   next. No such script is recorded; `reports.rs` shows what happens here.
//! * A node whose branch fails after it has written counts as finished in LangGraph, and its branch is never asked
//!   again. Here it runs again. No such script is recorded.
//! * A command to a parent that a graph does not have fails under LangGraph's name; the message is not compared.
//! * A write that a channel refuses ends the run, and then LangGraph's own `get_state` fails on the same thread. Here
//!   the state can be read. Its place in the recording is not compared; the checkpoint's record is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use selvedge_model::Json;
use selvedge_model::run::{Command, StreamMode};
use selvedge_pregel::update::{Returned, Update};
use selvedge_pregel::{EndKind, Entry, StateView, record_with, view, view_with};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::guest::{Guest, concat};
use crate::harness::{Ran, Thread, breakpoints, graph, options};

#[test]
fn every_recorded_case_comes_out_as_in_langgraph() {
    let path = std::env::var_os("FIXTURE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/differential/fixture.jsonl"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(&path).expect("the fixture");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = String::new();
    let mut wrong_cases = 0;
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("a case");
        let category = case["category"].as_str().unwrap();
        *counts.entry(category.to_owned()).or_default() += 1;
        let differences = differences(&case);
        if !differences.is_empty() {
            wrong_cases += 1;
            if wrong_cases <= 12 {
                let _ = writeln!(wrong, "== {category}: {}\n{differences}", case["name"]);
            }
        }
    }
    println!("compared with LangGraph: {counts:?}");
    assert!(wrong.is_empty(), "{wrong_cases} cases differ\n{wrong}");
    assert!(counts["generated"] >= 500);
    for category in [
        "send",
        "join",
        "command",
        "interrupt",
        "deferred",
        "error",
        "update",
        "fork",
    ] {
        assert!(counts[category] >= 5, "{category}");
    }
}

/// The first action after which something differs, and what.
fn differences(case: &Value) -> String {
    let mut thread = Thread::new(graph(&case["graph"]));
    let mut guest = Guest::new(&case["behaviour"]);
    let script = case["script"].as_array().unwrap();
    let mut out = String::new();
    for (index, (action, expected)) in script
        .iter()
        .zip(case["expect"].as_array().unwrap())
        .enumerate()
    {
        let actual = act(&mut thread, &mut guest, action, index);
        for (part, expected) in expected.as_object().unwrap() {
            let actual = &actual[part];
            // Here the message is the command itself, in JSON and not in Python.
            let to_parent =
                part == "error" && expected[0] == "ParentCommand" && actual[0] == expected[0];
            let unreadable = to_parent || part == "state" && expected.get("error").is_some();
            if !unreadable {
                compare(
                    &format!("action {index} {action}: {part}"),
                    expected,
                    actual,
                    &mut out,
                );
            }
        }
        if !out.is_empty() {
            break;
        }
    }
    out
}

fn act(thread: &mut Thread, guest: &mut Guest, action: &Value, seed: usize) -> Value {
    let at = action["at"].as_u64().map(|at| usize::try_from(at).unwrap());
    // Which task ends first must not matter.
    let mut turn = seed;
    let mut pick = move |n: usize| {
        turn = turn.wrapping_mul(31).wrapping_add(7);
        turn % n
    };
    let what = action["do"].as_str().unwrap();
    let ran = if what == "update" {
        let updates = action["updates"].as_array().unwrap().iter();
        let updates = updates.map(|u| Update {
            returned: Returned::Values(Json::from(u[0].clone())),
            as_node: u[1].as_str().map(str::to_owned),
        });
        thread.update(at, updates.collect(), &mut |w| guest.work(w), &mut pick)
    } else {
        let entry = match what {
            "invoke" => Entry::Input(Json::from(action["input"].clone())),
            "continue" => Entry::Continue,
            _ => Entry::Command(command(thread, action)),
        };
        let mut options = options();
        options.modes = vec![StreamMode::Values, StreamMode::Updates, StreamMode::Tasks];
        if let Some(limit) = action["limit"].as_u64() {
            options.recursion_limit = u32::try_from(limit).unwrap();
        }
        options.interrupt_before = breakpoints(&action["interrupt_before"]);
        options.interrupt_after = breakpoints(&action["interrupt_after"]);
        thread.run(at, entry, options, &mut |w| guest.work(w), &mut pick)
    };
    let mut result = outcome(&ran, what != "update");
    let newest = thread
        .newest()
        .map(|saved| shown(&view_with(&thread.graph, saved, &mut reduce)));
    result["state"] = newest.unwrap_or_else(|| json!({"values": {}, "next": [], "tasks": []}));
    result["calls"] = sorted(std::mem::take(&mut guest.calls));
    result["checkpoints"] = ran.made.iter().map(|id| checkpoint(thread, *id)).collect();
    result
}

fn command(thread: &Thread, action: &Value) -> Command {
    let part = |name: &str| action.get(name).map(|v| Json::from(v.clone()));
    let by_number = action["answers"].as_object().map(|answers| {
        let state = view(&thread.graph, thread.newest().unwrap());
        let ids: Vec<String> = state.interrupts().map(|i| i.id.clone()).collect();
        let number = |n: &String| n.parse::<usize>().unwrap();
        let map: Map<String, Value> = answers
            .iter()
            .map(|(n, a)| (ids[number(n)].clone(), a.clone()))
            .collect();
        Json::from(Value::Object(map))
    });
    Command {
        update: part("update"),
        resume: part("resume").or(by_number),
        goto: part("goto"),
    }
}

fn outcome(ran: &Ran, is_run: bool) -> Value {
    let error = match &ran.end {
        Err(error) => Some(error.clone()),
        Ok(end) => match &end.kind {
            EndKind::Failed(error) => Some(error.clone()),
            _ => None,
        },
    };
    let mut result = json!({"error": error.as_ref().map(|e| json!([e.kind, e.message]))});
    if !is_run {
        return result;
    }
    let end = ran.end.as_ref().ok().filter(|_| error.is_none());
    result["output"] = end.map_or(Value::Null, |e| e.values.to_value());
    let of = |mode: &str| {
        let events = ran.events.iter().filter(|(m, _)| *m == mode);
        events
            .map(|(_, data)| without_response_schemas(data.clone()))
            .collect::<Vec<_>>()
    };
    let (asked, values): (Vec<_>, Vec<_>) = of("values")
        .into_iter()
        .partition(|v| v.get("__interrupt__").is_some());
    let tasks = of("tasks").into_iter().map(task_event).collect();
    result["events"] = json!({
        "values": values, "asked": sorted(asked), "updates": sorted(of("updates")), "tasks": sorted(tasks),
    });
    result
}

/// The recording leaves the schema of an answer out of questions.
fn without_response_schemas(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(without_response_schemas).collect(),
        Value::Object(mut members) => {
            members.shift_remove("response_schema");
            let members = members.into_iter();
            let members = members.map(|(name, value)| (name, without_response_schemas(value)));
            Value::Object(members.collect())
        }
        plain => plain,
    }
}

/// Without what the server adds to LangGraph's event.
fn task_event(mut event: Value) -> Value {
    let members = event.as_object_mut().unwrap();
    members.shift_remove("metadata");
    if members.contains_key("triggers") {
        members.shift_remove("interrupts");
    } else if !members["error"].is_null() {
        members["error"] = Value::from(true);
    }
    event
}

fn reduce(_channel: &str, current: &Json, updates: &Json) -> Option<Json> {
    Some(Json::from(concat(&current.to_value(), &updates.to_value())))
}

fn shown(state: &StateView) -> Value {
    let task = |t: &selvedge_pregel::TaskView| {
        json!([
            t.id.to_string(),
            t.name,
            t.path,
            t.error_text(),
            t.interrupts,
            t.result
        ])
    };
    json!({
        "values": state.values,
        "next": state.next,
        "tasks": state.tasks.iter().map(task).collect::<Vec<_>>(),
    })
}

fn checkpoint(thread: &Thread, id: selvedge_model::CheckpointId) -> Value {
    let saved = &thread.saved[&id];
    let mut made = shown(&record_with(&thread.graph, saved, &mut reduce));
    let checkpoint = &saved.checkpoint;
    made["id"] = json!(id);
    made["parent"] = json!(checkpoint.parent);
    made["source"] = json!(checkpoint.source);
    made["step"] = json!(checkpoint.step);
    made["versions"] = json!(checkpoint.versions);
    let seen = checkpoint
        .versions_seen
        .iter()
        .filter(|(_, v)| !v.is_empty());
    made["seen"] = seen
        .map(|(node, v)| (node.clone(), json!(v)))
        .collect::<Map<_, _>>()
        .into();
    // Cases that were shortened have one digest over everything.
    made["all"] = Value::from(canonical(&made));
    made
}

fn compare(place: &str, expected: &Value, actual: &Value, out: &mut String) {
    match (expected, actual) {
        (Value::String(digest), _) if digest.starts_with('#') => {
            let actual = actual
                .as_str()
                .map_or_else(|| canonical(actual), str::to_owned);
            if *digest != format!("#{:016x}", xxh3_64(actual.as_bytes())) {
                let _ = writeln!(out, "  {place}: another digest, here {actual}");
            }
        }
        (Value::Object(expected), Value::Object(actual)) => {
            let mut names: Vec<&String> = expected.keys().chain(actual.keys()).collect();
            if expected.contains_key("all") {
                names = expected.keys().collect();
            } else {
                names.retain(|n| *n != "all");
            }
            names.sort();
            names.dedup();
            for name in names {
                let member = |of: &Map<String, Value>| {
                    of.get(name).cloned().unwrap_or(Value::from("(absent)"))
                };
                compare(
                    &format!("{place}.{name}"),
                    &member(expected),
                    &member(actual),
                    out,
                );
            }
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (index, (e, a)) in expected.iter().zip(actual).enumerate() {
                compare(&format!("{place}[{index}]"), e, a, out);
            }
        }
        _ if expected == actual => {}
        _ => {
            let _ = writeln!(
                out,
                "  {place}:\n    LangGraph {expected}\n    here      {actual}"
            );
        }
    }
}

fn sorted(mut values: Vec<Value>) -> Value {
    values.sort_by_cached_key(canonical);
    Value::from(values)
}

/// Compact, with sorted members: the text that digests are made of.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, v)| format!("{}:{}", Value::from(name.as_str()), canonical(v)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}
