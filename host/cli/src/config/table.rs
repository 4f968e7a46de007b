//! The keys of `langgraph.json`, one row each.
//!
//! `docs/configuration.md` is made from these rows; `config/tests` compares. The defaults of LangGraph's own keys are
//! LangGraph's unless the page on webhooks says otherwise.

use selvedge_model::json::MAX_DEPTH;
use selvedge_sandbox::options::{LARGEST_STACK_BYTES, MOST_INSTANCES, MOST_TABLE_ELEMENTS};

use super::keys::Fallback::{Json, Required, Words};
use super::keys::Item::{
    Domain, Field, Host, HostName, Method, Network, Origin, Path, Permission, Port, Seconds, Secret,
};
use super::keys::Kind::{
    Any, AnyText, Bool, Choice, Component, Embedding, Environment, Fraction, Graph, Identity,
    KeyHash, List, LogFilter, Map, Object, Section, Sections, Text, Uint,
};
use super::keys::{Fallback, Key, Kind, Name, Status};

const NOTHING: Fallback = Words("none");
/// Larger counts are a slip of the pen, and within it sums of a few of them cannot overflow.
const MOST: u64 = 1 << 50;
const COUNT: Kind = Uint {
    min: 1,
    max: 1 << 32,
};
const BYTES: Kind = Uint { min: 1, max: MOST };
/// About 30 years: anything longer is meant as "for ever", which is no deadline.
const SECS: Kind = Uint {
    min: 1,
    max: 1_000_000_000,
};
/// About 30 years as well.
const MINUTES: Kind = Uint {
    min: 1,
    max: 16_000_000,
};
/// And so are these.
const DAYS: Kind = Uint {
    min: 1,
    max: 10_000,
};
const MEMORY: Kind = Uint {
    min: 1 << 20,
    max: 4 << 30,
};
const STACK: Kind = Uint {
    min: 1 << 16,
    max: LARGEST_STACK_BYTES as u64,
};
const ELEMENTS: Kind = Uint {
    min: 1,
    max: MOST_TABLE_ELEMENTS as u64,
};
/// No value in the program nests deeper than `model`'s bound. A task's answer needs the few levels of its own envelope.
const DEPTH: Kind = Uint {
    min: 8,
    max: MAX_DEPTH as u64,
};
/// Beyond what any model has; it bounds what one answer may weigh.
const MOST_DIMS: u64 = 8_192;
/// Beyond a million a second there is nothing to limit.
const RATE: Kind = Uint {
    min: 1,
    max: 1_000_000,
};
const LISTED: Fallback = Json("[]");

