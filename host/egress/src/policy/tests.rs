//! Whole URLs, through all gates that need no network.

use super::*;

fn webhooks(change: impl FnOnce(&mut PolicyOptions)) -> Policy {
    let mut options = PolicyOptions::webhooks();
    change(&mut options);
    Policy::new(&options).unwrap()
}

fn message(policy: &Policy, url: &str) -> String {
    policy.check_url(url).unwrap_err().message
}

#[test]
fn refusals_of_webhooks_read_as_langgraphs_do() {
    let strict = webhooks(|_| {});
    let listed = webhooks(|o| {
        o.allowed_domains = vec!["hooks.example.com".to_owned()];
        o.allowed_ports = vec![443];
    });
    let plain = webhooks(|o| o.require_https = false);
    for (policy, url, text) in [
        (
            &strict,
            "http://hooks.example.com/",
            "Webhook must use https",
        ),
        (
            &listed,
            "https://hooks.example.com:8443/",
            "Webhook port 8443 not allowed",
        ),
        (
            &listed,
            "https://other.example.com/",
            "Webhook domain not allowed",
        ),
        (&strict, "https://", "Invalid webhook hostname ''"),
        (&strict, "https:///x", "Invalid webhook hostname ''"),
        (
            &strict,
            "https://localhost/",
            "Webhook host blocked: localhost address",
        ),
        (
            &strict,
            "https://127.0.0.1/",
            "Webhook host blocked: loopback IP range",
        ),
        (
            &strict,
            "https://192.0.2.1/",
            "Webhook host blocked: blocked IP range",
        ),
        (
            &strict,
            "https://10.0.0.1/",
            "Webhook host blocked: private IP range",
        ),
        (
            &strict,
            "https://169.254.169.254/",
            "Webhook host blocked: cloud metadata endpoint",
        ),
        (
            &strict,
            "https://metadata.google.internal/",
            "Webhook host blocked: cloud metadata endpoint",
        ),
        (
            &strict,
            "https://a.svc.cluster.local/",
            "Webhook host blocked: Kubernetes internal DNS",
        ),
        (
            &plain,
            "ftp://hooks.example.com/",
            "Webhook host blocked: scheme 'ftp' not allowed",
        ),
    ] {
        assert_eq!(message(policy, url), text, "{url}");
    }
    let long = format!("https://hooks.example.com/{}", "x".repeat(2048));
    assert_eq!(message(&strict, &long), "Webhook URL too long");
    assert!(message(&strict, "/runs/cancel").starts_with("Loopback webhooks (relative URLs"));
}

#[test]
fn graphs_reach_nothing_by_default_and_are_told_so_in_neutral_words() {
    let policy = Policy::new(&PolicyOptions::graphs()).unwrap();
    assert_eq!(
        message(&policy, "https://api.example.com/"),
        "Request domain not allowed"
    );
    assert_eq!(
        message(&policy, "http://api.example.com/"),
        "Request must use https"
    );
    assert_eq!(
        message(&policy, "https://api.example.com:8443/"),
        "Request port 8443 not allowed"
    );
}

#[test]
fn opening_loopback_opens_names_and_literals_and_nothing_else() {
    let policy = webhooks(|o| {
        o.require_https = false;
        o.disable_loopback = false;
    });
    for url in [
        "http://localhost:9000/",
        "http://127.0.0.1:9000/",
        "http://[::1]:9000/",
    ] {
        assert!(policy.check_url(url).is_ok(), "{url}");
    }
    for url in [
        "http://10.0.0.1/",
        "http://8.8.8.8/",
        "http://127.1/",
        "/runs",
        "http://receiver/",
    ] {
        assert!(policy.check_url(url).is_err(), "{url}");
    }
}

