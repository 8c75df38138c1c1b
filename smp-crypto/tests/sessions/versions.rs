//! Which version is agreed on, and what follows from it.

use smp_crypto::session::{ClientConfiguration, ClientHandshake, ServerLeaf, SessionError, SessionIdentifier};
use smp_crypto::{
    key::X25519SecretKey,
    session::{ServerConfiguration, ServerHandshake},
};
use smp_proto::{
    id::Fingerprint,
    key::X25519PublicKey,
    transport::{
        BLOCK_LENGTH, ClientHello,
        hello::{CertificateChain, ServerHello},
    },
    version::SmpVersion,
    wire::{self, Decode, Encode, Reader},
};

use crate::{NOW, Party, block_of, blocks::exchange, connect, content, range, session_id};

#[test]
fn every_version_with_every_kind_of_peer() {
    for relay in [Party::new(1), Party::with_ed448(1)] {
        for version in 6..=20 {
            for is_proxy in [false, true] {
                let configuration = ClientConfiguration { is_proxy, ..relay.client_configuration(range(6, version)) };
                let (mut server, mut client) = connect(&relay, range(6, 20), true, configuration).unwrap();
                let flagged = is_proxy && version >= 14;
                for session in [&server, &client] {
                    assert_eq!(session.context.version(), SmpVersion(version));
                    assert_eq!(session.context.versions(), range(6, version));
                    assert_eq!(session.context.is_proxy(), flagged);
                    assert_eq!(session.is_encrypted(), version >= 11 && !flagged);
                    assert_eq!(session.context.session_id().as_bytes(), [7; 32]);
                }
                // What authenticators need.
                assert_eq!(
                    client.context.peer_key().copied(),
                    server.context.own_secret_key().map(X25519SecretKey::public_key)
                );
                // What private routing needs; clients that encrypt blocks forget it.
                assert_eq!(server.context.session_secret().is_some(), version >= 7);
                assert_eq!(client.context.session_secret().is_some(), version >= 7 && !client.is_encrypted());
                if let Some(secret) = client.context.session_secret() {
                    assert_eq!(server.context.session_secret(), Some(secret));
                }
                exchange(&mut server, &mut client);
            }
        }
    }
}

