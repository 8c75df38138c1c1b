//! A relay makes its certificates, shows them, and clients trust them; what others make up they don't.

#![cfg(feature = "ed448")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{for_each_case, text};
use rand_core::SeedableRng;
use serde_json::Value;
use smp_crypto::{
    certificate::{
        Certificate, CertificateKey, CertificateParameters, CertificateSigner, ChainError, MAX_CERTIFICATE_LENGTH,
        SignatureAlgorithm, VALIDITY_DAYS, Validity, validate_server_chain, validate_service_chain, write_authority,
        write_leaf,
    },
    key::{Ed448SecretKey, Ed25519SecretKey},
};
use smp_proto::wire::Error;

const NOW: i64 = 1_800_000_000;

#[expect(clippy::large_enum_variant, reason = "a test has few")]
enum Secret {
    Ed25519(Ed25519SecretKey),
    Ed448(Ed448SecretKey),
}

impl Secret {
    fn new(algorithm: SignatureAlgorithm, seed: u64) -> Self {
        let mut random = rand_chacha::ChaCha20Rng::seed_from_u64(seed);
        match algorithm {
            SignatureAlgorithm::Ed448 => Self::Ed448(Ed448SecretKey::generate(&mut random)),
            _ => Self::Ed25519(Ed25519SecretKey::generate(&mut random)),
        }
    }

    fn signer(&self) -> CertificateSigner<'_> {
        match self {
            Self::Ed25519(key) => CertificateSigner::Ed25519(key),
            Self::Ed448(key) => CertificateSigner::Ed448(key),
        }
    }
}

fn parameters(serial: u8) -> CertificateParameters {
    CertificateParameters { serial: [serial; 20], validity: Validity::from_days(NOW, VALIDITY_DAYS) }
}

fn authority(secret: &Secret) -> Vec<u8> {
    write_authority(&mut [0; MAX_CERTIFICATE_LENGTH], &parameters(0xff), secret.signer()).unwrap().to_vec()
}

fn leaf(key: &CertificateKey, authority: &[u8], secret: &Secret) -> Vec<u8> {
    let authority = Certificate::from_der(authority).unwrap();
    let mut buffer = [0; MAX_CERTIFICATE_LENGTH];
    write_leaf(&mut buffer, &parameters(1), "localhost", key, &authority, secret.signer()).unwrap().to_vec()
}

#[test]
fn a_relay_of_any_algorithms_is_trusted() {
    for identity in [SignatureAlgorithm::Ed25519, SignatureAlgorithm::Ed448] {
        for transport in [SignatureAlgorithm::Ed25519, SignatureAlgorithm::Ed448] {
            let (identity, transport) = (Secret::new(identity, 1), Secret::new(transport, 2));
            let authority = authority(&identity);
            let leaf = leaf(&transport.signer().public_key(), &authority, &identity);
            let fingerprint = Certificate::from_der(&authority).unwrap().fingerprint();
            let chain = validate_server_chain(&[&leaf, &authority], &fingerprint, NOW).unwrap();
            assert_eq!(chain.leaf_key, transport.signer().public_key());
            assert_eq!(chain.identity, fingerprint);

            let end = NOW + i64::from(VALIDITY_DAYS) * 86_400;
            for (now, verdict) in [
                (NOW - 1, Some(ChainError::NotYetValid)),
                (NOW, None),
                (end, None),
                (end + 1, Some(ChainError::Expired)),
            ] {
                assert_eq!(validate_server_chain(&[&leaf, &authority], &fingerprint, now).err(), verdict);
            }
        }
    }
}

#[test]
fn an_identity_that_signed_nothing_proves_nothing() {
    let identity = authority(&Secret::new(SignatureAlgorithm::Ed25519, 1));
    let fingerprint = Certificate::from_der(&identity).unwrap().fingerprint();
    let adversary = Secret::new(SignatureAlgorithm::Ed25519, 3);
    let anchor = authority(&adversary);
    let leaf = leaf(&Secret::new(SignatureAlgorithm::Ed25519, 4).signer().public_key(), &anchor, &adversary);
    for chain in [&[&*leaf, &identity, &anchor][..], &[&leaf, &identity, &anchor, &anchor]] {
        assert_eq!(validate_server_chain(chain, &fingerprint, NOW), Err(ChainError::UnknownCa));
        assert_eq!(validate_service_chain(chain, NOW), Err(ChainError::UnknownCa));
    }
    assert_eq!(
        validate_server_chain(&[&leaf, &identity], &fingerprint, NOW),
        Err(ChainError::InvalidSignature),
        "the adversary's authority has the same name"
    );
}

#[test]
fn a_repeated_identity_is_harmless() {
    let identity = Secret::new(SignatureAlgorithm::Ed25519, 1);
    let authority = authority(&identity);
    let leaf = leaf(&Secret::new(SignatureAlgorithm::Ed25519, 2).signer().public_key(), &authority, &identity);
    let fingerprint = Certificate::from_der(&authority).unwrap().fingerprint();
    assert!(validate_server_chain(&[&leaf, &authority, &authority], &fingerprint, NOW).is_ok());
}

