//! How much a connection does before others get a turn: counted each time its task is polled.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smp_crypto::key::{AuthorizationSecretKey, Ed448SecretKey, X25519SecretKey};
use smp_crypto::secret_box::{BoxKey, Nonce, PADDED_MESSAGE_START, TAG_LENGTH};
use smp_proto::id::CorrelationId;
use smp_proto::smp::proxy::{ForwardedTransmission, ProxyForward};
use smp_proto::transport::block::BatchWriter;
use smp_std::relay::Relay;
use tokio::net::TcpListener;

use crate::harness::{TestRelay, send_command};
use crate::routing::RawProxy;
use crate::{ed25519, relay};

/// The most refusals of SEND in one turn since they were asked for.
#[derive(Clone, Default)]
struct Most(Arc<AtomicU64>);

impl Most {
    fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn refused(relay: &Relay) -> u64 {
    relay.stats().queues.messages_sent_auth.get()
}

/// A proxy whose connection is served by a task that is watched.
async fn watched(relay: &mut TestRelay) -> (RawProxy, Most) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    relay.address = listener.local_addr().unwrap();
    let (served, most) = (Arc::clone(&relay.relay), Most::default());
    let counted = most.clone();
    tokio::spawn(async move {
        let (tcp, address) = listener.accept().await.unwrap();
        let mut serving = pin!(Arc::clone(&served).serve_stream(tcp, address.ip()));
        poll_fn(|context| {
            let before = refused(&served);
            let polled = serving.as_mut().poll(context);
            counted.0.fetch_max(refused(&served) - before, Ordering::Relaxed);
            polled
        })
        .await;
    });
    (RawProxy::connect(relay, 20).await, most)
}

impl RawProxy {
    /// A SEND that is forwarded, in no more bytes than it needs: the relay does not know how long they have to be.
    fn short_forward(&self, key: &AuthorizationSecretKey) -> ([u8; 24], Vec<u8>) {
        let correlation: [u8; 24] = rand::random();
        let inner = self.session.transmission(
            &correlation,
            Some(key),
            &[1; 24],
            &self.session.command(&send_command(b"hello")),
        );
        let mut encrypted = vec![0; 600];
        let mut batch = BatchWriter::new(&mut encrypted[PADDED_MESSAGE_START..]).unwrap();
        batch.push(|writer| writer.bytes(&inner)).unwrap();
        let length = batch.finish().unwrap().len();
        let secret = X25519SecretKey::generate(&mut rand::rng());
        let sealing = BoxKey::from(&secret.diffie_hellman(&self.session.key).unwrap());
        sealing.seal_padded(&Nonce::from_slice(&correlation), &mut encrypted, length).unwrap();
        let forward = ProxyForward { version: self.session.version, key: secret.public_key(), encrypted: &encrypted };
        let transmission = ForwardedTransmission { correlation_id: CorrelationId::from_array(&correlation), forward };
        let outer: [u8; 24] = rand::random();
        let mut parameter = vec![0; 1_000 + TAG_LENGTH];
        let parameter =
            self.layer.seal_forward(CorrelationId::from_array(&outer), &transmission, &mut parameter).unwrap();
        (outer, [&[0, 24][..], &outer, &[0], b"RFWD ", parameter].concat())
    }

    /// Sends `blocks` blocks with `count` commands in each, and waits for all responses.
    async fn send_all(&mut self, blocks: usize, count: usize, key: &AuthorizationSecretKey, forwarded: bool) {
        let mut waiting = Vec::new();
        let mut encoded = Vec::new();
        for _ in 0..blocks {
            let commands = (0..count).map(|_| match forwarded {
                true => self.short_forward(key),
                false => self.client.encode(Some(key), &[1; 24], &send_command(b"hello")),
            });
            let (ids, transmissions): (Vec<_>, Vec<_>) = commands.unzip();
            waiting.extend(ids);
            encoded.push(transmissions);
        }
        for block in encoded {
            self.client.send_block(&block).await;
        }
        for id in waiting {
            let response = self.client.response_to(&id).await;
            assert!(response.text().starts_with(if forwarded { "RRES " } else { "ERR AUTH" }));
        }
    }
}

/// Eight Ed448 signatures take eight milliseconds: nobody else is served meanwhile by the same thread.
#[tokio::test]
async fn one_slow_signature_is_verified_in_a_turn() {
    let mut relay = relay().await;
    let (mut proxy, most) = watched(&mut relay).await;
    let slow = AuthorizationSecretKey::Ed448(Ed448SecretKey::generate(&mut rand::rng()));
    for (key, expected) in [(&slow, 1), (&ed25519(), 8)] {
        for (blocks, count, forwarded) in [(1, 16, false), (16, 1, false), (1, 12, true), (12, 1, true)] {
            let before = refused(&relay.relay);
            proxy.send_all(blocks, count, key, forwarded).await;
            assert_eq!(refused(&relay.relay) - before, (blocks * count) as u64);
            let most = most.take();
            assert!((1..=expected).contains(&most), "{most} in one turn: {blocks} blocks of {count}, {forwarded}");
        }
    }
    drop(proxy);
    relay.stop().await;
}
