//! Gate 5: are all the addresses of this connection allowed, is the peer the one that was meant, and not this server?

use std::net::{IpAddr, SocketAddr};

use crate::gate::address::{self, Opening, Standing};
use crate::gate::name::Scope;
use crate::refusal::Rule;

/// Judges every address that a name resolved to: one bad answer refuses the name, since whoever mixes answers wants
/// the next look-up to go elsewhere.
pub fn resolved(answers: &[IpAddr], scope: Scope, rules: &address::Rules) -> Result<(), Rule> {
    for answer in answers {
        let standing = address::check(*answer, rules)?;
        if scope == Scope::Opened && standing == Standing::Public {
            return Err(Rule::Unopened);
        }
    }
    Ok(())
}

/// Judges an address that stands in the URL itself: it needs a rule that opens it, and that is the answer.
pub fn literal(address: IpAddr, rules: &address::Rules) -> Result<Opening, Rule> {
    match address::check(address, rules)? {
        Standing::Opened(opening) => Ok(opening),
        Standing::Public => Err(Rule::IpLiteral),
    }
}

/// Judges where a connection is about to go: not to where this server itself listens, so that nobody makes it call its
/// own API from inside.
pub fn destination(address: SocketAddr, own: Option<SocketAddr>) -> Result<(), Rule> {
    let Some(own) = own.filter(|own| own.port() == address.port()) else {
        return Ok(());
    };
    let (ip, own) = (address.ip().to_canonical(), own.ip().to_canonical());
    if ip == own || (own.is_unspecified() && (ip.is_loopback() || ip.is_unspecified())) {
        return Err(Rule::OwnAddress);
    }
    Ok(())
}

/// Judges the two ends of an open connection, before anything is sent: from one address to the same one nobody leaves
/// the machine, and a server that listens on each of its addresses is met at any of them.
pub fn ends(local: SocketAddr, peer: SocketAddr, own: Option<SocketAddr>) -> Result<(), Rule> {
    let meets = |own: SocketAddr| own.port() == peer.port() && own.ip().is_unspecified();
    if own.is_some_and(meets) && local.ip() == peer.ip() {
        return Err(Rule::OwnAddress);
    }
    Ok(())
}

/// Judges the peer of an open connection.
pub fn peer(judged: SocketAddr, peer: SocketAddr) -> Result<(), Rule> {
    if judged.ip() == peer.ip() && judged.port() == peer.port() {
        Ok(())
    } else {
        Err(Rule::Peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(answers: &[&str], scope: Scope) -> Result<(), Rule> {
        let answers: Vec<IpAddr> = answers.iter().map(|a| a.parse().unwrap()).collect();
        let rules = address::Rules {
            allowed: vec!["10.0.0.0/8".parse().unwrap()],
            ..address::Rules::default()
        };
        resolved(&answers, scope, &rules)
    }

    #[test]
    fn one_bad_answer_refuses_the_name() {
        assert_eq!(
            judge(&["8.8.8.8", "2606:4700::1111"], Scope::Public),
            Ok(())
        );
        let mixed = judge(&["8.8.8.8", "192.168.0.1"], Scope::Public);
        assert_eq!(mixed, Err(Rule::Range("private IP range")));
    }

    #[test]
    fn a_reserved_name_needs_opened_addresses() {
        assert_eq!(judge(&["10.0.0.1"], Scope::Opened), Ok(()));
        assert_eq!(judge(&["10.0.0.1"], Scope::Public), Ok(()));
        assert_eq!(
            judge(&["10.0.0.1", "8.8.8.8"], Scope::Opened),
            Err(Rule::Unopened)
        );
    }

    #[test]
    fn a_literal_needs_a_rule() {
        let rules = address::Rules {
            open_loopback: true,
            ..address::Rules::default()
        };
        assert_eq!(
            literal("127.0.0.1".parse().unwrap(), &rules),
            Ok(Opening::Loopback)
        );
        assert_eq!(
            literal("8.8.8.8".parse().unwrap(), &rules),
            Err(Rule::IpLiteral)
        );
    }

    #[test]
    fn where_the_server_listens_is_no_destination() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (own, address, is_own) in [
            ("127.0.0.1:8123", "127.0.0.1:8123", true),
            ("127.0.0.1:8123", "[::ffff:127.0.0.1]:8123", true),
            ("127.0.0.1:8123", "127.0.0.1:9000", false),
            ("127.0.0.1:8123", "127.0.0.2:8123", false),
            ("10.0.0.5:8123", "10.0.0.5:8123", true),
            ("0.0.0.0:8123", "127.0.0.2:8123", true),
            ("[::]:8123", "127.0.0.1:8123", true),
            ("[::]:8123", "[::1]:8123", true),
            ("0.0.0.0:8123", "0.0.0.0:8123", true),
            ("0.0.0.0:8123", "10.0.0.5:8123", false),
            ("0.0.0.0:8123", "127.0.0.1:9000", false),
        ] {
            let verdict = destination(at(address), Some(at(own)));
            assert_eq!(verdict == Err(Rule::OwnAddress), is_own, "{own} {address}");
        }
        assert_eq!(destination(at("127.0.0.1:8123"), None), Ok(()));
    }

    #[test]
    fn a_connection_that_never_left_the_machine_may_have_met_the_server() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let judge = |local: &str, peer: &str, own: &str| ends(at(local), at(peer), Some(at(own)));
        let own = "0.0.0.0:8123";
        let refused = Err(Rule::OwnAddress);
        assert_eq!(judge("10.0.0.5:50000", "10.0.0.5:8123", own), refused);
        assert_eq!(judge("10.0.0.5:50000", "10.0.0.5:9000", own), Ok(()));
        assert_eq!(judge("10.0.0.5:50000", "10.0.0.6:8123", own), Ok(()));
        let elsewhere = "127.0.0.1:8123";
        assert_eq!(judge("10.0.0.5:50000", "10.0.0.5:8123", elsewhere), Ok(()));
    }

    #[test]
    fn another_peer_is_refused() {
        let judged: SocketAddr = "8.8.8.8:443".parse().unwrap();
        assert_eq!(peer(judged, judged), Ok(()));
        assert_eq!(
            peer(judged, "127.0.0.1:443".parse().unwrap()),
            Err(Rule::Peer)
        );
    }
}
