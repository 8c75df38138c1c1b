//! What the ciphers of one message cost on this machine: the least a relay can do for it, to compare its CPU time with.
//!
//! A message that is sent alone takes a relay five blocks, each of them in a record of TLS: it receives SEND and ACK, and
//! sends OK, MSG and OK again. It opens both blocks it receives (of an acknowledgement, whose padding it need not decrypt,
//! it only verifies the tag), encrypts the body for the recipient, and seals three blocks. That is, of 16 KiB each:
//!
//! | Cipher | Times |
//! |---|---|
//! | ChaCha20-Poly1305, of TLS | 5 |
//! | XSalsa20, of blocks and of the delivery | 5 |
//! | Poly1305 of those and of the acknowledgement | 6 |
//!
//! Signatures, hashes, the kernel and the disk are no part of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::crypto::cipher::{
    InboundOpaqueMessage, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
};
use rustls::crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
use rustls::{ContentType, ProtocolVersion};
use smp_crypto::block_chain::{BLOCK_LENGTH, ENCRYPTED_CONTENT_LIMIT};
use smp_crypto::delivery::SEALED_LENGTH;
use smp_crypto::secret_box::{BoxKey, Nonce, TAG_LENGTH};

use crate::failure::{Failure, OTHER};

/// Between two samples: seldom enough to take nothing from what is measured.
const PAUSE: Duration = Duration::from_millis(20);
/// Length of the content of an acknowledgement's block in bytes, more or less.
const SHORT: usize = 160;
/// What a record has in front of its ciphertext.
const RECORD_HEADER: usize = 5;

/// Both directions of a connection, with the keys that the relay has of them.
struct Ciphers {
    encrypter: Box<dyn MessageEncrypter>,
    decrypter: Box<dyn MessageDecrypter>,
    key: BoxKey,
    number: u64,
}

impl Ciphers {
    fn new() -> Option<Self> {
        let suite = TLS13_CHACHA20_POLY1305_SHA256.tls13()?;
        let (encrypter, decrypter) = (
            suite.aead_alg.encrypter([1; 32].into(), [2; 12].into()),
            suite.aead_alg.decrypter([1; 32].into(), [2; 12].into()),
        );
        Some(Self { encrypter, decrypter, key: BoxKey::new(&[3; 32]), number: 0 })
    }

    /// Encrypts a block as TLS does. Numbers repeat: nobody sees what comes out.
    fn record(&mut self, block: &[u8]) -> Option<Vec<u8>> {
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_3,
            payload: OutboundChunks::Single(block),
        };
        Some(self.encrypter.encrypt(message, self.number).ok()?.encode())
    }

    /// Does what one message takes, and tells how long it took.
    fn message(&mut self) -> Option<Duration> {
        self.number = self.number.wrapping_add(1);
        let nonce = Nonce([4; 24]);
        let mut received = Vec::new();
        for length in [ENCRYPTED_CONTENT_LIMIT, SHORT] {
            let mut block = [5; BLOCK_LENGTH];
            self.key.seal_padded(&nonce, &mut block, length).ok()?;
            received.push((self.record(&block)?, block));
        }
        let (mut body, mut sent) = ([6; SEALED_LENGTH], [7; BLOCK_LENGTH]);

        let start = Instant::now();
        for (record, block) in &mut received {
            let version = ProtocolVersion::TLSv1_2;
            let record = record.get_mut(RECORD_HEADER..)?;
            let message = InboundOpaqueMessage::new(ContentType::ApplicationData, version, record);
            self.decrypter.decrypt(message, self.number).ok()?;
            self.key.open_padded(&nonce, block).ok()?;
        }
        self.key.seal_padded(&nonce, &mut body, SEALED_LENGTH.saturating_sub(TAG_LENGTH + 2)).ok()?;
        for length in [SHORT, ENCRYPTED_CONTENT_LIMIT, SHORT] {
            self.key.seal_padded(&nonce, &mut sent, length).ok()?;
            self.record(&sent)?;
        }
        Some(start.elapsed())
    }
}

/// Measures while something else does, so that both find the same machine, busy or not.
pub(super) struct Sampling {
    samples: Arc<Mutex<Vec<Duration>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Sampling {
    pub(super) fn start() -> Result<Self, Failure> {
        let mut ciphers = Ciphers::new().ok_or_else(|| Failure::new(OTHER, "there is no such cipher"))?;
        let samples: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let kept = Arc::clone(&samples);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(PAUSE).await;
                // The first one of two finds the caches full of other things; the relay's are its own.
                let _ = ciphers.message();
                if let Some(time) = ciphers.message() {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(time);
                }
            }
        });
        Ok(Self { samples, task })
    }

    /// The median, in seconds: what a message's ciphers take when nothing interrupts them.
    pub(super) fn finish(self) -> Option<f64> {
        self.task.abort();
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.sort_unstable();
        samples.get(samples.len() / 2).map(Duration::as_secs_f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ciphers_are_measured_while_something_else_happens() {
        let sampling = Sampling::start().unwrap();
        tokio::time::sleep(10 * PAUSE).await;
        let time = sampling.finish().unwrap();
        assert!(time > 0.0 && time < 1.0, "{time}");
    }
}
