//! A checked tree → `Config`. Defaults come from the table of keys; what several values must agree on is
//! checked here.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use selvedge_api::{RateLimit, Tls};
use selvedge_auth::{ApiKey, JwtOptions, KeySource};
use selvedge_egress::{ClientOptions, Mode, PolicyOptions};
use selvedge_model::Identity;
use selvedge_model::thread::{Ttl, TtlStrategy};
use selvedge_runtime::items::ItemTtl;
use selvedge_runtime::sweep::ThreadTtl;
use selvedge_sandbox::Limits;
use selvedge_sandbox::options::{MOST_INSTANCES, hostcall_bytes_for};
use selvedge_webhook::StartError;
use serde_json::{Map, Value};

use super::keys;
use super::memory;
use super::problems::Problems;
use super::types::{
    Config, EgressConfig, GraphConfig, HttpConfig, Listen, LogFormat, RuntimeConfig, SandboxConfig,
    Secret, StorageConfig, StoreConfig, Synchronous, TelemetryConfig, WebhooksConfig,
};
use super::values;

/// So many bodies of the largest size may be held at once, where the file does not say.
const BODIES_OF_LARGEST_SIZE: usize = 8;

/// A group of a checked tree. What is absent comes from the table, whose defaults a test holds against its kinds.
#[derive(Clone, Copy)]
struct Group<'a> {
    /// As the table writes it; `""` is the file itself.
    path: &'a str,
    members: Option<&'a Map<String, Value>>,
}

impl<'a> Group<'a> {
    fn group(self, name: &'a str, path: &'a str) -> Self {
        let members = self
            .members
            .and_then(|members| members.get(name))
            .and_then(Value::as_object);
        Self { path, members }
    }

    fn given(self, name: &str) -> Option<&'a Value> {
        self.members.and_then(|members| members.get(name))
    }

    fn value(self, name: &str) -> Value {
        let default =
            || keys::find(&format!("{}.{name}", self.path)).and_then(keys::Key::default_value);
        self.given(name)
            .cloned()
            .or_else(default)
            .unwrap_or_default()
    }

    fn bool(self, name: &str) -> bool {
        self.value(name).as_bool().unwrap_or_default()
    }

    fn number(self, name: &str) -> u64 {
        self.value(name).as_u64().unwrap_or_default()
    }

    /// A number that counts things in memory, or is bounded by what a `usize` holds.
    fn size(self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    fn count(self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    fn secs(self, name: &str) -> Duration {
        Duration::from_secs(self.number(name))
    }

    fn minutes(self, name: &str) -> Duration {
        Duration::from_mins(self.number(name))
    }

    fn days(self, name: &str) -> Duration {
        Duration::from_hours(24 * self.number(name))
    }

    fn text(self, name: &str) -> String {
        self.value(name).as_str().unwrap_or_default().to_owned()
    }

    fn object(self, name: &str) -> Map<String, Value> {
        self.given(name)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }

    fn texts(self, name: &str) -> Vec<String> {
        self.list(name, |value| value.as_str().map(str::to_owned))
    }

    fn ports(self, name: &str) -> Vec<u16> {
        self.list(name, |value| {
            value.as_u64().and_then(|port| u16::try_from(port).ok())
        })
    }

    fn list<T>(self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        let value = self.value(name);
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(read)
            .collect()
    }
}

/// Reads the tree of a file that lies in `directory`.
pub(super) fn config(
    tree: &Map<String, Value>,
    file: &Path,
    directory: &Path,
    listen: Listen,
    data_dir: Option<PathBuf>,
) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let root = Group {
        path: "",
        members: Some(tree),
    };
    let sandbox = root.group("sandbox", "sandbox");
    let config = Config {
        file: file.to_owned(),
        directory: directory.to_owned(),
        graphs: graphs(root, directory, &file.display().to_string(), &mut problems),
        listen,
        http: http(root.group("http", "http"), directory),
        auth: auth(root, directory, &file.display().to_string(), &mut problems),
        webhooks: webhooks(root),
        egress: egress(root.group("egress", "egress")),
        sandbox: SandboxConfig {
            total_memory_bytes: match sandbox.given("total_memory_bytes") {
                Some(_) => sandbox.size("total_memory_bytes"),
                None => memory::half_of_ram(),
            },
            max_instances: sandbox.size("max_instances"),
            max_component_bytes: sandbox.number("max_component_bytes"),
            compile_memory_bytes: sandbox.number("compile_memory_bytes"),
            compile_cpu: sandbox.secs("compile_cpu_secs"),
            compile_wall: sandbox.secs("compile_wall_secs"),
            compile_output_bytes: sandbox.number("compile_output_bytes"),
            compile_processes: sandbox.size("compile_processes"),
        },
        runtime: runtime(root.group("runtime", "runtime")),
        storage: storage(root.group("storage", "storage"), directory, data_dir),
        store: store(
            root.group("store", "store"),
            &file.display().to_string(),
            &mut problems,
        ),
        thread_ttl: thread_ttl(
            root.group("checkpointer", "checkpointer")
                .group("ttl", "checkpointer.ttl"),
        ),
        telemetry: telemetry(root.group("telemetry", "telemetry")),
        warnings: Vec::new(),
    };
    if let Err(StartError::Option { key, message }) = config.webhooks.options().validate() {
        problems.add(format!("{}: webhooks.{key}", file.display()), message);
    }
    let stacks: BTreeSet<usize> = config
        .graphs
        .iter()
        .map(|graph| graph.limits.stack_bytes)
        .collect();
    if stacks.len().saturating_mul(config.sandbox.max_instances) > MOST_INSTANCES {
        problems.add(
            format!("{}: sandbox.max_instances", file.display()),
            format!(
                "is too much for graphs of {} different stack_bytes: their product is {MOST_INSTANCES} at most",
                stacks.len()
            ),
        );
    }
    if config.http.max_body_bytes_total < config.http.max_body_bytes {
        problems.add(
            format!("{}: http.max_body_bytes_total", file.display()),
            "is less than http.max_body_bytes: the largest body could never be taken",
        );
    }
    for graph in &config.graphs {
        if sandbox.given("total_memory_bytes").is_some()
            && graph.limits.memory_bytes > config.sandbox.total_memory_bytes
        {
            let place = format!("{}: sandbox.total_memory_bytes", file.display());
            problems.add(
                place,
                format!(
                    "is less than memory_bytes of graph `{}`: it could never run",
                    graph.id
                ),
            );
        }
    }
    problems.into_result(config)
}

