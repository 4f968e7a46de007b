//! A URL that a caller or a graph gave: what the policy lets pass leads nowhere inside, however it is read.
#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use selvedge_egress::{Policy, PolicyOptions};

static WEBHOOKS: LazyLock<Policy> = LazyLock::new(|| {
    let options = PolicyOptions {
        require_https: false,
        ..PolicyOptions::webhooks()
    };
    Policy::new(&options).expect("a policy")
});

fuzz_target!(|text: &str| {
    let Ok(target) = WEBHOOKS.check_url(text) else {
        return;
    };
    let authority = target.authority();
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
    let written = text.split_once("://").map_or("", |(_, rest)| rest);
    let written = written.split(['/', '?', '#']).next().unwrap_or_default();
    assert!(!written.contains(['@', '\\', '%']), "{text}");
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    assert!(
        host.trim_matches(['[', ']']).parse::<IpAddr>().is_err(),
        "an address passed: {text}"
    );
    let last = host.rsplit('.').next().unwrap_or_default();
    assert!(host.contains('.') && last != "localhost", "{text}");
    let is_number = match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
        Some(hex) => hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    assert!(!is_number, "a number in place of a name: {text}");
});
