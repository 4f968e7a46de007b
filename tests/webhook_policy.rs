//! Where webhooks may go: refused when the run is created, with LangGraph's texts.

use serde_json::{Value, json};

use crate::support::receiver::Answer;
use crate::support::{Receiver, Server, Setup, eventually};

/// One policy: `webhooks.url`. Nothing is sent, so that no test depends on a name server.
async fn policy(url: Value) -> Server {
    let setup = Setup::probes(&["two"]).set("webhooks", json!({"url": url}));
    setup
        .set("http", json!({"disable_webhooks": true}))
        .start()
        .await
}

fn run(url: &str) -> Value {
    json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": url})
}

async fn refusal(server: &Server, url: &str) -> String {
    server.refused("/runs", &run(url), 422).await
}

async fn is_accepted(server: &Server, url: &str) -> bool {
    server.post("/runs", &run(url)).await.status() == 200
}

#[tokio::test]
async fn a_server_without_a_policy_sends_over_https_to_public_names_only() {
    let setup = Setup::probes(&["two"]).set("webhooks", json!({}));
    let server = setup
        .set("http", json!({"disable_webhooks": true}))
        .start()
        .await;
    assert!(is_accepted(&server, "https://hooks.example.com/x?token=t").await);
    assert!(is_accepted(&server, "https://hooks.example.com:8443/x").await);
    for (url, detail) in [
        ("http://hooks.example.com/", "Webhook must use https"),
        (
            "https://127.0.0.1/",
            "Webhook host blocked: loopback IP range",
        ),
        ("https://[::1]/", "Webhook host blocked: loopback IP range"),
        (
            "https://localhost/",
            "Webhook host blocked: localhost address",
        ),
        (
            "https://10.1.2.3/",
            "Webhook host blocked: private IP range",
        ),
        (
            "https://169.254.169.254/latest/",
            "Webhook host blocked: cloud metadata endpoint",
        ),
        (
            "https://metadata.google.internal/",
            "Webhook host blocked: cloud metadata endpoint",
        ),
        (
            "https://x.svc.cluster.local/",
            "Webhook host blocked: Kubernetes internal DNS",
        ),
        (
            "https://203.0.113.1/",
            "Webhook host blocked: blocked IP range",
        ),
        (
            "ftp://hooks.example.com/",
            "Webhook host blocked: scheme 'ftp' not allowed",
        ),
        (
            "https://hooks.example.com:22/",
            "Webhook port 22 not allowed",
        ),
    ] {
        assert_eq!(refusal(&server, url).await, detail, "{url}");
    }
    assert!(
        refusal(&server, "/runs/cancel")
            .await
            .starts_with("Loopback webhooks (relative URLs")
    );
    assert!(
        refusal(&server, "https://user:pass@hooks.example.com/")
            .await
            .contains("no user name or password")
    );
    assert!(
        refusal(&server, "https://hooks.example.com/#part")
            .await
            .contains("no fragment")
    );
    let long = format!("https://hooks.example.com/{}", "x".repeat(2048));
    assert_eq!(refusal(&server, &long).await, "Webhook URL too long");

    // Every way to create a run refuses, and a refused run is not stored.
    let thread = server.new_thread().await;
    for path in ["/runs/wait", "/runs/stream"]
        .map(str::to_owned)
        .into_iter()
        .chain(["", "/wait", "/stream"].map(|end| format!("/threads/{thread}/runs{end}")))
    {
        let detail = server.refused(&path, &run("https://127.0.0.1/"), 422).await;
        assert_eq!(detail, "Webhook host blocked: loopback IP range", "{path}");
    }
    assert_eq!(
        server.get_json(&format!("/threads/{thread}/runs")).await,
        json!([])
    );
}

#[tokio::test]
async fn a_policy_allows_and_denies_domains_ports_and_networks() {
    let server = policy(json!({
        "require_https": false, "max_url_length": 60, "allowed_ports": [443, 8443],
        "allowed_domains": ["hooks.example.com", "*.corp.example.com", "receiver"],
        "denied_domains": ["metadata.corp.example.com"],
        "allowed_networks": ["10.20.0.0/16"], "denied_networks": ["10.20.9.0/24"],
    }))
    .await;
    for url in [
        "https://hooks.example.com/",
        "http://hooks.example.com:8443/",
        "https://a.b.corp.example.com/",
        "https://10.20.0.1/",
        // Its address is judged when it is sent.
        "https://receiver/",
    ] {
        assert!(is_accepted(&server, url).await, "{url}");
    }
    for (url, detail) in [
        ("https://other.example.com/", "Webhook domain not allowed"),
        ("https://corp.example.com/", "Webhook domain not allowed"),
        (
            "https://metadata.corp.example.com/",
            "Webhook domain not allowed",
        ),
        ("http://hooks.example.com/", "Webhook port 80 not allowed"),
        (
            "https://10.20.9.1/",
            "Webhook host blocked: blocked IP range",
        ),
        (
            "https://10.21.0.1/",
            "Webhook host blocked: private IP range",
        ),
        (
            "https://hooks.example.com/123456789012345678901234567890123456",
            "Webhook URL too long",
        ),
    ] {
        assert_eq!(refusal(&server, url).await, detail, "{url}");
    }
}