fn graphs(
    root: Group<'_>,
    directory: &Path,
    file: &str,
    problems: &mut Problems,
) -> Vec<GraphConfig> {
    let members = root.object("graphs");
    let mut graphs = Vec::with_capacity(members.len());
    for (id, value) in &members {
        let group = Group {
            path: "graphs.*",
            members: value.as_object(),
        };
        let component = value
            .as_str()
            .or_else(|| group.given("path").and_then(Value::as_str));
        let Some((path, name)) = component.and_then(values::split_component) else {
            continue;
        };
        let env = overlay(root.object("env"), group.object("env"));
        let secrets = overlay(root.object("secrets"), group.object("secrets"));
        for name in env.keys().filter(|name| secrets.contains_key(*name)) {
            let place = format!("{file}: graphs.{id}");
            problems.add(
                place,
                format!("{name} is both a variable of `env` and one of `secrets`"),
            );
        }
        graphs.push(GraphConfig {
            id: id.clone(),
            path: join(directory, path),
            name: name.map(str::to_owned),
            description: group
                .given("description")
                .and_then(Value::as_str)
                .map(str::to_owned),
            config: group.object("config"),
            context: group.object("context"),
            env: env
                .into_iter()
                .filter_map(|(name, value)| value.as_str().map(|value| (name, value.to_owned())))
                .collect(),
            secrets: secrets
                .iter()
                .map(|(name, value)| secret(name, value))
                .collect(),
            limits: Limits {
                instances: instances(root, group, members.len()),
                ..limits(&overlay(root.object("sandbox"), group.object("sandbox")))
            },
        });
    }
    graphs
}

/// `./` at the front of a path would stand in every message about it.
fn join(directory: &Path, path: &str) -> PathBuf {
    let path = Path::new(path);
    directory.join(path.strip_prefix(".").unwrap_or(path))
}

/// What a graph says beats what the file says for all graphs.
fn overlay(all: Map<String, Value>, own: Map<String, Value>) -> BTreeMap<String, Value> {
    all.into_iter().chain(own).collect()
}

