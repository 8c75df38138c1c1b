//! Makes the certificates of a relay: an authority that identifies it and a leaf for its TLS (wire reference, section
//! 3.2, last paragraph).

use smp_proto::wire::Error;

use super::der::{
    self, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, UTC_TIME, UTF8_STRING,
};
use super::time::{GENERALIZED_TIME_FROM, write_time};
#[cfg(feature = "ed448")]
use super::view::ED448_OID;
use super::view::{
    AUTHORITY_KEY_IDENTIFIER_OID, BASIC_CONSTRAINTS_OID, Certificate, CertificateKey, ED25519_OID, KEY_USAGE_OID,
    SUBJECT_KEY_IDENTIFIER_OID, Validity,
};
use super::writer::DerWriter;
use crate::hash::sha256;
#[cfg(feature = "ed448")]
use crate::key::Ed448SecretKey;
use crate::key::Ed25519SecretKey;

/// A buffer of this many bytes holds any certificate made here.
pub const MAX_CERTIFICATE_LENGTH: usize = 1024;

/// How long certificates are made valid, in days: to all intents for ever. What ends a leaf's life is its replacement.
pub const VALIDITY_DAYS: u32 = 999_999;

/// The longest host name or address in a leaf, in bytes.
pub const MAX_HOST_LENGTH: usize = 255;

const COMMON_NAME_OID: [u8; 3] = [0x55, 0x04, 0x03];
const ORGANIZATION_OID: [u8; 3] = [0x55, 0x04, 0x0a];
const EXTENDED_KEY_USAGE_OID: [u8; 3] = [0x55, 0x1d, 0x25];
const SERVER_AUTHENTICATION_OID: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
/// digitalSignature, nonRepudiation, keyAgreement; three unused bits.
const LEAF_KEY_USAGE: [u8; 2] = [0x03, 0xc8];
const CRITICAL: [u8; 3] = [der::BOOLEAN, 0x01, 0xff];

/// The subject of authorities made here.
pub const AUTHORITY_COMMON_NAME: &str = "SMP server CA";
/// The organization of authorities made here.
pub const AUTHORITY_ORGANIZATION: &str = "SimpleX";

/// The key that signs a certificate.
#[derive(Clone, Copy, Debug)]
pub enum CertificateSigner<'k> {
    /// Signs with Ed25519.
    Ed25519(&'k Ed25519SecretKey),
    /// Signs with Ed448.
    #[cfg(feature = "ed448")]
    Ed448(&'k Ed448SecretKey),
}

impl CertificateSigner<'_> {
    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> CertificateKey {
        match self {
            Self::Ed25519(key) => CertificateKey::Ed25519(key.public_key()),
            #[cfg(feature = "ed448")]
            Self::Ed448(key) => CertificateKey::Ed448(key.public_key()),
        }
    }

    const fn algorithm(&self) -> [u8; 3] {
        match self {
            Self::Ed25519(_) => ED25519_OID,
            #[cfg(feature = "ed448")]
            Self::Ed448(_) => ED448_OID,
        }
    }
}

/// What the caller chooses for a certificate.
#[derive(Clone, Copy, Debug)]
pub struct CertificateParameters {
    /// Random bytes for the serial number. Their highest bit is not used.
    pub serial: [u8; 20],
    /// The time of validity; usually [`Validity::from_days`] with [`VALIDITY_DAYS`].
    pub validity: Validity,
}

/// Writes the certificate of a new authority, signed by itself: the identity of a relay.
///
/// Fails with [`Error::NoSpace`] when `buffer` is too short ([`MAX_CERTIFICATE_LENGTH`] is enough), with
/// [`Error::Invalid`] when the validity is not between 1970 and 9999.
pub fn write_authority<'b>(
    buffer: &'b mut [u8],
    parameters: &CertificateParameters,
    signer: CertificateSigner<'_>,
) -> Result<&'b [u8], Error> {
    let key = signer.public_key();
    let identifier = key_identifier(&key)?;
    let fields = Fields {
        parameters,
        issuer: Name::Authority,
        subject: Name::Authority,
        key: &key,
        kind: Kind::Authority,
        key_identifier: &identifier,
        authority_key_identifier: Some(&identifier),
    };
    write_certificate(buffer, &fields, signer)
}

