//! Who the server is: its certificates, which the application judges, and the signature that proves it has their key.

use core::fmt;

use crate::alert::Alert;
use crate::codec::Reader;

/// The certificates of a server as it sent them: DER, the leaf first, one to [`CertificateChain::MAX_LENGTH`].
///
/// Nothing is known of the certificates themselves.
#[derive(Clone, Copy)]
pub struct CertificateChain<'a> {
    /// The certificate_list of RFC 8446, section 4.4.2. Has been read to its end once.
    list: &'a [u8],
}

impl<'a> CertificateChain<'a> {
    /// The most certificates that are taken.
    pub const MAX_LENGTH: usize = 8;

    /// `list` has been validated by [`crate::message::certificate`].
    pub(crate) const fn new(list: &'a [u8]) -> Self {
        Self { list }
    }

    /// The certificates in DER, the leaf first.
    #[must_use]
    pub const fn iter(&self) -> Certificates<'a> {
        Certificates(Reader::new(self.list))
    }

    /// The first certificate, with the key that signed the handshake.
    #[must_use]
    pub fn leaf(&self) -> &'a [u8] {
        self.iter().next().unwrap_or_default()
    }

    /// Puts the certificates into `slices` and returns those that were filled; `None` when there are more than that.
    pub fn collect<'s>(&self, slices: &'s mut [&'a [u8]]) -> Option<&'s [&'a [u8]]> {
        let mut count = 0_usize;
        for certificate in *self {
            *slices.get_mut(count)? = certificate;
            count = count.saturating_add(1);
        }
        slices.get(..count)
    }
}

impl<'a> IntoIterator for CertificateChain<'a> {
    type Item = &'a [u8];
    type IntoIter = Certificates<'a>;

    fn into_iter(self) -> Certificates<'a> {
        self.iter()
    }
}

impl fmt::Debug for CertificateChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(<[u8]>::len)).finish()
    }
}

/// Iterates over the certificates of a [`CertificateChain`].
#[derive(Clone)]
pub struct Certificates<'a>(Reader<'a>);

impl<'a> Iterator for Certificates<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let certificate = self.0.vector24().ok()?;
        self.0.vector16().ok()?; // its extensions, which are empty
        Some(certificate)
    }
}

impl fmt::Debug for Certificates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(<[u8]>::len)).finish()
    }
}

/// The public key in the leaf certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerKey {
    /// Ed25519 (RFC 8032).
    Ed25519([u8; 32]),
    /// Ed448 (RFC 8032).
    #[cfg(feature = "ed448")]
    Ed448([u8; 57]),
}

/// Judges the certificates of a server. This crate does not: it reads no X.509 and knows no authorities.
pub trait Verifier {
    /// Returns the leaf's key if the chain is trusted. The server then has to prove that it has the key's other half.
    ///
    /// Fails with the alert that tells the server why it is not trusted.
    fn verify(&mut self, chain: &CertificateChain<'_>) -> Result<ServerKey, Alert>;
}

impl<F: FnMut(&CertificateChain<'_>) -> Result<ServerKey, Alert>> Verifier for F {
    fn verify(&mut self, chain: &CertificateChain<'_>) -> Result<ServerKey, Alert> {
        self(chain)
    }
}
