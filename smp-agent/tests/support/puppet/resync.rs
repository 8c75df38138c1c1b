//! How a released peer replaces its ratchet (wire reference of the ratchet, section 14.2).

use smp_crypto::hash::sha256;
use smp_crypto::ratchet::{Resynchronization, SkippedStore, key_hash};
use smp_proto::agent::{AgreedParameters, EnvelopeContent, Message};
use smp_proto::version::RatchetVersion;

use super::Puppet;

/// How a released peer replaces its ratchet.
pub struct Resync {
    /// Whether it compares octets as signed numbers.
    pub signed: bool,
    /// The keys it has started with.
    started: Option<Resynchronization>,
    /// Whether it has a new ratchet, and no message has shown yet that it works.
    pub agreed: bool,
    /// Whether its user has to start again.
    pub required: bool,
    /// Whether it answers keys once though it has started itself, as it does when both happens at the same moment.
    pub answers_twice: bool,
    /// Hashes of keys that have come.
    seen: Vec<[u8; 32]>,
}

impl Resync {
    /// A peer that knows how, with one of the two orders.
    pub fn new(signed: bool) -> Self {
        Self { signed, started: None, agreed: false, required: false, answers_twice: false, seen: Vec::new() }
    }
}

impl Puppet {
    /// Starts to replace the ratchet.
    pub fn start_resync(&mut self) {
        let keys = Resynchronization::start(&mut self.random, RatchetVersion::MAX, false);
        self.put_keys(&keys);
        let resync = self.resync.as_mut().expect("it knows how");
        (resync.started, resync.agreed, resync.required) = (Some(keys), false, false);
    }

    /// A key message takes a number.
    pub fn put_keys(&mut self, keys: &Resynchronization) {
        self.put_content(0, EnvelopeContent::RatchetKey { parameters: keys.parameters(), info: b"R" });
        self.number += 1;
        self.hash = sha256(&[b"R"]).to_vec();
    }

    pub(super) fn put_ready(&mut self) {
        let message = self.next_message(Message::Ready(1));
        self.put(0, &message);
    }

    /// The agent's keys for a new ratchet (wire reference of the ratchet, section 14.2).
    pub(super) fn take_keys(&mut self, parameters: &AgreedParameters<'_>) {
        let Some(resync) = &mut self.resync else { return };
        if resync.seen.contains(&key_hash(parameters)) {
            return;
        }
        resync.seen.push(key_hash(parameters));
        if resync.agreed {
            (resync.agreed, resync.required) = (false, true);
            return;
        }
        (resync.agreed, resync.required) = (true, false);
        if std::mem::take(&mut resync.answers_twice) {
            resync.started = None;
        }
        let signed = resync.signed;
        let keys = match resync.started.take() {
            Some(keys) => keys,
            None => {
                let keys = Resynchronization::start(&mut self.random, RatchetVersion::MAX, false);
                self.put_keys(&keys);
                keys
            }
        };
        let order = |hash: [u8; 32]| hash.map(|octet| if signed { octet ^ 0x80 } else { octet });
        self.late = SkippedStore::new();
        if order(key_hash(&keys.parameters())) <= order(key_hash(parameters)) {
            self.ratchet = Some(keys.receiver(parameters, false).unwrap());
        } else {
            self.ratchet = Some(keys.sender(parameters, &mut self.random).unwrap());
            self.put_ready();
        }
    }
}