#[tokio::test]
async fn loopback_and_private_addresses_are_opened_by_name() {
    let loopback = policy(json!({"require_https": false, "disable_loopback": false})).await;
    for url in [
        "http://127.0.0.1:9000/",
        "http://localhost:9000/",
        "http://[::1]:9000/",
    ] {
        assert!(is_accepted(&loopback, url).await, "{url}");
    }
    assert_eq!(
        refusal(&loopback, "http://10.1.2.3/").await,
        "Webhook host blocked: private IP range"
    );
    assert!(
        refusal(&loopback, "/runs")
            .await
            .starts_with("Loopback webhooks")
    );
    let private = policy(json!({"require_https": false, "disable_private_ips": false})).await;
    for url in [
        "http://10.1.2.3/",
        "http://192.168.0.1/",
        "http://100.64.0.1/",
        "http://[fd00::1]/",
    ] {
        assert!(is_accepted(&private, url).await, "{url}");
    }
    assert_eq!(
        refusal(&private, "http://127.0.0.1/").await,
        "Webhook host blocked: loopback IP range"
    );
    // Metadata addresses stay closed, also where they lie in an open range.
    let metadata = "Webhook host blocked: cloud metadata endpoint";
    for url in [
        "http://169.254.169.254/",
        "http://100.100.100.200/",
        "http://[fd00:ec2::254]/",
    ] {
        assert_eq!(refusal(&private, url).await, metadata, "{url}");
    }
}

#[tokio::test]
async fn no_webhook_leads_back_to_the_server_itself() {
    let name = "hooks.example.com";
    let server = Setup::probes(&["two"])
        .host(name, "127.0.0.1")
        .start()
        .await;
    let port = server.base.rsplit(':').next().expect("a port").to_owned();
    let own = "Webhook host blocked: the server's own address";
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let url = format!("http://{host}:{port}/threads");
        assert_eq!(refusal(&server, &url).await, own, "{url}");
    }
    // Where a name leads is known when it is called.
    let url = format!("http://{name}:{port}/threads");
    let delivery = server.delivery_to(&url).await;
    assert_eq!(delivery["status"], "blocked", "{delivery}");
    let error = format!("blocked: {own} (gate: connect, rule: own_address)");
    assert_eq!(delivery["attempts"][0]["error"], error);
    let threads = server.post_json("/threads/search", &json!({})).await;
    let made_by_run = threads.as_array().map(Vec::len);
    assert_eq!(made_by_run, Some(1), "a webhook made a thread: {threads}");
}

