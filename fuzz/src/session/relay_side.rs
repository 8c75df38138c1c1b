//! A client against the relay.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use smp_crypto::key::X25519SecretKey;
use smp_crypto::session::{ClientConfiguration, ClientHandshake, ClientStep, ServerLeaf, Session, SessionIdentifier};
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::transport::block::Batch;
use smp_std::net::{ClientAlpn, ClientTls, TlsStream};
use tokio::io::{AsyncWrite, DuplexStream};

use super::{STEPS, alter, noise, versions};
use crate::input::Input;
use crate::relay::crew::Crew;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn play(input: &mut Input<'_>) {
    let mut crew = Crew::new();
    let alpn = [ClientAlpn::Smp, ClientAlpn::Smp, ClientAlpn::Http11, ClientAlpn::Absent][input.below(4)];
    let (stream, tls) = (crew.connect(), ClientTls::new(alpn));
    let mut connecting = pin!(tls.connect(stream, Crew::fingerprint(), PATIENCE));
    let mut tls = crew.poll(|context| connecting.as_mut().poll(context)).expect("TLS succeeds");
    let mut block = Box::new([0; BLOCK_LENGTH]);
    crew.poll(|context| tls.poll_read_block(context, &mut block)).expect("the relay says hello");
    let session = answer(&tls, &mut block, input);
    // The client may be silent, or say something before its turn.
    let honest = alter(&mut block, input);
    let mut client = Client { tls, session, honest, last: block.clone() };
    client.send(&mut crew, &block);
    for _ in 0..STEPS {
        let Some(step) = input.next() else { break };
        client.step(&mut crew, step, input);
    }
    drop(client);
    crew.run();
    assert_eq!(crew.connections(), 0, "a connection outlives its client");
    assert_eq!(crew.store().counts().queues, 0);
}

/// The client's hello, in the place of the relay's.
fn answer(tls: &TlsStream<DuplexStream>, block: &mut [u8; BLOCK_LENGTH], input: &mut Input<'_>) -> Option<Session> {
    let session_id = SessionIdentifier::new(tls.session_identifier()).expect("a Finished value is one");
    let leaf = ServerLeaf::from_der(tls.peer_certificates()[0]).expect("the relay has a certificate");
    let configuration = ClientConfiguration {
        versions: versions(input),
        identity: *Crew::fingerprint(),
        is_proxy: input.below(2) == 1,
        service: None,
    };
    let handshake = ClientHandshake::new(configuration, session_id, leaf, X25519SecretKey::from_bytes(&[5; 32]));
    match handshake.receive(block) {
        Ok(ClientStep::Session(session)) => Some(session),
        Ok(ClientStep::Service(_)) => panic!("this client is no service"),
        // Both have no version in common.
        Err(_) => None,
    }
}

struct Client {
    tls: TlsStream<DuplexStream>,
    session: Option<Session>,
    /// Everything said so far is what an honest client says: the relay's blocks can be opened.
    honest: bool,
    last: Box<[u8; BLOCK_LENGTH]>,
}

impl Client {
    fn step(&mut self, crew: &mut Crew, step: u8, input: &mut Input<'_>) {
        match step % 16 {
            0..=5 => {
                let content = input.long();
                self.sealed(crew, &content);
            }
            6 | 7 => {
                // PING, so many times.
                let count = input.below(255) as u8;
                let one = [&[0, 15][..], &[0, 8], b"pingping", &[0], b"PING"].concat();
                let content = [&[count][..], &one.repeat(usize::from(count))].concat();
                self.sealed(crew, &content);
            }
            8 | 9 => {
                self.honest = false;
                let block = noise(input);
                self.send(crew, &block);
            }
            10 => {
                // The same once more.
                self.honest = false;
                let block = self.last.clone();
                self.send(crew, &block);
            }
            11 => {
                // A part of a block, of which the rest may come or not.
                self.honest = false;
                let bytes = input.long();
                let _ = Pin::new(&mut self.tls).poll_write(&mut Context::from_waker(Waker::noop()), &bytes);
            }
            12 | 13 => self.read(),
            14 => crew.run(),
            _ => {
                let mut closing = pin!(self.tls.close());
                let _ = closing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
        }
        if step & 16 != 0 {
            crew.run();
        }
    }

    fn sealed(&mut self, crew: &mut Crew, content: &[u8]) {
        let Some(session) = &mut self.session else { return };
        let mut block = Box::new([0; BLOCK_LENGTH]);
        let room = session.sealer.content_mut(&mut block);
        let length = content.len().min(room.len());
        room[..length].copy_from_slice(&content[..length]);
        session.sealer.seal(&mut block, length).expect("the content fits");
        self.send(crew, &block);
    }

    /// Sends a block if the relay takes one; it may have gone, or wait to be read itself.
    fn send(&mut self, crew: &mut Crew, block: &[u8; BLOCK_LENGTH]) {
        self.last.copy_from_slice(block);
        for _ in 0..8 {
            if self.tls.poll_write_block(&mut Context::from_waker(Waker::noop()), block).is_ready() {
                break;
            }
            crew.run();
        }
        let _ = self.tls.poll_writable(&mut Context::from_waker(Waker::noop()));
    }

    fn read(&mut self) {
        let mut block = Box::new([0; BLOCK_LENGTH]);
        while let Poll::Ready(Ok(())) = self.tls.poll_read_block(&mut Context::from_waker(Waker::noop()), &mut block) {
            let Some(session) = self.session.as_mut().filter(|_| self.honest) else { continue };
            let content = session.opener.open(&mut block).expect("a block of the relay can be opened");
            assert!(Batch::decode(&block[content]).is_ok(), "the relay makes batches");
        }
    }
}