fn secret(name: &str, value: &Value) -> Secret {
    let group = Group {
        path: "secrets.*",
        members: value.as_object(),
    };
    Secret {
        name: name.to_owned(),
        value: group.text("value"),
        hosts: group.texts("hosts"),
    }
}

/// A graph's share of the instances: where there are others, none takes more than half of them unless the file says so.
fn instances(root: Group<'_>, graph: Group<'_>, graphs: usize) -> usize {
    let all = root.group("sandbox", "sandbox").size("max_instances");
    let own = graph.group("sandbox", "graphs.*.sandbox");
    match own.given("max_instances") {
        Some(_) => own.size("max_instances"),
        None if graphs > 1 => all.div_ceil(2),
        None => all,
    }
}

fn limits(sandbox: &BTreeMap<String, Value>) -> Limits {
    let members: Map<String, Value> = sandbox.clone().into_iter().collect();
    let group = Group {
        path: "sandbox",
        members: Some(&members),
    };
    Limits {
        memory_bytes: group.size("memory_bytes"),
        table_elements: group.size("table_elements"),
        stack_bytes: group.size("stack_bytes"),
        cpu: Duration::from_millis(group.number("cpu_ms")),
        wall: group.secs("wall_secs"),
        output_bytes: group.size("output_bytes"),
        hostcall_bytes: match group.given("hostcall_bytes") {
            Some(_) => group.size("hostcall_bytes"),
            None => hostcall_bytes_for(group.size("output_bytes")),
        },
        json_depth: group.size("json_depth"),
        sends: group.size("sends"),
        events: group.count("events"),
        events_per_sec: group.count("events_per_sec"),
        event_bytes: group.size("event_bytes"),
        messages: group.size("messages"),
        log_lines: group.count("log_lines"),
        log_lines_per_sec: group.count("log_lines_per_sec"),
        http_calls: group.count("http_calls"),
        store_calls: group.count("store_calls"),
        store_bytes: group.size("store_bytes"),
        handles: group.size("handles"),
        instance_wait: group.secs("instance_wait_secs"),
        ..Limits::default()
    }
}

/// A file that asks for authentication and lets nobody in was not meant so.
fn auth(
    root: Group<'_>,
    directory: &Path,
    file: &str,
    problems: &mut Problems,
) -> Option<selvedge_auth::Options> {
    root.given("auth")?;
    let group = root.group("auth", "auth");
    let jwt = group.given("jwt").map(|_| {
        let jwt = group.group("jwt", "auth.jwt");
        let keys = jwt.text("jwks");
        JwtOptions {
            keys: match keys.contains("://") {
                true => KeySource::Url(keys),
                false => KeySource::File(join(directory, &keys)),
            },
            issuer: jwt.text("issuer"),
            audience: jwt.text("audience"),
            identity_claim: jwt.text("identity_claim"),
            permissions_claim: jwt.text("permissions_claim"),
        }
    });
    let options = selvedge_auth::Options {
        api_keys: group.list("api_keys", api_key),
        jwt,
    };
    if let Some(position) = doubled(&options.api_keys) {
        problems.add(
            format!("{file}: auth.api_keys[{position}].hash"),
            "stands twice: a key has one holder, and everybody needs their own",
        );
    }
    // Where no values are needed there may be keys whose hashes are not known.
    let has_keys = !group
        .list("api_keys", |entry| Some(entry.is_object()))
        .is_empty();
    if !has_keys && options.jwt.is_none() {
        problems.add(
            format!("{file}: auth"),
            "lets nobody in: give it `api_keys` or `jwt`, or remove it",
        );
    }
    Some(options)
}

/// Name and hash were checked with the configuration.
fn api_key(entry: &Value) -> Option<ApiKey> {
    let group = Group {
        path: "auth.api_keys.*",
        members: entry.as_object(),
    };
    Some(ApiKey {
        name: Identity::new(&group.text("name"))?,
        hash: group.text("hash").parse().ok()?,
        permissions: group.texts("permissions"),
    })
}

/// The first key that stands above, too.
fn doubled(keys: &[ApiKey]) -> Option<usize> {
    let mut known = HashSet::new();
    keys.iter().position(|key| !known.insert(key.hash))
}

