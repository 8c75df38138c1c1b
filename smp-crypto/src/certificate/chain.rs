//! Which certificate chains are trusted (wire reference, section 3.2).
//!
//! A chain is given leaf first. It carries its own trust anchor, the last certificate, so a valid path to the anchor says
//! nothing by itself: trust comes from the identity certificate, whose fingerprint is in the server's address. The
//! rules:
//!
//! - 2 to 4 certificates; the identity is the second one.
//! - The identity's SHA-256 is the one the address has.
//! - The leaf is of version 3 and leads to the anchor: the issuer of each certificate is found by name, the anchor first,
//!   then among the others; its key verifies the signature. Every certificate on the way, except the anchor, is within its
//!   validity; every issuer, except the anchor, may issue certificates.
//! - The identity is on that way. Without this rule anybody could put a server's public identity certificate between a
//!   leaf and an authority of his own making.
//!
//! The anchor's dates and CA flag are not looked at, names of hosts and purposes of keys neither. A device that does not
//! know the time leaves out the dates, and those only.

use core::fmt;

use sha2::{Digest, Sha256};
use smp_proto::wire;
use subtle::ConstantTimeEq;

use crate::Error;
use crate::key::Verify;

use super::view::{Certificate, CertificateKey, SignatureAlgorithm};

/// The longest accepted chain, in certificates.
pub const MAX_CHAIN_LENGTH: usize = 4;

/// Why a chain is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChainError {
    /// There are fewer certificates than needed.
    EmptyChain,
    /// There are more than four certificates, or more between leaf and issuer than the issuer allows.
    TooDeep,
    /// A certificate or key cannot be read.
    Malformed(wire::Error),
    /// The leaf is not an X.509 certificate of version 3.
    LeafVersion,
    /// The identity is not the expected one, has no part in the path, or an issuer is not in the chain.
    UnknownCa,
    /// A certificate in the path is its own issuer, and it is not the anchor.
    SelfSigned,
    /// An issuer is no certificate authority.
    NotAnAuthority,
    /// An issuer's key is not for signing certificates.
    NotAllowedToSign,
    /// An issuer's key does not verify a signature.
    InvalidSignature,
    /// A key or signature in the path is of an algorithm other than Ed25519 and Ed448.
    UnsupportedAlgorithm,
    /// A certificate is not valid any more.
    Expired,
    /// A certificate is not valid yet. The clock may be wrong.
    NotYetValid,
}

impl ChainError {
    /// The TLS alert that says this (RFC 8446, section 6.2).
    #[must_use]
    pub const fn tls_alert(self) -> u8 {
        match self {
            Self::Malformed(_) | Self::InvalidSignature | Self::LeafVersion => 42, // bad_certificate
            Self::UnsupportedAlgorithm => 43,                                      // unsupported_certificate
            Self::Expired | Self::NotYetValid => 45,                               // certificate_expired
            Self::TooDeep | Self::NotAnAuthority | Self::NotAllowedToSign => 46,   // certificate_unknown
            Self::UnknownCa | Self::SelfSigned => 48,                              // unknown_ca
            Self::EmptyChain => 116,                                               // certificate_required
        }
    }
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyChain => "the chain has too few certificates",
            Self::TooDeep => "the chain has too many certificates",
            Self::Malformed(_) => "a certificate cannot be read",
            Self::LeafVersion => "the leaf certificate is not of version 3",
            Self::UnknownCa => "the chain does not lead to the expected identity certificate",
            Self::SelfSigned => "a certificate is signed by itself",
            Self::NotAnAuthority => "an issuer is not a certificate authority",
            Self::NotAllowedToSign => "an issuer's key is not for signing certificates",
            Self::InvalidSignature => "the signature of a certificate is wrong",
            Self::UnsupportedAlgorithm => "a certificate has a key or signature that is neither Ed25519 nor Ed448",
            Self::Expired => "a certificate has expired",
            Self::NotYetValid => "a certificate is not valid yet; is the clock right?",
        })
    }
}

