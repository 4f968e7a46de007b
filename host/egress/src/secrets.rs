//! Secrets of graphs: a graph holds a placeholder, and the value takes its place on the way out.
//!
//! The placeholder is a random token made at start, so it means nothing to anyone who learns it; the value goes into
//! header values of requests to the secret's own hosts and nowhere else, and never into an error or a log line.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use rand::RngCore as _;

use crate::domain::DomainRule;
use crate::options::PolicyError;
use crate::refusal::Rule;
use crate::target::Host;

/// How every placeholder begins.
const PREFIX: &str = "selvedge-secret-";

/// One entry of `secrets`, as configured.
#[derive(Clone)]
pub struct SecretOptions {
    /// What goes out.
    pub value: String,
    /// Where to: names, `*.` and a name, or addresses.
    pub hosts: Vec<String>,
}

impl fmt::Debug for SecretOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretOptions")
            .field("value", &"…")
            .field("hosts", &self.hosts)
            .finish()
    }
}

/// The secrets that one graph may use.
#[derive(Clone, Default)]
pub struct Secrets {
    secrets: Vec<Secret>,
}

#[derive(Clone)]
struct Secret {
    name: String,
    placeholder: String,
    value: Vec<u8>,
    hosts: Vec<HostRule>,
}

#[derive(Clone)]
enum HostRule {
    Domain(DomainRule),
    Address(IpAddr),
}

impl Secrets {
    /// Checks the secrets and makes their placeholders.
    ///
    /// # Errors
    /// The first that cannot be used, by its key: `NAME.value`, `NAME.hosts[0]`.
    pub fn new(
        options: impl IntoIterator<Item = (String, SecretOptions)>,
    ) -> Result<Self, PolicyError> {
        let secrets = options
            .into_iter()
            .map(|(name, options)| Secret::new(name, &options))
            .collect::<Result<_, _>>()?;
        Ok(Self { secrets })
    }

    /// The names, each with what the graph sees in its place.
    pub fn placeholders(&self) -> impl Iterator<Item = (&str, &str)> {
        self.secrets
            .iter()
            .map(|secret| (secret.name.as_str(), secret.placeholder.as_str()))
    }

    /// Puts the values into the headers of a request to `host`.
    ///
    /// # Errors
    /// When a header carries a placeholder of a secret that is not for this host: then nothing may be sent.
    pub(crate) fn fill(&self, host: &Host, headers: &mut HeaderMap) -> Result<(), Rule> {
        for value in headers.values_mut() {
            if find(value.as_bytes(), PREFIX.as_bytes()).is_some() {
                self.fill_value(host, value)?;
            }
        }
        Ok(())
    }

    fn fill_value(&self, host: &Host, header: &mut HeaderValue) -> Result<(), Rule> {
        for secret in &self.secrets {
            let Some(filled) = replace(
                header.as_bytes(),
                secret.placeholder.as_bytes(),
                &secret.value,
            ) else {
                continue;
            };
            if !secret.hosts.iter().any(|rule| rule.matches(host)) {
                return Err(Rule::Secret(secret.name.clone()));
            }
            // Both parts are valid header values, so the whole is.
            *header =
                HeaderValue::from_bytes(&filled).map_err(|_| Rule::Secret(secret.name.clone()))?;
            header.set_sensitive(true);
        }
        Ok(())
    }
}

impl Secret {
    fn new(name: String, options: &SecretOptions) -> Result<Self, PolicyError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(PolicyError::new(
                name,
                "a name has letters, digits and underscores",
            ));
        }
        let key = |rest: &str| format!("{name}.{rest}");
        if options.value.is_empty() || HeaderValue::from_str(&options.value).is_err() {
            return Err(PolicyError::new(
                key("value"),
                "must hold printable characters only, and at least one",
            ));
        }
        if options.hosts.is_empty() {
            return Err(PolicyError::new(
                key("hosts"),
                "names no host, so the secret could not be used",
            ));
        }
        let hosts = options
            .hosts
            .iter()
            .enumerate()
            .map(|(at, text)| {
                HostRule::parse(text).map_err(|m| PolicyError::new(key(&format!("hosts[{at}]")), m))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            placeholder: placeholder(&name),
            value: options.value.clone().into_bytes(),
            name,
            hosts,
        })
    }
}

