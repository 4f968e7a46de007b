//! A `selvedge serve` process of one's own, on a free port, with a data directory of its own, and its HTTP API.

use std::ffi::OsString;
use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::documented;
use super::namespace::{self, Disk};
use super::sse::{self, Event};
use super::wait::{PATIENCE, eventually};
use super::{Dns, SELVEDGE, graphs};

/// The first server of a component compiles it: that takes the test profile a minute on a busy machine.
const STARTING: Duration = Duration::from_secs(300);

/// A log that shows what our own rooms and the HTTP library say at their most talkative.
pub const TALKATIVE: &str = "info,selvedge=trace,hyper=trace";

/// What a server is started with.
pub struct Setup {
    /// `langgraph.json`.
    pub config: Value,
    /// Variables of the process.
    pub env: Vec<(String, String)>,
    /// 0: a free one.
    pub port: u16,
    /// `None`: the one of all tests.
    pub disk: Option<Disk>,
    /// Names that lead to an address of the test's choice.
    pub hosts: Vec<(String, String)>,
    /// `None`: the system's.
    pub name_server: Option<IpAddr>,
    /// How many files the process may have open; `None`: as many as the test's.
    pub max_files: Option<u32>,
    /// `serve`, or `dev`.
    command: &'static str,
    dir: TempDir,
}

