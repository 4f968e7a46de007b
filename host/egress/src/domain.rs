//! One entry of `allowed_domains`, `denied_domains` or a secret's `hosts`: a name, or `*.` and a name.

use std::fmt;
use std::net::IpAddr;

use crate::gate::name;

/// `hooks.example.com` (that name), or `*.example.com` (every name below, not the name itself).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRule {
    name: String,
    wildcard: bool,
}

impl DomainRule {
    /// Reads one entry; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if name.contains('*') {
            return Err("a wildcard stands only at the start: \"*.example.com\"".to_owned());
        }
        if name.parse::<IpAddr>().is_ok() {
            return Err(format!(
                "\"{text}\" is an address: it belongs in a list of networks"
            ));
        }
        if !name.is_ascii() {
            return Err(format!("write \"{text}\" in punycode: \"xn--…\""));
        }
        let name = name.to_ascii_lowercase();
        if name::syntax(&name).is_err() {
            return Err(format!(
                "\"{text}\" is not a host name (no scheme, port, path or trailing dot)"
            ));
        }
        Ok(Self { name, wildcard })
    }

    /// Whether the rule covers a host, which must be in lower case.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        if self.wildcard {
            self.free_part(host).is_some()
        } else {
            host == self.name
        }
    }

    /// Whether the rule is this very name.
    #[must_use]
    pub fn spells(&self, host: &str) -> bool {
        !self.wildcard && host == self.name
    }

    /// What the wildcard stands for in a host that it covers: the labels that the rule does not spell.
    #[must_use]
    pub(crate) fn free_part<'a>(&self, host: &'a str) -> Option<&'a str> {
        if !self.wildcard {
            return None;
        }
        host.strip_suffix(self.name.as_str())?
            .strip_suffix('.')
            .filter(|free| !free.is_empty())
    }
}

impl fmt::Display for DomainRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcard = if self.wildcard { "*." } else { "" };
        write!(f, "{wildcard}{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_sub_domains_and_not_the_apex() {
        let rule = DomainRule::parse("*.Example.com").unwrap();
        assert!(rule.matches("a.example.com"));
        assert!(rule.matches("a.b.example.com"));
        assert!(!rule.matches("example.com"));
        assert!(!rule.matches(".example.com"));
        assert!(!rule.matches("badexample.com"));
        assert!(!rule.spells("a.example.com"));
    }

    #[test]
    fn what_is_not_a_name_is_refused_with_its_reason() {
        for (text, reason) in [
            ("a.*.example.com", "wildcard"),
            ("*", "wildcard"),
            ("**.example.com", "wildcard"),
            ("127.0.0.1", "networks"),
            ("::1", "networks"),
            ("bücher.example", "punycode"),
            ("https://example.com", "host name"),
            ("example.com:443", "host name"),
            ("example.com.", "host name"),
            ("", "host name"),
            ("*.", "host name"),
        ] {
            let error = DomainRule::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