fn http(group: Group<'_>, directory: &Path) -> HttpConfig {
    let rate = group.group("rate_limit", "http.rate_limit");
    let tls = group.group("tls", "http.tls");
    let cors = group.group("cors", "http.cors");
    HttpConfig {
        max_requests: group.size("max_requests"),
        max_requests_per_caller: group.size("max_requests_per_caller"),
        max_streams_per_caller: group.size("max_streams_per_caller"),
        rate_limit: rate.members.map(|members| RateLimit {
            requests_per_second: rate.count("requests_per_second"),
            burst: match members.contains_key("burst") {
                true => rate.count("burst"),
                false => rate.count("requests_per_second"),
            },
        }),
        allowed_hosts: group.texts("allowed_hosts"),
        allowed_origins: cors
            .given("allow_origins")
            .map(|_| cors.texts("allow_origins")),
        tls: tls.members.map(|_| Tls {
            certificate: join(directory, &tls.text("certificate")),
            key: join(directory, &tls.text("key")),
        }),
        max_body_bytes: group.size("max_body_bytes"),
        max_body_bytes_total: match group.given("max_body_bytes_total") {
            Some(_) => group.size("max_body_bytes_total"),
            None => group
                .size("max_body_bytes")
                .saturating_mul(BODIES_OF_LARGEST_SIZE),
        },
        max_connections: group.size("max_connections"),
        max_connections_per_address: group.size("max_connections_per_address"),
        max_header_bytes: group.size("max_header_bytes"),
        request_timeout: group.secs("request_timeout_secs"),
        write_timeout: group.secs("write_timeout_secs"),
        meta: !group.bool("disable_meta"),
        mcp: !group.bool("disable_mcp"),
        a2a: !group.bool("disable_a2a"),
    }
}

fn webhooks(root: Group<'_>) -> WebhooksConfig {
    let group = root.group("webhooks", "webhooks");
    let retry = group.group("retry", "webhooks.retry");
    let headers = group.object("headers");
    WebhooksConfig {
        enabled: !root.group("http", "http").bool("disable_webhooks"),
        headers: headers
            .into_iter()
            .filter_map(|(name, value)| value.as_str().map(|value| (name, value.to_owned())))
            .collect(),
        secrets: group.group("signing", "webhooks.signing").texts("secrets"),
        allowed_fields: group
            .given("allowed_fields")
            .map(|_| group.texts("allowed_fields")),
        url: url_rules(group.group("url", "webhooks.url")),
        retry_schedule: retry.list("schedule_secs", |secs| {
            secs.as_u64().map(Duration::from_secs)
        }),
        retry_jitter: retry.value("jitter").as_f64().unwrap_or_default(),
        timeout: group.secs("timeout_secs"),
        max_body_bytes: group.size("max_body_bytes"),
        max_concurrent: group.size("max_concurrent"),
        max_concurrent_per_host: group.size("max_concurrent_per_host"),
        retention: group.days("retention_days"),
    }
}

fn url_rules(group: Group<'_>) -> PolicyOptions {
    PolicyOptions {
        max_url_length: group.size("max_url_length"),
        disable_loopback: group.bool("disable_loopback"),
        disable_private_ips: group.bool("disable_private_ips"),
        mode: match group.text("mode").as_str() {
            "report" => Mode::Report,
            _ => Mode::Enforce,
        },
        ..addresses(group, PolicyOptions::webhooks())
    }
}

fn egress(group: Group<'_>) -> EgressConfig {
    EgressConfig {
        policy: PolicyOptions {
            methods: group.texts("methods"),
            ..addresses(group, PolicyOptions::graphs())
        },
        client: ClientOptions {
            max_response_bytes: group.number("max_response_bytes"),
            max_concurrent: group.size("max_concurrent"),
            ..ClientOptions::default()
        },
        timeout: group.secs("timeout_secs"),
        max_concurrent_per_run: group.size("max_concurrent_per_run"),
    }
}

/// The rules that webhooks and graphs have in common.
fn addresses(group: Group<'_>, others: PolicyOptions) -> PolicyOptions {
    PolicyOptions {
        require_https: group.bool("require_https"),
        allowed_ports: group.ports("allowed_ports"),
        allowed_domains: group.texts("allowed_domains"),
        denied_domains: group.texts("denied_domains"),
        allowed_networks: group.texts("allowed_networks"),
        denied_networks: group.texts("denied_networks"),
        ..others
    }
}

