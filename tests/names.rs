//! The policy is checked on the address that is connected to, not on a name (invariant 8).
//!
//! The server's own `/etc/hosts` says where names lead, as a hostile or careless DNS would.

use serde_json::{Value, json};

use crate::support::server::{detail_of, text};
use crate::support::{Receiver, Setup};

const NAME: &str = "hooks.example.com";

fn leading_home(probes: &[&str]) -> Setup {
    Setup::probes(probes).host(NAME, "127.0.0.1")
}

#[tokio::test]
async fn a_webhook_to_a_public_name_does_not_reach_the_address_inside_that_it_leads_to() {
    let receiver = Receiver::start().await;
    let url = format!("http://{NAME}:{}/", receiver.address.port());
    let setup = leading_home(&["two"]);
    let closed = setup
        .set("webhooks.url.disable_loopback", true)
        .start()
        .await;
    let blocked = closed.delivery_to(&url).await;
    assert_eq!(blocked["status"], "blocked", "{blocked}");
    assert!(
        blocked.to_string().contains("loopback IP range"),
        "{blocked}"
    );
    assert_eq!(receiver.received().len(), 0);

    // The same name, where the operator has opened the address.
    let open = leading_home(&["two"]).start().await;
    assert_eq!(open.delivery_to(&url).await["status"], "delivered");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_graph_does_not_reach_an_address_inside_by_an_allowed_name() {
    let service = Receiver::start().await;
    let port = service.address.port();
    let url = format!("http://{NAME}:{port}/");
    let asked = json!({"assistant_id": "excess", "input": {"calls": 1, "url": url}});
    for (networks, answered) in [(json!([]), 0), (json!(["127.0.0.0/8"]), 1)] {
        let egress = json!({
            "allowed_domains": [NAME], "allowed_networks": networks, "require_https": false, "allowed_ports": [port],
        });
        let server = leading_home(&["excess"])
            .set("egress", egress)
            .start()
            .await;
        let values = server.post_json("/runs/wait", &asked).await;
        assert_eq!(values["answered"], answered, "{values}");
        assert_eq!(service.received().len(), answered);
    }
}

/// What becomes of a webhook to this name, which leads to this address, under these rules: how the delivery ended, or
/// why the run was refused.
async fn fate(name: &str, address: &str, rules: Value) -> String {
    let receiver = Receiver::start().await;
    let server = Setup::probes(&["two"])
        .host(name, address)
        .set("webhooks.url", rules)
        .set("webhooks.url.require_https", false)
        .set("webhooks.retry.schedule_secs", json!([0]))
        .start()
        .await;
    let url = format!("http://{name}:{}/", receiver.address.port());
    let run = json!({"assistant_id": "two", "input": {"foo": "x"}, "webhook": url});
    let response = server.post("/runs", &run).await;
    let fate = if response.status() == 200 {
        let delivery = server.delivery_to(&url).await;
        let error = delivery["attempts"][0]["error"].as_str();
        error.map_or_else(|| text(&delivery["status"]).to_owned(), str::to_owned)
    } else {
        detail_of(response, 422).await
    };
    let delivered = fate == "delivered";
    assert_eq!(receiver.received().is_empty(), !delivered, "{fate}");
    fate
}

#[tokio::test]
async fn an_allowed_domain_does_not_open_a_network() {
    let allowed = json!({"allowed_domains": [NAME]});
    assert_eq!(
        fate(NAME, "127.0.0.1", allowed).await,
        "blocked: Webhook host blocked: loopback IP range (gate: address, rule: range)"
    );
    let opened = json!({"allowed_domains": [NAME], "allowed_networks": ["127.0.0.0/8"]});
    assert_eq!(fate(NAME, "127.0.0.1", opened).await, "delivered");
    let denied = json!({
        "allowed_domains": [NAME], "allowed_networks": ["127.0.0.0/8"], "denied_networks": ["127.0.0.1/32"],
    });
    assert_eq!(
        fate(NAME, "127.0.0.1", denied).await,
        "blocked: Webhook host blocked: blocked IP range (gate: address, rule: denied_networks)"
    );
}

#[tokio::test]
async fn a_reserved_name_needs_its_exact_spelling_and_an_address_that_is_opened() {
    let service = "x.svc.cluster.local";
    let kubernetes = "Webhook host blocked: Kubernetes internal DNS";
    let unopened = "blocked: Webhook host blocked: reserved name outside the allowed networks (gate: address, rule: allowed_networks)";
    let home = "127.0.0.1";
    for (name, address, rules, expected) in [
        (
            service,
            home,
            json!({"allowed_networks": ["127.0.0.0/8"]}),
            kubernetes,
        ),
        (
            service,
            home,
            json!({"allowed_domains": ["*.cluster.local"]}),
            kubernetes,
        ),
        (
            service,
            home,
            json!({"allowed_domains": [service]}),
            "blocked: Webhook host blocked: loopback IP range (gate: address, rule: range)",
        ),
        (
            service,
            "8.8.8.8",
            json!({"allowed_domains": [service]}),
            unopened,
        ),
        (
            service,
            home,
            json!({"allowed_domains": [service], "allowed_networks": ["127.0.0.0/8"]}),
            "delivered",
        ),
        (
            "receiver",
            home,
            json!({"allowed_domains": ["receiver"], "disable_loopback": false}),
            "delivered",
        ),
        (
            "receiver",
            home,
            json!({"disable_loopback": false}),
            "Webhook host blocked: single-label name",
        ),
        (
            "metadata.google.internal",
            home,
            json!({"allowed_domains": ["metadata.google.internal"], "allowed_networks": ["127.0.0.0/8"]}),
            "Webhook host blocked: cloud metadata endpoint",
        ),
        (
            "hooks.example.com",
            "169.254.169.254",
            json!({"allowed_networks": ["0.0.0.0/0"]}),
            "blocked: Webhook host blocked: cloud metadata endpoint (gate: address, rule: range)",
        ),
    ] {
        assert_eq!(
            fate(name, address, rules.clone()).await,
            expected,
            "{name}: {rules}"
        );
    }
}
