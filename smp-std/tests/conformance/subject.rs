//! Queues in the state that a row of the table needs.

use smp_crypto::key::{AuthorizationSecretKey, Ed448SecretKey, X25519SecretKey};

use crate::hand::{ask, key, long, short};
use crate::harness::{RawClient, Received};

/// The kinds of keys that authorize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ed25519,
    Ed448,
    X25519,
}

impl Kind {
    pub(crate) fn generate(self) -> AuthorizationSecretKey {
        let random = &mut rand::rng();
        match self {
            Self::Ed25519 => AuthorizationSecretKey::generate_ed25519(random),
            Self::Ed448 => AuthorizationSecretKey::Ed448(Ed448SecretKey::generate(random)),
            Self::X25519 => AuthorizationSecretKey::generate_x25519(random),
        }
    }
}

/// What a queue has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// `M`, `C`, or unknown.
    pub(crate) mode: Option<u8>,
    pub(crate) secured: bool,
    pub(crate) link: bool,
    pub(crate) notifier: bool,
}

pub(crate) const MESSAGING: Shape = Shape { mode: Some(b'M'), secured: false, link: false, notifier: false };
pub(crate) const CONTACT: Shape = Shape { mode: Some(b'C'), ..MESSAGING };
pub(crate) const UNKNOWN: Shape = Shape { mode: None, ..MESSAGING };

/// A queue and everything its parties know.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) recipient_key: AuthorizationSecretKey,
    pub(crate) dh: X25519SecretKey,
    pub(crate) recipient_id: Vec<u8>,
    pub(crate) sender_id: Vec<u8>,
    /// Set in the queue if it is secured.
    pub(crate) sender_key: AuthorizationSecretKey,
    pub(crate) notifier_key: AuthorizationSecretKey,
    pub(crate) notifier_dh: X25519SecretKey,
    pub(crate) notifier_id: Vec<u8>,
    /// Set in the queue if it has link data.
    pub(crate) link_id: Vec<u8>,
}

pub(crate) const FIXED: &[u8] = b"fixed link data";
pub(crate) const USER: &[u8] = b"user link data";

/// An X25519 public key, as `key`.
pub(crate) fn dh_key(secret: &X25519SecretKey) -> Vec<u8> {
    short(&secret.public_key().to_spki())
}

/// The first `str` of bytes, and what is behind it.
pub(crate) fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes[1..].split_at(usize::from(bytes[0]))
}

impl Subject {
    /// Makes a queue. `keeper` is of version 20, which can say everything.
    pub(crate) async fn new(keeper: &mut RawClient, kind: Kind, shape: Shape) -> Self {
        let mut subject = Self {
            kind,
            shape,
            recipient_key: kind.generate(),
            dh: X25519SecretKey::generate(&mut rand::rng()),
            recipient_id: Vec::new(),
            sender_id: Vec::new(),
            sender_key: kind.generate(),
            notifier_key: kind.generate(),
            notifier_dh: X25519SecretKey::generate(&mut rand::rng()),
            notifier_id: vec![9; 24],
            link_id: rand::random::<[u8; 24]>().to_vec(),
        };
        let request = match shape.mode {
            None => b"0".to_vec(),
            Some(mode) => vec![b'1', mode, b'0'],
        };
        let new =
            [b"NEW ".to_vec(), key(&subject.recipient_key), dh_key(&subject.dh), b"0C".to_vec(), request, vec![b'0']];
        let ids = ask(keeper, Some(&subject.recipient_key), b"", &new.concat()).await;
        let rest = ids.message.strip_prefix(b"IDS ").unwrap_or_else(|| panic!("{}", ids.text()));
        let (recipient_id, rest) = split(rest);
        let (sender_id, _) = split(rest);
        (subject.recipient_id, subject.sender_id) = (recipient_id.to_vec(), sender_id.to_vec());
        if shape.secured {
            let command = [b"KEY ".to_vec(), key(&subject.sender_key)].concat();
            subject.recipient(keeper, &command, "OK").await;
        }
        if shape.link {
            let command = [b"LSET ".to_vec(), short(&subject.link_id), long(FIXED), long(USER)].concat();
            subject.recipient(keeper, &command, "OK").await;
        }
        if shape.notifier {
            let command = [b"NKEY ".to_vec(), key(&subject.notifier_key), dh_key(&subject.notifier_dh)].concat();
            let reply = ask(keeper, Some(&subject.recipient_key), &subject.recipient_id, &command).await;
            let rest = reply.message.strip_prefix(b"NID ").unwrap_or_else(|| panic!("{}", reply.text()));
            subject.notifier_id = split(rest).0.to_vec();
        }
        subject
    }

    /// A command of the recipient, with its answer.
    pub(crate) async fn recipient(&self, client: &mut RawClient, command: &[u8], expected: &str) {
        let reply = ask(client, Some(&self.recipient_key), &self.recipient_id, command).await;
        assert_eq!(reply.text(), expected, "{}", String::from_utf8_lossy(command));
    }

    /// A SEND that suits the queue.
    pub(crate) async fn send(&self, client: &mut RawClient, body: &[u8]) -> Received {
        let command = [b"SEND T ", body].concat();
        let authorization = self.shape.secured.then_some(&self.sender_key);
        ask(client, authorization, &self.sender_id, &command).await
    }
}
