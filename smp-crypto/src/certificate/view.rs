//! An X.509 certificate, read in place.

use smp_proto::key::{ED448_SPKI, ED25519_SPKI, Ed448PublicKey, Ed25519PublicKey};
use smp_proto::wire::Error;

use crate::key::Verify;

use super::der::{self, DerReader};
use super::time::{TIME_MAX, read_time};

pub(crate) const ED25519_OID: [u8; 3] = [0x2b, 0x65, 0x70];
pub(crate) const ED448_OID: [u8; 3] = [0x2b, 0x65, 0x71];
pub(crate) const SUBJECT_KEY_IDENTIFIER_OID: [u8; 3] = [0x55, 0x1d, 0x0e];
pub(crate) const AUTHORITY_KEY_IDENTIFIER_OID: [u8; 3] = [0x55, 0x1d, 0x23];
pub(crate) const KEY_USAGE_OID: [u8; 3] = [0x55, 0x1d, 0x0f];
pub(crate) const BASIC_CONSTRAINTS_OID: [u8; 3] = [0x55, 0x1d, 0x13];

/// The signature algorithm of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// Ed448 (RFC 8410).
    Ed448,
    /// One that this crate cannot verify.
    Other,
}

/// The public key of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateKey {
    /// Signs with Ed25519.
    Ed25519(Ed25519PublicKey),
    /// Signs with Ed448.
    Ed448(Ed448PublicKey),
    /// A key of an algorithm that this crate cannot verify with. Certificates that nothing depends on may have one.
    Other,
}

impl Verify for CertificateKey {
    /// Fails with [`Unsupported`](crate::Error::Unsupported) for keys of other algorithms.
    fn verify_parts(&self, message: &[&[u8]], signature: &[u8]) -> Result<(), crate::Error> {
        match self {
            Self::Ed25519(key) => key.verify_parts(message, signature),
            Self::Ed448(key) => key.verify_parts(message, signature),
            Self::Other => Err(crate::Error::Unsupported),
        }
    }
}

/// First and last second of validity, in seconds since the Unix epoch. Both belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: i64,
    /// The last second.
    pub not_after: i64,
}

impl Validity {
    /// A number of days of 86,400 seconds, from one second on. It ends with the year 9999 at the latest.
    #[must_use]
    pub fn from_days(not_before: i64, days: u32) -> Self {
        let not_after = not_before.saturating_add(i64::from(days).saturating_mul(86_400)).min(TIME_MAX);
        Self { not_before, not_after }
    }
}

/// What the basicConstraints extension says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the subject may issue certificates. `false` when there is no such extension.
    pub is_authority: bool,
    /// How many intermediate certificates may stand between this one and the leaf, if that is limited. Limits above
    /// 127 are read as 127.
    pub path_length: Option<u8>,
}