/// Writes the certificate that a relay shows in TLS: for `key`, issued by `authority`, whose secret key is `signer`.
///
/// `host` is the name or address of the relay; clients do not check it. Fails as [`write_authority`] does, with
/// [`Error::TooLong`] when `host` is longer than [`MAX_HOST_LENGTH`], and with [`Error::Invalid`] when `signer` does not
/// belong to `authority` or `key` is of another algorithm.
pub fn write_leaf<'b>(
    buffer: &'b mut [u8],
    parameters: &CertificateParameters,
    host: &str,
    key: &CertificateKey,
    authority: &Certificate<'_>,
    signer: CertificateSigner<'_>,
) -> Result<&'b [u8], Error> {
    if host.len() > MAX_HOST_LENGTH {
        return Err(Error::TooLong);
    }
    if *authority.public_key() != signer.public_key() {
        return Err(Error::Invalid);
    }
    let fields = Fields {
        parameters,
        issuer: Name::Encoded(authority.subject()),
        subject: Name::Host(host),
        key,
        kind: Kind::Leaf,
        key_identifier: &key_identifier(key)?,
        authority_key_identifier: authority.subject_key_identifier(),
    };
    write_certificate(buffer, &fields, signer)
}

/// The first 160 bits of SHA-256 of the raw key (RFC 7093, section 2, method 1).
fn key_identifier(key: &CertificateKey) -> Result<[u8; 20], Error> {
    let hash = match key {
        CertificateKey::Ed25519(key) => sha256(&[&key.0]),
        CertificateKey::Ed448(key) => sha256(&[&key.0]),
        CertificateKey::Other => return Err(Error::Invalid),
    };
    hash.first_chunk().copied().ok_or(Error::Invalid)
}

enum Name<'a> {
    Authority,
    Host(&'a str),
    Encoded(&'a [u8]),
}

enum Kind {
    Authority,
    Leaf,
}

struct Fields<'a> {
    parameters: &'a CertificateParameters,
    issuer: Name<'a>,
    subject: Name<'a>,
    key: &'a CertificateKey,
    kind: Kind,
    key_identifier: &'a [u8],
    authority_key_identifier: Option<&'a [u8]>,
}

fn write_certificate<'b>(
    buffer: &'b mut [u8],
    fields: &Fields<'_>,
    signer: CertificateSigner<'_>,
) -> Result<&'b [u8], Error> {
    let mut writer = DerWriter::new(buffer);
    writer.nested(SEQUENCE, |writer| {
        let start = writer.len();
        write_tbs(writer, fields, &signer.algorithm())?;
        let tbs = writer.written_from(start)?;
        match signer {
            CertificateSigner::Ed25519(key) => {
                let signature = key.sign(tbs);
                write_algorithm(writer, &ED25519_OID)?;
                writer.bit_string(&signature)
            }
            #[cfg(feature = "ed448")]
            CertificateSigner::Ed448(key) => {
                let signature = key.sign(tbs);
                write_algorithm(writer, &ED448_OID)?;
                writer.bit_string(&signature)
            }
        }
    })?;
    writer.into_written()
}

fn write_tbs(writer: &mut DerWriter<'_>, fields: &Fields<'_>, algorithm: &[u8]) -> Result<(), Error> {
    writer.nested(SEQUENCE, |writer| {
        writer.nested(der::explicit(0), |writer| writer.element(INTEGER, &[2]))?;
        write_serial(writer, &fields.parameters.serial)?;
        write_algorithm(writer, algorithm)?;
        write_name(writer, &fields.issuer)?;
        writer.nested(SEQUENCE, |writer| {
            write_instant(writer, fields.parameters.validity.not_before)?;
            write_instant(writer, fields.parameters.validity.not_after)
        })?;
        write_name(writer, &fields.subject)?;
        match fields.key {
            CertificateKey::Ed25519(key) => writer.bytes(&key.to_spki())?,
            CertificateKey::Ed448(key) => writer.bytes(&key.to_spki())?,
            CertificateKey::Other => return Err(Error::Invalid),
        }
        writer.nested(der::explicit(3), |writer| writer.nested(SEQUENCE, |writer| write_extensions(writer, fields)))
    })
}

