//! The relay's end of a session, of an ordinary client or of a service, as the handshake makes it.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use smp_crypto::authorization::Decoy;
use smp_crypto::certificate::CertificateSigner;
use smp_crypto::key::{Ed25519SecretKey, X25519PublicKey, X25519SecretKey};
use smp_crypto::session::{
    ClientConfiguration, ClientHandshake, ClientStep, ServerConfiguration, ServerHandshake, ServerLeaf,
    ServerSessionKey, ServerStep, ServiceCredentials, Session, SessionIdentifier,
};
use smp_proto::smp::service::ServiceRole;
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::hello::CertificateChain;
use smp_proto::version::VersionRange;
use smp_proto::wire::LongString;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::super::{Authorized, Kept, Terms};
use super::SESSION;
use super::population::OWN_SERVICE;
use crate::identity::{Identity, KeyAlgorithm};
use crate::relay::connection::turns::Turn;
use crate::relay::reply::Reply;
use crate::relay::seconds_now;
use crate::relay::stats::Stats;
use crate::relay::store::Store;

impl Terms<'_> {
    /// In a turn of its own, for entities with a key that does not need more.
    pub(in crate::relay::authorize) fn authorize_at_once<'a>(
        &self,
        store: &Store,
        entry: &'a [u8],
    ) -> Result<Authorized<'a>, Reply> {
        let mut turn = Turn::default();
        let mut authorizing = pin!(self.authorize(store, &mut turn, entry));
        match authorizing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(authorized) => authorized,
            Poll::Pending => panic!("it takes more than a turn"),
        }
    }
}

/// What there is of a session, and of the relay, to authorize by.
pub(in crate::relay::authorize) struct TestSession {
    session: Box<Session>,
    decoy: Decoy,
    pub(in crate::relay::authorize) stats: Stats,
    pub(in crate::relay::authorize) kept: Kept,
    /// What the service signs with.
    pub(in crate::relay::authorize) service_key: Ed25519SecretKey,
}

impl TestSession {
    /// Of a client that is no service.
    pub(in crate::relay::authorize) fn of_client() -> Self {
        Self::greet(None)
    }

    /// Of [`OWN_SERVICE`].
    pub(in crate::relay::authorize) fn of_service(role: ServiceRole) -> Self {
        Self::greet(Some(role))
    }

    fn greet(role: Option<ServiceRole>) -> Self {
        let random = &mut StdRng::seed_from_u64(5);
        let [relay, service] = ["relay", "service"].map(|name| {
            let directory = tempfile::tempdir().unwrap();
            Identity::create(directory.path(), KeyAlgorithm::Ed25519, name).unwrap()
        });
        let certificates = |identity: &Identity| identity.chain().to_vec();
        let (relay_chain, service_chain) = (certificates(&relay), certificates(&service));
        let [of_relay, of_service] = [&relay_chain, &service_chain]
            .map(|chain| chain.iter().map(|der| LongString::new(der).unwrap()).collect::<Vec<_>>());
        let [relay_leaf, service_leaf] =
            [&relay, &service].map(|identity| Ed25519SecretKey::from_pkcs8(identity.key()).unwrap());

        let session_id = SessionIdentifier::new(&SESSION).unwrap();
        let server = ServerConfiguration::new(VersionRange::SMP, CertificateChain::new(&of_relay).unwrap()).unwrap();
        let key = ServerSessionKey::generate(random, CertificateSigner::Ed25519(&relay_leaf));
        let server = ServerHandshake::new(&server, session_id, key);
        let service_key = Ed25519SecretKey::generate(random);
        let credentials = role.map(|role| {
            let (chain, signer) =
                (CertificateChain::new(&of_service).unwrap(), CertificateSigner::Ed25519(&service_leaf));
            ServiceCredentials::new(role, chain, service_key.public_key(), signer)
        });
        let client = ClientConfiguration {
            versions: VersionRange::SMP,
            identity: *relay.fingerprint(),
            is_proxy: false,
            service: credentials,
        };
        let leaf = ServerLeaf::from_der(&relay_chain[0]).unwrap();
        let client = ClientHandshake::new(client, session_id, leaf, X25519SecretKey::generate(random));
        let mut block = Box::new([0; BLOCK_LENGTH]);
        server.hello(&mut block).unwrap();
        let (ClientStep::Session(_) | ClientStep::Service(_)) = client.receive(&mut block).unwrap();
        let in_tls: Vec<&[u8]> = service_chain.iter().filter(|_| role.is_some()).map(Vec::as_slice).collect();
        let session = match server.receive(&block, &in_tls, seconds_now()).unwrap() {
            ServerStep::Session(session) => session,
            ServerStep::Service(request) => request.accept(OWN_SERVICE, &mut block).unwrap(),
            ServerStep::Refused(refusal) => panic!("{refusal:?}"),
        };
        assert_eq!(session.context.service().map(|service| service.role()), role);
        let decoy = Decoy::generate(random);
        Self { session: Box::new(session), decoy, stats: Stats::default(), kept: Kept::default(), service_key }
    }

    pub(in crate::relay::authorize) fn terms(&self) -> Terms<'_> {
        Terms::of(&self.session.context, &self.decoy, &self.kept, &self.stats)
    }

    /// What authenticators are made for.
    pub(in crate::relay::authorize) fn key(&self) -> X25519PublicKey {
        self.session.context.own_secret_key().unwrap().public_key()
    }

    /// What commands signed by the service begin with.
    pub(in crate::relay::authorize) fn fingerprint(&self) -> &[u8] {
        self.session.context.service().map_or(&[], |service| service.fingerprint())
    }
}