fn runtime(group: Group<'_>) -> RuntimeConfig {
    RuntimeConfig {
        max_running_runs: group.size("max_running_runs"),
        max_parallel_tasks: group.size("max_parallel_tasks"),
        max_step_sends: group.size("max_step_sends"),
        max_step_bytes: group.size("max_step_bytes"),
        max_exit_bytes: group.size("max_exit_bytes"),
        max_run_store_items: group.number("max_run_store_items"),
        max_run_store_bytes: group.number("max_run_store_bytes"),
        node_cache_bytes: group.number("node_cache_bytes"),
        graph_cache_bytes: group.number("graph_cache_bytes"),
        max_batch_runs: group.size("max_batch_runs"),
        max_pending_runs: group.number("max_pending_runs"),
        max_pending_runs_per_caller: group.number("max_pending_runs_per_caller"),
        max_running_runs_per_caller: match group.given("max_running_runs_per_caller") {
            Some(_) => group.number("max_running_runs_per_caller"),
            None => group.number("max_running_runs").div_ceil(2),
        },
        max_crons_per_caller: group.number("max_crons_per_caller"),
        run_timeout: group.secs("run_timeout_secs"),
        max_attempts: group.count("max_attempts"),
        shutdown_grace: group.secs("shutdown_grace_secs"),
        resumable_ttl: group.secs("resumable_ttl_secs"),
    }
}

fn storage(group: Group<'_>, directory: &Path, data_dir: Option<PathBuf>) -> StorageConfig {
    StorageConfig {
        // A path on the command line is relative to where the command is typed.
        path: data_dir.unwrap_or_else(|| join(directory, &group.text("path"))),
        synchronous: match group.text("synchronous").as_str() {
            "normal" => Synchronous::Normal,
            _ => Synchronous::Full,
        },
        max_search: group.secs("max_search_secs"),
    }
}

fn store(group: Group<'_>, file: &str, problems: &mut Problems) -> StoreConfig {
    let index = group
        .given("index")
        .map(|_| item_index(group.group("index", "store.index"), file, problems));
    StoreConfig {
        ttl: item_ttl(group.group("ttl", "store.ttl")),
        index,
    }
}

fn item_index(group: Group<'_>, file: &str, problems: &mut Problems) -> selvedge_index::Options {
    let embed = group.text("embed");
    // Checked with the file, as are the paths.
    let model = values::embedding_model(&embed);
    let fields = group.texts("fields");
    let options = selvedge_index::Options {
        dims: group.size("dims"),
        model: model.unwrap_or_default().to_owned(),
        url: group.text("url"),
        api_key: group.given("api_key").map(|_| group.text("api_key")),
        fields: fields.iter().filter_map(|path| path.parse().ok()).collect(),
        fields_text: fields,
        require_https: group.bool("require_https"),
        timeout: group.secs("timeout_secs"),
    };
    if let Err(error) = options.validate() {
        problems.add(format!("{file}: store.index.{}", error.key), error.message);
    }
    options
}

fn item_ttl(group: Group<'_>) -> ItemTtl {
    ItemTtl {
        default: group
            .given("default_ttl")
            .map(|_| group.minutes("default_ttl")),
        refresh_on_read: group.bool("refresh_on_read"),
        sweep_interval: group.minutes("sweep_interval_minutes"),
    }
}

fn thread_ttl(group: Group<'_>) -> ThreadTtl {
    let strategy = match group.text("strategy").as_str() {
        "keep_latest" => TtlStrategy::KeepLatest,
        _ => TtlStrategy::Delete,
    };
    ThreadTtl {
        default: group.given("default_ttl").map(|_| Ttl {
            strategy,
            after: group.minutes("default_ttl"),
        }),
        sweep_interval: group.minutes("sweep_interval_minutes"),
        sweep_limit: group.count("sweep_limit"),
    }
}

fn telemetry(group: Group<'_>) -> TelemetryConfig {
    TelemetryConfig {
        log: group.text("log"),
        format: match group.text("format").as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => LogFormat::Auto,
        },
        metrics: group.bool("metrics"),
    }
}
