//! The two or three messages a session starts with (wire reference, section 4). Each is padded to a block and never
//! encrypted by the block layer; bytes behind the last known field are ignored.

use crate::id::{Fingerprint, ServiceId, SessionId};
use crate::key::X25519PublicKey;
use crate::smp::error::TransportError;
use crate::smp::service::ServiceRole;
use crate::version::{SmpVersion, VersionRange};
use crate::wire::{Decode, Encode, Error, ListIter, LongString, NonEmptyList, Reader, Writer};

/// A chain of certificates, leaf first, each in DER (wire reference, section 1.7). 1 to 255 of them; how many make sense
/// is for whoever verifies them to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateChain<'a>(NonEmptyList<'a, LongString<'a>>);

impl<'a> CertificateChain<'a> {
    /// A chain to be written, of 1 to 255 certificates.
    pub fn new(certificates: &'a [LongString<'a>]) -> Result<Self, Error> {
        NonEmptyList::new(certificates).map(Self)
    }

    /// How many certificates there are, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The certificates, leaf first.
    #[must_use]
    pub fn iter(&self) -> Certificates<'a> {
        Certificates(self.0.iter())
    }

    /// The certificate at an index, the leaf at 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.iter().nth(index)
    }
}

impl<'a> IntoIterator for &CertificateChain<'a> {
    type Item = &'a [u8];
    type IntoIter = Certificates<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates the certificates of a [`CertificateChain`].
#[derive(Clone, Debug)]
pub struct Certificates<'a>(ListIter<'a, LongString<'a>>);

impl<'a> Iterator for Certificates<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.next().map(|certificate| certificate.as_bytes())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<'a> Decode<'a> for CertificateChain<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.value().map(Self)
    }
}

impl Encode for CertificateChain<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.0)
    }
}

/// The first message: what the relay offers and who it is (wire reference, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerHello<'a> {
    /// The versions the relay offers on this connection; versions above those known here may be among them.
    pub versions: VersionRange<SmpVersion>,
    /// The identifier of the TLS session, as the relay sees it.
    pub session_id: SessionId<'a>,
    /// The relay's certificates and session key; present when the range reaches version 7.
    pub authentication: Option<ServerAuthentication<'a>>,
}

/// How a relay proves its session key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerAuthentication<'a> {
    /// The certificates TLS has, too.
    pub chain: CertificateChain<'a>,
    /// An X25519 key signed by the leaf, a signed session key object (wire reference, section 1.6).
    pub signed_key: LongString<'a>,
}

impl<'a> Decode<'a> for ServerHello<'a> {
    /// Reads a hello. A range that reaches version 7 without certificates and key is refused: a session without a server
    /// key would silently go without block encryption.
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let versions: VersionRange<SmpVersion> = reader.value()?;
        let session_id = reader.value()?;
        let authentication = if versions.max() >= SmpVersion::AUTHENTICATORS {
            Some(ServerAuthentication { chain: reader.value()?, signed_key: reader.value()? })
        } else {
            None
        };
        Ok(Self { versions, session_id, authentication })
    }
}

impl Encode for ServerHello<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.versions)?;
        writer.value(&self.session_id)?;
        match (&self.authentication, self.versions.max() >= SmpVersion::AUTHENTICATORS) {
            (Some(authentication), true) => {
                writer.value(&authentication.chain)?;
                writer.value(&authentication.signed_key)
            }
            (None, true) => Err(Error::Invalid),
            (_, false) => Ok(()),
        }
    }
}

/// The second message: what the client chose (wire reference, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The version of the session.
    pub version: SmpVersion,
    /// The identity the client expects, from the address it connected to.
    pub key_hash: Fingerprint<'a>,
    /// The client's session key, from version 7 on.
    pub client_key: Option<X25519PublicKey>,
    /// Whether the client is a forwarding proxy; from version 14 on. Blocks of such sessions are not encrypted.
    pub proxy: bool,
    /// The service the session is for, from version 16 on.
    pub service: Option<ClientService<'a>>,
}

/// How a client proves to be a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientService<'a> {
    /// What it does.
    pub role: ServiceRole,
    /// The certificates it gave TLS, too.
    pub chain: CertificateChain<'a>,
    /// An Ed25519 key signed by the leaf, a signed session key object (wire reference, section 1.6).
    pub signed_key: LongString<'a>,
}

