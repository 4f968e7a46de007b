//! The gates in their order: a URL goes in, a [`Target`] or a [`Refusal`] comes out. No network I/O.

use http::Method;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::domain::DomainRule;
use crate::gate::name::Scope;
use crate::gate::{address, connect, name, raw, shape};
use crate::options::{Mode, PolicyError, PolicyOptions, Subject, is_forbidden, method, network};
use crate::refusal::{Gate, Refusal, Rule};
use crate::report::{Report, Reported};
use crate::target::{Host, Target};

/// What the name `localhost` leads to, known without asking (RFC 6761 section 6.3).
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Which addresses may be called: [`PolicyOptions`], checked.
#[derive(Debug)]
pub struct Policy {
    subject: Subject,
    max_url_length: usize,
    shape: shape::Rules,
    names: name::Rules,
    addresses: address::Rules,
    methods: Vec<Method>,
    own_address: Option<SocketAddr>,
    /// What the operator's rules would refuse, while the ones above let it pass.
    report: Option<Report>,
}

impl Policy {
    /// Checks the options.
    ///
    /// # Errors
    /// The first option that cannot be taken, by its key.
    pub fn new(options: &PolicyOptions) -> Result<Self, PolicyError> {
        if let Some(at) = options.allowed_ports.iter().position(|port| *port == 0) {
            return Err(PolicyError::new(
                format!("allowed_ports[{at}]"),
                "0 is not a port",
            ));
        }
        let shape = shape::Rules {
            require_https: options.require_https,
            allowed_ports: options.allowed_ports.clone(),
            other_ports: false,
        };
        let names = name::Rules {
            allowed: list(
                "allowed_domains",
                &options.allowed_domains,
                DomainRule::parse,
            )?,
            denied: list("denied_domains", &options.denied_domains, DomainRule::parse)?,
            only_allowed: options.default_deny || !options.allowed_domains.is_empty(),
            open_localhost: !options.disable_loopback,
        };
        let (shape, names, report) = match options.mode {
            Mode::Enforce => (shape, names, None),
            Mode::Report => Report::instead_of(shape, names),
        };
        Ok(Self {
            subject: options.subject,
            max_url_length: options.max_url_length,
            shape,
            names,
            report,
            own_address: options.own_address,
            addresses: address::Rules {
                allowed: list("allowed_networks", &options.allowed_networks, network)?,
                denied: list("denied_networks", &options.denied_networks, network)?,
                open_loopback: !options.disable_loopback,
                open_private: !options.disable_private_ips,
            },
            methods: list("methods", &options.methods, method)?,
        })
    }

    /// Judges a URL by everything that can be judged without the network. Resolved addresses are judged where the
    /// connection is made. What is only to be reported is logged and counted here.
    pub fn check_url(&self, text: &str) -> Result<Target, Refusal> {
        raw::check(text, self.max_url_length).map_err(self.at(Gate::RawText))?;
        let url = shape::parse(text).map_err(self.at(Gate::Shape))?;
        raw::reads_back(text, &url).map_err(self.at(Gate::RawText))?;
        let mut target = Target::new(url, text).map_err(self.at(Gate::Shape))?;
        self.check_target(&target)?;
        if let Some(report) = &self.report {
            target.reported = report.judge(&target, self.subject);
        }
        Ok(target)
    }

    /// What has been reported and let pass so far; nothing while rules are enforced.
    #[must_use]
    pub fn reported(&self) -> Reported {
        self.report
            .as_ref()
            .map_or_else(Reported::default, Report::counts)
    }

    /// Judges a parsed URL: again where it is used, so that one policy's target is nothing to another's client.
    pub(crate) fn check_target(&self, target: &Target) -> Result<(), Refusal> {
        shape::check(&target.url, &self.shape).map_err(self.at(Gate::Shape))?;
        match &target.host {
            Host::Ip(address) => {
                self.check_literal(*address)?;
                self.check_destination(SocketAddr::new(*address, target.port()))
            }
            Host::Name(name) => {
                self.check_name(name)?;
                if name == "localhost" {
                    for address in LOOPBACK {
                        self.check_destination(SocketAddr::new(address, target.port()))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Judges a method.
    pub fn check_method(&self, method: &Method) -> Result<(), Refusal> {
        let listed = self.methods.is_empty() || self.methods.contains(method);
        if listed && !is_forbidden(method) {
            return Ok(());
        }
        Err(self.refuse(Gate::Shape, Rule::Method(method.to_string())))
    }

    pub(crate) fn check_name(&self, name: &str) -> Result<Scope, Refusal> {
        name::check(name, &self.names).map_err(self.at(Gate::Name))
    }

    /// Judges an address that stands in a URL.
    pub(crate) fn check_literal(&self, address: IpAddr) -> Result<(), Refusal> {
        connect::literal(address, &self.addresses).map_err(|rule| match rule {
            Rule::IpLiteral => self.refuse(Gate::Name, rule),
            _ => self.refuse(Gate::Address, rule),
        })
    }

    /// Judges what a name resolved to.
    pub(crate) fn check_resolved(&self, answers: &[IpAddr], scope: Scope) -> Result<(), Refusal> {
        connect::resolved(answers, scope, &self.addresses).map_err(self.at(Gate::Address))
    }

    /// Judges where a connection is about to go.
    pub(crate) fn check_destination(&self, address: SocketAddr) -> Result<(), Refusal> {
        connect::destination(address, self.own_address).map_err(self.at(Gate::Connect))
    }

    /// Judges the two ends of an open connection.
    pub(crate) fn check_ends(&self, local: SocketAddr, peer: SocketAddr) -> Result<(), Refusal> {
        connect::ends(local, peer, self.own_address).map_err(self.at(Gate::Connect))
    }

    pub(crate) fn refuse(&self, gate: Gate, rule: Rule) -> Refusal {
        Refusal::new(gate, rule, self.subject)
    }

    fn at(&self, gate: Gate) -> impl FnOnce(Rule) -> Refusal + '_ {
        move |rule| self.refuse(gate, rule)
    }
}

fn list<T>(
    key: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, PolicyError> {
    let entries = texts.iter().enumerate();
    entries
        .map(|(at, text)| {
            parse(text).map_err(|message| PolicyError::new(format!("{key}[{at}]"), message))
        })
        .collect()
}

#[cfg(test)]
mod tests {
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
}
