//! Gate 2: scheme, credentials, fragment, port, host of the parsed URL.

use url::{ParseError, Url};

use crate::refusal::Rule;

/// What the shape of a URL must be.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Refuse plain http.
    pub require_https: bool,
    /// Only these ports; empty means any but [`BAD_PORTS`].
    pub allowed_ports: Vec<u16>,
    /// Beside the listed ports any but [`BAD_PORTS`].
    pub other_ports: bool,
}

/// Ports of other protocols, which an HTTP request could speak to by accident or on purpose: the "bad ports" of the
/// Fetch standard (<https://fetch.spec.whatwg.org/#port-blocking>), 0 among them. Sorted.
pub const BAD_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

/// Parses a text.
pub fn parse(text: &str) -> Result<Url, Rule> {
    Url::parse(text).map_err(|error| match error {
        ParseError::EmptyHost => Rule::EmptyHost,
        ParseError::RelativeUrlWithoutBase => Rule::Malformed("no scheme".to_owned()),
        other => Rule::Malformed(other.to_string()),
    })
}

/// Judges a parsed URL.
pub fn check(url: &Url, rules: &Rules) -> Result<(), Rule> {
    match url.scheme() {
        "https" | "http" => https(url, rules)?,
        other => return Err(Rule::Scheme(other.to_owned())),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Rule::Userinfo);
    }
    if url.fragment().is_some() {
        return Err(Rule::Fragment);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Rule::EmptyHost);
    }
    port(url, rules)
}

/// Judges whether the connection has to be encrypted.
pub fn https(url: &Url, rules: &Rules) -> Result<(), Rule> {
    if rules.require_https && url.scheme() != "https" {
        return Err(Rule::Https);
    }
    Ok(())
}

/// Judges the port.
pub fn port(url: &Url, rules: &Rules) -> Result<(), Rule> {
    let port = url.port_or_known_default().unwrap_or(0);
    let others = rules.other_ports || rules.allowed_ports.is_empty();
    let harmless = BAD_PORTS.binary_search(&port).is_err();
    if rules.allowed_ports.contains(&port) || others && harmless {
        Ok(())
    } else {
        Err(Rule::Port(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str, require_https: bool, ports: &[u16]) -> Result<(), Rule> {
        let rules = Rules {
            require_https,
            allowed_ports: ports.to_vec(),
            other_ports: false,
        };
        check(&parse(text)?, &rules)
    }

    #[test]
    fn http_passes_only_where_https_is_not_required() {
        assert_eq!(judge("http://a.example/", false, &[]), Ok(()));
        assert_eq!(judge("http://a.example/", true, &[]), Err(Rule::Https));
        assert_eq!(judge("https://a.example/", true, &[]), Ok(()));
        assert_eq!(
            judge("ftp://a.example/", true, &[]),
            Err(Rule::Scheme("ftp".to_owned()))
        );
    }

    #[test]
    fn the_ports_are_those_listed_or_any_that_is_not_bad() {
        assert!(BAD_PORTS.is_sorted());
        assert_eq!(judge("https://a.example/", true, &[443]), Ok(()));
        assert_eq!(
            judge("https://a.example:8443/", true, &[443]),
            Err(Rule::Port(8443))
        );
        assert_eq!(judge("https://a.example:8443/", true, &[]), Ok(()));
        assert_eq!(
            judge("https://a.example:6667/", true, &[]),
            Err(Rule::Port(6667))
        );
        assert_eq!(judge("https://a.example:6667/", true, &[6667]), Ok(()));
        assert_eq!(judge("https://a.example:0/", true, &[]), Err(Rule::Port(0)));
    }

    #[test]
    fn beside_listed_ports_others_can_be_open_but_bad_ones() {
        let rules = Rules {
            allowed_ports: vec![22],
            other_ports: true,
            ..Rules::default()
        };
        let judge = |port| port_of(&format!("https://a.example:{port}/"), &rules);
        assert_eq!(judge(22), Ok(()));
        assert_eq!(judge(8443), Ok(()));
        assert_eq!(judge(25), Err(Rule::Port(25)));
    }

    fn port_of(text: &str, rules: &Rules) -> Result<(), Rule> {
        port(&parse(text)?, rules)
    }

    #[test]
    fn credentials_fragments_and_missing_hosts_are_refused() {
        assert_eq!(
            judge("https://u@a.example/", true, &[]),
            Err(Rule::Userinfo)
        );
        assert_eq!(
            judge("https://:p@a.example/", true, &[]),
            Err(Rule::Userinfo)
        );
        assert_eq!(judge("https://a.example/#", true, &[]), Err(Rule::Fragment));
        assert_eq!(judge("https://", true, &[]), Err(Rule::EmptyHost));
        assert!(matches!(
            judge("https://[::1/", true, &[]),
            Err(Rule::Malformed(_))
        ));
        assert!(matches!(
            judge("a.example", true, &[]),
            Err(Rule::Malformed(_))
        ));
    }
}
