//! Streams to relays: a trait for any network, and embassy-net's TCP sockets behind it.

use core::fmt;

use embassy_time::Duration;
use embedded_io_async::{Read, Write};
use smp_proto::address::{Host, Scheme, ServerAddress};

#[cfg(feature = "embassy-net")]
mod tcp;

#[cfg(feature = "embassy-net")]
pub use tcp::TcpNetwork;

/// How many hosts of an address are tried. Addresses have one, or one and an onion name; a longer list is not worth the
/// time.
pub const MAX_HOSTS: usize = 4;

/// How long a name may take to resolve.
pub const RESOLVE_TIME_OUT: Duration = Duration::from_secs(15);

/// How long one host may take to accept a connection.
pub const CONNECT_TIME_OUT: Duration = Duration::from_secs(20);

/// After how much silence a connection is asked for a sign of life below TLS.
pub const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// After how much silence in spite of being asked, or with data unacknowledged, a connection is given up.
pub const SILENCE_TIME_OUT: Duration = Duration::from_secs(150);

/// Why there is no stream to a relay. The next attempt may succeed, except that an address without a usable host stays
/// as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DialError {
    /// The address has no host that can be reached from here, only onion names for instance, or no usable port.
    Address,
    /// The network is not up: no cable, no address from the router.
    NetworkDown,
    /// No name could be resolved.
    Resolve,
    /// No host let a connection be made.
    Refused,
    /// The last host did not answer in time.
    TimedOut,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address has no host or port that can be reached",
            Self::NetworkDown => "the network is not up",
            Self::Resolve => "the name of the relay cannot be resolved",
            Self::Refused => "the relay does not accept connections",
            Self::TimedOut => "the relay does not answer",
        })
    }
}

impl core::error::Error for DialError {}

/// Makes streams to relays.
///
/// Implementations try the hosts that [`targets`] gives, in order, resolve names, and bound every wait. A stream is given
/// up by dropping it.
#[expect(async_fn_in_trait, reason = "firmware runs its futures on one core, Send is not needed")]
pub trait Network {
    /// A stream; it may borrow the buffers of the network, so there is one at a time.
    type Stream<'a>: Read + Write
    where
        Self: 'a;

    /// Connects to the first host of an address that answers.
    async fn connect(&mut self, relay: &ServerAddress<'_>) -> Result<Self::Stream<'_>, DialError>;
}

impl<N: Network> Network for &mut N {
    type Stream<'a>
        = N::Stream<'a>
    where
        Self: 'a;

    async fn connect(&mut self, relay: &ServerAddress<'_>) -> Result<Self::Stream<'_>, DialError> {
        (**self).connect(relay).await
    }
}

/// Which hosts of an address to try, in order, and the port: at most [`MAX_HOSTS`], without names of the Tor network,
/// which firmware cannot reach. Without a port in the address it is that of the protocol, 5223.
pub fn targets<'a>(relay: &ServerAddress<'a>) -> Result<(impl Iterator<Item = Host<'a>> + use<'a>, u16), DialError> {
    let reachable = |host: &Host<'_>| !matches!(host, Host::Onion(_));
    let port = relay.port.number(Scheme::Smp.default_port()).map_err(|_| DialError::Address)?;
    if !relay.hosts.iter().any(|host| reachable(&host)) {
        return Err(DialError::Address);
    }
    Ok((relay.hosts.iter().filter(reachable).take(MAX_HOSTS), port))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use smp_proto::address::ServerUri;

    use super::*;

    const IDENTITY: &str = "smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@";

    fn hosts(text: &str) -> Result<(Vec<std::string::String>, u16), DialError> {
        let uri: ServerUri = std::format!("{IDENTITY}{text}").parse().unwrap();
        let (hosts, port) = targets(&uri.address())?;
        Ok((hosts.map(|host| std::format!("{host}")).collect(), port))
    }

    #[test]
    fn onion_names_are_left_out() {
        assert_eq!(
            hosts("a.example,abc.onion,10.0.0.1:444"),
            Ok((std::vec!["a.example".into(), "10.0.0.1".into()], 444))
        );
        assert_eq!(hosts("a.example"), Ok((std::vec!["a.example".into()], 5223)));
        assert_eq!(hosts("abc.onion"), Err(DialError::Address));
    }

    #[test]
    fn only_so_many_hosts_are_tried() {
        let (some, _) = hosts("a.a,b.b,c.c,d.d,e.e,f.f").unwrap();
        assert_eq!(some, ["a.a", "b.b", "c.c", "d.d"]);
    }

    #[test]
    fn impossible_ports_are_refused() {
        assert_eq!(hosts("a.example:99999"), Err(DialError::Address));
    }
}
