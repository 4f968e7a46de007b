//! Gate 5: are all the addresses of this connection allowed, and is the peer the one that was meant?

use std::net::{IpAddr, SocketAddr};

use crate::gate::address::{self, Standing};
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

/// Judges an address that stands in the URL itself: it needs a rule that opens it.
pub fn literal(address: IpAddr, rules: &address::Rules) -> Result<(), Rule> {
    match address::check(address, rules)? {
        Standing::Opened => Ok(()),
        Standing::Public => Err(Rule::IpLiteral),
    }
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
        assert_eq!(literal("127.0.0.1".parse().unwrap(), &rules), Ok(()));
        assert_eq!(
            literal("8.8.8.8".parse().unwrap(), &rules),
            Err(Rule::IpLiteral)
        );
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
