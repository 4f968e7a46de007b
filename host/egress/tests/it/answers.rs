//! Whatever a name server says: a name is called only if each of its answers may be. The standard library's own classes
//! of addresses are the second opinion.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use selvedge_egress::gate::address::Rules;
use selvedge_egress::gate::connect;
use selvedge_egress::gate::name::Scope;

/// 127.66.0.0/16 is open, and nothing else that is not public.
fn rules() -> Rules {
    Rules {
        allowed: vec!["127.66.0.0/16".parse().unwrap()],
        ..Rules::default()
    }
}

/// The IPv4 address that a translator would connect to (RFC 6052), or the address itself.
fn meant(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)).into()
            }
            _ => address,
        },
        IpAddr::V4(_) => address,
    }
}

fn is_open(address: IpAddr) -> bool {
    matches!(meant(address), IpAddr::V4(v4) if v4.octets()[..2] == [127, 66])
}

/// What the standard library knows not to be on the internet, whatever hides it.
fn is_inside(address: IpAddr) -> bool {
    match meant(address).to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
        }
    }
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    let known = [
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(10, 0, 0, 1),
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(8, 8, 8, 8),
    ];
    prop_oneof![
        3 => any::<u16>().prop_map(|low| Ipv4Addr::from(0x7f42_0000 + u32::from(low))),
        1 => prop::sample::select(known.to_vec()),
        1 => any::<u32>().prop_map(Ipv4Addr::from),
    ]
}

fn answer() -> impl Strategy<Value = IpAddr> {
    let carried = |prefix: [u16; 6]| {
        v4().prop_map(move |v4| {
            let [a, b, c, d] = v4.octets();
            let [p, q, r, s, t, u] = prefix;
            let low = [[a, b], [c, d]].map(u16::from_be_bytes);
            Ipv6Addr::new(p, q, r, s, t, u, low[0], low[1]).into()
        })
    };
    prop_oneof![
        8 => v4().prop_map(IpAddr::V4),
        2 => carried([0x64, 0xff9b, 0, 0, 0, 0]),
        1 => carried([0, 0, 0, 0, 0, 0xffff]),
        1 => carried([0, 0, 0, 0, 0, 0]),
        1 => any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
        1 => (0x2000_u128..0x4000, any::<u128>())
            .prop_map(|(high, low)| Ipv6Addr::from(high << 112 | low >> 16).into()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn a_reserved_name_is_called_exactly_if_each_answer_is_open(
        answers in prop::collection::vec(answer(), 1..6),
    ) {
        let allowed = connect::resolved(&answers, Scope::Opened, &rules()).is_ok();
        prop_assert_eq!(allowed, answers.iter().copied().all(is_open), "{:?}", answers);
    }

    #[test]
    fn a_public_name_is_not_called_if_one_answer_is_inside(
        answers in prop::collection::vec(answer(), 1..6),
    ) {
        if connect::resolved(&answers, Scope::Public, &rules()).is_ok() {
            for answer in answers {
                prop_assert!(is_open(answer) || !is_inside(answer), "{}", answer);
            }
        }
    }
}
