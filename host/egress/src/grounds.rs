//! Why the host of an admitted URL may be called: what `selvedge check --webhook` says of one that is not refused.

use std::fmt;

use crate::domain::DomainRule;
use crate::gate::address::Opening;

/// Which rule admits a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// None: the name is a public one, and those are not refused.
    PublicName,
    /// This entry of `allowed_domains`.
    Domain(DomainRule),
    /// Its address is opened, and so is `localhost` with loopback.
    Opened(Opening),
}

impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublicName => f.write_str("none is needed for a public name"),
            Self::Domain(rule) => write!(f, "allowed_domains, {rule}"),
            Self::Opened(Opening::Network(network)) => write!(f, "allowed_networks, {network}"),
            Self::Opened(Opening::Loopback) => f.write_str("disable_loopback, false"),
            Self::Opened(Opening::Private) => f.write_str("disable_private_ips, false"),
        }
    }
}
