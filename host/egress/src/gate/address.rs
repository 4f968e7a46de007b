//! Gate 4: may this address be called?
//!
//! Open by default is what the internet routes: IPv4 without the special-purpose ranges, IPv6 2000::/3 without its
//! own. Rules open more; metadata addresses stay closed whatever the rules say, in every form that hides one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::refusal::Rule;

/// What addresses may be called.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Networks that are open although they are special, and open to IP literals.
    pub allowed: Vec<IpNet>,
    /// Networks that are closed whatever else says.
    pub denied: Vec<IpNet>,
    /// 127.0.0.0/8 and ::1 are open.
    pub open_loopback: bool,
    /// RFC 1918, 100.64.0.0/10 and fc00::/7 are open.
    pub open_private: bool,
}

/// Why an address passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is public.
    Public,
    /// A rule opens it.
    Opened(Opening),
}

/// Which rule opens an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// This entry of `allowed_networks`.
    Network(IpNet),
    /// `disable_loopback` is false.
    Loopback,
    /// `disable_private_ips` is false.
    Private,
}

/// Judges an address.
pub fn check(address: IpAddr, rules: &Rules) -> Result<Standing, Rule> {
    let inside = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => embedded(v6).map(IpAddr::V4),
    };
    for form in [Some(address), inside].into_iter().flatten() {
        if is_metadata(form) {
            return Err(Rule::Range("cloud metadata endpoint"));
        }
        if rules.denied.iter().any(|network| network.contains(&form)) {
            return Err(Rule::DeniedNetwork);
        }
    }
    // A translator connects to the IPv4 address inside, so that one is judged.
    if let (IpAddr::V6(v6), Some(v4)) = (address, inside)
        && NAT64.contains(&v6)
    {
        return check(v4, rules);
    }
    let mut allowed = rules.allowed.iter();
    if let Some(network) = allowed.find(|network| network.contains(&address)) {
        return Ok(Standing::Opened(Opening::Network(*network)));
    }
    match class(address) {
        Class::Public => Ok(Standing::Public),
        Class::Loopback if rules.open_loopback => Ok(Standing::Opened(Opening::Loopback)),
        Class::Private if rules.open_private => Ok(Standing::Opened(Opening::Private)),
        Class::Loopback => Err(Rule::Range("loopback IP range")),
        Class::Private => Err(Rule::Range("private IP range")),
        Class::Special => Err(Rule::Range("blocked IP range")),
    }
}

enum Class {
    Public,
    Loopback,
    Private,
    Special,
}

fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(v4) if v4.is_loopback() => Class::Loopback,
        IpAddr::V4(v4) if PRIVATE_V4.iter().any(|net| net.contains(&v4)) => Class::Private,
        IpAddr::V4(v4) if SPECIAL_V4.iter().any(|net| net.contains(&v4)) => Class::Special,
        IpAddr::V4(_) => Class::Public,
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Class::Loopback,
        IpAddr::V6(v6) if UNIQUE_LOCAL.contains(&v6) => Class::Private,
        IpAddr::V6(v6) if !GLOBAL_UNICAST.contains(&v6) => Class::Special,
        IpAddr::V6(v6) if SPECIAL_V6.iter().any(|net| net.contains(&v6)) || is_isatap(v6) => {
            Class::Special
        }
        IpAddr::V6(_) => Class::Public,
    }
}

/// The IPv4 address that an IPv6 address carries, in whichever of the known ways.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let at = |index: usize| {
        let [a, b] = s[index].to_be_bytes();
        let [c, d] = s[index + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        // IPv4-mapped ::ffff:0:0/96 and IPv4-compatible ::/96 (RFC 4291 section 2.5.5), IPv4-translated
        // ::ffff:0:0:0/96 (RFC 2765 section 2.1); not `::` and `::1`, which carry nothing.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some(at(6)),
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) != (0, 0) && (high, low) != (0, 1) => {
            Some(at(6))
        }
        // NAT64: 64:ff9b::/96 (RFC 6052), and 64:ff9b:1::/48 (RFC 8215) read as if it were split at 96 bits.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Some(at(6)),
        // 6to4, RFC 3056.
        [0x2002, ..] => Some(at(1)),
        // Teredo, RFC 4380 section 4: the client's address with its bits inverted.
        [0x2001, 0, ..] => Some(Ipv4Addr::from(!u32::from(at(6)))),
        _ if is_isatap(address) => Some(at(6)),
        _ => None,
    }
}

/// Interface identifiers of ISATAP, RFC 5214 section 6.1: `[0200:]5efe:` and an IPv4 address, under any prefix.
fn is_isatap(address: Ipv6Addr) -> bool {
    let s = address.segments();
    (s[4] == 0 || s[4] == 0x0200) && s[5] == 0x5efe
}

fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => METADATA_V6.contains(&v6),
    }
}

/// Addresses at which clouds hand out credentials to whoever asks from inside.
const METADATA_V4: [Ipv4Addr; 9] = [
    // EC2, Google Cloud, Azure, DigitalOcean and most others.
    Ipv4Addr::new(169, 254, 169, 254),
    // GKE's own server of it, on each node.
    Ipv4Addr::new(169, 254, 169, 252),
    // Amazon ECS task credentials, EKS pod identities.
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    // Scaleway.
    Ipv4Addr::new(169, 254, 42, 42),
    // Tencent Cloud.
    Ipv4Addr::new(169, 254, 0, 23),
    // Alibaba Cloud, inside 100.64.0.0/10.
    Ipv4Addr::new(100, 100, 100, 200),
    // Oracle Cloud Classic.
    Ipv4Addr::new(192, 0, 0, 192),
    // Azure WireServer: looks public and is answered by the host below.
    Ipv4Addr::new(168, 63, 129, 16),
];

const METADATA_V6: [Ipv6Addr; 5] = [
    // EC2, EKS pod identities.
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    // Google Cloud.
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    // Scaleway.
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    // OpenStack.
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// What `disable_private_ips: false` opens.
const PRIVATE_V4: [Ipv4Net; 4] = [
    v4(10, 0, 0, 0, 8),     // RFC 1918
    v4(172, 16, 0, 0, 12),  // RFC 1918
    v4(192, 168, 0, 0, 16), // RFC 1918
    v4(100, 64, 0, 0, 10),  // RFC 6598, shared address space
];

/// <https://www.iana.org/assignments/iana-ipv4-special-registry>, and multicast
/// (<https://www.iana.org/assignments/multicast-addresses>), without what stands above. Ranges that the registry
/// calls globally reachable are closed as well: nobody's receiver lives in them.
const SPECIAL_V4: [Ipv4Net; 14] = [
    v4(0, 0, 0, 0, 8),          // RFC 791, "this network"
    v4(169, 254, 0, 0, 16),     // RFC 3927, link-local
    v4(192, 0, 0, 0, 24),       // RFC 6890, IETF protocol assignments
    v4(192, 0, 2, 0, 24),       // RFC 5737, documentation
    v4(192, 31, 196, 0, 24),    // RFC 7535, AS112
    v4(192, 52, 193, 0, 24),    // RFC 7450, AMT
    v4(192, 88, 99, 0, 24),     // RFC 7526, 6to4 relays (deprecated)
    v4(192, 175, 48, 0, 24),    // RFC 7534, AS112
    v4(198, 18, 0, 0, 15),      // RFC 2544, benchmarking
    v4(198, 51, 100, 0, 24),    // RFC 5737, documentation
    v4(203, 0, 113, 0, 24),     // RFC 5737, documentation
    v4(224, 0, 0, 0, 4),        // RFC 5771, multicast
    v4(240, 0, 0, 0, 4),        // RFC 1112, reserved
    v4(255, 255, 255, 255, 32), // RFC 8190, limited broadcast
];

/// The only part of IPv6 that is routed: <https://www.iana.org/assignments/ipv6-address-space>.
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 3);

/// RFC 4193.
const UNIQUE_LOCAL: Ipv6Net = v6(0xfc00, 0, 0, 7);

/// RFC 6052, the well-known prefix.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);