/// An X.509 certificate, read in place from its DER (RFC 5280).
///
/// Reading checks the form only; see [`validate_server_chain`](super::validate_server_chain) for trust.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    der: &'a [u8],
    tbs: &'a [u8],
    version: u8,
    serial: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    validity: Validity,
    key: CertificateKey,
    basic_constraints: BasicConstraints,
    may_sign_certificates: bool,
    key_identifier: Option<&'a [u8]>,
    algorithm: SignatureAlgorithm,
    signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate that fills `der` completely.
    ///
    /// Fails for whatever is not strict DER, for versions other than 1 to 3, for a signature algorithm that differs
    /// between its two places, for a repeated extension, and for an Ed25519 or Ed448 key with unused bits or of another
    /// length. Extensions other than basicConstraints, keyUsage and subjectKeyIdentifier are skipped, also critical ones, as every peer does.
    pub fn from_der(der: &'a [u8]) -> Result<Self, Error> {
        let mut outer = DerReader::new(der);
        let mut certificate = outer.enter(der::SEQUENCE)?;
        outer.finish()?;

        let tbs = certificate.expect(der::SEQUENCE)?;
        let algorithm = certificate.expect(der::SEQUENCE)?;
        let signature = certificate.whole_bytes()?;
        certificate.finish()?;

        let mut fields = DerReader::new(tbs.contents);
        let version = read_version(&mut fields)?;
        let serial = fields.integer()?;
        if fields.expect(der::SEQUENCE)?.encoding != algorithm.encoding {
            return Err(Error::Invalid);
        }
        let issuer = fields.expect(der::SEQUENCE)?.encoding;
        let validity = read_validity(fields.enter(der::SEQUENCE)?)?;
        let subject = fields.expect(der::SEQUENCE)?.encoding;
        let key = read_key(fields.expect(der::SEQUENCE)?.encoding)?;
        let extensions = read_tail(&mut fields, version)?;
        Ok(Self {
            der,
            tbs: tbs.encoding,
            version,
            serial,
            issuer,
            subject,
            validity,
            key,
            basic_constraints: extensions.basic_constraints.unwrap_or_default(),
            may_sign_certificates: extensions.may_sign_certificates.unwrap_or(true),
            key_identifier: extensions.key_identifier,
            algorithm: read_algorithm(algorithm.contents)?,
            signature,
        })
    }

    /// All bytes of the certificate.
    #[must_use]
    pub const fn as_der(&self) -> &'a [u8] {
        self.der
    }

    /// SHA-256 of all bytes: the "key hash" of server addresses when this is the identity certificate.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        super::fingerprint(self.der)
    }

    /// The signed part.
    #[must_use]
    pub const fn tbs(&self) -> &'a [u8] {
        self.tbs
    }

    /// The X.509 version, 1 to 3.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// The serial number, as the contents of its INTEGER.
    #[must_use]
    pub const fn serial(&self) -> &'a [u8] {
        self.serial
    }

    /// The DER of the issuer's name.
    #[must_use]
    pub const fn issuer(&self) -> &'a [u8] {
        self.issuer
    }

    /// The DER of the subject's name.
    #[must_use]
    pub const fn subject(&self) -> &'a [u8] {
        self.subject
    }

    /// When the certificate is valid.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.validity
    }

    /// The subject's public key.
    #[must_use]
    pub const fn public_key(&self) -> &CertificateKey {
        &self.key
    }

    /// The basicConstraints extension, or its defaults.
    #[must_use]
    pub const fn basic_constraints(&self) -> BasicConstraints {
        self.basic_constraints
    }

    /// Whether keyUsage, if it is there, has keyCertSign.
    #[must_use]
    pub const fn may_sign_certificates(&self) -> bool {
        self.may_sign_certificates
    }

    /// The subjectKeyIdentifier, if there is one.
    #[must_use]
    pub const fn subject_key_identifier(&self) -> Option<&'a [u8]> {
        self.key_identifier
    }

    /// How the certificate is signed.
    #[must_use]
    pub const fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The signature over [`tbs`](Self::tbs).
    #[must_use]
    pub const fn signature(&self) -> &'a [u8] {
        self.signature
    }
}

fn read_version(fields: &mut DerReader<'_>) -> Result<u8, Error> {
    let Some(element) = fields.optional(der::explicit(0))? else {
        return Ok(1);
    };
    let mut reader = DerReader::new(element.contents);
    let version = reader.small_integer()?;
    reader.finish()?;
    match version {
        0..=2 => Ok(version.saturating_add(1)),
        _ => Err(Error::Invalid),
    }
}

fn read_validity(mut reader: DerReader<'_>) -> Result<Validity, Error> {
    let not_before = read_time(&mut reader)?;
    let not_after = read_time(&mut reader)?;
    reader.finish()?;
    Ok(Validity { not_before, not_after })
}

fn read_key(spki: &[u8]) -> Result<CertificateKey, Error> {
    let mut reader = DerReader::new(spki);
    let mut info = reader.enter(der::SEQUENCE)?;
    let algorithm = info.expect(der::SEQUENCE)?;
    info.expect(der::BIT_STRING)?;
    info.finish()?;
    // The prefixes of both kinds are the outer header (2 bytes), then the algorithm (7 bytes).
    match algorithm.encoding {
        encoding if ED25519_SPKI.get(2..9) == Some(encoding) => {
            Ed25519PublicKey::from_spki(spki).map(CertificateKey::Ed25519)
        }
        encoding if ED448_SPKI.get(2..9) == Some(encoding) => {
            Ed448PublicKey::from_spki(spki).map(CertificateKey::Ed448)
        }
        _ => Ok(CertificateKey::Other),
    }
}

