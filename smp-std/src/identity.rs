//! The identity of a server: the directory with its keys and certificates, as operators of the reference know it.
//!
//! | file | what | mode |
//! |---|---|---|
//! | `ca.key` | key of the identity; needed only to issue a new `server.crt`, best kept on another machine | 0600 |
//! | `ca.crt` | identity certificate, then operator certificates if there are any | 0644 |
//! | `server.key` | key of the leaf, used by every connection | 0600 |
//! | `server.crt` | leaf certificate | 0644 |
//! | `fingerprint` | SHA-256 of the first certificate in `ca.crt`, base64url with padding: the key hash of the address | 0644 |
//!
//! See `wire/smp.md` sections 3.2 and 14.1.

mod error;
pub(crate) mod files;

pub use error::{IdentityError, Problem};

use crate::net::{NetError, ServerTls};
use files::{Access, NewFile};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};
use smp_crypto::certificate::{
    Certificate, CertificateKey, CertificateParameters, CertificateSigner, MAX_CERTIFICATE_LENGTH, VALIDITY_DAYS,
    Validity, fingerprint, validate_server_chain, write_authority, write_leaf,
};
use smp_crypto::key::{Ed448SecretKey, Ed25519SecretKey};
use smp_proto::wire::{Base64, base64_url_decode, base64_url_encode};
use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

const CA_KEY: &str = "ca.key";
const CA_CERTIFICATE: &str = "ca.crt";
const SERVER_KEY: &str = "server.key";
const SERVER_CERTIFICATE: &str = "server.crt";
const FINGERPRINT: &str = "fingerprint";

const PEM_KEY: &str = "PRIVATE KEY";
const PEM_CERTIFICATE: &str = "CERTIFICATE";

/// The algorithm of a new identity's keys.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyAlgorithm {
    /// Small and fast; the default for SMP servers.
    #[default]
    Ed25519,
    /// Larger and slower; what the reference takes for file and notification servers.
    Ed448,
}

/// What a server shows and signs with: its chain, the leaf's key and the fingerprint of its identity.
pub struct Identity {
    chain: Vec<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    fingerprint: [u8; 32],
}

impl Identity {
    /// Whether `directory` holds any file of an identity.
    #[must_use]
    pub fn exists(directory: &Path) -> bool {
        [CA_KEY, CA_CERTIFICATE, SERVER_KEY, SERVER_CERTIFICATE, FINGERPRINT]
            .iter()
            .any(|name| directory.join(name).exists())
    }

    /// Makes new keys and certificates for the server at `host` (a name or an address; clients do not check it) and writes
    /// them to `directory`, which is made if it is missing. What exists there is never overwritten.
    ///
    /// When this returns, everything is on disk.
    ///
    /// # Errors
    /// [`Problem::Exists`] if there is an identity already, [`Problem::Host`] if `host` is too long or empty, and those of the
    /// operating system.
    pub fn create(directory: &Path, algorithm: KeyAlgorithm, host: &str) -> Result<Self, IdentityError> {
        for name in [CA_KEY, CA_CERTIFICATE, SERVER_KEY, SERVER_CERTIFICATE, FINGERPRINT] {
            if directory.join(name).exists() {
                return Err(Problem::Exists.at(directory, name));
            }
        }
        let (authority, server) = (SecretKey::generate(algorithm)?, SecretKey::generate(algorithm)?);
        let now = now();
        let failed = |_| Problem::Host.at(directory, SERVER_CERTIFICATE);
        let mut buffer = [0; MAX_CERTIFICATE_LENGTH];
        let ca = write_authority(&mut buffer, &parameters(now)?, authority.signer()).map_err(failed)?.to_vec();
        let issuer = Certificate::from_der(&ca).map_err(failed)?;
        if host.is_empty() {
            return Err(Problem::Host.at(directory, SERVER_CERTIFICATE));
        }
        let key = server.signer().public_key();
        let leaf = write_leaf(&mut buffer, &parameters(now)?, host, &key, &issuer, authority.signer())
            .map_err(failed)?
            .to_vec();
        let print = fingerprint(&ca);
        let mut text = [0; 48];
        let text =
            base64_url_encode(&print, true, &mut text).map_err(|_| Problem::Fingerprint.at(directory, FINGERPRINT))?;
        files::create(
            directory,
            [
                NewFile::new(CA_KEY, pem(PEM_KEY, &authority.pkcs8())?, Access::Owner),
                NewFile::new(CA_CERTIFICATE, pem(PEM_CERTIFICATE, &ca)?, Access::Everybody),
                NewFile::new(SERVER_KEY, pem(PEM_KEY, &server.pkcs8())?, Access::Owner),
                NewFile::new(SERVER_CERTIFICATE, pem(PEM_CERTIFICATE, &leaf)?, Access::Everybody),
                NewFile::new(FINGERPRINT, Zeroizing::new(format!("{text}\n")), Access::Everybody),
            ],
        )?;
        Self::load(directory)
    }