#[test]
fn a_leaf_needs_the_key_of_its_authority_and_a_sensible_host() {
    let identity = Secret::new(SignatureAlgorithm::Ed25519, 1);
    let authority = authority(&identity);
    let authority = Certificate::from_der(&authority).unwrap();
    let other = Secret::new(SignatureAlgorithm::Ed25519, 2);
    let key = other.signer().public_key();
    let write = |buffer: &mut [u8], host: &str, key: &CertificateKey, signer: CertificateSigner<'_>| {
        write_leaf(buffer, &parameters(1), host, key, &authority, signer).map(<[u8]>::len)
    };
    let buffer = &mut [0; MAX_CERTIFICATE_LENGTH];
    assert_eq!(write(buffer, "host", &key, other.signer()), Err(Error::Invalid));
    assert_eq!(write(buffer, "host", &CertificateKey::Other, identity.signer()), Err(Error::Invalid));
    assert_eq!(write(buffer, &"h".repeat(256), &key, identity.signer()), Err(Error::TooLong));
    let longest = write(buffer, &"h".repeat(255), &key, identity.signer()).unwrap();
    for length in 0..longest {
        assert_eq!(
            write(&mut buffer[..length], &"h".repeat(255), &key, identity.signer()),
            Err(Error::NoSpace),
            "{length} of {longest}"
        );
    }
}

/// Certificates that the reference's `init` made have the same bytes as ours, except for keys and what follows from them.
#[test]
fn made_as_by_init_vectors() {
    let mut seen = 0;
    for_each_case("transport.json", |case| {
        if !case["name"].as_str().is_some_and(|name| name.starts_with("made by server init")) {
            return;
        }
        seen += 1;
        let [leaf, authority] = case["chain"].as_array().unwrap().as_slice() else { panic!("a chain of 2") };
        let (theirs_leaf, theirs_authority) = (hexadecimal(leaf), hexadecimal(authority));
        let theirs_leaf = Certificate::from_der(&theirs_leaf).unwrap();
        let theirs_authority = Certificate::from_der(&theirs_authority).unwrap();

        let secret = Secret::new(theirs_authority.signature_algorithm(), 1);
        let mut buffer = [0; MAX_CERTIFICATE_LENGTH];
        let ours = write_authority(&mut buffer, &parameters_of(&theirs_authority), secret.signer()).unwrap();
        let ours_authority = Certificate::from_der(ours).unwrap();
        assert_eq!(blank(&ours_authority, &ours_authority), blank(&theirs_authority, &theirs_authority));

        let leaf_secret = Secret::new(theirs_leaf.signature_algorithm(), 2);
        let mut buffer = [0; MAX_CERTIFICATE_LENGTH];
        let parameters = parameters_of(&theirs_leaf);
        let key = leaf_secret.signer().public_key();
        let ours = write_leaf(&mut buffer, &parameters, "127.0.0.1", &key, &ours_authority, secret.signer()).unwrap();
        let ours_leaf = Certificate::from_der(ours).unwrap();
        assert_eq!(blank(&ours_leaf, &ours_authority), blank(&theirs_leaf, &theirs_authority));
    });
    assert!(seen >= 4);
}

fn parameters_of(certificate: &Certificate<'_>) -> CertificateParameters {
    let mut serial = [0; 20];
    serial[20 - certificate.serial().len()..].copy_from_slice(certificate.serial());
    CertificateParameters { serial, validity: certificate.validity() }
}

/// The certificate in hexadecimal with its key, its key identifiers and its signature taken out.
fn blank(certificate: &Certificate<'_>, issuer: &Certificate<'_>) -> String {
    let key = match certificate.public_key() {
        CertificateKey::Ed25519(key) => key.0.to_vec(),
        CertificateKey::Ed448(key) => key.0.to_vec(),
        other => panic!("{other:?}"),
    };
    [
        &*key,
        certificate.subject_key_identifier().unwrap(),
        issuer.subject_key_identifier().unwrap(),
        certificate.signature(),
    ]
    .iter()
    .fold(hex::encode(certificate.as_der()), |text, part| text.replace(&hex::encode(part), "--"))
}

fn hexadecimal(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// No certificate can be shortened or changed in one bit and still be read as another that is trusted.
#[test]
fn changed_certificates_of_the_vectors() {
    let mut seen = std::collections::BTreeSet::new();
    for_each_case("transport.json", |case| {
        if text(case, "op") != "certificate_chain" {
            return;
        }
        for certificate in case["chain"].as_array().unwrap() {
            let mut der = hexadecimal(certificate);
            if !seen.insert(der.clone()) {
                continue;
            }
            for end in 0..der.len() {
                assert!(Certificate::from_der(&der[..end]).is_err());
            }
            for bit in 0..der.len() * 8 {
                der[bit / 8] ^= 1 << (bit % 8);
                // Most of these read as something else; none may panic.
                let _ = Certificate::from_der(&der).map(|certificate| certificate.fingerprint());
                der[bit / 8] ^= 1 << (bit % 8);
            }
            der.push(0);
            assert_eq!(Certificate::from_der(&der).err(), Some(Error::Trailing));
        }
        if matches!(text(case, "name"), "Ed25519 chain of 2" | "Ed25519 chain of 3") {
            only_as_it_is(case);
        }
    });
}

fn only_as_it_is(case: &Value) {
    let mut chain: Vec<_> = case["chain"].as_array().unwrap().iter().map(hexadecimal).collect();
    let fingerprint = hexadecimal(&case["key_hash"]);
    let trusted = |chain: &[Vec<u8>]| {
        let chain: Vec<_> = chain.iter().map(Vec::as_slice).collect();
        validate_server_chain(&chain, &fingerprint, NOW).is_ok()
    };
    assert!(trusted(&chain));
    // The anchor of a chain of 3 is trusted for its key only, and the key is trusted for nothing but naming itself.
    for index in 0..2 {
        for bit in 0..chain[index].len() * 8 {
            chain[index][bit / 8] ^= 1 << (bit % 8);
            assert!(!trusted(&chain), "certificate {index}, bit {bit}");
            chain[index][bit / 8] ^= 1 << (bit % 8);
        }
    }
}
