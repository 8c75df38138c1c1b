//! The client's side of SOCKS5 (RFC 1928), as far as connecting goes, with user names and passwords (RFC 1929).

use std::fmt;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

use super::NetError;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;
/// The version of the exchange of name and password.
const PASSWORD_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const RESERVED: u8 = 0;
const IPV4: u8 = 1;
const DOMAIN: u8 = 3;
const IPV6: u8 = 4;

/// Why a SOCKS5 proxy did not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocksError {
    /// What listens there does not speak SOCKS5.
    Protocol,
    /// The proxy wants another way of authentication, or refused the name and the password.
    Authentication,
    /// The name of the host, the user or the password cannot be expressed: it has no bytes or more than 255.
    Unusable,
    /// The proxy refused or failed to connect, with this code of RFC 1928, section 6.
    Refused(u8),
}

impl fmt::Display for SocksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol => f.write_str("the proxy does not speak SOCKS5"),
            Self::Authentication => f.write_str("the SOCKS proxy refused the name and password, or wants some"),
            Self::Unusable => f.write_str("a name or password is too long for a SOCKS proxy"),
            Self::Refused(code) => f.write_str(match code {
                2 => "the SOCKS proxy does not allow this connection",
                3 => "the SOCKS proxy cannot reach the network",
                4 => "the SOCKS proxy cannot reach the host",
                5 => "the host refused the SOCKS proxy's connection",
                6 => "the SOCKS proxy's connection took too long",
                8 => "the SOCKS proxy does not know this kind of address",
                _ => "the SOCKS proxy failed",
            }),
        }
    }
}

impl std::error::Error for SocksError {}

/// Where a proxy shall connect to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Destination<'a> {
    Address(IpAddr),
    /// To be resolved by the proxy.
    Name(&'a str),
}

/// A user's name and password.
pub(super) struct Login {
    pub(super) user: Zeroizing<Vec<u8>>,
    pub(super) password: Zeroizing<Vec<u8>>,
}