#[test]
fn the_highest_common_version_wins() {
    let relay = Party::new(1);
    for (server, client, agreed) in [
        ((6, 20), (6, 18), Some(18)),
        ((6, 30), (6, 20), Some(20)),
        ((6, 7), (7, 20), Some(7)),
        ((10, 12), (6, 20), Some(12)),
        ((6, 9), (10, 20), None),
        ((19, 20), (6, 18), None),
    ] {
        let configuration = relay.client_configuration(range(client.0, client.1));
        let result = connect(&relay, range(server.0, server.1), true, configuration);
        match (result, agreed) {
            (Ok((server, client)), Some(agreed)) => {
                assert_eq!(server.context.version(), SmpVersion(agreed));
                assert_eq!(client.context.version(), SmpVersion(agreed));
            }
            (Err(error), None) => assert_eq!(error, SessionError::Version),
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[test]
fn without_alpn_there_is_version_6_or_nothing() {
    let relay = Party::new(1);
    let configuration = relay.client_configuration(range(6, 20));
    let (mut server, mut client) = connect(&relay, range(6, 20), false, configuration).unwrap();
    assert_eq!(server.context.version(), SmpVersion(6));
    assert_eq!(server.context.own_secret_key().map(drop), None);
    assert_eq!(client.context.peer_key(), None);
    exchange(&mut server, &mut client);

    let chain = relay.chain();
    let modern = ServerConfiguration::new(range(7, 20), CertificateChain::new(&chain).unwrap()).unwrap();
    assert_eq!(ServerHandshake::without_alpn(&modern, session_id()).err(), Some(SessionError::Version));
    relay.serve(range(6, 20), false, |_, block| {
        let hello: ServerHello<'_> = Reader::new(content(&block)).value().unwrap();
        assert_eq!((hello.versions, hello.authentication), (range(6, 6), None));
    });
}

#[test]
fn a_proxy_speaks_an_old_version_with_relays_that_do_not_know_proxies() {
    let relay = Party::new(1);
    for (relay_max, agreed) in [(8, 8), (10, 10), (11, 10), (13, 10), (14, 14), (20, 20)] {
        let configuration = ClientConfiguration { is_proxy: true, ..relay.client_configuration(range(6, 20)) };
        let (mut server, mut client) = connect(&relay, range(6, relay_max), true, configuration).unwrap();
        assert_eq!(client.context.version(), SmpVersion(agreed));
        assert!(!server.is_encrypted());
        assert_eq!(server.context.session_secret(), client.context.session_secret());
        exchange(&mut server, &mut client);
    }
    // A proxy that has given up the old versions has nothing to speak with such a relay.
    let configuration = ClientConfiguration { is_proxy: true, ..relay.client_configuration(range(12, 20)) };
    assert_eq!(connect(&relay, range(6, 13), true, configuration).err(), Some(SessionError::Version));
}

#[test]
fn only_the_relay_of_the_address_and_of_the_tls_session_will_do() {
    let (relay, other) = (Party::new(1), Party::new(2));
    let configuration = relay.client_configuration(range(6, 20));
    relay.serve(range(6, 20), true, |_, block| {
        let key = || X25519SecretKey::from_bytes(&[3; 32]);
        let receive = |client: ClientHandshake<'_>| client.receive(&mut block.clone()).map(drop);
        let [leaf, identity, of_other] =
            [&relay.chain[0], &relay.chain[1], &other.chain[0]].map(|der| ServerLeaf::from_der(der).unwrap());
        assert_eq!(receive(ClientHandshake::new(configuration, session_id(), leaf, key())), Ok(()));

        let elsewhere = SessionIdentifier::new(&[8; 32]).unwrap();
        assert_eq!(receive(ClientHandshake::new(configuration, elsewhere, leaf, key())), Err(SessionError::Session));
        let bad = Err(SessionError::BadAuthentication);
        let expects_other = other.client_configuration(range(6, 20));
        assert_eq!(receive(ClientHandshake::new(expects_other, session_id(), leaf, key())), bad);
        assert_eq!(receive(ClientHandshake::new(configuration, session_id(), of_other, key())), bad);
        assert_eq!(receive(ClientHandshake::new(configuration, session_id(), identity, key())), bad);
        assert_eq!(ServerLeaf::from_der(&[]).err(), bad.err());
    });
}

#[test]
fn weak_keys_of_clients_are_refused_also_when_nothing_is_encrypted() {
    let relay = Party::new(1);
    for (version, proxy) in [(7, false), (11, false), (20, false), (20, true)] {
        relay.serve(range(6, 20), true, |server, _| {
            let identity = relay.identity();
            let hello = ClientHello {
                version: SmpVersion(version),
                key_hash: Fingerprint::new(&identity).unwrap(),
                client_key: Some(X25519PublicKey([0; 32])),
                proxy,
                service: None,
            };
            let mut buffer = [0; BLOCK_LENGTH];
            let hello = hello.to_slice(&mut buffer[..16_382]).unwrap();
            let result = server.receive(&block_of(hello), &[], NOW);
            assert_eq!(result.err(), Some(SessionError::BadAuthentication));
        });
    }
}

#[test]
fn a_server_has_two_to_four_certificates() {
    let relay = Party::new(1);
    let chain = relay.chain();
    let longer: Vec<_> = chain.iter().chain(&chain[1..]).chain(&chain[1..]).chain(&chain[1..]).copied().collect();
    for count in 1..=5 {
        let chain = CertificateChain::new(&longer[..count]).unwrap();
        let result = ServerConfiguration::new(range(6, 20), chain);
        match count {
            2..=4 => assert_eq!(*result.unwrap().identity(), relay.identity()),
            _ => assert_eq!(result.err(), Some(wire::Error::Invalid)),
        }
    }
    assert!(CertificateChain::from_bytes(&[0]).is_err());
}