impl Setup {
    /// The probe graphs named, under their own names, and webhooks open to loopback.
    pub fn probes(names: &[&str]) -> Self {
        let wasm = graphs::probe();
        let graphs: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| {
                (
                    (*name).to_owned(),
                    json!(format!("{}:{name}", wasm.display())),
                )
            })
            .collect();
        Self::with_graphs(Value::Object(graphs))
    }

    /// The examples named.
    pub fn examples(names: &[&str]) -> Self {
        let graphs: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| ((*name).to_owned(), json!(graphs::example(name))))
            .collect();
        Self::with_graphs(Value::Object(graphs))
    }

    pub fn with_graphs(graphs: Value) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        share_compiled_components(&dir.path().join("data"));
        let config = json!({
            "graphs": graphs,
            "webhooks": {"url": {"require_https": false, "disable_loopback": false}},
        });
        Self {
            config,
            env: Vec::new(),
            port: 0,
            disk: None,
            hosts: Vec::new(),
            name_server: None,
            max_files: None,
            command: "serve",
            dir,
        }
    }

    /// Sets a member of the configuration by its path: `set("runtime.max_attempts", 2)`.
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut at = &mut self.config;
        for name in path.split('.') {
            at = &mut at[name];
        }
        *at = value.into();
        self
    }

    /// Sets a bound of one graph.
    pub fn bound(mut self, graph: &str, key: &str, value: impl Into<Value>) -> Self {
        let graph = &mut self.config["graphs"][graph];
        if let Some(path) = graph.as_str() {
            *graph = json!({"path": path});
        }
        graph["sandbox"][key] = value.into();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn on(mut self, disk: Disk) -> Self {
        self.disk = Some(disk);
        self
    }

    pub fn host(mut self, name: &str, address: &str) -> Self {
        self.hosts.push((name.to_owned(), address.to_owned()));
        self
    }

    pub fn max_files(mut self, files: u32) -> Self {
        self.max_files = Some(files);
        self
    }

    pub fn asking(mut self, dns: &Dns) -> Self {
        self.name_server = Some(dns.address);
        self
    }

    /// The author's server. A component that lies beside its source would be built again; a copy is taken as it is.
    pub fn dev(mut self) -> Self {
        self.command = "dev";
        let copy = self.data_dir().join("probe.wasm");
        std::fs::copy(graphs::probe(), &copy).expect("a copy of the probe");
        let graphs = self.config["graphs"].as_object_mut();
        for (name, component) in graphs.expect("graphs") {
            *component = json!(format!("{}:{name}", copy.display()));
        }
        self
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What the server has for its data directory.
    fn served_dir(&self) -> PathBuf {
        match self.disk {
            None => self.data_dir(),
            Some(_) => self.dir.path().join("disk"),
        }
    }

    fn hosts_file(&self) -> PathBuf {
        let lines = self.hosts.iter();
        let lines = lines.map(|(name, address)| format!("{address} {name}\n"));
        let file = self.dir.path().join("hosts");
        std::fs::write(&file, lines.collect::<String>()).expect("the names are written");
        file
    }

    pub fn log_file(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The command, its configuration written and its output going to the log file.
    pub fn command(&self) -> Command {
        let file = self.dir.path().join("langgraph.json");
        std::fs::write(&file, self.config.to_string()).expect("the configuration is written");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("the log is opened");
        let (mut program, data) = (vec![SELVEDGE.into()], self.served_dir());
        if let Some(disk) = self.disk {
            program = disk.around(&self.data_dir(), &data, program);
        }
        if !self.hosts.is_empty() {
            program = namespace::with_hosts(&self.hosts_file(), program);
        }
        if let Some(server) = self.name_server {
            program = namespace::with_name_server(server, self.dir.path(), program);
        }
        if let Some(files) = self.max_files {
            let limited = format!("ulimit -n {files} && exec \"$@\"");
            program.splice(0..0, ["sh", "-c", &limited, "sh"].map(OsString::from));
        }
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]);
        command
            .arg(self.command)
            .arg("--config")
            .arg(file)
            .arg("--data-dir")
            .arg(data)
            .args(["--port", &self.port.to_string()])
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log is shared"))
            .stderr(log);
        command
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Starts a server that must not come up, and waits for its end.
    pub fn exit_code(&self) -> Option<i32> {
        let mut child = self.command().spawn().expect("selvedge starts");
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("the process can be asked") {
                return status.code();
            }
            if begun.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("selvedge goes on:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts a server and waits until it answers.
    pub async fn start(self) -> Server {
        let child = self.command().spawn().expect("selvedge starts");
        let mut server = Server {
            child,
            base: String::new(),
            client: client(),
            setup: self,
        };
        server.becomes_ready().await;
        server
    }
}

/// Compiling a component takes the test profile seconds, so all servers keep what they compiled in one place.
fn share_compiled_components(data: &Path) {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components");
    std::fs::create_dir_all(&shared).expect("a directory for compiled components");
    // The server does not use one that a lenient umask opened to others.
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o700))
        .expect("its mode is set");
    std::fs::create_dir(data).expect("a data directory");
    std::os::unix::fs::symlink(shared, data.join("components")).expect("a link");
}

/// No pooling surprises between a process that was killed and the next one.
fn client() -> Client {
    Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .expect("an HTTP client")
}

/// A running server; killed when dropped.
pub struct Server {
    pub base: String,
    pub client: Client,
    pub setup: Setup,
    child: Child,
}

impl Server {
    async fn becomes_ready(&mut self) {
        let begun = Instant::now();
        let from = self.log_before_this_process();
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                panic!(
                    "selvedge ended with {status} before it was ready:\n{}",
                    self.log()
                );
            }
            if let Some(base) = base_url(&self.log()[from..]) {
                self.base = base;
                let ok = self.client.get(format!("{}/ok", self.base)).send().await;
                if ok.is_ok_and(|response| response.status().is_success()) {
                    return;
                }
            }
            assert!(
                begun.elapsed() < STARTING,
                "selvedge is not ready:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A restarted server writes behind what the one before wrote.
    fn log_before_this_process(&self) -> usize {
        self.log().rfind("=== restart ===").unwrap_or(0)
    }

    pub fn log(&self) -> String {
        self.setup.log()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A file on the disk that [`Setup::on`] gave the server.
    pub fn on_its_disk(&self, file: &str) -> PathBuf {
        namespace::as_seen_by(self.pid(), &self.setup.served_dir().join(file))
    }

    /// SIGKILL, and no more of it.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }

    /// Starts a new process on the same data directory.
    pub async fn restart(&mut self) {
        let mark = format!("{}\n=== restart ===\n", self.log());
        std::fs::write(self.setup.log_file(), mark).expect("the log is marked");
        self.child = self.setup.command().spawn().expect("selvedge starts");
        self.becomes_ready().await;
    }

    /// SIGTERM; the exit status when it has ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        signal(self.pid(), "TERM");
        self.ended().await
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                return status;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "selvedge does not end:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, None).await
    }

    /// Comes back to a stream after an event.
    pub async fn get_after(&self, path: &str, last_event_id: &str) -> Response {
        self.client
            .get(format!("{}{path}", self.base))
            .header("last-event-id", last_event_id)
            .send()
            .await
            .unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.log()))
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Response {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Response {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.send(Method::DELETE, path, None).await
    }

    /// A request to a server that may be gone.
    pub async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<Response> {
        self.try_send(&Method::POST, path, Some(body)).await
    }

    /// A request, and its answer.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let answer = self.try_send(&method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    async fn try_send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<Response> {
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method.clone(), url);
        if let Some(body) = body {
            request = request.json(body);
        }
        documented::checked(method, request.send().await?).await
    }

    /// A request that must succeed, and its JSON.
    pub async fn get_json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        json_of(response, StatusCode::OK).await
    }

    /// A request that must succeed, and its JSON.
    pub async fn post_json(&self, path: &str, body: &Value) -> Value {
        let response = self.post(path, body).await;
        json_of(response, StatusCode::OK).await
    }

    /// A request that must be refused: its `detail`.
    pub async fn refused(&self, path: &str, body: &Value, status: u16) -> String {
        let response = self.post(path, body).await;
        detail_of(response, status).await
    }

    pub async fn new_thread(&self) -> String {
        let thread = self.post_json("/threads", &json!({})).await;
        thread["thread_id"]
            .as_str()
            .expect("a thread id")
            .to_owned()
    }

    /// A run on a thread, not waited for.
    pub async fn create_run(&self, thread: &str, body: &Value) -> Value {
        self.post_json(&format!("/threads/{thread}/runs"), body)
            .await
    }

    /// A run on a thread, as its stream shows it.
    pub async fn stream(&self, thread: &str, body: &Value) -> Vec<Event> {
        let response = self
            .post(&format!("/threads/{thread}/runs/stream"), body)
            .await;
        assert_eq!(response.status(), StatusCode::OK);
        sse::events(response).await
    }

    /// The state of a thread.
    pub async fn state(&self, thread: &str) -> Value {
        self.get_json(&format!("/threads/{thread}/state")).await
    }

    /// Waits until a run has ended: the run.
    pub async fn ended_run(&self, run: &Value) -> Value {
        let path = format!(
            "/threads/{}/runs/{}",
            text(&run["thread_id"]),
            text(&run["run_id"])
        );
        eventually(&format!("the end of {path}"), async || {
            let run = self.get_json(&path).await;
            (run["status"] != "pending" && run["status"] != "running").then_some(run)
        })
        .await
    }

    /// A run on a thread, waited for.
    pub async fn wait(&self, thread: &str, body: &Value) -> Value {
        self.post_json(&format!("/threads/{thread}/runs/wait"), body)
            .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A string out of an answer.
pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
}

/// The names of an object's members, in their order.
pub fn names(value: &Value) -> Vec<&str> {
    let members = value
        .as_object()
        .unwrap_or_else(|| panic!("not an object: {value}"));
    members.keys().map(String::as_str).collect()
}

pub async fn json_of(response: Response, status: StatusCode) -> Value {
    let url = response.url().clone();
    let got = response.status();
    let text = response.text().await.expect("a body");
    assert_eq!(got, status, "{url}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"))
}

pub async fn detail_of(response: Response, status: u16) -> String {
    let got = response.status().as_u16();
    let text = response.text().await.expect("a body");
    assert_eq!(got, status, "{text}");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    body["detail"]
        .as_str()
        .unwrap_or_else(|| panic!("no detail: {text}"))
        .to_owned()
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success());
}

/// The URL in the line that says where the server listens.
pub fn base_url(log: &str) -> Option<String> {
    let line = log
        .lines()
        .find(|line| line.contains("API") && line.contains("http://"))?;
    let start = line.find("http://")?;
    let url: String = line[start..]
        .chars()
        .take_while(|c| !c.is_whitespace())
        .collect();
    Some(url)
}

/// Runs the binary to its end.
pub fn selvedge(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(SELVEDGE)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("selvedge starts");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}
