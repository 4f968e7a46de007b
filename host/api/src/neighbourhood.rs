//! How many connections come from one neighbourhood: whoever has many of them has only this many of the server's.
//!
//! An IPv6 network of 64 bits is one subscriber's, who may have any address in it; an IPv4 address that is written as an
//! IPv6 one is itself.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::{Share, Shares};

/// The half of an IPv6 address that says which network it is in.
const NETWORK: u128 = !(u64::MAX as u128);

/// Connections by where they come from.
pub(crate) struct Neighbourhoods {
    /// `None`: nobody counts.
    shares: Option<Shares<IpAddr>>,
    refused: AtomicU64,
}

/// A connection's place among those of its neighbourhood.
pub(crate) type Place = Option<Share<IpAddr>>;

/// There are enough connections from there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

impl Neighbourhoods {
    /// With at most so many connections each; 0 is any number.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            shares: (max > 0).then(|| Shares::new(max)),
            refused: AtomicU64::new(0),
        }
    }

    /// One more connection from this address, until it is dropped.
    pub(crate) fn enter(&self, address: IpAddr) -> Result<Place, Crowded> {
        let Some(shares) = &self.shares else {
            return Ok(None);
        };
        match shares.take(&neighbourhood(address)) {
            Some(share) => Ok(Some(share)),
            None => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Crowded)
            }
        }
    }

    /// How many connections were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & NETWORK)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_neighbourhood() {
        let neighbourhoods = Neighbourhoods::new(1);
        let enter = |address: &str| neighbourhoods.enter(address.parse().unwrap());
        for (first, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::", "2001:db8:0:2::1"),
        ] {
            let held = enter(first);
            assert!(held.is_ok() && enter(same).is_err() && enter(other).is_ok());
            drop(held);
            assert!(enter(same).is_ok());
        }
        assert_eq!(neighbourhoods.refused(), 2);
    }

    #[test]
    fn without_a_bound_nobody_is_counted() {
        let neighbourhoods = Neighbourhoods::new(0);
        assert!(matches!(
            neighbourhoods.enter(Ipv6Addr::LOCALHOST.into()),
            Ok(None)
        ));
    }
}
