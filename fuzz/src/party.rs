//! A relay with certificates, the same in every run, and a client of it.

use std::sync::LazyLock;

use smp_crypto::certificate::{
    Certificate, CertificateParameters, CertificateSigner, MAX_CERTIFICATE_LENGTH, Validity, fingerprint,
    write_authority, write_leaf,
};
use smp_crypto::key::{Ed25519SecretKey, X25519SecretKey};
use smp_crypto::session::{
    ClientConfiguration, ClientHandshake, ServerConfiguration, ServerHandshake, ServerLeaf, ServerSessionKey,
    SessionIdentifier,
};
use smp_proto::transport::hello::CertificateChain;
use smp_proto::version::VersionRange;
use smp_proto::wire::LongString;

/// The time of all handshakes, in seconds since the Unix epoch.
pub const NOW: i64 = 1_790_000_000;

/// What a relay keeps.
pub struct Party {
    key: Ed25519SecretKey,
    chain: [Vec<u8>; 2],
}

/// The relay.
pub static RELAY: LazyLock<Party> = LazyLock::new(Party::new);

impl Party {
    fn new() -> Self {
        let (identity, key) = (Ed25519SecretKey::from_bytes(&[1; 32]), Ed25519SecretKey::from_bytes(&[2; 32]));
        let signer = CertificateSigner::Ed25519(&identity);
        let parameters = CertificateParameters { serial: [1; 20], validity: Validity::from_days(NOW, 1) };
        let (mut authority, mut leaf) = ([0; MAX_CERTIFICATE_LENGTH], [0; MAX_CERTIFICATE_LENGTH]);
        let authority = write_authority(&mut authority, &parameters, signer).expect("the authority can be made");
        let view = Certificate::from_der(authority).expect("what was made can be read");
        let public = CertificateSigner::Ed25519(&key).public_key();
        let leaf = write_leaf(&mut leaf, &parameters, "localhost", &public, &view, signer);
        let chain = [leaf.expect("the leaf can be made").to_vec(), authority.to_vec()];
        Self { key, chain }
    }

    /// Runs `run` with the relay's side of a new handshake and the client's.
    pub fn meet<T>(&self, run: impl FnOnce(ServerHandshake<'_>, ClientHandshake<'_>) -> T) -> T {
        let certificates = self.chain.each_ref().map(|der| LongString::new(der).expect("certificates are short"));
        let chain = CertificateChain::new(&certificates).expect("there are two");
        let server = ServerConfiguration::new(VersionRange::SMP, chain).expect("two are enough");
        let session = SessionIdentifier::new(&[7; 32]).expect("a Finished value has this length");
        let key = ServerSessionKey::new(X25519SecretKey::from_bytes(&[3; 32]), CertificateSigner::Ed25519(&self.key));
        let client = ClientConfiguration {
            versions: VersionRange::SMP,
            identity: fingerprint(&self.chain[1]),
            is_proxy: false,
            service: None,
        };
        let secret = X25519SecretKey::from_bytes(&[4; 32]);
        let leaf = ServerLeaf::from_der(&self.chain[0]).expect("what was made can be read");
        run(ServerHandshake::new(&server, session, key), ClientHandshake::new(client, session, leaf, secret))
    }
}