fn read_algorithm(contents: &[u8]) -> Result<SignatureAlgorithm, Error> {
    let mut reader = DerReader::new(contents);
    let oid = reader.expect(der::OBJECT_IDENTIFIER)?.contents;
    // RFC 8410, section 3: these two have no parameters.
    if oid == ED25519_OID {
        reader.finish()?;
        Ok(SignatureAlgorithm::Ed25519)
    } else if oid == ED448_OID {
        reader.finish()?;
        Ok(SignatureAlgorithm::Ed448)
    } else {
        Ok(SignatureAlgorithm::Other)
    }
}

#[derive(Default)]
struct Extensions<'a> {
    basic_constraints: Option<BasicConstraints>,
    may_sign_certificates: Option<bool>,
    key_identifier: Option<&'a [u8]>,
}

/// Reads what may stand behind the key: two unique identifiers that nobody uses, and the extensions.
fn read_tail<'a>(fields: &mut DerReader<'a>, version: u8) -> Result<Extensions<'a>, Error> {
    let mut extensions = Extensions::default();
    if version >= 2 {
        fields.optional(0x81)?;
        fields.optional(0x82)?;
    }
    if version == 3
        && let Some(element) = fields.optional(der::explicit(3))?
    {
        let mut reader = DerReader::new(element.contents);
        let mut list = reader.enter(der::SEQUENCE)?;
        reader.finish()?;
        // RFC 5280, section 4.1.2.9: the list is not empty.
        read_extension(&mut list, &mut extensions)?;
        while !list.is_empty() {
            read_extension(&mut list, &mut extensions)?;
        }
    }
    fields.finish()?;
    Ok(extensions)
}

fn read_extension<'a>(list: &mut DerReader<'a>, extensions: &mut Extensions<'a>) -> Result<(), Error> {
    let mut extension = list.enter(der::SEQUENCE)?;
    let oid = extension.expect(der::OBJECT_IDENTIFIER)?.contents;
    extension.optional_boolean()?;
    let value = extension.expect(der::OCTET_STRING)?.contents;
    extension.finish()?;
    if oid == BASIC_CONSTRAINTS_OID {
        set_once(&mut extensions.basic_constraints, read_basic_constraints(value)?)
    } else if oid == KEY_USAGE_OID {
        set_once(&mut extensions.may_sign_certificates, read_may_sign_certificates(value)?)
    } else if oid == SUBJECT_KEY_IDENTIFIER_OID {
        let mut reader = DerReader::new(value);
        let identifier = reader.expect(der::OCTET_STRING)?.contents;
        reader.finish()?;
        set_once(&mut extensions.key_identifier, identifier)
    } else {
        Ok(())
    }
}

fn set_once<T>(place: &mut Option<T>, value: T) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::Invalid),
    }
}

fn read_basic_constraints(value: &[u8]) -> Result<BasicConstraints, Error> {
    let mut reader = DerReader::new(value);
    let mut fields = reader.enter(der::SEQUENCE)?;
    reader.finish()?;
    let is_authority = fields.optional_boolean()?;
    let path_length = if fields.is_empty() {
        None
    } else {
        match fields.integer()? {
            [0x80..=0xff, ..] => return Err(Error::Invalid),
            [length] => Some(*length),
            _ => Some(0x7f),
        }
    };
    fields.finish()?;
    Ok(BasicConstraints { is_authority, path_length })
}

/// keyCertSign is bit 5, counted from the highest bit of the first byte.
fn read_may_sign_certificates(value: &[u8]) -> Result<bool, Error> {
    let mut reader = DerReader::new(value);
    let bits = reader.expect(der::BIT_STRING)?.contents;
    reader.finish()?;
    match bits {
        [0..=7, first, ..] => Ok(first & 0x04 != 0),
        [0] => Ok(false),
        _ => Err(Error::Invalid),
    }
}
