//! The messages of the handshake (RFC 8446, section 4), one file each.

pub(crate) mod certificate;
pub(crate) mod certificate_request;
pub(crate) mod certificate_verify;
pub(crate) mod client_hello;
pub(crate) mod encrypted_extensions;
pub(crate) mod extension;
pub(crate) mod finished;
pub(crate) mod key_update;
pub(crate) mod server_hello;
pub(crate) mod ticket;

/// The types of messages that this client sends or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    ClientHello = 1,
    ServerHello = 2,
    NewSessionTicket = 4,
    EncryptedExtensions = 8,
    Certificate = 11,
    CertificateRequest = 13,
    CertificateVerify = 15,
    Finished = 20,
    KeyUpdate = 24,
    MessageHash = 254,
}

/// The one cipher suite: TLS_CHACHA20_POLY1305_SHA256.
pub(crate) const CIPHER_SUITE: u16 = 0x1303;
/// The one key exchange: X25519.
pub(crate) const GROUP: u16 = 0x001d;
/// The one version.
pub(crate) const VERSION: u16 = 0x0304;
/// What fields have to say that once held the version.
pub(crate) const LEGACY_VERSION: u16 = 0x0303;