fn write_serial(writer: &mut DerWriter<'_>, serial: &[u8; 20]) -> Result<(), Error> {
    let mut serial = *serial;
    let [first, ..] = &mut serial;
    *first &= 0x7f;
    let mut digits = serial.as_slice();
    while let [0, rest @ ..] = digits
        && matches!(rest, [0..=0x7f, ..])
    {
        digits = rest;
    }
    writer.element(INTEGER, digits)
}

fn write_algorithm(writer: &mut DerWriter<'_>, oid: &[u8]) -> Result<(), Error> {
    writer.nested(SEQUENCE, |writer| writer.element(OBJECT_IDENTIFIER, oid))
}

fn write_instant(writer: &mut DerWriter<'_>, seconds: i64) -> Result<(), Error> {
    let text = write_time(seconds)?;
    if seconds < GENERALIZED_TIME_FROM {
        writer.element(UTC_TIME, text.get(2..).unwrap_or_default())
    } else {
        writer.element(GENERALIZED_TIME, &text)
    }
}

fn write_name(writer: &mut DerWriter<'_>, name: &Name<'_>) -> Result<(), Error> {
    let attribute = |writer: &mut DerWriter<'_>, oid: &[u8], value: &str| {
        writer.nested(SET, |writer| {
            writer.nested(SEQUENCE, |writer| {
                writer.element(OBJECT_IDENTIFIER, oid)?;
                writer.element(UTF8_STRING, value.as_bytes())
            })
        })
    };
    match name {
        Name::Encoded(der) => writer.bytes(der),
        Name::Host(host) => writer.nested(SEQUENCE, |writer| attribute(writer, &COMMON_NAME_OID, host)),
        Name::Authority => writer.nested(SEQUENCE, |writer| {
            attribute(writer, &COMMON_NAME_OID, AUTHORITY_COMMON_NAME)?;
            attribute(writer, &ORGANIZATION_OID, AUTHORITY_ORGANIZATION)
        }),
    }
}

/// The order is that of the certificates which operators already have.
fn write_extensions(writer: &mut DerWriter<'_>, fields: &Fields<'_>) -> Result<(), Error> {
    match fields.kind {
        Kind::Authority => {
            write_key_identifiers(writer, fields)?;
            write_extension(writer, &BASIC_CONSTRAINTS_OID, true, |writer| {
                writer.nested(SEQUENCE, |writer| writer.element(der::BOOLEAN, &[0xff]))
            })
        }
        Kind::Leaf => {
            write_extension(writer, &BASIC_CONSTRAINTS_OID, false, |writer| writer.element(SEQUENCE, &[]))?;
            write_extension(writer, &KEY_USAGE_OID, false, |writer| writer.element(der::BIT_STRING, &LEAF_KEY_USAGE))?;
            write_extension(writer, &EXTENDED_KEY_USAGE_OID, false, |writer| {
                writer.nested(SEQUENCE, |writer| writer.element(OBJECT_IDENTIFIER, &SERVER_AUTHENTICATION_OID))
            })?;
            write_key_identifiers(writer, fields)
        }
    }
}

fn write_key_identifiers(writer: &mut DerWriter<'_>, fields: &Fields<'_>) -> Result<(), Error> {
    write_extension(writer, &SUBJECT_KEY_IDENTIFIER_OID, false, |writer| {
        writer.element(OCTET_STRING, fields.key_identifier)
    })?;
    let Some(identifier) = fields.authority_key_identifier else {
        return Ok(());
    };
    write_extension(writer, &AUTHORITY_KEY_IDENTIFIER_OID, false, |writer| {
        writer.nested(SEQUENCE, |writer| writer.element(0x80, identifier))
    })
}

fn write_extension(
    writer: &mut DerWriter<'_>,
    oid: &[u8],
    critical: bool,
    value: impl FnOnce(&mut DerWriter<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    writer.nested(SEQUENCE, |writer| {
        writer.element(OBJECT_IDENTIFIER, oid)?;
        if critical {
            writer.bytes(&CRITICAL)?;
        }
        writer.nested(OCTET_STRING, value)
    })
}