impl<'a> Decode<'a> for ClientService<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { role: reader.value()?, chain: reader.value()?, signed_key: reader.value()? })
    }
}

impl Encode for ClientService<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.role)?;
        writer.value(&self.chain)?;
        writer.value(&self.signed_key)
    }
}

impl<'a> Decode<'a> for ClientHello<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let version = reader.value()?;
        let key_hash = reader.value()?;
        let mut client_key = None;
        if version >= SmpVersion::AUTHENTICATORS {
            // The key has no presence byte: what does not read as one is the next field.
            let mut ahead = reader.clone();
            if let Ok(key) = ahead.value() {
                client_key = Some(key);
                *reader = ahead;
            }
        }
        let proxy = if version >= SmpVersion::PROXY_FLAG { reader.value()? } else { false };
        let service = if version >= SmpVersion::SERVICES { reader.value()? } else { None };
        Ok(Self { version, key_hash, client_key, proxy, service })
    }
}

impl Encode for ClientHello<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.value(&self.version)?;
        writer.value(&self.key_hash)?;
        if let Some(key) = self.client_key.filter(|_| self.version >= SmpVersion::AUTHENTICATORS) {
            writer.value(&key)?;
        }
        if self.version >= SmpVersion::PROXY_FLAG {
            writer.value(&self.proxy)?;
        }
        if self.version >= SmpVersion::SERVICES { writer.value(&self.service) } else { Ok(()) }
    }
}

/// The third message, the relay's answer to a hello with a service (wire reference, section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceReply<'a> {
    /// `R`: accepted; the id stays the same for this certificate.
    Accepted(ServiceId<'a>),
    /// `E`: refused; the relay closes the connection.
    Refused(TransportError),
}

impl<'a> Decode<'a> for ServiceReply<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        match reader.u8()? {
            b'R' => reader.value().map(Self::Accepted),
            b'E' => TransportError::decode(reader).map(Self::Refused),
            _ => Err(Error::Invalid),
        }
    }
}

