//! Port numbers that stay ours while nothing listens on them.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Below the ports that systems hand out by themselves, so that no outgoing connection takes one while its node is down.
const FIRST: u16 = 10_240;
const LAST: u16 = 32_000;

/// A TCP port number on loopback that no other user of the kit takes, in this process or another, while this lives.
///
/// A killed node and a proxy that refuses connections must come back on the same port. What holds the number meanwhile
/// is a UDP socket of the same number, which no node binds and which the system frees when the process ends.
#[derive(Debug)]
pub struct PortClaim {
    token: UdpSocket,
}

impl PortClaim {
    /// Claims a port that is free now.
    ///
    /// # Panics
    ///
    /// If no port of the range is free.
    pub fn take() -> PortClaim {
        let count = u64::from(LAST - FIRST);
        let start = RandomState::new().hash_one(()) % count;
        let candidates = (0..count).map(|step| FIRST + u16::try_from((start + step) % count).expect("less than LAST"));
        let mut claims = candidates.filter_map(PortClaim::of);
        claims
            .next()
            .unwrap_or_else(|| panic!("no free port on loopback between {FIRST} and {LAST}"))
    }

    /// The claimed number.
    pub fn number(&self) -> u16 {
        self.token.local_addr().expect("the socket is bound").port()
    }

    fn of(number: u16) -> Option<PortClaim> {
        let token = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(PortClaim { token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_is_not_claimed_twice() {
        // Given a claim
        let claim = PortClaim::take();

        // When the same number is asked for again
        let again = PortClaim::of(claim.number());

        // Then it is refused until the claim is dropped
        assert!(again.is_none());
        let number = claim.number();
        drop(claim);
        assert!(PortClaim::of(number).is_some());
    }

    #[test]
    fn a_port_somebody_listens_on_is_not_claimed() {
        // Given a listener outside the kit
        let free = PortClaim::take().number();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free)).unwrap();

        // When its port is asked for, then it is refused
        assert!(PortClaim::of(free).is_none());
    }
}