impl HostRule {
    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => DomainRule::parse(text).map(Self::Domain),
        }
    }

    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Domain(rule), Host::Name(name)) => rule.matches(name),
            (Self::Address(address), Host::Ip(ip)) => address == ip,
            _ => false,
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.secrets.iter().map(|secret| &secret.name))
            .finish()
    }
}

fn placeholder(name: &str) -> String {
    let mut random = [0_u8; 16];
    rand::rng().fill_bytes(&mut random);
    format!("{PREFIX}{name}-{:032x}", u128::from_be_bytes(random))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// `text` with every occurrence of `part` replaced; `None` when there is none.
fn replace(text: &[u8], part: &[u8], by: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text;
    let mut out = Vec::new();
    while let Some(at) = find(rest, part) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(by);
        rest = &rest[at + part.len()..];
    }
    if rest.len() == text.len() {
        return None;
    }
    out.extend_from_slice(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(hosts: &[&str]) -> Result<Secrets, PolicyError> {
        let options = SecretOptions {
            value: "sk-12345".to_owned(),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        };
        Secrets::new([("API_KEY".to_owned(), options)])
    }

    fn fill(secrets: &Secrets, host: &str, value: &str) -> Result<HeaderValue, Rule> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(value).unwrap());
        let host = host
            .parse()
            .map_or_else(|_| Host::Name(host.to_owned()), Host::Ip);
        secrets.fill(&host, &mut headers)?;
        Ok(headers["authorization"].clone())
    }

    #[test]
    fn the_value_takes_the_placeholders_place_at_the_secrets_own_hosts() {
        let secrets = secrets(&["api.example.com", "127.0.0.1"]).unwrap();
        let (name, placeholder) = secrets.placeholders().next().unwrap();
        assert_eq!(name, "API_KEY");
        assert!(placeholder.starts_with("selvedge-secret-API_KEY-"));
        assert_eq!(placeholder.len(), "selvedge-secret-API_KEY-".len() + 32);
        let text = format!("Bearer {placeholder}");
        for host in ["api.example.com", "127.0.0.1"] {
            let filled = fill(&secrets, host, &text).unwrap();
            assert_eq!(filled, "Bearer sk-12345");
            assert!(filled.is_sensitive());
        }
    }

    #[test]
    fn a_placeholder_on_its_way_elsewhere_stops_the_request() {
        let secrets = secrets(&["api.example.com"]).unwrap();
        let (_, placeholder) = secrets.placeholders().next().unwrap();
        assert_eq!(
            fill(&secrets, "evil.example.com", placeholder),
            Err(Rule::Secret("API_KEY".to_owned()))
        );
        assert_eq!(
            fill(&secrets, "evil.example.com", "plain").unwrap(),
            "plain"
        );
    }

    #[test]
    fn each_start_makes_other_placeholders_and_debug_shows_no_value() {
        let (one, two) = (
            secrets(&["a.example.com"]).unwrap(),
            secrets(&["a.example.com"]).unwrap(),
        );
        assert_ne!(one.placeholders().next(), two.placeholders().next());
        assert_eq!(format!("{one:?}"), "{\"API_KEY\"}");
        let options = SecretOptions {
            value: "sk-12345".to_owned(),
            hosts: Vec::new(),
        };
        assert!(!format!("{options:?}").contains("sk-12345"));
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_named_by_its_key() {
        assert_eq!(secrets(&[]).unwrap_err().key, "API_KEY.hosts");
        assert_eq!(
            secrets(&["a.example.com", "x:y"]).unwrap_err().key,
            "API_KEY.hosts[1]"
        );
        let options = SecretOptions {
            value: "two\nlines".to_owned(),
            hosts: vec!["a.example.com".to_owned()],
        };
        let error = Secrets::new([("K".to_owned(), options)]).unwrap_err();
        assert_eq!(error.key, "K.value");
        assert!(!error.to_string().contains("lines"), "{error}");
    }
}
