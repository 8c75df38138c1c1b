use core::fmt;

use embassy_net::tcp::{ConnectError, TcpSocket};
use embassy_net::{IpAddress, Stack, dns::DnsQueryType};
use embassy_time::with_timeout;
use smp_proto::address::{Host, ServerAddress};

use super::{CONNECT_TIME_OUT, DialError, KEEP_ALIVE, Network, RESOLVE_TIME_OUT, SILENCE_TIME_OUT, targets};

/// TCP over embassy-net, with the caller's buffers.
///
/// The buffers may be small: a block passes through them in pieces. 1,536 bytes each hold a full Ethernet segment; the
/// larger the receive buffer, the fewer round trips a block takes (4,096 bytes are a good compromise on a slow link).
pub struct TcpNetwork<'d> {
    stack: Stack<'d>,
    receive: &'d mut [u8],
    transmit: &'d mut [u8],
}

impl<'d> TcpNetwork<'d> {
    /// Takes a stack, which some other task runs, and the buffers of the one socket there is at a time.
    #[must_use]
    pub const fn new(stack: Stack<'d>, receive: &'d mut [u8], transmit: &'d mut [u8]) -> Self {
        Self { stack, receive, transmit }
    }
}

impl fmt::Debug for TcpNetwork<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpNetwork").finish_non_exhaustive()
    }
}

impl Network for TcpNetwork<'_> {
    type Stream<'a>
        = TcpSocket<'a>
    where
        Self: 'a;

    async fn connect(&mut self, relay: &ServerAddress<'_>) -> Result<TcpSocket<'_>, DialError> {
        let (hosts, port) = targets(relay)?;
        with_timeout(RESOLVE_TIME_OUT, self.stack.wait_config_up()).await.map_err(|_| DialError::NetworkDown)?;
        let mut socket = TcpSocket::new(self.stack, self.receive, self.transmit);
        // Blocks are written whole: nothing is gained by waiting for more.
        socket.set_nagle_enabled(false);
        socket.set_keep_alive(Some(KEEP_ALIVE));
        socket.set_timeout(Some(SILENCE_TIME_OUT));
        let mut result = Err(DialError::Address);
        for host in hosts {
            result = match with_timeout(RESOLVE_TIME_OUT, resolve(self.stack, host)).await {
                Err(_) => Err(DialError::Resolve),
                Ok(Err(error)) => Err(error),
                Ok(Ok(address)) => match with_timeout(CONNECT_TIME_OUT, socket.connect((address, port))).await {
                    Ok(Ok(())) => return Ok(socket),
                    Err(_) | Ok(Err(ConnectError::TimedOut)) => Err(DialError::TimedOut),
                    Ok(Err(_)) => Err(DialError::Refused),
                },
            };
            socket.abort();
        }
        result.map(|()| socket)
    }
}

async fn resolve(stack: Stack<'_>, host: Host<'_>) -> Result<IpAddress, DialError> {
    match host {
        Host::Ipv4(address) => Ok(IpAddress::Ipv4(address)),
        #[cfg(feature = "ipv6")]
        Host::Ipv6(address) => Ok(IpAddress::Ipv6(address)),
        #[cfg(feature = "ipv6")]
        Host::Domain(name) => match query(stack, name, DnsQueryType::A).await {
            Ok(address) => Ok(address),
            Err(_) => query(stack, name, DnsQueryType::Aaaa).await,
        },
        #[cfg(not(feature = "ipv6"))]
        Host::Domain(name) => query(stack, name, DnsQueryType::A).await,
        _ => Err(DialError::Address),
    }
}

async fn query(stack: Stack<'_>, name: &str, kind: DnsQueryType) -> Result<IpAddress, DialError> {
    let addresses = stack.dns_query(name, kind).await.map_err(|_| DialError::Resolve)?;
    addresses.first().copied().ok_or(DialError::Resolve)
}
