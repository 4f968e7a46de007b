//! What the policy keeps from being sent.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use selvedge_egress::{ClientOptions, PolicyOptions, Resolver};
use selvedge_model::Scope;
use selvedge_model::delivery::DeliveryStatus;
use selvedge_webhook::{Options, StartError, Webhooks};

use crate::host::{Host, options};
use crate::receiver::{Answer, Receiver};

/// Says the same of every name.
struct Always(&'static [&'static str]);

impl Resolver for Always {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(self.0.iter().map(|text| text.parse().unwrap()).collect()) })
    }
}

/// Every name leads there.
pub fn resolving(answers: &'static [&'static str]) -> Options {
    Options {
        client: ClientOptions {
            resolver: Arc::new(Always(answers)),
            ..ClientOptions::default()
        },
        ..options()
    }
}

#[tokio::test]
async fn a_name_that_passed_is_blocked_by_the_address_that_it_leads_to() {
    let receiver = Receiver::start([Answer::Status(200)]).await;
    let mut options = resolving(&["127.0.0.1"]);
    options.policy.disable_loopback = true;
    let host = Host::start(options);
    let url = format!(
        "http://hooks.example.com:{}/in?token=secret",
        receiver.address.port()
    );
    assert!(host.webhooks.check(&url).is_ok());
    let run = host.run_ends(&url).await;
    let delivery = host.ended_as(run, DeliveryStatus::Blocked).await;
    let attempt = &delivery.attempts[0];
    assert_eq!(
        attempt.error.as_deref(),
        Some("blocked: Webhook host blocked: loopback IP range (gate: address, rule: range)")
    );
    assert_eq!(attempt.address, Some(receiver.address));
    assert!(!attempt.url.contains("secret"));
    assert!(receiver.posts().is_empty());
}

#[tokio::test]
async fn a_name_is_followed_to_an_address_that_is_open() {
    let receiver = Receiver::start([Answer::Status(200)]).await;
    let host = Host::start(resolving(&["127.0.0.1"]));
    let url = format!("http://hooks.example.com:{}/", receiver.address.port());
    let run = host.run_ends(&url).await;
    let delivery = host.ended_as(run, DeliveryStatus::Delivered).await;
    assert_eq!(delivery.attempts[0].address, Some(receiver.address));
}

#[tokio::test]
async fn a_policy_that_became_stricter_blocks_what_was_admitted_before() {
    let receiver = Receiver::start([Answer::Status(500)]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    host.tried(run, 1).await;
    let strict = Options {
        policy: PolicyOptions::webhooks(),
        ..options()
    };
    let host = host.restart(strict).await;
    host.turn(10);
    let delivery = host.ended_as(run, DeliveryStatus::Blocked).await;
    assert_eq!(
        delivery.attempts[1].error.as_deref(),
        Some("blocked: Webhook must use https (gate: shape, rule: require_https)")
    );
}

#[tokio::test]
async fn while_disabled_urls_are_judged_and_nothing_is_sent() {
    let receiver = Receiver::start([Answer::Status(500)]).await;
    let host = Host::start(options());
    let run = host.run_ends(&receiver.url("/")).await;
    host.tried(run, 1).await;
    let host = host
        .restart(Options {
            enabled: false,
            ..options()
        })
        .await;
    host.ended_as(run, DeliveryStatus::Disabled).await;
    assert!(host.webhooks.check("ftp://hooks.example.com/").is_err());
    let run = host.run_ends(&receiver.url("/")).await;
    assert!(
        host.storage
            .deliveries_of_run(&Scope::Host, run)
            .await
            .unwrap()
            .is_empty()
    );
    host.webhooks.shutdown(Duration::from_secs(10)).await;
    assert_eq!(receiver.posts().len(), 1);
}

#[tokio::test]
async fn a_bad_policy_stops_the_start_and_names_the_key() {
    let host = Host::start(options());
    let mut bad = options();
    bad.policy.allowed_domains = vec!["a.example.com".to_owned(), "b.*.example.com".to_owned()];
    let clock = Arc::clone(&host.clock) as Arc<dyn selvedge_model::time::Clock>;
    let error = Webhooks::start(bad, Arc::clone(&host.storage), clock).unwrap_err();
    assert!(matches!(error, StartError::Option { key, .. } if key == "url.allowed_domains[1]"));
}
