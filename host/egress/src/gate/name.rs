//! Gate 3: may this host be called by this name?
//!
//! A name is no proof of where a connection goes (gate 4 and 5 judge that), but many names have no meaning outside
//! the network that the server stands in, and those are refused before anything is resolved.

use crate::domain::DomainRule;
use crate::gate::address::Opening;
use crate::grounds::Grounds;
use crate::refusal::Rule;

/// What names may be called.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Names that are open.
    pub allowed: Vec<DomainRule>,
    /// Names that are closed whatever else says.
    pub denied: Vec<DomainRule>,
    /// Only what `allowed` covers is open; otherwise any public name is.
    pub only_allowed: bool,
    /// `localhost` is open.
    pub open_localhost: bool,
}

/// Where the addresses of a name that passed must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// At public addresses, or at ones that a network rule opens.
    Public,
    /// Only at addresses that a network rule opens: the name is reserved and passed because a rule spells it.
    Opened,
}

/// Judges a name in lower case.
pub fn check(host: &str, rules: &Rules) -> Result<Scope, Rule> {
    syntax(host).map_err(Rule::Name)?;
    denied(host, rules)?;
    if covered_by(host, &METADATA) {
        return Err(Rule::Name("cloud metadata endpoint"));
    }
    let reserved = reserved(host);
    if host == "localhost" && rules.open_localhost {
        return Ok(Scope::Opened);
    }
    if rules.allowed.iter().any(|rule| rule.spells(host)) {
        return Ok(if reserved.is_some() {
            Scope::Opened
        } else {
            Scope::Public
        });
    }
    if let Some(reason) = reserved {
        return Err(Rule::Name(reason));
    }
    listed(host, rules)?;
    // A wildcard spells what follows it, not what it stands for.
    let mut free_parts = rules.allowed.iter().filter_map(|rule| rule.free_part(host));
    let spelled = free_parts.any(|free| !has_punycode(free)) || !has_punycode(host);
    if spelled {
        Ok(Scope::Public)
    } else {
        Err(Rule::Punycode)
    }
}

/// Which rule admits a name that passed: one that spells it before one that covers it.
pub fn grounds(host: &str, rules: &Rules) -> Grounds {
    if host == "localhost" && rules.open_localhost {
        return Grounds::Opened(Opening::Loopback);
    }
    let spelling = rules.allowed.iter().find(|rule| rule.spells(host));
    let covering = || rules.allowed.iter().find(|rule| rule.matches(host));
    match spelling.or_else(covering) {
        Some(rule) => Grounds::Domain(rule.clone()),
        None => Grounds::PublicName,
    }
}

/// Judges a name by the operator's two lists alone.
pub fn domains(host: &str, rules: &Rules) -> Result<(), Rule> {
    denied(host, rules)?;
    if host == "localhost" && rules.open_localhost {
        return Ok(());
    }
    listed(host, rules)
}

fn denied(host: &str, rules: &Rules) -> Result<(), Rule> {
    if rules.denied.iter().any(|rule| rule.matches(host)) {
        return Err(Rule::DeniedDomain);
    }
    Ok(())
}

fn listed(host: &str, rules: &Rules) -> Result<(), Rule> {
    if rules.only_allowed && !rules.allowed.iter().any(|rule| rule.matches(host)) {
        return Err(Rule::UnlistedDomain);
    }
    Ok(())
}

/// The letters, digits and hyphens of RFC 1123 section 2.1, with the lengths of RFC 1035 section 2.3.4 (253 is what
/// 255 octets on the wire leave for text). Says what is wrong.
pub(crate) fn syntax(host: &str) -> Result<(), &'static str> {
    if host.len() > 253 {
        return Err("name longer than 253 octets");
    }
    if host.ends_with('.') {
        return Err("trailing dot");
    }
    for label in host.split('.') {
        if label.is_empty() || label.len() > 63 {
            return Err("label that is empty or longer than 63 octets");
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !label.bytes().all(plain) {
            return Err("character that host names do not have");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("hyphen at the edge of a label");
        }
    }
    Ok(())
}