#[tokio::test]
async fn dev_warns_of_what_is_open_for_webhooks() {
    let warnings = async |setup: Setup| {
        let server = setup.dev().start().await;
        // What to try comes last.
        let log = eventually("the whole banner", async || {
            Some(server.log()).filter(|log| log.contains("curl "))
        })
        .await;
        let lines = log.lines().filter(|line| line.contains("webhooks may go"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let open = warnings(Setup::probes(&["two"])).await;
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(open[0].contains("to this machine") && open[1].contains("over plain http"));
    let closed = Setup::probes(&["two"]).set("webhooks", json!({}));
    assert_eq!(warnings(closed).await, [""; 0]);
}

/// The table that `host/egress` tests gate by gate, here through the API.
#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_accepted() {
    let table = include_str!("../host/egress/tests/data/ssrf.tsv");
    let mut urls = Vec::new();
    for line in table.lines().skip(1) {
        let url = line.split('\t').next().expect("a URL");
        urls.push(url.to_owned());
        if url.contains("\\n") {
            urls.push(url.replace("\\n", "\n"));
        }
    }
    assert!(urls.len() > 80, "{} rows", urls.len());
    let strict = policy(json!({"allowed_ports": [443]})).await;
    let plain = policy(json!({"require_https": false, "allowed_ports": [80, 443]})).await;
    // Public names whose addresses can be judged only when they are resolved, and the row about plain http.
    let by_address = [
        "customer.127.0.0.1.nip.io",
        "rbndr.us",
        "1u.ms",
        "//hooks.example.com/",
    ];
    for url in &urls {
        refusal(&strict, url).await;
        let expected =
            by_address.iter().any(|name| url.contains(name)) && url.starts_with("http://");
        assert_eq!(is_accepted(&plain, url).await, expected, "{url}");
    }
}

#[tokio::test]
async fn disabled_webhooks_are_judged_and_not_sent() {
    let receiver = Receiver::start().await;
    let setup = Setup::probes(&["two"]).set("http", json!({"disable_webhooks": true}));
    let server = setup.start().await;
    let thread = server.new_thread().await;
    let values = server.wait(&thread, &run(&receiver.url("/"))).await;
    assert_eq!(values["foo"], "xab");
    let stored = &server.get_json(&format!("/threads/{thread}/runs")).await[0];
    assert_eq!(
        (&stored["status"], &stored["kwargs"]["webhook"]),
        (&json!("success"), &json!(receiver.url("/")))
    );
    let path = format!(
        "/runs/{}/deliveries",
        stored["run_id"].as_str().expect("an id")
    );
    assert_eq!(server.get_json(&path).await, json!([]));
    assert_eq!(
        refusal(&server, "http://10.1.2.3/").await,
        "Webhook host blocked: private IP range"
    );
    assert_eq!(receiver.received().len(), 0);
    assert!(
        server.log().contains("webhooks are disabled"),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn a_policy_that_only_reports_logs_what_it_would_refuse_and_sends_it() {
    let receiver = Receiver::start().await;
    let name = "hooks.example.com";
    let setup = Setup::probes(&["two"]).host(name, "127.0.0.1").set(
        "webhooks.url",
        json!({
            "mode": "report", "allowed_ports": [443], "allowed_domains": ["other.example.com"],
            "denied_domains": [name], "disable_loopback": false,
        }),
    );
    let server = setup.start().await;
    let url = format!("http://{name}:{}/?token=s3cret", receiver.address.port());
    server.post_json("/runs/wait", &run(&url)).await;
    assert_eq!(receiver.wait_for(1).await[0].path, "/?token=s3cret");
    let log = server.log();
    for rule in ["require_https", "allowed_ports", "denied_domains"] {
        let told = |line: &&str| line.contains("only reports") && line.contains(rule);
        assert_eq!(log.lines().filter(told).count(), 1, "{rule}: {log}");
    }
    assert!(!log.contains("s3cret"), "the token is in the log");
    // When the run was created; not again when it was sent.
    let counted = server.get_json("/metrics?format=json").await;
    assert_eq!(
        counted["webhooks"]["reported"],
        json!({"https": 1, "ports": 1, "domains": 1})
    );
    let metrics = server.get("/metrics").await.text().await.expect("text");
    for rule in ["https", "ports", "domains"] {
        let sample = format!("selvedge_webhook_reported_total{{rule=\"{rule}\"}} 1\n");
        assert!(metrics.contains(&sample), "{metrics}");
    }

    // The other rules refuse as ever, and the addresses of names are judged as ever.
    for (url, detail) in [
        ("http://10.1.2.3/", "Webhook host blocked: private IP range"),
        (
            "http://metadata.google.internal/",
            "Webhook host blocked: cloud metadata endpoint",
        ),
        (
            "http://u:p@hooks.example.com/",
            "Invalid webhook URL: no user name or password allowed",
        ),
        (
            "http://hooks.example.com:25/",
            "Webhook port 25 not allowed",
        ),
    ] {
        assert_eq!(refusal(&server, url).await, detail, "{url}");
    }
}

/// A delivery that failed once, on a server that was then started anew with another configuration.
async fn after_restart_with(
    receiver: &Receiver,
    next_secs: u64,
    change: impl FnOnce(&mut Value),
) -> Value {
    let retry = json!({"schedule_secs": [0, next_secs], "jitter": 0});
    let mut server = Setup::probes(&["two"])
        .set("webhooks.retry", retry)
        .start()
        .await;
    let thread = server.new_thread().await;
    server.wait(&thread, &run(&receiver.url("/"))).await;
    let runs = server.get_json(&format!("/threads/{thread}/runs")).await;
    let path = format!(
        "/runs/{}/deliveries",
        runs[0]["run_id"].as_str().expect("an id")
    );
    eventually("the first attempt", async || {
        let deliveries = server.get_json(&path).await;
        deliveries[0]["attempts"][0].is_object().then_some(())
    })
    .await;
    assert!(server.terminate().await.success());
    change(&mut server.setup.config);
    server.restart().await;
    eventually("the delivery's end", async || {
        let delivery = server.get_json(&path).await[0].clone();
        (delivery["status"] != "pending").then_some(delivery)
    })
    .await
}

#[tokio::test]
async fn a_delivery_is_judged_by_the_policy_of_the_day_it_is_sent() {
    let receiver = Receiver::behaving(|_, _| Answer::Status(503)).await;
    let closed = |config: &mut Value| config["webhooks"]["url"]["disable_loopback"] = json!(true);
    let delivery = after_restart_with(&receiver, 1, closed).await;
    assert_eq!(delivery["status"], "blocked");
    let error = delivery["attempts"][1]["error"]
        .as_str()
        .expect("an error")
        .to_owned();
    assert!(error.contains("loopback IP range"), "{error}");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn what_waits_when_webhooks_are_switched_off_ends_as_disabled() {
    let receiver = Receiver::behaving(|_, _| Answer::Status(503)).await;
    let off = |config: &mut Value| config["http"] = json!({"disable_webhooks": true});
    assert_eq!(
        after_restart_with(&receiver, 3600, off).await["status"],
        "disabled"
    );
    assert_eq!(receiver.received().len(), 1);
}