/// Lets the proxy at the other end of `stream` connect to `destination`. After that the stream leads there.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    destination: Destination<'_>,
    port: u16,
    login: Option<&Login>,
) -> Result<(), NetError> {
    let method = if login.is_some() { USER_AND_PASSWORD } else { NO_AUTHENTICATION };
    // Only one method is offered: with a name that isolates, going on without it would join what shall be apart.
    stream.write_all(&[VERSION, 1, method]).await?;
    stream.flush().await?;
    match read::<2, _>(stream).await? {
        [VERSION, chosen] if chosen == method => {}
        [VERSION, NOTHING_ACCEPTABLE] => return Err(SocksError::Authentication.into()),
        _ => return Err(SocksError::Protocol.into()),
    }
    if let Some(login) = login {
        let mut message = Zeroizing::new(vec![PASSWORD_VERSION]);
        push_short(&mut message, &login.user)?;
        push_short(&mut message, &login.password)?;
        stream.write_all(&message).await?;
        stream.flush().await?;
        // RFC 1929 tells only that zero is success.
        let [_, status] = read::<2, _>(stream).await?;
        if status != 0 {
            return Err(SocksError::Authentication.into());
        }
    }
    let mut request = vec![VERSION, CONNECT, RESERVED];
    match destination {
        Destination::Address(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Destination::Address(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Destination::Name(name) => {
            request.push(DOMAIN);
            push_short(&mut request, name.as_bytes())?;
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;
    stream.flush().await?;
    read_reply(stream).await
}

async fn read_reply<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(), NetError> {
    let [version, code, _, kind] = read::<4, _>(stream).await?;
    if version != VERSION {
        return Err(SocksError::Protocol.into());
    }
    if code != 0 {
        return Err(SocksError::Refused(code).into());
    }
    // Where the proxy's own socket is bound is of no use, but it has to be read, and not a byte more.
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        DOMAIN => usize::from(read::<1, _>(stream).await?[0]),
        _ => return Err(SocksError::Protocol.into()),
    };
    let mut bound = vec![0; length];
    stream.read_exact(&mut bound).await?;
    read::<2, _>(stream).await?;
    Ok(())
}

async fn read<const N: usize, S: AsyncRead + Unpin>(stream: &mut S) -> Result<[u8; N], NetError> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Appends a text with its length in one byte.
fn push_short(message: &mut Vec<u8>, text: &[u8]) -> Result<(), SocksError> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length > 0).ok_or(SocksError::Unusable)?;
    message.reserve_exact(text.len().saturating_add(1));
    message.push(length);
    message.extend_from_slice(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    const NAME: Destination<'static> = Destination::Name("abc.onion");

    /// Runs the client against a script of what it has to send and what it gets for it.
    async fn talk(
        script: &'static [(&'static [u8], &'static [u8])],
        destination: Destination<'_>,
        login: Option<&Login>,
    ) -> Result<Vec<u8>, NetError> {
        let (mut near, mut far) = duplex(64);
        let proxy = tokio::spawn(async move {
            for (expected, answer) in script {
                let mut got = vec![0; expected.len()];
                far.read_exact(&mut got).await.unwrap();
                assert_eq!(got, *expected);
                far.write_all(answer).await.unwrap();
            }
        });
        let result = connect(&mut near, destination, 5223, login).await;
        proxy.await.unwrap();
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        result.map(|()| rest)
    }

    fn login() -> Login {
        Login { user: Zeroizing::new(b"me".to_vec()), password: Zeroizing::new(b"word".to_vec()) }
    }

    fn socks(result: &Result<Vec<u8>, NetError>) -> Option<SocksError> {
        match result {
            Err(NetError::Socks(error)) => Some(*error),
            _ => None,
        }
    }

    #[tokio::test]
    async fn names_are_left_to_the_proxy_and_what_follows_is_left_alone() {
        let rest = talk(
            &[
                (&[5, 1, 0], &[5, 0]),
                (b"\x05\x01\x00\x03\x09abc.onion\x14\x67", b"\x05\x00\x00\x01\x01\x02\x03\x04\x00\x01first"),
            ],
            NAME,
            None,
        );
        assert_eq!(rest.await.unwrap(), b"first");
    }

    #[tokio::test]
    async fn addresses_and_every_form_of_reply_are_understood() {
        let four = Destination::Address("1.2.3.4".parse().unwrap());
        let rest = talk(
            &[(&[5, 1, 0], &[5, 0]), (&[5, 1, 0, 1, 1, 2, 3, 4, 20, 103], b"\x05\x00\x00\x03\x02ab\x00\x01first")],
            four,
            None,
        );
        assert_eq!(rest.await.unwrap(), b"first");
        let six = Destination::Address("::1".parse().unwrap());
        let rest = talk(
            &[
                (&[5, 1, 0], &[5, 0]),
                (
                    &[5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 20, 103],
                    b"\x05\x00\x00\x040123456789abcdef\x00\x01first",
                ),
            ],
            six,
            None,
        );
        assert_eq!(rest.await.unwrap(), b"first");
    }

    #[tokio::test]
    async fn names_and_passwords_are_sent_when_asked_and_only_then() {
        let rest = talk(
            &[
                (&[5, 1, 2], &[5, 2]),
                (b"\x01\x02me\x04word", &[1, 0]),
                (b"\x05\x01\x00\x03\x09abc.onion\x14\x67", b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"),
            ],
            NAME,
            Some(&login()),
        )
        .await;
        assert!(rest.is_ok());
        let refused = talk(&[(&[5, 1, 2], &[5, 2]), (b"\x01\x02me\x04word", &[1, 1])], NAME, Some(&login())).await;
        assert_eq!(socks(&refused), Some(SocksError::Authentication));
        let ignored = talk(&[(&[5, 1, 2], &[5, 0])], NAME, Some(&login())).await;
        assert_eq!(socks(&ignored), Some(SocksError::Protocol), "isolation is not given up");
        let wanted = talk(&[(&[5, 1, 0], &[5, 0xff])], NAME, None).await;
        assert_eq!(socks(&wanted), Some(SocksError::Authentication));
    }

    #[tokio::test]
    async fn refusals_and_nonsense_are_told_apart() {
        let refused =
            talk(&[(&[5, 1, 0], &[5, 0]), (b"\x05\x01\x00\x03\x09abc.onion\x14\x67", &[5, 4, 0, 1])], NAME, None);
        assert_eq!(socks(&refused.await), Some(SocksError::Refused(4)));
        let other = talk(&[(&[5, 1, 0], b"HTTP/1.1 400 Bad Request\r\n\r\n")], NAME, None).await;
        assert_eq!(socks(&other), Some(SocksError::Protocol));
        let kind =
            talk(&[(&[5, 1, 0], &[5, 0]), (b"\x05\x01\x00\x03\x09abc.onion\x14\x67", &[5, 0, 0, 9])], NAME, None);
        assert_eq!(socks(&kind.await), Some(SocksError::Protocol));
        let short = talk(&[(&[5, 1, 0], &[5])], NAME, None).await;
        assert!(matches!(short, Err(NetError::Truncated)), "{short:?}");
    }

    #[tokio::test]
    async fn what_cannot_be_expressed_is_not_sent() {
        let long = "a".repeat(256);
        let result = talk(&[(&[5, 1, 0], &[5, 0])], Destination::Name(&long), None).await;
        assert_eq!(socks(&result), Some(SocksError::Unusable));
        let nobody = Login { user: Zeroizing::new(Vec::new()), password: login().password };
        let result = talk(&[(&[5, 1, 2], &[5, 2])], NAME, Some(&nobody)).await;
        assert_eq!(socks(&result), Some(SocksError::Unusable));
    }
}
