//! Starting, stopping, and what stands in the way of either.

use std::process::Command;

use serde_json::json;

use crate::support::server::{base_url, json_of, selvedge};
use crate::support::{SELVEDGE, Server, Setup, eventually};

/// What a server says that must not start, and its exit code.
fn refused_start(setup: &Setup) -> (Option<i32>, String) {
    (setup.exit_code(), setup.log())
}

#[tokio::test]
async fn sigterm_lets_running_runs_end_and_exits_with_0() {
    let mut server = Setup::probes(&["slow"]).start().await;
    let thread = server.new_thread().await;
    let created = server
        .post_json(
            &format!("/threads/{thread}/runs"),
            &json!({"assistant_id": "slow", "input": {"ms": 300}}),
        )
        .await;
    let status = server.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", server.log());
    // The database file alone is the whole: a copy of it can be put elsewhere.
    let log = server.setup.data_dir().join("selvedge.db-wal");
    assert_eq!(std::fs::metadata(log).map_or(0, |file| file.len()), 0);

    server.restart().await;
    let run = created["run_id"].as_str().expect("a run id");
    let run = server
        .get_json(&format!("/threads/{thread}/runs/{run}"))
        .await;
    assert_eq!(run["status"], "success");
    assert!(
        !server.log().contains("put back to pending"),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn after_the_grace_running_runs_are_put_back_and_go_on_after_the_restart() {
    let mut server = Setup::probes(&["slow"])
        .set("runtime.shutdown_grace_secs", 0)
        .start()
        .await;
    let thread = server.new_thread().await;
    let path = format!("/threads/{thread}/runs");
    let created = server
        .post_json(
            &path,
            &json!({"assistant_id": "slow", "input": {"ms": 2_000}}),
        )
        .await;
    let path = format!("{path}/{}", created["run_id"].as_str().expect("a run id"));
    assert_eq!(server.get_json(&path).await["status"], "running");

    let status = server.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(
        server.log().contains("put back to pending"),
        "{}",
        server.log()
    );
    server.restart().await;
    finished(&server, &path).await;
}

async fn finished(server: &Server, run: &str) {
    eventually("the run's end", async || {
        let run = server.get_json(run).await;
        (run["status"] == "success").then_some(())
    })
    .await;
}

#[tokio::test]
async fn while_it_drains_it_refuses_new_runs_with_503() {
    let server = Setup::probes(&["slow", "two"]).start().await;
    let thread = server.new_thread().await;
    server
        .post_json(
            &format!("/threads/{thread}/runs"),
            &json!({"assistant_id": "slow", "input": {"ms": 3_000}}),
        )
        .await;
    crate::support::server::signal(server.pid(), "TERM");
    let refused = eventually("a refusal", async || {
        let response = server
            .try_post(
                "/runs",
                &json!({"assistant_id": "two", "input": {"foo": "x"}}),
            )
            .await;
        let response = response.expect("the server still answers");
        (response.status() == 503).then_some(response)
    })
    .await;
    assert!(refused.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_data_directory_that_is_in_use_stops_the_second_process() {
    let server = Setup::probes(&["two"]).start().await;
    let (code, log) = refused_start(&server.setup);
    assert_eq!(code, Some(1));
    assert!(log.contains("in use"), "{log}");
    assert_eq!(server.get("/ok").await.status(), 200);
}

#[tokio::test]
async fn a_port_that_is_in_use_stops_the_start_and_says_what_to_do() {
    let server = Setup::probes(&["two"]).start().await;
    let port = server.base.rsplit(':').next().expect("a port").to_owned();
    let mut other = Setup::probes(&["two"]);
    other.port = port.parse().expect("a number");
    let (code, log) = refused_start(&other);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&port) && log.contains("--port"), "{log}");
}

#[tokio::test]
async fn a_data_directory_of_a_newer_version_is_left_alone() {
    let mut server = Setup::probes(&["two"]).start().await;
    assert_eq!(server.terminate().await.code(), Some(0));
    let database = std::fs::read_dir(server.setup.data_dir())
        .expect("a data directory")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| {
            path.extension()
                .is_some_and(|e| e == "db" || e == "sqlite" || e == "sqlite3")
        })
        .expect("a database");
    let version = |sql: &str| {
        let connection = rusqlite::Connection::open(&database).expect("the database opens");
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .ok()
    };
    version("PRAGMA user_version = 9999");

    let (code, log) = refused_start(&server.setup);
    assert_eq!(code, Some(1));
    assert!(log.contains("newer Selvedge"), "{log}");
    assert_eq!(version("PRAGMA user_version"), Some(9_999));
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_stops_the_start() {
    let setup = Setup::probes(&["two"]);
    std::fs::remove_dir_all(setup.data_dir()).expect("no directory");
    std::fs::write(setup.data_dir(), "a file stands here").expect("a file");
    let (code, log) = refused_start(&setup);
    assert_eq!(code, Some(1));
    assert!(log.contains("data directory"), "{log}");
}

#[tokio::test]
async fn a_component_is_compiled_once_and_found_again_at_the_next_start() {
    let setup = Setup::probes(&["two"]);
    let compiled = setup.data_dir().join("components");
    // Not the place that the other tests share.
    std::fs::remove_file(&compiled).expect("a link");
    let mut server = setup.start().await;
    assert_eq!(server.terminate().await.code(), Some(0));
    let count = || std::fs::read_dir(&compiled).expect("a cache").count();
    // A component that is compiled anew is a new file in the place of the old one.
    let file = || {
        let entry = std::fs::read_dir(&compiled)
            .expect("a cache")
            .next()
            .expect("an entry");
        let metadata = entry.expect("an entry").metadata().expect("its data");
        std::os::unix::fs::MetadataExt::ino(&metadata)
    };
    let (before, made) = (count(), file());
    assert_eq!(before, 1);
    server.restart().await;
    assert_eq!((count(), file()), (before, made));
}

#[test]
fn dev_builds_the_graphs_serves_them_and_warns_about_what_is_open() {
    let root = crate::support::root();
    let data = tempfile::TempDir::new().expect("a temporary directory");
    let log = data.path().join("log");
    let file = std::fs::File::create(&log).expect("a log");
    let mut child = Command::new(SELVEDGE)
        .args(["dev", "--port", "0", "--data-dir"])
        .arg(data.path().join("data"))
        .current_dir(root)
        .stdout(file.try_clone().expect("a log"))
        .stderr(file)
        .spawn()
        .expect("selvedge starts");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let said = runtime.block_on(async {
        let base = eventually("selvedge dev", async || base_url(&std::fs::read_to_string(&log).ok()?)).await;
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let body = json!({"assistant_id": "echo", "input": {"messages": [{"role": "user", "content": "hello"}]}});
        let response = client.post(format!("{base}/runs/wait")).json(&body).send().await.expect("an answer");
        let values = json_of(response, reqwest::StatusCode::OK).await;
        assert_eq!(values["messages"][1]["content"], "hello");
        let preflight = client
            .request(reqwest::Method::OPTIONS, format!("{base}/threads"))
            .header("origin", "https://smith.langchain.com")
            .header("access-control-request-method", "POST")
            .header("access-control-request-private-network", "true");
        let preflight = preflight.send().await.expect("an answer");
        assert_eq!(preflight.headers()["access-control-allow-private-network"], "true");
        std::fs::read_to_string(&log).expect("a log")
    });
    child.kill().expect("the process can be killed");
    child.wait().expect("the process ends");
    for words in ["building", "echo", "disable_loopback", "curl"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn help_teaches() {
    for (arguments, words) in [
        (&["--help"][..], "selvedge dev"),
        (&["serve", "--help"], "SIGTERM"),
        (&["build", "--help"], "SELVEDGE_NO_RUSTUP"),
        (&["webhooks", "listen", "--help"], "--fail"),
    ] {
        let (code, text) = selvedge(&crate::support::root(), arguments);
        assert_eq!(code, Some(0));
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}