#[test]
fn an_opened_loopback_does_not_lead_back_to_the_server() {
    let policy = webhooks(|o| {
        o.require_https = false;
        o.disable_loopback = false;
        o.own_address = Some("127.0.0.1:8123".parse().unwrap());
    });
    for url in [
        "http://127.0.0.1:8123/runs/cancel",
        "http://localhost:8123/",
    ] {
        let refusal = policy.check_url(url).unwrap_err();
        assert_eq!(
            (refusal.gate, refusal.rule),
            (Gate::Connect, Rule::OwnAddress)
        );
    }
    for url in ["http://127.0.0.1:9000/", "http://localhost:9000/"] {
        assert!(policy.check_url(url).is_ok(), "{url}");
    }
}

#[test]
fn the_rule_that_admits_a_host_is_named() {
    let policy = webhooks(|o| {
        o.require_https = false;
        o.disable_loopback = false;
        o.disable_private_ips = false;
        o.allowed_domains = vec!["*.example.com".to_owned(), "a.example.com".to_owned()];
        o.allowed_networks = vec!["8.8.8.0/24".to_owned()];
    });
    let open = webhooks(|_| {});
    for (policy, url, grounds) in [
        (
            &open,
            "https://hooks.example.com/",
            "none is needed for a public name",
        ),
        (
            &policy,
            "https://a.example.com/",
            "allowed_domains, a.example.com",
        ),
        (
            &policy,
            "https://b.example.com/",
            "allowed_domains, *.example.com",
        ),
        (&policy, "https://8.8.8.8/", "allowed_networks, 8.8.8.0/24"),
        (&policy, "http://127.0.0.1/", "disable_loopback, false"),
        (&policy, "http://localhost/", "disable_loopback, false"),
        (&policy, "http://10.1.2.3/", "disable_private_ips, false"),
    ] {
        let target = policy.check_url(url).unwrap();
        assert_eq!(policy.grounds(&target).unwrap().to_string(), grounds);
    }
    let target = policy.check_url("http://127.0.0.1/").unwrap();
    assert!(open.grounds(&target).is_err());
}

#[test]
fn an_allowed_network_admits_its_literals() {
    let policy = webhooks(|o| {
        o.allowed_networks = vec!["10.20.0.0/16".to_owned(), "8.8.8.8".to_owned()];
        o.denied_networks = vec!["10.20.9.0/24".to_owned()];
    });
    assert!(policy.check_url("https://10.20.1.1/").is_ok());
    assert!(policy.check_url("https://8.8.8.8/").is_ok());
    assert!(policy.check_url("https://10.20.9.1/").is_err());
    assert!(policy.check_url("https://10.21.1.1/").is_err());
}

#[test]
fn methods_are_those_listed_and_never_trace() {
    let mut options = PolicyOptions::graphs();
    let any = Policy::new(&options).unwrap();
    assert!(any.check_method(&Method::DELETE).is_ok());
    assert!(any.check_method(&Method::TRACE).is_err());
    options.methods = vec!["GET".to_owned()];
    let get = Policy::new(&options).unwrap();
    assert!(get.check_method(&Method::GET).is_ok());
    assert_eq!(
        get.check_method(&Method::POST).unwrap_err().message,
        "Request method POST not allowed"
    );
}

#[test]
fn a_bad_option_is_named_by_its_key() {
    type Change = fn(&mut PolicyOptions);
    let cases: [(&str, Change); 6] = [
        ("allowed_ports[1]", |o| o.allowed_ports = vec![443, 0]),
        ("allowed_domains[0]", |o| {
            o.allowed_domains = vec!["a.*.example.com".to_owned()];
        }),
        ("denied_domains[0]", |o| {
            o.denied_domains = vec!["127.0.0.1".to_owned()];
        }),
        ("allowed_networks[0]", |o| {
            o.allowed_networks = vec!["10.0.0.1/8".to_owned()];
        }),
        ("denied_networks[0]", |o| {
            o.denied_networks = vec!["ten".to_owned()];
        }),
        ("methods[0]", |o| o.methods = vec!["TRACE".to_owned()]),
    ];
    for (key, change) in cases {
        let mut options = PolicyOptions::graphs();
        change(&mut options);
        assert_eq!(Policy::new(&options).unwrap_err().key, key);
    }
}
