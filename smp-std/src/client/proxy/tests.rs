use super::*;
use crate::identity::{Identity, KeyAlgorithm};
use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::{Ed448SecretKey, Ed25519SecretKey, X25519PublicKey, X25519SecretKey};
use smp_crypto::signed_key::ED448_LENGTH;
use smp_proto::id::SessionId;
use smp_proto::transport::hello::CertificateChain;
use smp_proto::wire::LongString;

/// What a proxy says, and about which relay.
#[derive(Clone)]
struct Said {
    chain: Vec<Vec<u8>>,
    signed_key: Vec<u8>,
    versions: VersionRange<SmpVersion>,
    session_id: Vec<u8>,
}

fn range(min: u16, max: u16) -> VersionRange<SmpVersion> {
    VersionRange::new(SmpVersion(min), SmpVersion(max)).unwrap()
}

fn identity(algorithm: KeyAlgorithm) -> Identity {
    let directory = tempfile::tempdir().unwrap();
    Identity::create(directory.path(), algorithm, "localhost").unwrap()
}

impl Said {
    fn honestly(identity: &Identity) -> (Self, X25519PublicKey) {
        let key = X25519SecretKey::generate(&mut rand::rng()).public_key();
        let mut der = [0; ED448_LENGTH];
        let signed = match identity.algorithm() {
            Some(KeyAlgorithm::Ed25519) => {
                let signer = Ed25519SecretKey::from_pkcs8(identity.key()).unwrap();
                SignedKey::sign(key, CertificateSigner::Ed25519(&signer))
            }
            _ => {
                let signer = Ed448SecretKey::from_pkcs8(identity.key()).unwrap();
                SignedKey::sign(key, CertificateSigner::Ed448(&signer))
            }
        };
        let said = Self {
            chain: identity.chain().to_vec(),
            signed_key: signed.to_der(&mut der).unwrap().to_vec(),
            versions: range(8, 17),
            session_id: vec![7; 32],
        };
        (said, key)
    }

    fn accept(&self, fingerprint: &[u8; 32], known: VersionRange<SmpVersion>) -> Result<RelaySession, ClientError> {
        self.accept_at(fingerprint, known, now())
    }

    fn accept_at(
        &self,
        fingerprint: &[u8; 32],
        known: VersionRange<SmpVersion>,
        now: i64,
    ) -> Result<RelaySession, ClientError> {
        let chain: Vec<_> = self.chain.iter().map(|der| LongString::new(der).unwrap()).collect();
        let key = ProxyKey {
            session_id: SessionId::new(&self.session_id).unwrap(),
            versions: self.versions,
            chain: CertificateChain::new(&chain).unwrap(),
            signed_key: LongString::new(&self.signed_key).unwrap(),
        };
        accept(&key, fingerprint, known, now)
    }
}

fn is_identity(result: &Result<RelaySession, ClientError>) -> bool {
    matches!(result, Err(ClientError::Identity))
}

#[test]
fn the_relay_of_the_address_is_accepted_in_the_highest_common_version() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::Ed448] {
        let identity = identity(algorithm);
        let (mut said, key) = Said::honestly(&identity);
        for (versions, known, expected) in [
            (range(8, 17), VersionRange::SMP, Some(17)),
            (range(8, 20), VersionRange::SMP, Some(20)),
            (range(8, 25), VersionRange::SMP, Some(20)),
            (range(8, 8), range(6, 15), Some(8)),
            (range(6, 7), VersionRange::SMP, None),
            (range(8, 17), range(6, 7), None),
            (range(18, 25), range(6, 17), None),
        ] {
            said.versions = versions;
            match (said.accept(identity.fingerprint(), known), expected) {
                (Ok(session), Some(version)) => {
                    assert_eq!((session.version, session.key), (SmpVersion(version), key));
                    assert_eq!(session.id.as_bytes(), said.session_id);
                }
                (Err(ClientError::Proxy(ProxyFailure::NoCommonVersion)), None) => {}
                (result, _) => panic!("{versions:?} {known:?}: {result:?}"),
            }
        }
    }
}

