//! The messages of a server. Each can be made as it should be, or from other parts.

use super::Server;
use super::keys::verify_data;
use super::wire::{
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, ED448, ED25519, ENCRYPTED_EXTENSIONS, FINISHED, KEY_UPDATE,
    NEW_SESSION_TICKET, RETRY_RANDOM, SERVER_HELLO, SUITE, X25519, extension, list8, list16, list24, message,
};
use super::{keys, wire};

/// The parts of a ServerHello.
#[derive(Clone, Debug)]
pub struct ServerHello {
    pub version: u16,
    pub random: [u8; 32],
    pub session: Vec<u8>,
    pub suite: u16,
    pub compression: u8,
    pub extensions: Vec<Vec<u8>>,
}

impl ServerHello {
    pub fn to_message(&self) -> Vec<u8> {
        let body = [
            &self.version.to_be_bytes()[..],
            &self.random,
            &list8(&self.session),
            &self.suite.to_be_bytes(),
            &[self.compression],
            &list16(&self.extensions.concat()),
        ];
        message(SERVER_HELLO, &body.concat())
    }
}

/// The extension that says: TLS 1.3.
pub fn versions() -> Vec<u8> {
    wire::extension(extension::SUPPORTED_VERSIONS, &0x0304_u16.to_be_bytes())
}

/// The server's key share.
pub fn key_share(group: u16, key: &[u8]) -> Vec<u8> {
    wire::extension(extension::KEY_SHARE, &[&group.to_be_bytes()[..], &list16(key)].concat())
}

pub fn alpn(names: &[&[u8]]) -> Vec<u8> {
    let names: Vec<u8> = names.iter().flat_map(|name| list8(name)).collect();
    wire::extension(extension::ALPN, &list16(&names))
}

pub fn encrypted_extensions(extensions: &[Vec<u8>]) -> Vec<u8> {
    message(ENCRYPTED_EXTENSIONS, &list16(&extensions.concat()))
}

/// A request for a certificate with Ed25519 or Ed448.
pub fn certificate_request(context: &[u8], more: &[Vec<u8>]) -> Vec<u8> {
    let schemes = [ED25519, ED448].map(u16::to_be_bytes).concat();
    let mut extensions = wire::extension(extension::SIGNATURE_ALGORITHMS, &list16(&schemes));
    extensions.extend(more.concat());
    message(CERTIFICATE_REQUEST, &[list8(context), list16(&extensions)].concat())
}

/// Certificates, each with extensions.
pub fn certificate(context: &[u8], chain: &[(&[u8], &[u8])]) -> Vec<u8> {
    let entries: Vec<u8> =
        chain.iter().flat_map(|(der, extensions)| [list24(der), list16(extensions)].concat()).collect();
    message(CERTIFICATE, &[list8(context), list24(&entries)].concat())
}

/// What a server signs.
pub fn signed_content(transcript: &[u8]) -> Vec<u8> {
    [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0", &keys::hash(transcript)].concat()
}

pub fn certificate_verify(scheme: u16, signature: &[u8]) -> Vec<u8> {
    message(CERTIFICATE_VERIFY, &[&scheme.to_be_bytes()[..], &list16(signature)].concat())
}

pub fn key_update(request: bool) -> Vec<u8> {
    message(KEY_UPDATE, &[u8::from(request)])
}

pub fn ticket(lifetime: u32, ticket: &[u8], extensions: &[u8]) -> Vec<u8> {
    let body = [&lifetime.to_be_bytes()[..], &[9; 4], &list8(&[0]), &list16(ticket), &list16(extensions)];
    message(NEW_SESSION_TICKET, &body.concat())
}

/// Correct messages for what was said so far.
impl Server<'_> {
    pub fn server_hello(&self) -> ServerHello {
        ServerHello {
            version: 0x0303,
            random: [0x5e; 32],
            session: self.hello.session.clone(),
            suite: SUITE,
            compression: 0,
            extensions: vec![versions(), key_share(X25519, self.public_key.as_bytes())],
        }
    }

    /// A HelloRetryRequest; without a cookie it changes nothing, because clients here have one group.
    pub fn retry_request(&self, cookie: Option<&[u8]>) -> ServerHello {
        let mut extensions = vec![versions()];
        extensions.extend(cookie.map(|cookie| wire::extension(extension::COOKIE, &list16(cookie))));
        ServerHello { random: RETRY_RANDOM, extensions, ..self.server_hello() }
    }

    /// Chooses the first protocol offered.
    pub fn encrypted_extensions(&self) -> Vec<u8> {
        let names = self.hello.alpn();
        let chosen = names.first().map(|name| alpn(&[name]));
        encrypted_extensions(&chosen.into_iter().collect::<Vec<_>>())
    }

    pub fn certificate(&self) -> Vec<u8> {
        let chain: Vec<(&[u8], &[u8])> = self.identity.chain.iter().map(|der| (der.as_slice(), &[][..])).collect();
        certificate(&[], &chain)
    }

    pub fn certificate_verify(&self) -> Vec<u8> {
        let key = &self.identity.key;
        certificate_verify(key.scheme(), &key.sign(&signed_content(&self.transcript)))
    }

    pub fn finished(&self) -> Vec<u8> {
        message(FINISHED, &verify_data(&self.stage().server.secret, &self.transcript))
    }
}
