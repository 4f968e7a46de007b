//! Whose slots are whose: the name in a URL, and the domain that it belongs to.

use std::net::Ipv4Addr;

use super::booking::Booking;

/// What waits for the names of one domain that do not answer.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) waiting: usize,
    /// Attempts at any of its names that failed since one was answered.
    pub(super) failures: u32,
    pub(super) booking: Booking,
}

impl Family {
    pub(super) fn learn(&mut self, answers: bool) {
        self.failures = match answers {
            true => 0,
            false => self.failures.saturating_add(1),
        };
    }
}

/// Host and port of a URL that storage holds, admitted once and not judged here.
pub(super) fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// The domain that a name belongs to, on whatever port, as the public suffix list has it: whoever owns that can make as
/// many names as they like, and nobody else can. So the customers of a provider that is on the list, as `github.io`, are
/// no family. An address stands for itself, and so does a name of one label or one that is a public suffix.
pub(super) fn family(authority: &str) -> &str {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    if host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() {
        return authority;
    }
    psl::domain_str(host).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_one_domain_are_one_family_and_addresses_are_on_their_own() {
        for (url, expected) in [
            ("https://hooks.example.com/in?x=/", "example.com"),
            ("https://A.b.Example.com:8443", "example.com"),
            ("https://example.com#x", "example.com"),
            ("https://example.com./", "example.com"),
            ("https://a.b.c.co.uk/", "c.co.uk"),
            ("https://hooks.one.github.io/", "one.github.io"),
            (
                "https://bucket.s3.amazonaws.com/in",
                "bucket.s3.amazonaws.com",
            ),
            ("https://github.io:8443/", "github.io:8443"),
            ("http://hooks.team.svc.cluster.local/", "cluster.local"),
            ("http://localhost:9000/", "localhost:9000"),
            ("http://127.0.0.1:9000/", "127.0.0.1:9000"),
            ("http://[::1]:9000/", "[::1]:9000"),
            ("http://[2001:db8::1]/", "[2001:db8::1]"),
        ] {
            assert_eq!(family(&authority(url)), expected, "{url}");
        }
    }
}