#[test]
fn another_identity_is_refused_however_it_is_dressed_up() {
    let (right, wrong) = (identity(KeyAlgorithm::Ed25519), identity(KeyAlgorithm::Ed25519));
    let (honest, _) = Said::honestly(&right);
    let (other, _) = Said::honestly(&wrong);
    let accept = |said: &Said| said.accept(right.fingerprint(), VersionRange::SMP);
    assert!(accept(&honest).is_ok());
    assert!(is_identity(&accept(&other)));
    let [leaf, ca] = <[Vec<u8>; 2]>::try_from(honest.chain.clone()).unwrap();
    let [other_leaf, other_ca] = <[Vec<u8>; 2]>::try_from(other.chain.clone()).unwrap();
    let chains = [
        // The right identity, which did not issue the leaf.
        vec![other_leaf.clone(), ca.clone()],
        // The right identity with an authority of the wrong one above it.
        vec![other_leaf.clone(), ca.clone(), other_ca.clone()],
        vec![other_leaf.clone(), ca.clone(), ca.clone(), other_ca.clone()],
        // Too short, too long, not certificates.
        vec![leaf.clone()],
        vec![ca.clone()],
        vec![leaf.clone(), ca.clone(), ca.clone(), ca.clone(), ca.clone()],
        vec![Vec::new(); 255],
        vec![leaf.clone(), b"certificate".to_vec()],
        vec![b"certificate".to_vec(), ca.clone()],
        // The wrong order.
        vec![ca.clone(), leaf.clone()],
    ];
    for signed_key in [&honest.signed_key, &other.signed_key] {
        for chain in &chains {
            let said = Said { chain: chain.clone(), signed_key: signed_key.clone(), ..honest.clone() };
            assert!(is_identity(&accept(&said)), "{} certificates", chain.len());
        }
    }
}

#[test]
fn a_session_key_that_the_leaf_did_not_sign_is_refused() {
    let (right, wrong) = (identity(KeyAlgorithm::Ed25519), identity(KeyAlgorithm::Ed25519));
    let (honest, _) = Said::honestly(&right);
    let accept =
        |signed_key: Vec<u8>| Said { signed_key, ..honest.clone() }.accept(right.fingerprint(), VersionRange::SMP);
    assert!(is_identity(&accept(Said::honestly(&wrong).0.signed_key)));
    assert!(is_identity(&accept(Vec::new())));
    for bit in 0..honest.signed_key.len() * 8 {
        let mut changed = honest.signed_key.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(is_identity(&accept(changed)), "bit {bit}");
    }
}

#[test]
fn each_bit_of_the_certificates_counts() {
    let identity = identity(KeyAlgorithm::Ed25519);
    let (honest, _) = Said::honestly(&identity);
    for certificate in 0..2 {
        for place in 0..honest.chain[certificate].len() {
            let mut changed = honest.clone();
            changed.chain[certificate][place] ^= 1 << (place % 8);
            let result = changed.accept(identity.fingerprint(), VersionRange::SMP);
            assert!(is_identity(&result), "byte {place} of certificate {certificate}");
        }
    }
}

#[test]
fn certificates_have_their_time_and_sessions_an_id() {
    let identity = identity(KeyAlgorithm::Ed25519);
    let (mut said, _) = Said::honestly(&identity);
    let accept = |said: &Said, now| said.accept_at(identity.fingerprint(), VersionRange::SMP, now);
    assert!(accept(&said, now()).is_ok());
    assert!(is_identity(&accept(&said, now() - 86_400)));
    assert!(is_identity(&accept(&said, i64::MAX)));
    said.session_id = Vec::new();
    assert!(matches!(accept(&said, now()), Err(ClientError::Malformed)));
}
