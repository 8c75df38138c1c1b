//! Hellos that somebody changed on the way. TLS keeps everybody from doing so; should TLS fail, little is left to change.

use smp_crypto::session::{Block, ClientStep, ServerStep, Session, SessionError};
use smp_proto::transport::BLOCK_LENGTH;

use crate::{NOW, Party, block_of, connect, content, range};

/// Whether a block of the client reaches the server.
fn understand_each_other(server: &mut Session, client: &mut Session) -> bool {
    let mut block: Block = [0; BLOCK_LENGTH];
    client.sealer.content_mut(&mut block)[..4].copy_from_slice(b"PING");
    client.sealer.seal(&mut block, 4).unwrap();
    server.opener.open(&mut block).is_ok_and(|range| block[range] == *b"PING")
}

fn client_takes(relay: &Party, hello: &[u8]) -> Result<Session, SessionError> {
    let mut block = block_of(hello);
    match relay.client(relay.client_configuration(range(6, 20))).receive(&mut block)? {
        ClientStep::Session(session) => Ok(session),
        ClientStep::Service(_) => panic!("there is no service"),
    }
}

fn server_takes(relay: &Party, hello: &[u8]) -> Result<Session, SessionError> {
    relay.serve(range(6, 20), true, |server, _| match server.receive(&block_of(hello), &[], NOW)? {
        ServerStep::Session(session) => Ok(session),
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_shortened_or_altered_server_hello_is_refused() {
    let relay = Party::new(1);
    let hello = relay.serve(range(6, 20), true, |_, block| content(&block).to_vec());
    assert!(client_takes(&relay, &hello).is_ok());
    for length in 0..hello.len() {
        assert!(client_takes(&relay, &hello[..length]).is_err(), "{length} bytes");
    }
    for bit in 0..hello.len() * 8 {
        let mut altered = hello.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        match client_takes(&relay, &altered) {
            Err(_) => {}
            // The range is protected by TLS alone. Whatever the client makes of it is inside of what it knows.
            Ok(session) => {
                assert!(bit < 32, "bit {bit}");
                assert!(range(6, 20).contains(session.context.version()));
                assert!(session.context.peer_key().is_some(), "bit {bit}: no version in common is left without a key");
            }
        }
    }
    let mut followed = hello.clone();
    followed.extend([0xff; 100]);
    assert!(client_takes(&relay, &followed).is_ok(), "fields of later versions are ignored");
}

#[test]
fn a_shortened_or_altered_client_hello_makes_no_session() {
    let relay = Party::new(1);
    for version in [6, 7, 11, 13, 14, 16, 20] {
        let hello = relay.serve(range(6, version), true, |_, mut block| {
            relay.client(relay.client_configuration(range(6, 20))).receive(&mut block).unwrap();
            content(&block).to_vec()
        });
        assert!(server_takes(&relay, &hello).is_ok());
        let encrypted = version >= 11;
        let client = || {
            let configuration = relay.client_configuration(range(6, 20));
            connect(&relay, range(6, version), true, configuration).unwrap().1
        };
        for length in 0..hello.len() {
            // Below version 14 the key is the last field and may be absent.
            if let Ok(mut server) = server_takes(&relay, &hello[..length]) {
                assert!((7..14).contains(&version) && length >= 35, "version {version}, {length} bytes");
                assert_eq!(server.context.peer_key(), None);
                assert!(!encrypted || !understand_each_other(&mut server, &mut client()));
            }
        }
        for bit in 0..hello.len() * 8 {
            let mut altered = hello.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let Ok(mut server) = server_takes(&relay, &altered) else { continue };
            let key_end = 2 + 33 + 45;
            match bit / 8 {
                // The version is protected by TLS alone.
                0 | 1 => assert!(server.context.version() != client().context.version()),
                // X25519 ignores the highest bit of a key (RFC 7748, section 5).
                last if last == key_end - 1 && bit % 8 == 7 => {}
                byte => {
                    assert!((35..key_end).contains(&byte) && version >= 7, "version {version}, bit {bit}");
                    assert!(!encrypted || !understand_each_other(&mut server, &mut client()), "bit {bit}");
                }
            }
        }
    }
}