impl Encode for ServiceReply<'_> {
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        match self {
            Self::Accepted(service) => {
                writer.u8(b'R')?;
                writer.value(service)
            }
            Self::Refused(error) => {
                writer.u8(b'E')?;
                error.encode(writer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smp::error::HandshakeError;
    use std::vec::Vec;

    const SESSION: [u8; 32] = [0x5e; 32];
    const HASH: [u8; 32] = [0x4a; 32];
    const CERTIFICATES: [&[u8]; 2] = [b"leaf", b"identity"];

    fn encoded(value: &impl Encode) -> Vec<u8> {
        value.to_slice(&mut [0; 1000]).unwrap().to_vec()
    }

    fn server_hello<'a>(max: u16, chain: &'a [LongString<'a>]) -> ServerHello<'a> {
        ServerHello {
            versions: VersionRange::new(SmpVersion(6), SmpVersion(max)).unwrap(),
            session_id: SessionId::new(&SESSION).unwrap(),
            authentication: (max >= 7).then(|| ServerAuthentication {
                chain: CertificateChain::new(chain).unwrap(),
                signed_key: LongString::new(b"key").unwrap(),
            }),
        }
    }

    #[test]
    fn relays_introduce_themselves() {
        let chain = CERTIFICATES.map(|certificate| LongString::new(certificate).unwrap());
        let legacy = encoded(&server_hello(6, &chain));
        assert_eq!(legacy, [&[0, 6, 0, 6, 32][..], &SESSION].concat());
        let hello = encoded(&server_hello(18, &chain));
        let proof = b"\x02\0\x04leaf\0\x08identity\0\x03key";
        assert_eq!(hello, [&[0, 6, 0, 18, 32][..], &SESSION, proof].concat());
        for (max, bytes) in [(6, &legacy), (18, &hello)] {
            let expected = server_hello(max, &chain);
            assert_eq!(ServerHello::from_bytes(bytes), Ok(expected));
            let longer = [&bytes[..], b"of the future"].concat();
            assert_eq!(ServerHello::decode(&mut Reader::new(&longer)), Ok(expected));
            for end in 0..bytes.len() {
                assert!(ServerHello::from_bytes(&bytes[..end]).is_err(), "{end} bytes");
            }
        }
        let read = ServerHello::from_bytes(&hello).unwrap().authentication.unwrap().chain;
        assert_eq!(read.iter().collect::<Vec<_>>(), CERTIFICATES);
        assert_eq!((read.len(), read.get(1), read.get(2)), (2, Some(CERTIFICATES[1]), None));
    }

    #[test]
    fn relays_must_prove_themselves() {
        let start = [&[0, 6, 0, 7, 32][..], &SESSION].concat();
        for proof in [&b""[..], b"\xff\xff\xff", b"\0\0\x03key", b"\x01\0\x04leaf"] {
            assert!(ServerHello::decode(&mut Reader::new(&[&start[..], proof].concat())).is_err());
        }
        let chain = [LongString::new(b"leaf").unwrap()];
        let missing = ServerHello { authentication: None, ..server_hello(7, &chain) };
        assert!(missing.to_slice(&mut [0; 100]).is_err());
        let reversed = [&[0, 7, 0, 6, 32][..], &SESSION].concat();
        assert!(ServerHello::from_bytes(&reversed).is_err());
    }

    #[test]
    fn clients_say_what_the_version_knows() {
        let chain = [LongString::new(b"leaf").unwrap()];
        let service = ClientService {
            role: ServiceRole::Notifier,
            chain: CertificateChain::new(&chain).unwrap(),
            signed_key: LongString::new(b"key").unwrap(),
        };
        for version in (6..=20).map(SmpVersion) {
            for key in [None, Some(X25519PublicKey([9; 32]))] {
                for proxy in [false, true] {
                    for service in [None, Some(service)] {
                        let key_hash = Fingerprint::new(&HASH).unwrap();
                        let hello = ClientHello { version, key_hash, client_key: key, proxy, service };
                        let mut expected = [&version.0.to_be_bytes()[..], &[32], &HASH].concat();
                        if version.0 >= 7 {
                            key.iter().for_each(|key| expected.extend(encoded(key)));
                        }
                        if version.0 >= 14 {
                            expected.push(if proxy { b'T' } else { b'F' });
                        }
                        if version.0 >= 16 {
                            expected.extend(if service.is_some() { &b"1N\x01\0\x04leaf\0\x03key"[..] } else { b"0" });
                        }
                        let bytes = encoded(&hello);
                        assert_eq!(bytes, expected);
                        let carried = ClientHello {
                            client_key: key.filter(|_| version.0 >= 7),
                            proxy: proxy && version.0 >= 14,
                            service: service.filter(|_| version.0 >= 16),
                            ..hello
                        };
                        assert_eq!(ClientHello::from_bytes(&bytes), Ok(carried));
                        // Without fields behind it nobody can tell a truncated key from no key at all.
                        let least = if version.0 >= 14 { bytes.len() } else { 35 };
                        for end in 0..least {
                            assert!(ClientHello::decode(&mut Reader::new(&bytes[..end])).is_err());
                        }
                        let longer = [&bytes[..], b"of the future"].concat();
                        assert_eq!(ClientHello::decode(&mut Reader::new(&longer)), Ok(carried));
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_key_is_the_next_field() {
        let start = [&[0, 7, 32][..], &HASH].concat();
        let hello = [&start[..], b"\x2cabc"].concat();
        assert_eq!(ClientHello::decode(&mut Reader::new(&hello)).unwrap().client_key, None);
        let wrong = [&[0, 18, 32][..], &HASH, b"\x2cabcF0"].concat();
        assert!(ClientHello::decode(&mut Reader::new(&wrong)).is_err());
    }

    #[test]
    fn services_are_answered() {
        let id = [7; 24];
        let accepted = ServiceReply::Accepted(ServiceId::from_array(&id));
        let refused = ServiceReply::Refused(TransportError::Handshake(HandshakeError::BadService));
        for (reply, bytes) in [(accepted, [&b"R\x18"[..], &id].concat()), (refused, b"EHANDSHAKE BAD_SERVICE".to_vec())]
        {
            assert_eq!(encoded(&reply), bytes);
            assert_eq!(ServiceReply::from_bytes(&bytes), Ok(reply));
        }
        for bad in [&b""[..], b"R", b"E", b"EHANDSHAKE", b"ENOPE", b"X"] {
            assert!(ServiceReply::from_bytes(bad).is_err());
        }
    }
}
