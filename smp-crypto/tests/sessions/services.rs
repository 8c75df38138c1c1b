//! Clients that say they are services.

use smp_crypto::{
    certificate::CertificateSigner,
    key::{Ed25519SecretKey, X25519SecretKey},
    session::{
        AwaitingReply, Block, ClientConfiguration, ClientStep, ServerStep, ServiceCredentials, ServiceRefusal,
        ServiceRequest, SessionError,
    },
    signed_key::SignedKey,
};
use smp_proto::{
    id::Fingerprint,
    smp::{
        error::{HandshakeError, TransportError},
        service::ServiceRole,
    },
    transport::{
        BLOCK_LENGTH, ClientHello,
        hello::{CertificateChain, ClientService},
    },
    version::SmpVersion,
    wire::{Encode, LongString},
};

use crate::{NOW, Party, block_of, blocks::exchange, connect, content, range};

/// What the relay makes of a service that shows `tls_chain` in TLS, and the client that waits for the reply.
fn present(
    service: &Party,
    tls_chain: &[&[u8]],
    signer: CertificateSigner<'_>,
    now: i64,
) -> (ServerStep, AwaitingReply) {
    let relay = Party::new(1);
    let key = Ed25519SecretKey::from_bytes(&[9; 32]).public_key();
    let chain = service.chain();
    let credentials =
        ServiceCredentials::new(ServiceRole::Notifier, CertificateChain::new(&chain).unwrap(), key, signer);
    let configuration = ClientConfiguration { service: Some(credentials), ..relay.client_configuration(range(6, 20)) };
    relay.serve(range(6, 20), true, |server, mut block| {
        let ClientStep::Service(client) = relay.client(configuration).receive(&mut block).unwrap() else {
            panic!("the client waits")
        };
        (server.receive(&block, tls_chain, now).unwrap(), client)
    })
}

fn request(step: ServerStep) -> ServiceRequest {
    let ServerStep::Service(request) = step else { panic!("{step:?}") };
    request
}

fn refused(step: ServerStep) -> ServiceRefusal {
    let ServerStep::Refused(refusal) = step else { panic!("{step:?}") };
    refusal
}

#[test]
fn a_service_is_accepted_under_its_name() {
    for service in [Party::new(5), Party::with_ed448(5)] {
        let (server, client) = present(&service, &service.slices(), service.signer(), NOW);
        let request = request(server);
        assert_eq!(request.role(), ServiceRole::Notifier);
        assert_eq!(*request.fingerprint(), service.identity());
        let mut block = [0; BLOCK_LENGTH];
        let mut server = request.accept([4; 24], &mut block).unwrap();
        let mut client = client.receive(&block).unwrap();
        assert_eq!(server.context.service(), client.context.service());
        let known = server.context.service().unwrap();
        assert_eq!(known.id().as_bytes(), [4; 24]);
        assert_eq!(known.role(), ServiceRole::Notifier);
        assert_eq!(*known.key(), Ed25519SecretKey::from_bytes(&[9; 32]).public_key());
        assert_eq!(format!("{known:?}"), "SessionService { role: Notifier, .. }");
        exchange(&mut server, &mut client);
    }
}

#[test]
fn a_service_learns_why_it_is_refused() {
    let service = Party::new(5);
    for error in [TransportError::Handshake(HandshakeError::BadService), TransportError::Version] {
        let (server, client) = present(&service, &service.slices(), service.signer(), NOW);
        let mut block = [0; BLOCK_LENGTH];
        request(server).refuse(error).write(&mut block).unwrap();
        assert_eq!(client.receive(&block).err(), Some(SessionError::Service(error)));
    }
    let (server, _) = present(&service, &service.slices(), service.signer(), NOW);
    assert_eq!(request(server).refuse_role().error(), TransportError::Handshake(HandshakeError::BadService));
}

#[test]
fn a_service_must_prove_itself() {
    let (service, other) = (Party::new(5), Party::new(6));
    let bad = |step| {
        let refusal = refused(step);
        assert_eq!(refusal.error(), TransportError::Handshake(HandshakeError::BadAuthentication));
        let mut block = [0; BLOCK_LENGTH];
        refusal.write(&mut block).unwrap();
        assert_eq!(content(&block), b"EHANDSHAKE BAD_AUTH");
    };
    let chain = service.slices();
    bad(present(&service, &[], service.signer(), NOW).0);
    bad(present(&service, &chain[..1], service.signer(), NOW).0);
    bad(present(&service, &other.slices(), service.signer(), NOW).0);
    bad(present(&service, &[chain[0], chain[1], chain[1]], service.signer(), NOW).0);
    bad(present(&service, &chain, other.signer(), NOW).0);
    bad(present(&service, &chain, service.signer(), NOW - 1).0);
    bad(present(&service, &chain, service.signer(), NOW + 86_401).0);
    assert!(matches!(present(&service, &chain, service.signer(), NOW).0, ServerStep::Service(_)));
}

#[test]
fn the_session_key_of_a_service_signs() {
    let (relay, service) = (Party::new(1), Party::new(5));
    let agrees = X25519SecretKey::from_bytes(&[9; 32]).public_key();
    let mut der = [0; 200];
    let signed = SignedKey::sign(agrees, service.signer()).to_der(&mut der).unwrap();
    let (identity, chain) = (relay.identity(), service.chain());
    let hello = ClientHello {
        version: SmpVersion(20),
        key_hash: Fingerprint::new(&identity).unwrap(),
        client_key: None,
        proxy: false,
        service: Some(ClientService {
            role: ServiceRole::Messaging,
            chain: CertificateChain::new(&chain).unwrap(),
            signed_key: LongString::new(signed).unwrap(),
        }),
    };
    let mut buffer = [0; BLOCK_LENGTH];
    let block = block_of(hello.to_slice(&mut buffer[..16_382]).unwrap());
    relay.serve(range(6, 20), true, |server, _| {
        refused(server.receive(&block, &service.slices(), NOW).unwrap());
    });
}

#[test]
fn old_relays_see_no_service() {
    let (relay, service) = (Party::new(1), Party::new(5));
    let key = Ed25519SecretKey::from_bytes(&[9; 32]).public_key();
    let chain = service.chain();
    let chain = CertificateChain::new(&chain).unwrap();
    let credentials = ServiceCredentials::new(ServiceRole::Messaging, chain, key, service.signer());
    let configuration = ClientConfiguration { service: Some(credentials), ..relay.client_configuration(range(6, 20)) };
    let (server, client) = connect(&relay, range(6, 15), true, configuration).unwrap();
    assert_eq!((server.context.service(), client.context.service()), (None, None));
}

#[test]
fn a_reply_is_an_id_or_an_error() {
    let service = Party::new(5);
    let reply = |content: &[u8]| -> Result<(), SessionError> {
        let (_, client) = present(&service, &service.slices(), service.signer(), NOW);
        client.receive(&block_of(content)).map(drop)
    };
    assert_eq!(reply(&[b"R\x18".as_slice(), &[1; 24], b"later fields"].concat()), Ok(()));
    for malformed in [&b""[..], b"R", b"R\x00", b"R\x02ab", b"Q\x00", b"E", b"ENOTHING", &[b'R', 24]] {
        assert!(matches!(reply(malformed), Err(SessionError::Parse(_))), "{malformed:?}");
    }
    let full: Block = [0xff; BLOCK_LENGTH];
    let (_, client) = present(&service, &service.slices(), service.signer(), NOW);
    assert!(matches!(client.receive(&full), Err(SessionError::Parse(_))));
}