impl core::error::Error for ChainError {}

impl From<wire::Error> for ChainError {
    fn from(error: wire::Error) -> Self {
        Self::Malformed(error)
    }
}

/// What a trusted chain proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidatedChain {
    /// The key that signs the TLS handshake and the session key; never [`CertificateKey::Other`].
    pub leaf_key: CertificateKey,
    /// SHA-256 of the identity certificate.
    pub identity: [u8; 32],
}

/// A chain that was validated before, by SHA-256 of all its certificates: 32 bytes, no secret. Where it can be changed,
/// keys can be, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownChain([u8; 32]);

impl KnownChain {
    fn of(chain: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for certificate in chain {
            // The lengths tell where one ends.
            digest.update(u64::try_from(certificate.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(certificate);
        }
        Self(digest.finalize().into())
    }

    /// What [`as_bytes`](Self::as_bytes) gave.
    #[must_use]
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest, to be kept.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Checks the chain of a server as [`validate_server_chain`] does, for devices to which a signature is work: when the
/// chain is the one that was validated last time, its signatures are not verified again. All else is checked as always.
/// Gives what to remember of the chain, too.
///
/// Without `now`, dates are not looked at, as by [`validate_server_chain_without_time`].
pub fn validate_server_chain_again(
    chain: &[&[u8]],
    expected_identity: &[u8],
    now: Option<i64>,
    known: Option<&KnownChain>,
) -> Result<(ValidatedChain, KnownChain), ChainError> {
    let shown = KnownChain::of(chain);
    let signatures = if known == Some(&shown) { Signatures::Known } else { Signatures::Verify };
    validate_chain_of_server(chain, expected_identity, now, signatures).map(|valid| (valid, shown))
}

/// Checks the chain of a server, leaf first, against the fingerprint in its address.
///
/// `now` is in seconds since the Unix epoch.
pub fn validate_server_chain(
    chain: &[&[u8]],
    expected_identity: &[u8],
    now: i64,
) -> Result<ValidatedChain, ChainError> {
    validate_chain_of_server(chain, expected_identity, Some(now), Signatures::Verify)
}

/// Checks the chain of a server as [`validate_server_chain`] does, except for dates: for devices without a clock.
///
/// What is lost: whoever has the key of a certificate that has expired can still play the server.
pub fn validate_server_chain_without_time(
    chain: &[&[u8]],
    expected_identity: &[u8],
) -> Result<ValidatedChain, ChainError> {
    validate_chain_of_server(chain, expected_identity, None, Signatures::Verify)
}

/// Whether signatures were verified before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signatures {
    Verify,
    Known,
}

fn validate_chain_of_server(
    chain: &[&[u8]],
    expected_identity: &[u8],
    now: Option<i64>,
    signatures: Signatures,
) -> Result<ValidatedChain, ChainError> {
    let ([leaf], [second, ..]) = chain.split_at_checked(1).ok_or(ChainError::EmptyChain)? else {
        return Err(ChainError::EmptyChain);
    };
    if chain.len() > MAX_CHAIN_LENGTH {
        return Err(ChainError::TooDeep);
    }
    let identity = super::fingerprint(second);
    if !bool::from(identity.as_slice().ct_eq(expected_identity)) {
        return Err(ChainError::UnknownCa);
    }
    validate(leaf, chain, second, now, signatures).map(|leaf_key| ValidatedChain { leaf_key, identity })
}

/// Checks the chain that a client shows to prove that it is a service, leaf first.
///
/// Two to four certificates as for servers, or one that is signed by itself. The identity is not compared with anything:
/// its fingerprint names the service. `now` is in seconds since the Unix epoch. An empty chain, which is what ordinary
/// clients show, is [`ChainError::EmptyChain`]: there is no service then.
pub fn validate_service_chain(chain: &[&[u8]], now: i64) -> Result<ValidatedChain, ChainError> {
    let (leaf, identity) = match chain {
        [] => return Err(ChainError::EmptyChain),
        [only] => (only, only),
        [leaf, identity, ..] => (leaf, identity),
    };
    if chain.len() > MAX_CHAIN_LENGTH {
        return Err(ChainError::TooDeep);
    }
    let leaf_key = validate(leaf, chain, identity, Some(now), Signatures::Verify)?;
    Ok(ValidatedChain { leaf_key, identity: super::fingerprint(identity) })
}

/// Walks from the leaf to the anchor, by way of the identity. Dates count when there is a time to compare them with.
fn validate(
    leaf: &[u8],
    chain: &[&[u8]],
    identity: &[u8],
    now: Option<i64>,
    signatures: Signatures,
) -> Result<CertificateKey, ChainError> {
    // All are read, so that a chain with an unreadable certificate in it is refused wherever that stands.
    let mut others = [None; MAX_CHAIN_LENGTH];
    let mut anchor = Certificate::from_der(leaf)?;
    for (place, der) in others.iter_mut().zip(chain.iter().skip(1)) {
        anchor = Certificate::from_der(der)?;
        *place = Some(anchor);
    }
    let leaf = Certificate::from_der(leaf)?;
    if leaf.version() != 3 {
        return Err(ChainError::LeafVersion);
    }

    let mut current = leaf;
    let mut passed_identity = anchor.as_der() == identity;
    for level in 0u8.. {
        if let Some(now) = now {
            check_time(&current, now)?;
        }
        passed_identity |= current.as_der() == identity;
        if current.issuer() == anchor.subject() {
            check_signature(&current, &anchor, signatures)?;
            break;
        }
        if current.issuer() == current.subject() {
            return Err(ChainError::SelfSigned);
        }
        let next = others
            .iter_mut()
            .find(|other| other.is_some_and(|other| other.subject() == current.issuer()))
            .and_then(Option::take)
            .ok_or(ChainError::UnknownCa)?;
        check_authority(&next, level)?;
        check_signature(&current, &next, signatures)?;
        current = next;
    }
    if !passed_identity {
        return Err(ChainError::UnknownCa);
    }
    match leaf.public_key() {
        CertificateKey::Other => Err(ChainError::UnsupportedAlgorithm),
        key => Ok(*key),
    }
}

fn check_time(certificate: &Certificate<'_>, now: i64) -> Result<(), ChainError> {
    if now < certificate.validity().not_before {
        Err(ChainError::NotYetValid)
    } else if now > certificate.validity().not_after {
        Err(ChainError::Expired)
    } else {
        Ok(())
    }
}

/// `level` counts the intermediate certificates between the issuer and the leaf.
fn check_authority(issuer: &Certificate<'_>, level: u8) -> Result<(), ChainError> {
    let constraints = issuer.basic_constraints();
    if !issuer.may_sign_certificates() {
        Err(ChainError::NotAllowedToSign)
    } else if !constraints.is_authority {
        Err(ChainError::NotAnAuthority)
    } else if constraints.path_length.is_some_and(|length| length < level) {
        Err(ChainError::TooDeep)
    } else {
        Ok(())
    }
}

fn check_signature(
    certificate: &Certificate<'_>,
    issuer: &Certificate<'_>,
    signatures: Signatures,
) -> Result<(), ChainError> {
    let key = issuer.public_key();
    match (certificate.signature_algorithm(), key) {
        (SignatureAlgorithm::Other, _) | (_, CertificateKey::Other) => return Err(ChainError::UnsupportedAlgorithm),
        (SignatureAlgorithm::Ed25519, CertificateKey::Ed25519(_))
        | (SignatureAlgorithm::Ed448, CertificateKey::Ed448(_)) => {}
        _ => return Err(ChainError::InvalidSignature),
    }
    if signatures == Signatures::Known {
        return Ok(());
    }
    key.verify(certificate.tbs(), certificate.signature()).map_err(|error| match error {
        Error::Unsupported => ChainError::UnsupportedAlgorithm,
        _ => ChainError::InvalidSignature,
    })
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::super::der::{self, SEQUENCE};
    use super::super::view::{BASIC_CONSTRAINTS_OID, ED25519_OID, KEY_USAGE_OID};
    use super::super::writer::DerWriter;
    use super::*;
    use crate::key::Ed25519SecretKey;

    const AUTHORITY: &[u8] = &[SEQUENCE, 3, der::BOOLEAN, 1, 0xff];
    const PATH_LENGTH_0: &[u8] = &[SEQUENCE, 6, der::BOOLEAN, 1, 0xff, der::INTEGER, 1, 0];
    const PATH_LENGTH_300: &[u8] = &[SEQUENCE, 7, der::BOOLEAN, 1, 0xff, der::INTEGER, 2, 1, 44];
    const CERTIFICATE_SIGNING: &[u8] = &[der::BIT_STRING, 2, 2, 0x04];
    const KEY_AGREEMENT: &[u8] = &[der::BIT_STRING, 2, 3, 0x08];
    const RSA_KEY: &[u8] =
        &[SEQUENCE, 12, SEQUENCE, 5, der::OBJECT_IDENTIFIER, 3, 42, 3, 4, der::BIT_STRING, 3, 0, 5, 0];

    fn key(seed: u8) -> Ed25519SecretKey {
        Ed25519SecretKey::from_bytes(&[seed; 32])
    }

    fn spki(seed: u8) -> Vec<u8> {
        key(seed).public_key().to_spki().to_vec()
    }

    /// A certificate with one-letter names, valid in seconds 10 to 20.
    fn certificate(issuer: u8, subject: u8, spki: &[u8], extensions: &[(&[u8], &[u8])], signer: u8) -> Vec<u8> {
        let algorithm = |writer: &mut DerWriter<'_>| {
            writer.nested(SEQUENCE, |writer| writer.element(der::OBJECT_IDENTIFIER, &ED25519_OID))
        };
        let mut buffer = [0; 1024];
        let mut writer = DerWriter::new(&mut buffer);
        writer
            .nested(SEQUENCE, |writer| {
                writer.nested(SEQUENCE, |writer| {
                    writer.nested(der::explicit(0), |writer| writer.element(der::INTEGER, &[2]))?;
                    writer.element(der::INTEGER, &[1])?;
                    algorithm(writer)?;
                    writer.element(SEQUENCE, &[der::UTF8_STRING, 1, issuer])?;
                    writer.nested(SEQUENCE, |writer| {
                        writer.element(der::UTC_TIME, b"700101000010Z")?;
                        writer.element(der::UTC_TIME, b"700101000020Z")
                    })?;
                    writer.element(SEQUENCE, &[der::UTF8_STRING, 1, subject])?;
                    writer.bytes(spki)?;
                    if extensions.is_empty() {
                        return Ok(());
                    }
                    writer.nested(der::explicit(3), |writer| {
                        writer.nested(SEQUENCE, |writer| {
                            extensions.iter().try_for_each(|(oid, value)| {
                                writer.nested(SEQUENCE, |writer| {
                                    writer.element(der::OBJECT_IDENTIFIER, oid)?;
                                    writer.element(der::OCTET_STRING, value)
                                })
                            })
                        })
                    })
                })?;
                let signature = key(signer).sign(writer.written_from(0)?.get(1..).unwrap());
                algorithm(writer)?;
                writer.bit_string(&signature)
            })
            .unwrap();
        writer.into_written().unwrap().to_vec()
    }

    fn verdict(chain: &[&[u8]]) -> Result<(), ChainError> {
        validate_server_chain(chain, &super::super::fingerprint(chain[1]), 15).map(drop)
    }

    #[test]
    fn only_dates_need_a_clock() {
        let authority = certificate(b'a', b'a', &spki(1), &[], 1);
        let leaf = certificate(b'a', b'l', &spki(2), &[], 1);
        let forged = certificate(b'a', b'l', &spki(2), &[], 3);
        let identity = super::super::fingerprint(&authority);
        let at = |chain: &[&[u8]], now| validate_server_chain(chain, &identity, now).map(drop);
        let without = |chain: &[&[u8]], identity| validate_server_chain_without_time(chain, identity).map(drop);
        assert_eq!(at(&[&leaf, &authority], 9), Err(ChainError::NotYetValid));
        assert_eq!(at(&[&leaf, &authority], 10), Ok(()));
        assert_eq!(at(&[&leaf, &authority], 20), Ok(()));
        assert_eq!(at(&[&leaf, &authority], 21), Err(ChainError::Expired));
        assert_eq!(without(&[&leaf, &authority], &identity), Ok(()));
        assert_eq!(without(&[&leaf, &authority], &[0; 32]), Err(ChainError::UnknownCa));
        assert_eq!(without(&[&forged, &authority], &identity), Err(ChainError::InvalidSignature));
        assert_eq!(without(&[&leaf], &identity), Err(ChainError::EmptyChain));
    }

    #[test]
    fn a_known_chain_is_the_same_chain_to_the_last_byte() {
        let authority = certificate(b'a', b'a', &spki(1), &[], 1);
        let leaf = certificate(b'a', b'l', &spki(2), &[], 1);
        let forged = certificate(b'a', b'l', &spki(2), &[], 3);
        let identity = super::super::fingerprint(&authority);
        let again = |chain: &[&[u8]], now, known: &KnownChain| {
            validate_server_chain_again(chain, &identity, now, Some(known)).map(drop)
        };
        let known = KnownChain::of(&[&leaf, &authority]);
        assert_eq!(KnownChain::from_bytes(*known.as_bytes()), known);
        assert_eq!(again(&[&leaf, &authority], None, &known), Ok(()));
        assert_eq!(again(&[&forged, &authority], None, &known), Err(ChainError::InvalidSignature));
        // Who calls a forged chain known gets what he asked for, and nothing else is believed.
        let believed = KnownChain::of(&[&forged, &authority]);
        assert_eq!(again(&[&forged, &authority], None, &believed), Ok(()));
        assert_eq!(again(&[&leaf, &authority], None, &believed), Ok(()));
        assert_eq!(again(&[&forged, &authority], Some(21), &believed), Err(ChainError::Expired));
        let elsewhere = validate_server_chain_again(&[&leaf, &authority], &[0; 32], None, Some(&known));
        assert_eq!(elsewhere.err(), Some(ChainError::UnknownCa));
        // Bytes do not move from one certificate to the next.
        let joined = [&leaf[..], &authority[..1]].concat();
        assert_ne!(KnownChain::of(&[&joined, &authority[1..]]), known);
        for position in 0..leaf.len() {
            let mut changed = leaf.clone();
            changed[position] ^= 1;
            assert!(again(&[&changed, &authority], None, &known).is_err(), "{position}");
        }
    }

    #[test]
    fn issuers_must_be_allowed_to_issue() {
        let anchor = certificate(b'a', b'a', &spki(1), &[], 1);
        let leaf = certificate(b'i', b'l', &spki(3), &[], 2);
        let chain = |extensions: &[(&[u8], &[u8])]| {
            verdict(&[&leaf, &certificate(b'a', b'i', &spki(2), extensions, 1), &anchor])
        };
        let constraints = |value| (&BASIC_CONSTRAINTS_OID[..], value);
        let usage = |value| (&KEY_USAGE_OID[..], value);
        assert_eq!(chain(&[constraints(AUTHORITY)]), Ok(()));
        assert_eq!(chain(&[constraints(PATH_LENGTH_0)]), Ok(()));
        assert_eq!(chain(&[constraints(AUTHORITY), usage(CERTIFICATE_SIGNING)]), Ok(()));
        assert_eq!(chain(&[constraints(AUTHORITY), (&[42, 3], &[])]), Ok(()), "unknown extensions are skipped");
        assert_eq!(chain(&[]), Err(ChainError::NotAnAuthority));
        assert_eq!(chain(&[constraints(&[SEQUENCE, 0])]), Err(ChainError::NotAnAuthority));
        assert_eq!(chain(&[constraints(AUTHORITY), usage(KEY_AGREEMENT)]), Err(ChainError::NotAllowedToSign));
        for malformed in [
            &[constraints(AUTHORITY), constraints(AUTHORITY)][..],
            &[constraints(&[SEQUENCE, 3, der::BOOLEAN, 1, 1])],
            &[constraints(AUTHORITY), usage(&[der::BIT_STRING, 2, 8, 0x04])],
        ] {
            assert_eq!(chain(malformed), Err(ChainError::Malformed(wire::Error::Invalid)));
        }
    }

    #[test]
    fn an_issuer_limits_the_length_of_the_path() {
        let anchor = certificate(b'a', b'a', &spki(1), &[], 1);
        let lower = certificate(b'i', b'j', &spki(3), &[(&BASIC_CONSTRAINTS_OID, PATH_LENGTH_0)], 2);
        let leaf = certificate(b'j', b'l', &spki(4), &[], 3);
        let chain = |constraints| {
            let upper = certificate(b'a', b'i', &spki(2), &[(&BASIC_CONSTRAINTS_OID, constraints)], 1);
            verdict(&[&leaf, &lower, &upper, &anchor])
        };
        assert_eq!(chain(AUTHORITY), Ok(()));
        assert_eq!(chain(PATH_LENGTH_300), Ok(()));
        assert_eq!(chain(PATH_LENGTH_0), Err(ChainError::TooDeep));
    }

    #[test]
    fn other_algorithms_are_read_and_not_relied_on() {
        let authority: &[(&[u8], &[u8])] = &[(&BASIC_CONSTRAINTS_OID, AUTHORITY)];
        let anchor = certificate(b'a', b'a', &spki(1), &[], 1);
        let identity = certificate(b'a', b'i', &spki(2), authority, 1);
        let leaf = certificate(b'i', b'l', &spki(3), &[], 2);
        let unrelated = certificate(b'x', b'y', RSA_KEY, &[], 9);
        assert_eq!(verdict(&[&leaf, &identity, &unrelated, &anchor]), Ok(()));

        let unsupported = Err(ChainError::UnsupportedAlgorithm);
        assert_eq!(verdict(&[&leaf, &identity, &certificate(b'a', b'a', RSA_KEY, &[], 1)]), unsupported);
        assert_eq!(verdict(&[&leaf, &certificate(b'a', b'i', RSA_KEY, authority, 1), &anchor]), unsupported);
        assert_eq!(verdict(&[&certificate(b'i', b'l', RSA_KEY, &[], 2), &identity, &anchor]), unsupported);
    }

    #[test]
    fn keys_with_unused_bits_are_not_keys() {
        let mut spki = spki(1);
        spki[11] = 1;
        let anchor = certificate(b'a', b'a', &spki, &[], 1);
        let leaf = certificate(b'a', b'l', &self::spki(2), &[], 1);
        assert_eq!(verdict(&[&leaf, &anchor]), Err(ChainError::Malformed(wire::Error::Invalid)));
    }

    #[test]
    fn a_path_cannot_go_in_circles() {
        let authority: &[(&[u8], &[u8])] = &[(&BASIC_CONSTRAINTS_OID, AUTHORITY)];
        let one = certificate(b'j', b'i', &spki(1), authority, 2);
        let two = certificate(b'i', b'j', &spki(2), authority, 1);
        let anchor = certificate(b'a', b'a', &spki(3), authority, 3);
        let leaf = certificate(b'i', b'l', &spki(4), &[], 1);
        assert_eq!(verdict(&[&leaf, &one, &two, &anchor]), Err(ChainError::UnknownCa));
    }
}
