//! The key schedule and the protection of records (RFC 8446, sections 5 and 7), written for these tests alone.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce, Tag};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::wire::{APPLICATION_DATA, list8, record};

pub type Secret = [u8; 32];

pub fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// HKDF-Expand-Label.
pub fn expand<const N: usize>(secret: &Secret, label: &str, context: &[u8]) -> [u8; N] {
    let length = u16::try_from(N).unwrap().to_be_bytes();
    let info = [&length[..], &list8(format!("tls13 {label}").as_bytes()), &list8(context)].concat();
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(secret).unwrap().expand(&info, &mut out).unwrap();
    out
}

fn extract(salt: &[u8], input: &[u8]) -> Secret {
    Hkdf::<Sha256>::extract(Some(salt), input).0.into()
}

/// The value of a Finished message.
pub fn verify_data(secret: &Secret, transcript: &[u8]) -> [u8; 32] {
    let key: [u8; 32] = expand(secret, "finished", &[]);
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&key).unwrap();
    mac.update(&hash(transcript));
    mac.finalize().into_bytes().into()
}

/// The secrets of one stage: of the handshake, or of the application's data.
#[derive(Clone)]
pub struct Stage {
    pub client: Keys,
    pub server: Keys,
    base: Secret,
}

impl Stage {
    /// After ServerHello.
    pub fn handshake(shared: &[u8; 32], transcript: &[u8]) -> Self {
        let early = extract(&[0; 32], &[0; 32]);
        let salt: Secret = expand(&early, "derived", &hash(&[]));
        Self::new(extract(&salt, shared), "hs", transcript)
    }

    /// After the server's Finished.
    pub fn application(&self, transcript: &[u8]) -> Self {
        let salt: Secret = expand(&self.base, "derived", &hash(&[]));
        Self::new(extract(&salt, &[0; 32]), "ap", transcript)
    }

    fn new(base: Secret, stage: &str, transcript: &[u8]) -> Self {
        let keys = |side| Keys::new(expand(&base, &format!("{side} {stage} traffic"), &hash(transcript)));
        Self { client: keys('c'), server: keys('s'), base }
    }
}

/// What protects the records of one direction.
#[derive(Clone, Debug)]
pub struct Keys {
    pub secret: Secret,
    pub sequence: u64,
}

impl Keys {
    pub fn new(secret: Secret) -> Self {
        Self { secret, sequence: 0 }
    }

    /// Those after a KeyUpdate.
    pub fn next(&self) -> Self {
        Self::new(expand(&self.secret, "traffic upd", &[]))
    }

    fn cipher(&self) -> (ChaCha20Poly1305, Nonce) {
        let key: [u8; 32] = expand(&self.secret, "key", &[]);
        let mut nonce: [u8; 12] = expand(&self.secret, "iv", &[]);
        for (byte, number) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        (ChaCha20Poly1305::new(&Key::from(key)), Nonce::from(nonce))
    }

    /// A record with `inner`, which already has its type and padding at its end, whatever they are.
    pub fn seal_inner(&mut self, kind: u8, version: u16, inner: &[u8]) -> Vec<u8> {
        let (cipher, nonce) = self.cipher();
        self.sequence += 1;
        let mut header = record(kind, version, &[]);
        header[3..].copy_from_slice(&u16::try_from(inner.len() + 16).unwrap().to_be_bytes());
        let mut sealed = inner.to_vec();
        let tag = cipher.encrypt_inout_detached(&nonce, &header, sealed.as_mut_slice().into()).unwrap();
        [header, sealed, tag.to_vec()].concat()
    }

    /// A record as it should be.
    pub fn seal(&mut self, kind: u8, content: &[u8], padding: usize) -> Vec<u8> {
        let inner = [content, &[kind], &vec![0; padding]].concat();
        self.seal_inner(APPLICATION_DATA, 0x0303, &inner)
    }

    /// The type and content of a record, header included, if these are its keys. Moves on to the next record if so.
    pub fn open(&mut self, record: &[u8]) -> Option<(u8, Vec<u8>)> {
        let (cipher, nonce) = self.cipher();
        let (header, body) = record.split_at_checked(5)?;
        let (sealed, tag) = body.split_last_chunk::<16>()?;
        let mut inner = sealed.to_vec();
        cipher.decrypt_inout_detached(&nonce, header, inner.as_mut_slice().into(), &Tag::from(*tag)).ok()?;
        self.sequence += 1;
        while inner.pop_if(|byte| *byte == 0).is_some() {}
        let kind = inner.pop()?;
        Some((kind, inner))
    }
}
