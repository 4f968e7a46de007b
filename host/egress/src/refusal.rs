//! Why a request is not made: the gate, the rule, and a text that a caller may see.
//!
//! The texts of the cases that LangGraph has are LangGraph's, since clients match on them.

use std::fmt;
use std::net::SocketAddr;

use crate::options::Subject;

/// Which gate refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// The text of the URL, before any parser.
    RawText,
    /// Scheme, credentials, fragment, port, host; and for graphs method and headers.
    Shape,
    /// The host's name.
    Name,
    /// An address, written in the URL or found by resolving the name.
    Address,
    /// The connection itself.
    Connect,
    /// The answer.
    Response,
}

impl Gate {
    /// The name in documentation, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RawText => "raw text",
            Self::Shape => "shape",
            Self::Name => "name",
            Self::Address => "address",
            Self::Connect => "connect",
            Self::Response => "response",
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which rule decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Longer than `max_url_length`.
    UrlTooLong,
    /// Characters that parsers repair or disagree about.
    Characters(&'static str),
    /// A URL that begins with `/`.
    Relative,
    /// The parser reads another host or port than is written.
    Ambiguous,
    /// No parser makes anything of it.
    Malformed(String),
    /// Neither http nor https.
    Scheme(String),
    /// `require_https`.
    Https,
    /// A user name or password in the URL.
    Userinfo,
    /// A fragment.
    Fragment,
    /// Outside `allowed_ports`, or a bad port where there is no such list.
    Port(u16),
    /// No host.
    EmptyHost,
    /// Outside `methods`, or one that no program may use.
    Method(String),
    /// A header that only the client itself may set.
    Header(String),
    /// A secret's placeholder in a request to a host that the secret is not for.
    Secret(String),
    /// In `denied_domains`.
    DeniedDomain,
    /// Not in `allowed_domains`.
    UnlistedDomain,
    /// A malformed or reserved name.
    Name(&'static str),
    /// An IP address where no network rule allows it.
    IpLiteral,
    /// A punycode label that no rule spells.
    Punycode,
    /// In a range that is not open.
    Range(&'static str),
    /// In `denied_networks`.
    DeniedNetwork,
    /// A reserved name, allowed by its spelling, whose address no network rule opens.
    Unopened,
    /// Where this server itself listens.
    OwnAddress,
    /// The connection has another peer than the one that was judged.
    Peer,
}

impl Rule {
    /// A short name for logs, metrics and `selvedge check --webhook`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::UrlTooLong => "max_url_length",
            Self::Characters(_) => "characters",
            Self::Relative => "relative",
            Self::Ambiguous => "ambiguous",
            Self::Malformed(_) => "malformed",
            Self::Scheme(_) => "scheme",
            Self::Https => "require_https",
            Self::Userinfo => "userinfo",
            Self::Fragment => "fragment",
            Self::Port(_) => "allowed_ports",
            Self::EmptyHost => "empty_host",
            Self::Method(_) => "methods",
            Self::Header(_) => "header",
            Self::Secret(_) => "secret",
            Self::DeniedDomain => "denied_domains",
            Self::UnlistedDomain => "allowed_domains",
            Self::Name(_) => "name",
            Self::IpLiteral => "ip_literal",
            Self::Punycode => "punycode",
            Self::Range(_) => "range",
            Self::DeniedNetwork => "denied_networks",
            Self::Unopened => "allowed_networks",
            Self::OwnAddress => "own_address",
            Self::Peer => "peer",
        }
    }

    fn message(&self, subject: Subject) -> String {
        let lower = subject.lower();
        match self {
            Self::UrlTooLong => format!("{subject} URL too long"),
            Self::Characters(what) => format!("Invalid {lower} URL: {what}"),
            Self::Relative => {
                format!("Loopback {lower}s (relative URLs) are disabled: give an absolute URL")
            }
            Self::Ambiguous => {
                format!("Invalid {lower} URL: the host or port is not written the way it is read")
            }
            Self::Malformed(what) => format!("Invalid {lower} URL: {what}"),
            Self::Scheme(scheme) => {
                format!("{subject} host blocked: scheme '{scheme}' not allowed")
            }
            Self::Https => format!("{subject} must use https"),
            Self::Userinfo => format!("Invalid {lower} URL: no user name or password allowed"),
            Self::Fragment => format!("Invalid {lower} URL: no fragment allowed"),
            Self::Port(port) => format!("{subject} port {port} not allowed"),
            Self::EmptyHost => format!("Invalid {lower} hostname ''"),
            Self::Method(method) => format!("{subject} method {method} not allowed"),
            Self::Header(what) => format!("{subject} header not allowed: {what}"),
            Self::Secret(name) => format!("The secret {name} is not for this host"),
            Self::DeniedDomain | Self::UnlistedDomain => format!("{subject} domain not allowed"),
            Self::Name(reason) | Self::Range(reason) => format!("{subject} host blocked: {reason}"),
            Self::IpLiteral => format!("{subject} host blocked: IP address instead of a name"),
            Self::Punycode => {
                format!("{subject} host blocked: internationalised name that no rule spells")
            }
            Self::DeniedNetwork => format!("{subject} host blocked: blocked IP range"),
            Self::Unopened => {
                format!("{subject} host blocked: reserved name outside the allowed networks")
            }
            Self::OwnAddress => format!("{subject} host blocked: the server's own address"),
            Self::Peer => format!("{subject} host blocked: connected to another address"),
        }
    }
}

/// A request that is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which gate refused.
    pub gate: Gate,
    /// Which rule decided.
    pub rule: Rule,
    /// What the caller may be told; holds no part of the URL but scheme and port.
    pub message: String,
    /// The address that was judged, where it was not written in the URL.
    pub address: Option<SocketAddr>,
}

impl Refusal {
    pub(crate) fn new(gate: Gate, rule: Rule, subject: Subject) -> Self {
        let message = rule.message(subject);
        Self {
            gate,
            rule,
            message,
            address: None,
        }
    }
}
