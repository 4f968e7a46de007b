//! The gates in their order: a URL goes in, a [`Target`] or a [`Refusal`] comes out. No network I/O.

use http::Method;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::domain::DomainRule;
use crate::gate::address::Opening;
use crate::gate::name::Scope;
use crate::gate::{address, connect, name, raw, shape};
use crate::grounds::Grounds;
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

    /// Judges a URL that somebody wants to be called from now on, and logs and counts what is only to be reported of it:
    /// once for each such URL, however often it is called.
    pub fn admit_url(&self, text: &str) -> Result<Target, Refusal> {
        let target = self.check_url(text)?;
        if let Some(report) = &self.report {
            report.note(&target);
        }
        Ok(target)
    }

    /// Judges a URL by everything that can be judged without the network. Resolved addresses are judged where the
    /// connection is made.
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

    /// What [`admit_url`](Self::admit_url) has reported and let pass so far; nothing while rules are enforced.
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

    /// Which rule admits the host of a URL.
    pub fn grounds(&self, target: &Target) -> Result<Grounds, Refusal> {
        match &target.host {
            Host::Ip(address) => self.check_literal(*address).map(Grounds::Opened),
            Host::Name(name) => self
                .check_name(name)
                .map(|_| name::grounds(name, &self.names)),
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
    pub(crate) fn check_literal(&self, address: IpAddr) -> Result<Opening, Refusal> {
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
mod tests;
