//! Which headers a request may bring along: all but those that belong to the connection and to the client itself.

use http::header::{self, HeaderMap, HeaderName};

use crate::refusal::Rule;

/// The most that the headers of one request may hold, names and values together.
pub const MAX_HEADER_BYTES: usize = 65_536;

/// Headers of the connection (RFC 9110 section 7.6.1) and of proxies: they would let a request be read as two, or
/// tell of another path than the one that was judged.
const OF_THE_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TRAILER,
];

/// Whether a header belongs to the connection or to the client, and so may not be configured or set.
#[must_use]
pub fn is_reserved(name: &HeaderName) -> bool {
    name == header::HOST
        || OF_THE_CONNECTION.contains(name)
        || ["keep-alive", "proxy-connection", "http2-settings"].contains(&name.as_str())
}

/// What headers hold, names and values together.
#[must_use]
pub fn bytes(headers: &HeaderMap) -> usize {
    let each = headers.iter();
    each.map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// Judges the headers of a request. A `Host` that says what the URL says is dropped, since the client writes it;
/// one that says anything else asks a server for another name than the one that was judged.
pub fn check(headers: &mut HeaderMap, authority: &str) -> Result<(), Rule> {
    let host_agrees = headers
        .get_all(header::HOST)
        .iter()
        .all(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()));
    if !host_agrees {
        return Err(Rule::Header("host differs from the URL".to_owned()));
    }
    headers.remove(header::HOST);
    if let Some(name) = headers.keys().find(|name| is_reserved(name)) {
        return Err(Rule::Header(name.to_string()));
    }
    if bytes(headers) > MAX_HEADER_BYTES {
        return Err(Rule::Header(format!(
            "more than {MAX_HEADER_BYTES} bytes in all"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn judge(name: &'static str, value: &str) -> Result<HeaderMap, Rule> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        check(&mut headers, "a.example:8443").map(|()| headers)
    }

    #[test]
    fn a_host_header_may_only_repeat_the_url() {
        assert!(judge("host", "A.example:8443").unwrap().is_empty());
        assert!(judge("host", "b.example").is_err());
        assert!(judge("host", "a.example").is_err());
    }

    #[test]
    fn headers_of_the_connection_are_refused_and_others_pass() {
        for name in [
            "connection",
            "transfer-encoding",
            "upgrade",
            "te",
            "keep-alive",
            "proxy-authorization",
        ] {
            assert_eq!(judge(name, "x"), Err(Rule::Header(name.to_owned())));
        }
        for name in ["authorization", "accept", "content-length", "x-anything"] {
            assert_eq!(judge(name, "1").unwrap().len(), 1);
        }
        assert!(judge("x-long", &"x".repeat(MAX_HEADER_BYTES)).is_err());
    }
}
