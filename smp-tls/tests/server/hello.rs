//! What the server reads of a ClientHello. Fails the test when the hello is not as RFC 8446, section 4.1.2 wants it.

use super::wire::{self, Bytes, CLIENT_HELLO, extension};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The whole message.
    pub message: Vec<u8>,
    pub random: [u8; 32],
    pub session: Vec<u8>,
    pub suites: Vec<u16>,
    /// In their order.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl ClientHello {
    pub fn read(message: &[u8]) -> Self {
        let mut bytes = Bytes(message);
        assert_eq!(bytes.number(1), usize::from(CLIENT_HELLO), "not a ClientHello");
        let mut body = Bytes(bytes.list(3));
        assert!(bytes.0.is_empty(), "more than a ClientHello");
        assert_eq!(body.u16(), 0x0303, "legacy_version");
        let random = body.take(32).try_into().unwrap();
        let session = body.list(1).to_vec();
        assert!(session.len() <= 32);
        let suites = body.list(2).chunks(2).map(|suite| u16::from_be_bytes(suite.try_into().unwrap())).collect();
        assert_eq!(body.list(1), [0], "compression");
        let mut list = Bytes(body.list(2));
        assert!(body.0.is_empty(), "bytes after the extensions");
        let mut extensions: Vec<(u16, Vec<u8>)> = Vec::new();
        while !list.0.is_empty() {
            let kind = list.u16();
            assert!(extensions.iter().all(|(other, _)| *other != kind), "extension {kind} twice");
            extensions.push((kind, list.list(2).to_vec()));
        }
        Self { message: message.to_vec(), random, session, suites, extensions }
    }

    pub fn extension(&self, kind: u16) -> Option<&[u8]> {
        self.extensions.iter().find(|(other, _)| *other == kind).map(|(_, content)| content.as_slice())
    }

    /// The client's public key for X25519.
    pub fn key_share(&self) -> [u8; 32] {
        let mut list = Bytes(Bytes(self.extension(extension::KEY_SHARE).expect("no key share")).list(2));
        while !list.0.is_empty() {
            let (group, key) = (list.u16(), list.list(2));
            if group == wire::X25519 {
                return key.try_into().expect("the length of a key for X25519");
            }
        }
        panic!("no key share for X25519");
    }

    /// The protocols offered.
    pub fn alpn(&self) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        if let Some(content) = self.extension(extension::ALPN) {
            let mut list = Bytes(Bytes(content).list(2));
            while !list.0.is_empty() {
                names.push(list.list(1).to_vec());
            }
        }
        names
    }

    /// A list of two-byte numbers behind a two-byte length, such as signature schemes and groups.
    pub fn numbers(&self, kind: u16) -> Vec<u16> {
        let list = Bytes(self.extension(kind).unwrap_or(&[0, 0])).list(2);
        list.chunks(2).map(|number| u16::from_be_bytes(number.try_into().unwrap())).collect()
    }
}