/// <https://www.iana.org/assignments/iana-ipv6-special-registry>, the part inside 2000::/3.
const SPECIAL_V6: [Ipv6Net; 6] = [
    v6(0x2001, 0, 0, 23), // RFC 2928, IETF protocol assignments: Teredo, benchmarking, ORCHID, drone ids, …
    v6(0x2001, 0xdb8, 0, 32), // RFC 3849, documentation
    v6(0x2002, 0, 0, 16), // RFC 3056, 6to4
    v6(0x2620, 0x4f, 0x8000, 48), // RFC 7534, AS112
    v6(0x3ffe, 0, 0, 16), // RFC 3701, 6bone (returned)
    v6(0x3fff, 0, 0, 20), // RFC 9637, documentation
];

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(address: &str, rules: &Rules) -> Result<Standing, Rule> {
        check(address.parse().unwrap(), rules)
    }

    fn rules(allowed: &[&str], denied: &[&str]) -> Rules {
        let parse = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        Rules {
            allowed: parse(allowed),
            denied: parse(denied),
            ..Rules::default()
        }
    }

    #[test]
    fn public_addresses_pass() {
        for address in [
            "8.8.8.8",
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert_eq!(
                judge(address, &Rules::default()),
                Ok(Standing::Public),
                "{address}"
            );
        }
    }

    #[test]
    fn special_ranges_are_refused_to_their_edges() {
        for (address, reason) in [
            ("127.0.0.1", "loopback IP range"),
            ("127.255.255.255", "loopback IP range"),
            ("::1", "loopback IP range"),
            ("10.255.255.255", "private IP range"),
            ("172.16.0.0", "private IP range"),
            ("172.31.255.255", "private IP range"),
            ("192.168.0.0", "private IP range"),
            ("100.127.255.255", "private IP range"),
            ("fdff::1", "private IP range"),
            ("0.0.0.0", "blocked IP range"),
            ("169.254.1.1", "blocked IP range"),
            ("198.19.255.255", "blocked IP range"),
            ("224.0.0.1", "blocked IP range"),
            ("255.255.255.255", "blocked IP range"),
            ("::", "blocked IP range"),
            ("fe80::1", "blocked IP range"),
            ("fec0::1", "blocked IP range"),
            ("ff02::1", "blocked IP range"),
            ("100::1", "blocked IP range"),
            ("5f00::1", "blocked IP range"),
            ("2001:1ff:ffff::1", "blocked IP range"),
            ("2001:db8::1", "blocked IP range"),
            ("3fff:fff::1", "blocked IP range"),
            ("169.254.169.254", "cloud metadata endpoint"),
            ("168.63.129.16", "cloud metadata endpoint"),
            ("169.254.169.252", "cloud metadata endpoint"),
            ("fd00:ec2::254", "cloud metadata endpoint"),
            ("fe80::a9fe:a9fe", "cloud metadata endpoint"),
        ] {
            assert_eq!(
                judge(address, &Rules::default()),
                Err(Rule::Range(reason)),
                "{address}"
            );
        }
    }

    #[test]
    fn an_ipv4_address_hidden_in_an_ipv6_address_is_refused() {
        for address in [
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808::1",
            "2a00::5efe:8.8.8.8",
            "2a00::200:5efe:8.8.8.8",
            "64:ff9b:1::808:808",
        ] {
            assert!(judge(address, &Rules::default()).is_err(), "{address}");
        }
    }

    #[test]
    fn nat64_takes_the_verdict_of_the_address_inside() {
        assert_eq!(
            judge("64:ff9b::808:808", &Rules::default()),
            Ok(Standing::Public)
        );
        assert_eq!(
            judge("64:ff9b::7f00:1", &Rules::default()),
            Err(Rule::Range("loopback IP range"))
        );
        let opened = rules(&["10.0.0.0/8"], &[]);
        assert_eq!(
            judge("64:ff9b::a00:1", &opened),
            opened_by_network("10.0.0.0/8")
        );
    }

    fn opened_by_network(network: &str) -> Result<Standing, Rule> {
        let network = network.parse().unwrap();
        Ok(Standing::Opened(Opening::Network(network)))
    }

    #[test]
    fn deny_beats_allow_and_sees_what_is_hidden() {
        let rules = rules(&["10.20.0.0/16", "::/0"], &["10.20.9.0/24"]);
        assert_eq!(
            judge("10.20.8.1", &rules),
            opened_by_network("10.20.0.0/16")
        );
        assert_eq!(judge("10.20.9.1", &rules), Err(Rule::DeniedNetwork));
        assert_eq!(judge("::ffff:10.20.9.1", &rules), Err(Rule::DeniedNetwork));
        assert_eq!(judge("2002:a14:901::1", &rules), Err(Rule::DeniedNetwork));
    }

    #[test]
    fn no_rule_opens_a_metadata_address() {
        let all = rules(&["0.0.0.0/0", "::/0"], &[]);
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:1:1:0:0:5601:5601",
            "2a00::5efe:169.254.169.254",
            "fd00:ec2::254",
        ] {
            assert_eq!(
                judge(address, &all),
                Err(Rule::Range("cloud metadata endpoint")),
                "{address}"
            );
        }
    }

    #[test]
    fn a_class_opens_its_own_ranges_and_no_others() {
        let loopback = Rules {
            open_loopback: true,
            ..Rules::default()
        };
        let by_loopback = Ok(Standing::Opened(Opening::Loopback));
        assert_eq!(judge("127.0.0.2", &loopback), by_loopback);
        assert_eq!(judge("::1", &loopback), by_loopback);
        assert!(judge("10.0.0.1", &loopback).is_err());
        assert!(judge("0.0.0.0", &loopback).is_err());
        let private = Rules {
            open_private: true,
            ..Rules::default()
        };
        let by_private = Ok(Standing::Opened(Opening::Private));
        assert_eq!(judge("100.64.0.1", &private), by_private);
        assert_eq!(judge("fd12::1", &private), by_private);
        assert!(judge("127.0.0.1", &private).is_err());
        assert!(judge("100.100.100.200", &private).is_err());
        assert!(judge("169.254.1.1", &private).is_err());
    }
}
