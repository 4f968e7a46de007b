//! The policy as configuration spells it, and what is wrong with it. Read once, by [`crate::Policy::new`]; whoever reads
//! a configuration can ask about single entries before.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::Method;
use ipnet::IpNet;

/// What a refusal speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The webhook of a run.
    Webhook,
    /// A request of a graph, or of the server itself.
    Request,
}

impl Subject {
    pub(crate) fn lower(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Request => "request",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Webhook => "Webhook",
            Self::Request => "Request",
        })
    }
}

/// What becomes of a URL that the rules about https, ports or domains refuse. The other rules are enforced either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is logged, counted and let pass: for adopting a policy. Bad ports stay closed unless they are listed.
    Report,
}

/// Which addresses may be called. Start from [`webhooks`](Self::webhooks) or [`graphs`](Self::graphs): both are closed.
#[derive(Clone, Debug)]
pub struct PolicyOptions {
    /// What refusals speak of.
    pub subject: Subject,
    /// Refuse plain http. Default true.
    pub require_https: bool,
    /// Refuse longer URLs, in bytes. Default 2,048 for webhooks, 8,192 for graphs.
    pub max_url_length: usize,
    /// Only these ports; empty means any but 0 and the Fetch standard's bad ports. Default empty for webhooks, 443
    /// for graphs.
    pub allowed_ports: Vec<u16>,
    /// Keep `127.0.0.0/8`, `::1` and `localhost` closed, names and literals. Default true.
    pub disable_loopback: bool,
    /// Keep RFC 1918, 100.64.0.0/10 and fc00::/7 closed, names and literals. Default true.
    pub disable_private_ips: bool,
    /// Names: `host.example.com`, or `*.example.com` for its sub-domains. Empty means any public name, or no name at
    /// all with `default_deny`. Does not open private networks.
    pub allowed_domains: Vec<String>,
    /// Names that stay closed whatever else says. Same forms.
    pub denied_domains: Vec<String>,
    /// Networks that are open although they are special, and to IP literals: `10.20.0.0/16`, `192.0.2.7`. Metadata
    /// addresses stay closed.
    pub allowed_networks: Vec<String>,
    /// Networks that stay closed whatever else says.
    pub denied_networks: Vec<String>,
    /// Only these methods, in capitals; empty means any but CONNECT, TRACE and TRACK.
    pub methods: Vec<String>,
    /// Only what a rule names is open. Default false for webhooks, true for graphs.
    pub default_deny: bool,
    /// Where this server itself listens, which stays closed whatever else says; an unspecified address means each
    /// address of the machine. Default `None`: nowhere, or callers may be let back in.
    pub own_address: Option<SocketAddr>,
    /// Whether `require_https`, `allowed_ports`, `allowed_domains` and `denied_domains` refuse, or only say that they
    /// would. Default [`Mode::Enforce`].
    pub mode: Mode,
}

impl PolicyOptions {
    /// What holds for webhooks when nothing is configured.
    #[must_use]
    pub fn webhooks() -> Self {
        Self {
            subject: Subject::Webhook,
            require_https: true,
            max_url_length: 2048,
            allowed_ports: Vec::new(),
            disable_loopback: true,
            disable_private_ips: true,
            allowed_domains: Vec::new(),
            denied_domains: Vec::new(),
            allowed_networks: Vec::new(),
            denied_networks: Vec::new(),
            methods: vec!["POST".to_owned()],
            default_deny: false,
            own_address: None,
            mode: Mode::Enforce,
        }
    }

    /// What holds for the requests of graphs when nothing is configured: nothing is reachable.
    #[must_use]
    pub fn graphs() -> Self {
        Self {
            subject: Subject::Request,
            max_url_length: 8192,
            allowed_ports: vec![443],
            methods: Vec::new(),
            default_deny: true,
            ..Self::webhooks()
        }
    }
}

/// An option that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct PolicyError {
    /// The option, with the position in its list: `allowed_domains[1]`. Whoever read the configuration puts the path
    /// of the block before it.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl PolicyError {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }
}

/// Reads an entry of a list of networks: `10.20.0.0/16`, or an address for itself. Bits beyond the prefix are a sign that
/// something else was meant.
pub fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text
        .parse()
        .map_err(|_| format!("a network is written like \"10.20.0.0/16\", not \"{text}\""))?;
    if network == network.trunc() {
        Ok(network)
    } else {
        Err(format!(
            "\"{text}\" has bits beyond its prefix: write \"{}\"",
            network.trunc()
        ))
    }
}

/// Reads an entry of `methods`.
pub fn method(text: &str) -> Result<Method, String> {
    let method = match Method::from_bytes(text.as_bytes()) {
        Ok(method) if text.bytes().all(|byte| byte.is_ascii_uppercase()) => method,
        _ => return Err(format!("a method is written like \"GET\", not \"{text}\"")),
    };
    if is_forbidden(&method) {
        return Err(format!("\"{text}\" is never allowed"));
    }
    Ok(method)
}

/// The forbidden methods of the Fetch standard (<https://fetch.spec.whatwg.org/#methods>): CONNECT makes a tunnel,
/// TRACE and TRACK send back what they got, secrets in headers included.
pub(crate) fn is_forbidden(method: &Method) -> bool {
    ["CONNECT", "TRACE", "TRACK"]
        .iter()
        .any(|forbidden| method.as_str().eq_ignore_ascii_case(forbidden))
}
