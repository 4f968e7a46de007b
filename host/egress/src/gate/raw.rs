//! Gate 1: the text of a URL, before anything parses it.
//!
//! URL parsers repair what they read (`http:127.0.0.1`, tabs inside a host, full-width digits, `127.1`,
//! `2130706433`), and two parsers repair differently. So a text passes only when there is nothing to repair: see
//! [`check`], and then [`reads_back`] once there is a parsed form.

use url::Url;

use crate::refusal::Rule;

/// Judges the characters.
pub fn check(text: &str, max_length: usize) -> Result<(), Rule> {
    if text.len() > max_length {
        return Err(Rule::UrlTooLong);
    }
    if !text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
        return Err(Rule::Characters(
            "only printable ASCII without white space is allowed (other characters percent-encoded, names in punycode)",
        ));
    }
    if text.contains('\\') {
        return Err(Rule::Characters("backslash"));
    }
    if text.starts_with('/') {
        return Err(Rule::Relative);
    }
    let Some(authority) = authority(text) else {
        return Err(Rule::Characters("no `://`"));
    };
    // What may stand in a host, a port or the brackets of an IPv6 address, and the `@` that the next gate names.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]@".contains(&byte);
    if !authority.bytes().all(plain) {
        return Err(Rule::Characters(
            "the host may not hold escapes or punctuation",
        ));
    }
    Ok(())
}

/// Judges whether the parser found the authority that is written: same host, same port, only case and the scheme's
/// default port apart.
pub fn reads_back(text: &str, parsed: &Url) -> Result<(), Rule> {
    let written = authority(text).unwrap_or_default().to_ascii_lowercase();
    if written.is_empty() {
        return Err(Rule::EmptyHost);
    }
    let default_port = match parsed.scheme() {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let without_default = match written.strip_suffix(default_port) {
        Some(rest) if !default_port.is_empty() => rest,
        _ => written.as_str(),
    };
    if without_default == parsed.authority() {
        Ok(())
    } else {
        Err(Rule::Ambiguous)
    }
}

/// What stands between `://` and the next `/`, `?` or `#`.
fn authority(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    rest.split(['/', '?', '#']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Result<(), Rule> {
        check(text, 100)?;
        reads_back(text, &Url::parse(text).unwrap())
    }

    #[test]
    fn plain_urls_pass_and_case_and_the_default_port_do_not_matter() {
        for text in [
            "https://hooks.example.com",
            "HTTPS://Hooks.Example.com:443/a?b=c%20d#e",
            "http://hooks.example.com:80/",
            "https://hooks.example.com:8443/a//b?x=://",
            "http://[::1]:9000/",
            "http://127.0.0.1:9000/",
        ] {
            assert_eq!(judge(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn the_length_is_counted_in_bytes() {
        let text = format!("https://a.example/{}", "x".repeat(82));
        assert_eq!(text.len(), 100);
        assert_eq!(check(&text, 100), Ok(()));
        assert_eq!(check(&text, 99), Err(Rule::UrlTooLong));
    }

    #[test]
    fn a_relative_url_is_named_as_such() {
        assert_eq!(check("/runs/cancel", 100), Err(Rule::Relative));
        assert_eq!(check("//host/", 100), Err(Rule::Relative));
    }

    #[test]
    fn what_parsers_repair_does_not_read_back() {
        for text in [
            "http:///127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://[::ffff:127.0.0.1]/",
            "http://[0:0::1]/",
            "https://hooks.example.com:/",
            "https://hooks.example.com:0443/",
            "http://hooks.example.com:443:443/",
        ] {
            let parsed = Url::parse(text);
            let refused = parsed.is_err()
                || check(text, 100).is_err()
                || reads_back(text, &parsed.unwrap()).is_err();
            assert!(refused, "{text}");
        }
    }

    #[test]
    fn characters_that_two_parsers_read_differently_are_refused() {
        for text in [
            " http://a.example/",
            "http://a.example/\n",
            "http://a\t.example/",
            "http://a.example\\@b.example/",
            "http://a.example%40b.example/",
            "http://ａ.example/",
            "http://a^b.example/",
            "http:a.example",
            "a.example/path",
        ] {
            assert!(check(text, 100).is_err(), "{text}");
        }
    }
}
