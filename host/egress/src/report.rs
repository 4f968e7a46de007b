//! `mode: "report"`: what the operator's rules about https, ports and domains would refuse is logged, counted and let
//! pass. [`crate::Policy`] asks after its gates, which enforce everything else.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::gate::{name, shape};
use crate::options::Subject;
use crate::refusal::{Gate, Refusal, Rule};
use crate::target::{Host, Target};

/// The operator's rules, and how often they would have refused.
#[derive(Debug)]
pub(crate) struct Report {
    shape: shape::Rules,
    names: name::Rules,
    https: AtomicU64,
    ports: AtomicU64,
    domains: AtomicU64,
}

/// How many URLs were admitted that a rule would have refused, since the policy was made. A URL that several rules would
/// have refused counts for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// `require_https`.
    pub https: u64,
    /// `allowed_ports`.
    pub ports: u64,
    /// `allowed_domains` and `denied_domains`.
    pub domains: u64,
}

impl Report {
    /// What is enforced while these rules only report, and the report. Reserved names and punycode still need an allowed
    /// domain that spells them.
    pub(crate) fn instead_of(
        shape: shape::Rules,
        names: name::Rules,
    ) -> (shape::Rules, name::Rules, Option<Self>) {
        let enforced_shape = shape::Rules {
            require_https: false,
            other_ports: true,
            ..shape.clone()
        };
        let enforced_names = name::Rules {
            denied: Vec::new(),
            only_allowed: false,
            ..names.clone()
        };
        let report = Self {
            shape,
            names,
            https: AtomicU64::new(0),
            ports: AtomicU64::new(0),
            domains: AtomicU64::new(0),
        };
        (enforced_shape, enforced_names, Some(report))
    }

    /// What the rules would refuse about a URL that has passed the gates.
    pub(crate) fn judge(&self, target: &Target, subject: Subject) -> Vec<Refusal> {
        let domains = match &target.host {
            Host::Name(name) => name::domains(name, &self.names),
            Host::Ip(_) => Ok(()),
        };
        let verdicts = [
            (shape::https(&target.url, &self.shape), Gate::Shape),
            (shape::port(&target.url, &self.shape), Gate::Shape),
            (domains, Gate::Name),
        ];
        let refused = verdicts
            .into_iter()
            .filter_map(|(verdict, gate)| Some((verdict.err()?, gate)));
        refused
            .map(|(rule, gate)| Refusal::new(gate, rule, subject))
            .collect()
    }

    /// Logs and counts what was judged of a URL.
    pub(crate) fn note(&self, target: &Target) {
        for refusal in &target.reported {
            let count = match refusal.rule {
                Rule::Https => &self.https,
                Rule::Port(_) => &self.ports,
                _ => &self.domains,
            };
            let times = count.fetch_add(1, Ordering::Relaxed) + 1;
            let (gate, rule) = (refusal.gate, refusal.rule.as_str());
            tracing::warn!(url = %target, %gate, rule, times, "let pass, since the policy only reports: {refusal}");
        }
    }

    pub(crate) fn counts(&self) -> Reported {
        Reported {
            https: self.https.load(Ordering::Relaxed),
            ports: self.ports.load(Ordering::Relaxed),
            domains: self.domains.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, Policy, PolicyOptions};

    fn reporting() -> Policy {
        let options = PolicyOptions {
            allowed_ports: vec![443],
            allowed_domains: vec!["hooks.example.com".to_owned(), "receiver".to_owned()],
            denied_domains: vec!["*.evil.example.com".to_owned()],
            mode: Mode::Report,
            ..PolicyOptions::webhooks()
        };
        Policy::new(&options).unwrap()
    }

    #[test]
    fn https_ports_and_domains_are_reported_each_and_counted() {
        let policy = reporting();
        for (url, rules) in [
            ("https://hooks.example.com/", &[][..]),
            ("https://receiver/", &[]),
            ("http://hooks.example.com:443/", &["require_https"]),
            ("https://hooks.example.com:8443/", &["allowed_ports"]),
            ("https://other.example.com/", &["allowed_domains"]),
            ("https://a.evil.example.com/", &["denied_domains"]),
            (
                "http://a.evil.example.com/?token=t",
                &["require_https", "allowed_ports", "denied_domains"],
            ),
        ] {
            let target = policy.admit_url(url).unwrap();
            let reported = target
                .reported()
                .iter()
                .map(|refusal| refusal.rule.as_str());
            assert_eq!(reported.collect::<Vec<_>>(), rules, "{url}");
        }
        let counts = Reported {
            https: 2,
            ports: 2,
            domains: 3,
        };
        assert_eq!(policy.reported(), counts);
        // Whoever judges a URL again, because it is called, counts nothing.
        let again = policy.check_url("http://hooks.example.com:443/").unwrap();
        assert_eq!((again.reported().len(), policy.reported()), (1, counts));
    }

    #[test]
    fn everything_else_is_enforced() {
        let policy = reporting();
        for (url, gate) in [
            ("https://2130706433/", Gate::RawText),
            ("https://u@hooks.example.com/", Gate::Shape),
            ("ftp://hooks.example.com/", Gate::Shape),
            ("https://hooks.example.com:25/", Gate::Shape),
            ("https://8.8.8.8/", Gate::Name),
            ("https://metadata.google.internal/", Gate::Name),
            ("https://x.svc.cluster.local/", Gate::Name),
            ("https://xn--bcher-kva.example.com/", Gate::Name),
            ("https://127.0.0.1/", Gate::Address),
        ] {
            assert_eq!(policy.check_url(url).unwrap_err().gate, gate, "{url}");
        }
        assert_eq!(policy.reported(), Reported::default());
    }
}
