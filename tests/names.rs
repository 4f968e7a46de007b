//! The policy is checked on the address that is connected to, not on a name (invariant 8).
//!
//! The server's own `/etc/hosts` says where names lead, as a hostile or careless DNS would.

use serde_json::json;

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
