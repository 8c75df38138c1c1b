//! The keys of queues, the same in every run: making them is not what is looked at.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};

/// How many queues, and how many notifiers, there are in one input at most.
pub(super) const COUNT: usize = 8;

pub(super) struct Keys {
    pub(super) recipient: AuthorizationSecretKey,
    pub(super) dh: X25519SecretKey,
    /// The second one is never the queue's own when the first is.
    pub(super) senders: [AuthorizationSecretKey; 2],
    pub(super) notifier: AuthorizationSecretKey,
    pub(super) notifier_dh: X25519SecretKey,
}

static KEYS: LazyLock<Vec<Keys>> = LazyLock::new(|| {
    let mut random = ChaCha20Rng::from_seed([7; 32]);
    let mut key = |kind: usize| match kind % 2 {
        0 => AuthorizationSecretKey::generate_ed25519(&mut random),
        _ => AuthorizationSecretKey::generate_x25519(&mut random),
    };
    let keys: Vec<_> = (0..COUNT).map(|number| (key(number), [key(number / 2), key(1)], key(number / 4))).collect();
    let dh = || X25519SecretKey::generate(&mut ChaCha20Rng::from_seed([8; 32]));
    let made = keys.into_iter().map(|(recipient, senders, notifier)| Keys {
        recipient,
        dh: dh(),
        senders,
        notifier,
        notifier_dh: dh(),
    });
    made.collect()
});

/// Of the queue or notifier with this number.
pub(super) fn of(number: u32) -> &'static Keys {
    &KEYS[number as usize % COUNT]
}