/// Why a name means something only inside some network, if it does.
fn reserved(host: &str) -> Option<&'static str> {
    RESERVED
        .iter()
        .find(|(_, suffixes)| covered_by(host, suffixes))
        .map(|(reason, _)| *reason)
        .or_else(|| (!host.contains('.')).then_some("single-label name"))
}

fn covered_by(host: &str, suffixes: &[&str]) -> bool {
    suffixes.iter().any(|suffix| {
        host.strip_suffix(suffix)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

fn has_punycode(labels: &str) -> bool {
    labels.split('.').any(|label| label.starts_with("xn--"))
}

/// Names under which clouds hand out credentials to whoever asks from inside. Never open.
const METADATA: [&str; 12] = [
    "metadata",
    "instance-data",
    "rancher-metadata",
    // Google Cloud.
    "metadata.google.internal",
    "metadata.goog",
    // Amazon EC2.
    "metadata.amazonaws.com",
    "instance-data.ec2.internal",
    // Azure, Tencent, Equinix, IBM.
    "metadata.azure.internal",
    "metadata.tencentyun.com",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "api.metadata.cloud.ibm.com",
];

/// Names and suffixes that have no meaning on the public internet, most telling reason first.
const RESERVED: [(&str, &[&str]); 4] = [
    (
        // RFC 6761 section 6.3, old resolver habits, and what container engines call the machine below them.
        "localhost address",
        &[
            "localhost",
            "localhost.localdomain",
            "localhost6.localdomain6",
            "docker.internal",
            "containers.internal",
            "lima.internal",
            "orb.internal",
            "minikube.internal",
            "rancher-desktop.internal",
        ],
    ),
    (
        // https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/: full names, and what the search
        // list of a pod completes: `name.namespace`, for the namespaces that every cluster has, and `name.namespace.svc`.
        "Kubernetes internal DNS",
        &[
            "svc",
            "cluster.local",
            "default",
            "kube-system",
            "kube-public",
            "kube-node-lease",
        ],
    ),
    (
        // https://www.iana.org/assignments/special-use-domain-names: RFC 6761 (test, invalid, example as a top-level
        // name), 6762 (local), 7686 (onion), 9476 (alt), 3172 and 8375 (arpa with everything below it).
        "special-use name",
        &[
            "test", "invalid", "example", "local", "onion", "alt", "arpa",
        ],
    ),
    (
        // `internal`: reserved by ICANN's resolution 2024.07.29.06. The others are what private networks use; RFC 6762
        // appendix G lists most of them.
        "internal name",
        &[
            "internal",
            "intranet",
            "corp",
            "home",
            "lan",
            "localdomain",
            "private",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str], denied: &[&str]) -> Rules {
        let parse = |texts: &[&str]| {
            texts
                .iter()
                .map(|t| DomainRule::parse(t).unwrap())
                .collect()
        };
        Rules {
            allowed: parse(allowed),
            denied: parse(denied),
            only_allowed: !allowed.is_empty(),
            ..Rules::default()
        }
    }

    #[test]
    fn without_rules_any_public_name_passes() {
        for host in [
            "example.com",
            "a-b.c1.example.org",
            "8.example.com",
            "default.example.com",
        ] {
            assert_eq!(check(host, &Rules::default()), Ok(Scope::Public), "{host}");
        }
    }

    #[test]
    fn only_listed_names_pass_where_only_they_may() {
        let rules = rules(&["a.example.com", "*.b.example.com"], &[]);
        assert_eq!(check("a.example.com", &rules), Ok(Scope::Public));
        assert_eq!(check("x.b.example.com", &rules), Ok(Scope::Public));
        assert_eq!(check("c.example.com", &rules), Err(Rule::UnlistedDomain));
        let nothing = Rules {
            only_allowed: true,
            ..Rules::default()
        };
        assert_eq!(check("a.example.com", &nothing), Err(Rule::UnlistedDomain));
    }

    #[test]
    fn the_lists_alone_judge_nothing_else() {
        let mut rules = rules(&["a.example.com"], &["*.example.org"]);
        rules.open_localhost = true;
        for (host, verdict) in [
            ("a.example.com", Ok(())),
            ("localhost", Ok(())),
            ("b.example.com", Err(Rule::UnlistedDomain)),
            ("b.example.org", Err(Rule::DeniedDomain)),
            ("metadata", Err(Rule::UnlistedDomain)),
        ] {
            assert_eq!(domains(host, &rules), verdict, "{host}");
        }
        rules.only_allowed = false;
        assert_eq!(domains("metadata", &rules), Ok(()));
    }

    #[test]
    fn deny_beats_allow() {
        let rules = rules(
            &["a.example.com", "*.example.org"],
            &["*.example.com", "b.example.org"],
        );
        assert_eq!(check("a.example.com", &rules), Err(Rule::DeniedDomain));
        assert_eq!(check("b.example.org", &rules), Err(Rule::DeniedDomain));
        assert_eq!(check("c.example.org", &rules), Ok(Scope::Public));
    }

    #[test]
    fn names_without_public_meaning_are_refused_each_with_its_reason() {
        for (host, reason) in [
            ("localhost", "localhost address"),
            ("a.localhost", "localhost address"),
            ("localhost.localdomain", "localhost address"),
            ("host.docker.internal", "localhost address"),
            ("kubernetes.default", "Kubernetes internal DNS"),
            ("a.b.svc", "Kubernetes internal DNS"),
            ("a.b.svc.cluster.local", "Kubernetes internal DNS"),
            ("metadata", "cloud metadata endpoint"),
            ("metadata.google.internal", "cloud metadata endpoint"),
            ("printer.local", "special-use name"),
            ("1.0.0.127.in-addr.arpa", "special-use name"),
            ("nas.home.arpa", "special-use name"),
            ("hooks.example", "special-use name"),
            ("router.lan", "internal name"),
            ("db.internal", "internal name"),
            ("receiver", "single-label name"),
            ("example.com.", "trailing dot"),
            (
                "a..example.com",
                "label that is empty or longer than 63 octets",
            ),
            ("a_b.example.com", "character that host names do not have"),
            ("-a.example.com", "hyphen at the edge of a label"),
        ] {
            assert_eq!(
                check(host, &Rules::default()),
                Err(Rule::Name(reason)),
                "{host}"
            );
        }
        let long = format!("{}.example.com", "a.".repeat(125));
        assert!(check(&long, &Rules::default()).is_err());
    }

    #[test]
    fn a_reserved_name_passes_only_when_spelled_exactly_and_then_only_at_opened_addresses() {
        let rules = rules(
            &["receiver", "x.svc.cluster.local", "*.internal", "metadata"],
            &[],
        );
        assert_eq!(check("receiver", &rules), Ok(Scope::Opened));
        assert_eq!(check("x.svc.cluster.local", &rules), Ok(Scope::Opened));
        assert_eq!(
            check("x.internal", &rules),
            Err(Rule::Name("internal name"))
        );
        assert_eq!(
            check("metadata", &rules),
            Err(Rule::Name("cloud metadata endpoint"))
        );
    }

    #[test]
    fn localhost_opens_with_loopback() {
        let rules = Rules {
            open_localhost: true,
            only_allowed: true,
            ..Rules::default()
        };
        assert_eq!(check("localhost", &rules), Ok(Scope::Opened));
        assert_eq!(
            check("a.localhost", &rules),
            Err(Rule::Name("localhost address"))
        );
    }

    #[test]
    fn punycode_passes_only_where_a_rule_spells_it() {
        let host = "xn--bcher-kva.example.com";
        assert_eq!(check(host, &Rules::default()), Err(Rule::Punycode));
        assert_eq!(
            check(host, &rules(&["*.example.com"], &[])),
            Err(Rule::Punycode)
        );
        assert_eq!(check(host, &rules(&[host], &[])), Ok(Scope::Public));
        let below = rules(&["*.xn--bcher-kva.example.com"], &[]);
        assert_eq!(
            check("a.xn--bcher-kva.example.com", &below),
            Ok(Scope::Public)
        );
    }
}