    /// Reads the identity in `directory` and checks that its files belong together. `ca.key` is not needed.
    ///
    /// # Errors
    /// Which file, what is wrong with it and what to do, see [`Problem`].
    pub fn load(directory: &Path) -> Result<Self, IdentityError> {
        let mut chain = certificates(directory, SERVER_CERTIFICATE)?;
        chain.truncate(1);
        chain.extend(certificates(directory, CA_CERTIFICATE)?);
        let identity = chain.get(1).ok_or_else(|| Problem::NoCertificate.at(directory, CA_CERTIFICATE))?;
        let print = fingerprint(identity);
        let text = files::read(directory, FINGERPRINT)?;
        let mut decoded = [0; 48];
        let stored = base64_url_decode(text.trim_ascii(), &mut decoded)
            .map_err(|_| Problem::Fingerprint.at(directory, FINGERPRINT))?;
        if stored != print {
            return Err(Problem::Fingerprint.at(directory, FINGERPRINT));
        }
        let views: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        validate_server_chain(&views, &print, now())
            .map_err(|error| Problem::Chain(error).at(directory, SERVER_CERTIFICATE))?;
        let text = files::read(directory, SERVER_KEY)?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| Problem::NoKey.at(directory, SERVER_KEY))?;
        let key = Zeroizing::new(key.secret_pkcs8_der().to_vec());
        let loaded = Self { chain, key, fingerprint: print };
        // A configuration is made only for a key of a known algorithm that is the leaf's.
        loaded.tls().map_err(|_| Problem::OtherKey.at(directory, SERVER_KEY))?;
        files::warn_if_readable_by_others(directory, &[CA_KEY, SERVER_KEY]);
        Ok(loaded)
    }

    /// The chain a server presents in DER: `server.crt`, then all of `ca.crt`.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The leaf's private key in PKCS#8 DER; it signs the TLS handshake and the session key. Secret.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// SHA-256 of the identity certificate, the key hash in the server's address.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The address of a relay with this identity, without a password: `smp://FINGERPRINT@hosts:port`. Several hosts are
    /// joined by commas.
    #[must_use]
    pub fn address(&self, hosts: &str, port: u16) -> String {
        format!("smp://{}@{hosts}:{port}", Base64(&self.fingerprint))
    }

    /// The algorithm of the leaf's key. `None` for one that cannot be.
    #[must_use]
    pub fn algorithm(&self) -> Option<KeyAlgorithm> {
        let leaf = Certificate::from_der(self.chain.first()?).ok()?;
        match leaf.public_key() {
            CertificateKey::Ed25519(_) => Some(KeyAlgorithm::Ed25519),
            CertificateKey::Ed448(_) => Some(KeyAlgorithm::Ed448),
            _ => None,
        }
    }

    /// The server's side of TLS with this identity.
    ///
    /// # Errors
    /// As [`ServerTls::new`].
    pub fn tls(&self) -> Result<ServerTls, NetError> {
        ServerTls::new(&self.chain, &self.key)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Identity(..)")
    }
}

/// A new private key.
#[allow(clippy::large_enum_variant, reason = "two of them live for the time of one call")]
enum SecretKey {
    Ed25519(Ed25519SecretKey),
    Ed448(Ed448SecretKey),
}

impl SecretKey {
    fn generate(algorithm: KeyAlgorithm) -> Result<Self, IdentityError> {
        Ok(match algorithm {
            KeyAlgorithm::Ed25519 => Self::Ed25519(Ed25519SecretKey::from_bytes(&*random()?)),
            KeyAlgorithm::Ed448 => Self::Ed448(Ed448SecretKey::from_bytes(&*random()?)),
        })
    }

    fn signer(&self) -> CertificateSigner<'_> {
        match self {
            Self::Ed25519(key) => CertificateSigner::Ed25519(key),
            Self::Ed448(key) => CertificateSigner::Ed448(key),
        }
    }

    fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Ed25519(key) => key.to_pkcs8().as_bytes().to_vec(),
            Self::Ed448(key) => key.to_pkcs8().as_bytes().to_vec(),
        })
    }
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, IdentityError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut()).map_err(|_| IdentityError::random())?;
    Ok(bytes)
}

/// A random serial number, and validity from an hour ago: clients whose clock is a little slow are let in too.
fn parameters(now: i64) -> Result<CertificateParameters, IdentityError> {
    let validity = Validity::from_days(now.saturating_sub(3600).max(0), VALIDITY_DAYS);
    Ok(CertificateParameters { serial: *random()?, validity })
}

/// All certificates in a file, in DER. Text around them is skipped.
fn certificates(directory: &Path, name: &'static str) -> Result<Vec<Vec<u8>>, IdentityError> {
    let text = files::read(directory, name)?;
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&text).map(|der| der.map(|der| der.to_vec())).collect();
    let found = found.map_err(|_| Problem::NoCertificate.at(directory, name))?;
    if found.is_empty() { Err(Problem::NoCertificate.at(directory, name)) } else { Ok(found) }
}

/// `der` as the text of a PEM file.
fn pem(label: &str, der: &[u8]) -> Result<Zeroizing<String>, IdentityError> {
    let text = pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der);
    text.map(Zeroizing::new).map_err(|_| IdentityError::encoding())
}

/// Seconds since the Unix epoch.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}
