//! A URL that a policy admitted.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use selvedge_model::url::without_query;
use url::Url;

use crate::refusal::{Refusal, Rule};

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name, in lower case.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

impl Host {
    pub(crate) fn of(url: &Url) -> Result<Self, Rule> {
        match url.host() {
            Some(url::Host::Domain(name)) => Ok(Self::Name(name.to_owned())),
            Some(url::Host::Ipv4(address)) => Ok(Self::Ip(address.into())),
            Some(url::Host::Ipv6(address)) => Ok(Self::Ip(address.into())),
            None => Err(Rule::EmptyHost),
        }
    }

    pub(crate) fn of_uri(uri: &Uri) -> Option<Self> {
        let host = uri.host()?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Some(match bare.parse() {
            Ok(address) => Self::Ip(address),
            Err(_) => Self::Name(bare.to_owned()),
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// A URL that a policy admitted. Only [`crate::Policy`] makes one.
///
/// Its `Debug` and [`fmt::Display`] leave the query out, since tokens live there.
#[derive(Clone)]
pub struct Target {
    pub(crate) url: Url,
    pub(crate) uri: Uri,
    pub(crate) host: Host,
    pub(crate) reported: Vec<Refusal>,
}

impl Target {
    pub(crate) fn new(url: Url, text: &str) -> Result<Self, Rule> {
        let host = Host::of(&url)?;
        let uri = uri(&url, text).ok_or_else(|| Rule::Malformed("not a valid URI".to_owned()))?;
        Ok(Self {
            url,
            uri,
            host,
            reported: Vec::new(),
        })
    }

    /// What the policy would have refused, had it not been in [`crate::Mode::Report`].
    #[must_use]
    pub fn reported(&self) -> &[Refusal] {
        &self.reported
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, written or implied.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// Host and port as the `Host` header spells them: without the scheme's default port.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.url.authority()
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_query(self.url.as_str()))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// What is sent: the parsed form, with the query as it was written where the syntax of a request line has room for
/// it. (The parser escapes an apostrophe there, which some signatures in queries do not survive.)
fn uri(url: &Url, text: &str) -> Option<Uri> {
    let without = text.split('#').next().unwrap_or_default();
    if let (Some((_, written)), Some((head, _))) =
        (without.split_once('?'), url.as_str().split_once('?'))
        && let Ok(uri) = format!("{head}?{written}").parse()
    {
        return Some(uri);
    }
    url.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_sent_as_written() {
        let text = "https://a.example/x/../b?sig=a'b%2f&c=//";
        let target = Target::new(Url::parse(text).unwrap(), text).unwrap();
        assert_eq!(
            target.uri.to_string(),
            "https://a.example/b?sig=a'b%2f&c=//"
        );
        assert_eq!(format!("{target:?}"), "Target(https://a.example/b)");
        let text = "https://a.example/?q=<\">";
        let target = Target::new(Url::parse(text).unwrap(), text).unwrap();
        assert_eq!(target.uri.query(), Some("q=%3C%22%3E"));
    }
}