/// All keys, groups before their members. One row a line, for a table is read by its columns.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("graphs", Map(Name::Graph), Required, "The graphs that are served, by the name that callers use."),
    key("graphs.*", Graph, NOTHING, "A component `\"./graphs/agent.wasm\"`, one of its graphs `\"./graphs/agent.wasm:name\"`, or an object with the keys below."),
    key("graphs.*.path", Component, Required, "The component, as above."),
    key("graphs.*.description", AnyText, Words("the graph's own"), "For people; shown with the assistant."),
    key("graphs.*.config", Object, Json("{}"), "`config` of the graph's default assistant."),
    key("graphs.*.context", Object, Json("{}"), "`context` of the graph's default assistant."),
    templated("graphs.*.env", Environment, Json("{}"), "Variables of this graph; they beat those of `env` with the same name."),
    key("graphs.*.secrets", Map(Name::Variable), Json("{}"), "Secrets of this graph; they beat those of `secrets` with the same name."),
    key("graphs.*.secrets.*", Section, NOTHING, "One secret."),
    templated("graphs.*.secrets.*.value", Text, Required, "As `secrets.*.value`."),
    key("graphs.*.secrets.*.hosts", List(Host), Required, "As `secrets.*.hosts`."),
    key("graphs.*.sandbox", Section, Json("{}"), "Bounds of this graph's tasks where they differ from `sandbox`."),
    key("graphs.*.sandbox.memory_bytes", MEMORY, Words("`sandbox.memory_bytes`"), "As there."),
    key("graphs.*.sandbox.table_elements", ELEMENTS, Words("`sandbox.table_elements`"), "As there."),
    key("graphs.*.sandbox.stack_bytes", STACK, Words("`sandbox.stack_bytes`"), "As there."),
    key("graphs.*.sandbox.cpu_ms", COUNT, Words("`sandbox.cpu_ms`"), "As there."),
    key("graphs.*.sandbox.wall_secs", SECS, Words("`sandbox.wall_secs`"), "As there."),
    key("graphs.*.sandbox.output_bytes", BYTES, Words("`sandbox.output_bytes`"), "As there."),
    key("graphs.*.sandbox.hostcall_bytes", BYTES, Words("`sandbox.hostcall_bytes`"), "As there."),
    key("graphs.*.sandbox.json_depth", DEPTH, Words("`sandbox.json_depth`"), "As there."),
    key("graphs.*.sandbox.sends", Uint { min: 0, max: u32::MAX as u64 }, Words("`sandbox.sends`"), "As there."),
    key("graphs.*.sandbox.events", Uint { min: 0, max: u32::MAX as u64 }, Words("`sandbox.events`"), "As there."),
    key("graphs.*.sandbox.events_per_sec", COUNT, Words("`sandbox.events_per_sec`"), "As there."),
    key("graphs.*.sandbox.event_bytes", BYTES, Words("`sandbox.event_bytes`"), "As there."),
    key("graphs.*.sandbox.messages", Uint { min: 0, max: u32::MAX as u64 }, Words("`sandbox.messages`"), "As there."),
    key("graphs.*.sandbox.log_lines", Uint { min: 0, max: u32::MAX as u64 }, Words("`sandbox.log_lines`"), "As there."),
    key("graphs.*.sandbox.log_lines_per_sec", COUNT, Words("`sandbox.log_lines_per_sec`"), "As there."),
    key("graphs.*.sandbox.http_calls", Uint { min: 0, max: u32::MAX as u64 }, Words("`sandbox.http_calls`"), "As there."),
    key("graphs.*.sandbox.store_calls", Uint { min: 0, max: u32::MAX as u64 }, Words("`sandbox.store_calls`"), "As there."),
    key("graphs.*.sandbox.store_bytes", BYTES, Words("`sandbox.store_bytes`"), "As there."),
    key("graphs.*.sandbox.handles", Uint { min: 16, max: 1_000_000 }, Words("`sandbox.handles`"), "As there."),
    key("graphs.*.sandbox.max_instances", Uint { min: 1, max: MOST_INSTANCES as u64 }, Words("half of `sandbox.max_instances`; all where there is one graph"), "Tasks of this graph alive at once; more of them wait."),
    key("graphs.*.sandbox.instance_wait_secs", SECS, Words("`sandbox.instance_wait_secs`"), "As there."),
    templated("env", Environment, Json("{}"), "What graphs read as their environment: an object of texts, or the path of a `.env` file. Nothing of the host's own environment reaches a graph unless it is named here."),
    key("secrets", Map(Name::Variable), Json("{}"), "Secrets of graphs. A graph reads a placeholder in the variable of that name; the value is put into headers of requests to the secret's hosts, outside the sandbox."),
    key("secrets.*", Section, NOTHING, "One secret."),
    templated("secrets.*.value", Text, Required, "The value, usually `\"${{ env.NAME }}\"`."),
    key("secrets.*.hosts", List(Host), Required, "The hosts whose requests get the value: names, `*.` and a name, or addresses."),
    key("http", Section, Json("{}"), "The HTTP server."),
    key("http.disable_webhooks", Bool, Json("false"), "Webhook URLs are still validated, and nothing is sent."),
    key("http.max_body_bytes", BYTES, Json("33554432"), "Largest request body; 413 above."),
    key("http.max_body_bytes_total", BYTES, Words("eight times `http.max_body_bytes`"), "What the bodies of all requests that are being read or answered weigh together; 503 with `Retry-After` above. With `auth`, a quarter of it is one caller's, 429 above; but one body of the largest size is always taken."),
    key("http.max_connections", COUNT, Json("10000"), "Open connections; further ones wait. Fewer where the system does not let the process open so many files: it raises its own limit as far as it may, keeps some for graphs, webhooks and the database, and says so at the start."),
    key("http.max_connections_per_address", Uint { min: 0, max: 1 << 32 }, Json("1000"), "Of these, from one address (of IPv6: from one network of 64 bits); further ones are closed. 0: any number. Behind a proxy all connections are the proxy's: raise it there, or switch it off and let the proxy count."),
    key("http.max_header_bytes", Uint { min: 8192, max: 1 << 24 }, Json("32768"), "Largest head of a request."),
    key("http.request_timeout_secs", SECS, Json("30"), "For reading a request: its head, and again its body. An idle connection is closed after it."),
    key("http.write_timeout_secs", SECS, Json("30"), "How long a client may take nothing of an answer that is ready for it; its connection is closed then. What it asked for goes on."),
    key("http.max_requests", COUNT, Json("10000"), "Requests that are being answered; 503 with `Retry-After` above. A stream counts until its head is sent, and `/ok` not at all."),
    key("http.max_requests_per_caller", COUNT, Json("1000"), "Of these, one caller's; 429 with `Retry-After` above. Of no effect without `auth`."),
    key("http.max_streams_per_caller", COUNT, Json("1000"), "Answers of one caller that last as long as a run (`…/stream`, `…/wait`, `…/join`, `…/cancel?wait=true`); 429 above. Of no effect without `auth`."),
    key("http.rate_limit", Section, NOTHING, "How many requests one caller may send; 429 with `Retry-After` above. Of no effect without `auth`."),
    key("http.rate_limit.requests_per_second", RATE, Required, "In the long run."),
    key("http.rate_limit.burst", RATE, Words("`requests_per_second`"), "At once, after a pause."),
    key("http.allowed_hosts", List(HostName), LISTED, "Names of this server that may stand in `Host`, beside addresses and `localhost`; `*` is any. Of no effect with `auth`."),
    key("http.tls", Section, NOTHING, "Encrypts connections. Without it answers are sent in the clear. Files that were renewed are read again within a minute, or at once on SIGHUP; a pair that cannot be used leaves the old one in use, with a warning."),
    key("http.tls.certificate", Text, Required, "Path of the certificates as PEM, the server's own first."),
    key("http.tls.key", Text, Required, "Path of its private key as PEM."),
    key("http.cors", Section, Json("{}"), "Cross-origin rules."),
    key("http.cors.allow_origins", List(Origin), Words("any with `auth`; without it only this machine's, and LangGraph's studio under `selvedge dev`"), "Origins whose pages may call; `*` is any. Without `auth` this machine's may always, and requests of other pages are refused."),
    later("http.cors.allow_origin_regex", "Origins by a pattern."),
    later("http.cors.allow_methods", "Methods for other origins."),
    later("http.cors.allow_headers", "Headers for other origins."),
    later("http.cors.allow_credentials", "Cookies of other origins."),
    later("http.cors.expose_headers", "Headers that other origins may read."),
    later("http.cors.max_age", "How long browsers remember these rules."),
    later("http.mount_prefix", "A path before every route."),
    later("http.configurable_headers", "Request headers that become `configurable`."),
    later("http.logging_headers", "Request headers that are logged."),
    later("http.disable_assistants", "Removes the routes."),
    later("http.disable_threads", "Removes the routes."),
    later("http.disable_runs", "Removes the routes."),
    later("http.disable_store", "Removes the routes."),
    key("http.disable_meta", Bool, Json("false"), "Removes `/info`, `/metrics`, `/docs` and `/openapi.json`; `/ok` stays."),
    key("http.disable_mcp", Bool, Json("false"), "Removes `/mcp`, where assistants are tools."),
    key("http.disable_a2a", Bool, Json("false"), "Removes `/a2a` and `/.well-known/agent-card.json`, where assistants are agents for others."),
    later("http.disable_ui", "Removes the routes."),
    later("http.disable_event_streaming", "Removes the routes."),
    refused("http.app", "own routes cannot be mounted: put them into a server beside Selvedge, behind one reverse proxy"),
    refused("http.enable_custom_route_auth", "there are no custom routes here: remove the key"),
    refused("http.middleware_order", "there is no middleware here: remove the key"),
    key("webhooks", Section, Json("{}"), "What is sent when a run ends, and where to."),
    key("webhooks.env_prefix", Text, Json("\"LG_WEBHOOK_\""), "Only variables that begin so may stand in `webhooks.headers`."),
    key("webhooks.headers", Map(Name::Header), Json("{}"), "Headers of each delivery."),
    templated("webhooks.headers.*", AnyText, NOTHING, "The header's value."),
    key("webhooks.allowed_fields", List(Field), Words("all"), "Keep only these members of the body."),
    key("webhooks.url", Section, Json("{}"), "Which URLs may be webhooks."),
    key("webhooks.url.require_https", Bool, Json("true"), "Refuse `http:`."),
    key("webhooks.url.max_url_length", Uint { min: 16, max: 65_536 }, Json("2048"), "Longest URL in bytes."),
    key("webhooks.url.allowed_ports", List(Port), LISTED, "Only these; empty: any but those that browsers refuse too."),
    key("webhooks.url.disable_loopback", Bool, Json("true"), "`false` opens 127.0.0.0/8, ::1 and `localhost`."),
    key("webhooks.url.disable_private_ips", Bool, Json("true"), "`false` opens RFC 1918, 100.64.0.0/10 and fc00::/7."),
    key("webhooks.url.allowed_domains", List(Domain), LISTED, "Only these; empty: any public name. `*.` stands for sub-domains, not for the name itself."),
    key("webhooks.url.denied_domains", List(Domain), LISTED, "Never these, whatever is allowed."),
    key("webhooks.url.allowed_networks", List(Network), LISTED, "Addresses that are open although they are not public."),
    key("webhooks.url.denied_networks", List(Network), LISTED, "Never these addresses, whatever is allowed."),
    key("webhooks.url.mode", Choice(&["enforce", "report"]), Json("\"enforce\""), "`report` logs and counts what the rules about https, ports and domains would refuse, and sends it; all else is enforced."),
    key("webhooks.retry", Section, Json("{}"), "When a failed delivery is tried again."),
    key("webhooks.retry.schedule_secs", List(Seconds), Json("[0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]"), "The wait before each attempt; as many attempts as entries."),
    key("webhooks.retry.jitter", Fraction, Json("0.2"), "Each wait varies by this part of it."),
    key("webhooks.timeout_secs", SECS, Json("15"), "One attempt, from connecting to the last byte of the answer."),
    key("webhooks.max_body_bytes", BYTES, Json("1048576"), "Larger bodies are sent without `values`."),
    key("webhooks.max_concurrent", COUNT, Json("64"), "Attempts at once; those at receivers that used to answer and now take longer than two seconds come on top, up to as many again."),
    key("webhooks.max_concurrent_per_host", COUNT, Json("4"), "Attempts at once to one name, to one address, and to all names of a domain that do not answer."),
    key("webhooks.retention_days", DAYS, Json("30"), "How long a delivery that has ended is kept with its body and its attempts."),
    key("webhooks.signing", Section, Json("{}"), "Signature of deliveries: Standard Webhooks 1.0."),
    templated("webhooks.signing.secrets", List(Secret), LISTED, "Each delivery is signed with all of them: put a new secret first, and take the old one away when the receivers have the new one. Base64 of 24 to 64 bytes, with or without `whsec_`; empty: no signature."),
    key("egress", Section, Json("{}"), "HTTP by graphs themselves. Without this block nothing is reachable."),
    key("egress.allowed_domains", List(Domain), LISTED, "Reachable names; `*.` stands for sub-domains, not for the name itself."),
    key("egress.denied_domains", List(Domain), LISTED, "Never these, whatever is allowed."),
    key("egress.allowed_networks", List(Network), LISTED, "Reachable addresses, also private ones."),
    key("egress.denied_networks", List(Network), LISTED, "Never these addresses, whatever is allowed."),
    key("egress.allowed_ports", List(Port), Json("[443]"), "Only these; empty: any but those that browsers refuse too."),
    key("egress.require_https", Bool, Json("true"), "Refuse `http:`."),
    key("egress.methods", List(Method), LISTED, "Only these methods; empty: any."),
    key("egress.timeout_secs", SECS, Json("300"), "One request, from connecting to the last byte of the answer."),
    key("egress.max_response_bytes", BYTES, Json("67108864"), "Largest body of an answer."),
    key("egress.max_concurrent", COUNT, Json("256"), "Requests at once, until their answers have been read or their time is up."),
    key("egress.max_concurrent_per_run", COUNT, Json("64"), "Of these, requests of one run; more of them wait."),
    key("sandbox", Section, Json("{}"), "What a task may use, and all of them together."),
    key("sandbox.memory_bytes", MEMORY, Json("268435456"), "All memories and tables of a task's instance."),
    key("sandbox.total_memory_bytes", Uint { min: 1 << 20, max: MOST }, Words("half of the machine's memory"), "All live instances. A task that asks for more waits until others have ended, within its `wall_secs`; at least twice the largest `memory_bytes` makes sure that waiting ends."),
    key("sandbox.table_elements", ELEMENTS, Json("40000"), "Elements of one table of a task's instance, which has eight tables at most."),
    key("sandbox.cpu_ms", COUNT, Json("10000"), "CPU time of a task."),
    key("sandbox.wall_secs", SECS, Json("600"), "A whole task, host calls included."),
    key("sandbox.output_bytes", BYTES, Json("16777216"), "One answer or one event of a task."),
    key("sandbox.hostcall_bytes", BYTES, Words("twice `output_bytes` and 64 KiB"), "What one call of a task hands to the host; more is refused before it is copied."),
    key("sandbox.json_depth", DEPTH, Json("128"), "Levels of nesting of an answer or an event of a task."),
    key("sandbox.sends", Uint { min: 0, max: u32::MAX as u64 }, Json("10000"), "`Send`s of a task, each of which is a task of the next step."),
    key("sandbox.events", Uint { min: 0, max: u32::MAX as u64 }, Json("100000"), "Custom events and message chunks of a task."),
    key("sandbox.events_per_sec", COUNT, Json("50000"), "The same in one second."),
    key("sandbox.event_bytes", BYTES, Json("134217728"), "Custom events and message chunks of a task, all together."),
    key("sandbox.messages", Uint { min: 0, max: u32::MAX as u64 }, Json("1000"), "Messages that a task shows in chunks, by their ids."),
    key("sandbox.log_lines", Uint { min: 0, max: u32::MAX as u64 }, Json("10000"), "Log lines of a task."),
    key("sandbox.log_lines_per_sec", COUNT, Json("5000"), "The same in one second."),
    key("sandbox.http_calls", Uint { min: 0, max: u32::MAX as u64 }, Json("1000"), "HTTP requests of a task."),
    key("sandbox.store_calls", Uint { min: 0, max: u32::MAX as u64 }, Json("1000"), "Calls of the store by a task."),
    key("sandbox.store_bytes", BYTES, Json("67108864"), "Names and values that a task puts into the store."),
    key("sandbox.handles", Uint { min: 16, max: 1_000_000 }, Json("2000"), "Requests, streams, timers and the like that a task holds at once."),
    key("sandbox.stack_bytes", STACK, Json("524288"), "Stack of a task's own frames. Each different value of a graph sets address space aside for `max_instances` tasks."),
    key("sandbox.max_instances", Uint { min: 1, max: MOST_INSTANCES as u64 }, Json("2048"), "Tasks alive at once; more of them wait. At most 8,192 divided by how many different `stack_bytes` the graphs have. A task whose node called a graph waits with its instance, so the tasks of such graphs come on top: a thirty-second part as many, at least one, for each depth."),
    key("sandbox.instance_wait_secs", SECS, Json("900"), "How long a task waits for others to end when so many are alive."),
    key("sandbox.max_component_bytes", BYTES, Json("67108864"), "Largest component that is loaded."),
    key("sandbox.compile_memory_bytes", Uint { min: 1 << 26, max: MOST }, Json("2147483648"), "Memory that compiling a component may take. It is done by a process of its own, and only where the data directory does not have the result."),
    key("sandbox.compile_cpu_secs", SECS, Json("300"), "CPU time that it may take."),
    key("sandbox.compile_wall_secs", SECS, Json("300"), "Time that it may take, waiting for its turn not included."),
    key("sandbox.compile_output_bytes", BYTES, Json("536870912"), "Length of what a component compiles to."),
    key("sandbox.compile_processes", Uint { min: 1, max: 1_024 }, Json("1"), "Components that are compiled at once; one of many functions uses all cores."),
    key("runtime", Section, Json("{}"), "The life of runs."),
    variable("N_JOBS_PER_WORKER", key("runtime.max_running_runs", COUNT, Json("1000"), "Runs in flight.")),
    key("runtime.max_parallel_tasks", COUNT, Json("64"), "Tasks of one run at once, and as many again at each depth of graphs inside its tasks."),
    key("runtime.max_step_sends", COUNT, Json("50000"), "`Send`s that the tasks of one super-step make together, with those of the graphs inside them."),
    key("runtime.max_step_bytes", BYTES, Json("268435456"), "What they write and ask together."),
    key("runtime.max_exit_bytes", BYTES, Json("536870912"), "What a run with `durability: exit` holds in memory until it is stored at its end; beyond it the run fails."),
    key("runtime.max_run_store_items", COUNT, Json("100000"), "Items that the tasks of one run put into the store together; more are refused."),
    key("runtime.max_run_store_bytes", BYTES, Json("1073741824"), "What these items weigh, names included; more is refused."),
    key("runtime.node_cache_bytes", Uint { min: 0, max: MOST }, Json("67108864"), "What is kept in memory of the writes of nodes with a cache policy; 0: nothing."),
    key("runtime.graph_cache_bytes", Uint { min: 0, max: MOST }, Json("67108864"), "What is kept in memory of graphs that depend on how a run is configured, as they were built for it; 0: nothing, each is built anew whenever it is needed."),
    key("runtime.max_batch_runs", Uint { min: 1, max: 10_000 }, Json("1000"), "Runs that one `POST /runs/batch` makes; 422 above. They are one write, which others wait for."),
    key("runtime.max_pending_runs", COUNT, Json("100000"), "Runs that wait; 503 with `Retry-After` above."),
    key("runtime.max_pending_runs_per_caller", COUNT, Json("10000"), "Of these, runs of one caller; 429 with `Retry-After` above. This and the next two are of no effect without authentication."),
    key("runtime.max_running_runs_per_caller", COUNT, Words("half of `max_running_runs`"), "Runs of one caller in flight; more of them wait, and keep nobody else waiting."),
    key("runtime.max_crons_per_caller", COUNT, Json("1000"), "Crons of one caller; 409 above."),
    variable("BG_JOB_TIMEOUT_SECS", key("runtime.run_timeout_secs", SECS, Json("86400"), "A whole run; its status is `timeout` then.")),
    variable("BG_JOB_MAX_RETRIES", key("runtime.max_attempts", Uint { min: 1, max: 1_000 }, Json("3"), "Attempts of a run whose process died.")),
    variable("BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS", key("runtime.shutdown_grace_secs", Uint { min: 0, max: 86_400 }, Json("180"), "At the end, for runs to finish; the others start again from their last checkpoint.")),
    variable("RESUMABLE_STREAM_TTL_SECONDS", key("runtime.resumable_ttl_secs", SECS, Json("120"), "How long the events of a resumable run are kept after its end.")),
    later("runtime.resumable_max_events", "How many stream events of a thread are kept."),
    key("storage", Section, Json("{}"), "Where threads, runs and deliveries are kept."),
    key("storage.path", Text, Json("\".selvedge\""), "The data directory (SQLite, compiled components). One process at a time."),
    key("storage.synchronous", Choice(&["full", "normal"]), Json("\"full\""), "`normal` may lose the last moments when the machine loses power, and is faster."),
    key("storage.max_search_secs", SECS, Json("30"), "One search, list, count or history; 503 after it. Of one caller's one goes on at a time."),
    variable("DATABASE_URI", later("storage.database_uri", "PostgreSQL.")),
    key("checkpointer", Section, Json("{}"), "LangGraph's settings for checkpoints."),
    key("checkpointer.backend", Choice(&["default"]), Json("\"default\""), "Other backends cannot be used: see `storage`."),
    key("checkpointer.ttl", Section, Json("{}"), "How long threads are kept."),
    key("checkpointer.ttl.strategy", Choice(&["delete", "keep_latest"]), Json("\"delete\""), "What happens to a thread after `default_ttl`: it is deleted, or keeps only its newest checkpoint."),
    key("checkpointer.ttl.default_ttl", MINUTES, Words("for ever"), "Minutes after its last update that a thread stays which is created without a `ttl` of its own."),
    key("checkpointer.ttl.sweep_interval_minutes", MINUTES, Json("5"), "The longest time between two looks for threads whose time has come; one whose time is known to come earlier goes then."),
    key("checkpointer.ttl.sweep_limit", COUNT, Json("10000"), "Threads that go in one such interval at most."),
    refused("checkpointer.path", "a Python checkpointer cannot run here: use `storage`"),
    refused("checkpointer.uri", "checkpoints are kept with everything else: use `storage`"),
    refused("checkpointer.serde", "checkpoints are JSON here, there is nothing to allow: remove the key"),
    key("store", Section, Json("{}"), "The store for memories."),
    key("store.ttl", Section, Json("{}"), "How long its items stay."),
    key("store.ttl.default_ttl", MINUTES, Words("for ever"), "Minutes that an item stays which is put without a `ttl` of its own."),
    key("store.ttl.refresh_on_read", Bool, Json("true"), "Whether reading an item lets its time begin anew, where the reader does not say."),
    key("store.ttl.sweep_interval_minutes", MINUTES, Json("5"), "How often items whose time is over are deleted. Nobody is shown them before that either."),
    key("store.index", Section, NOTHING, "Search by meaning: items are embedded by an endpoint that speaks OpenAI's `POST /embeddings`. Whoever changes `dims`, `embed` or `fields` has all items embedded anew."),
    key("store.index.dims", Uint { min: 1, max: MOST_DIMS }, Required, "How many numbers a vector of the model has."),
    key("store.index.embed", Embedding, Required, "`\"openai:MODEL\"`: what the endpoint calls the model."),
    key("store.index.fields", List(Path), Json("[\"$\"]"), "What is embedded of an item that is put without an `index` of its own: `$` for the whole value, or paths like `a.b[*].c`. Each text has a vector."),
    key("store.index.url", Text, Json("\"https://api.openai.com/v1\""), "Where the endpoint is; `/embeddings` is appended. It may be in a private network."),
    templated("store.index.api_key", Text, NOTHING, "Sent as `Authorization: Bearer`."),
    key("store.index.require_https", Bool, Json("true"), "Refuses a `url` in the clear, but for one on loopback."),
    key("store.index.timeout_secs", SECS, Json("30"), "One request to the endpoint."),
    refused("store.path", "a Python store cannot run here: remove the key"),
    key("auth", Section, NOTHING, "Who may call. Without it nobody is asked who they are, and the server listens on loopback only unless `--no-auth` is given."),
    key("auth.api_keys", Sections, LISTED, "API keys, each with its holder. To change a key, add the new one under the same name and take the old one away later; `selvedge auth key` makes one."),
    key("auth.api_keys.*", Section, NOTHING, "One API key."),
    key("auth.api_keys.*.name", Identity, Required, "Whose it is: the holder's identity. Several keys may be one's."),
    templated("auth.api_keys.*.hash", KeyHash, Required, "What the key hashes to: `sha256:` and 64 hexadecimal digits."),
    key("auth.api_keys.*.permissions", List(Permission), LISTED, "What graphs are told of whoever calls with it. `admin` makes an operator, who sees and changes everything."),
    key("auth.jwt", Section, NOTHING, "Callers with tokens (JWT, signed with RS256, ES256 or EdDSA)."),
    key("auth.jwt.jwks", Text, Required, "The keys that tokens are signed with, as a JSON Web Key Set: a path, or a URL."),
    key("auth.jwt.issuer", Text, Required, "What the claim `iss` must be."),
    key("auth.jwt.audience", Text, Required, "What the claim `aud` must be or hold."),
    key("auth.jwt.identity_claim", Text, Json("\"sub\""), "The claim that holds the caller's identity. One that is the name of an API key is nobody's."),
    key("auth.jwt.permissions_claim", Text, Json("\"permissions\""), "The claim that holds the caller's permissions: a list, or a text with spaces between them."),
    refused("auth.path", "a Python authenticator cannot run here: use `auth.api_keys` or `auth.jwt`"),
    refused("auth.disable_studio_auth", "nobody is let in without credentials here: remove the key"),
    refused("auth.allow_langsmith_api_keys", "keys are not verified elsewhere: use `auth.api_keys` or `auth.jwt`"),
    refused("auth.openapi", "the document says nothing of authentication: remove the key"),
    refused("auth.cache", "nothing is asked of others that would have to be kept: remove the key"),
    refused("encryption", "Python encryption handlers cannot run here: keep the data directory on an encrypted volume"),
    refused("priority", "a Python priority function cannot run here: runs are executed in the order of their creation"),
    key("telemetry", Section, Json("{}"), "What the operator sees."),
    key("telemetry.log", LogFilter, Json("\"info\""), "Which log lines: a level, or a level for each target (`info,selvedge_api=debug`)."),
    key("telemetry.format", Choice(&["auto", "text", "json"]), Json("\"auto\""), "`auto`: text on a terminal, otherwise JSON."),
    key("telemetry.metrics", Bool, Json("true"), "Serves `/metrics` for Prometheus."),
    later("telemetry.otlp", "Traces over OTLP."),
    ignored("$schema"),
    ignored("dependencies"),
    ignored("python_version"),
    ignored("node_version"),
    ignored("api_version"),
    ignored("base_image"),
    ignored("image_distro"),
    ignored("pip_config_file"),
    ignored("pip_installer"),
    ignored("source"),
    ignored("dockerfile_lines"),
    ignored("keep_pkg_tools"),
    ignored("ui"),
    ignored("ui_config"),
];

const fn key(path: &'static str, kind: Kind, default: Fallback, meaning: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        meaning,
        status: Status::Works,
        variable: None,
        templates: false,
    }
}

const fn templated(
    path: &'static str,
    kind: Kind,
    default: Fallback,
    meaning: &'static str,
) -> Key {
    Key {
        templates: true,
        ..key(path, kind, default, meaning)
    }
}

const fn variable(name: &'static str, key: Key) -> Key {
    Key {
        variable: Some(name),
        ..key
    }
}

const fn later(path: &'static str, meaning: &'static str) -> Key {
    Key {
        status: Status::Later,
        ..key(path, Any, NOTHING, meaning)
    }
}

const fn refused(path: &'static str, instead: &'static str) -> Key {
    Key {
        status: Status::Refused,
        ..key(path, Any, NOTHING, instead)
    }
}

const fn ignored(path: &'static str) -> Key {
    Key {
        status: Status::Ignored,
        ..key(
            path,
            Any,
            NOTHING,
            "For building images or pages; has no effect.",
        )
    }
}
