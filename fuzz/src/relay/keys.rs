//! The keys of queues and of services, the same in every run: making them is not what is looked at.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use smp_crypto::key::{AuthorizationSecretKey, Ed25519SecretKey, X25519SecretKey};
use smp_std::identity::{Identity, KeyAlgorithm};

use crate::services::Service;

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

/// Services of each role.
pub(super) const SERVICES: u8 = 2;

/// The certificates of services, and the keys that go with them.
static CERTIFICATES: LazyLock<Vec<Identity>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("there is room for a few files");
    let made = (0..2 * SERVICES).map(|number| {
        let folder = folder.path().join(number.to_string());
        Identity::create(&folder, KeyAlgorithm::Ed25519, "service").expect("an identity can be made")
    });
    made.collect()
});

/// Of a service.
pub(super) fn certificate(service: Service) -> &'static Identity {
    let number = match service {
        Service::Messages(number) => number,
        Service::Notifications(number) => SERVICES + number,
    };
    &CERTIFICATES[usize::from(number)]
}

/// The key of every session of a service.
pub(super) static SESSION_KEY: LazyLock<Ed25519SecretKey> = LazyLock::new(|| Ed25519SecretKey::from_bytes(&[9; 32]));

/// The same, as commands are authorized by it.
pub(super) static SERVICE_KEY: LazyLock<AuthorizationSecretKey> =
    LazyLock::new(|| AuthorizationSecretKey::Ed25519(Ed25519SecretKey::from_bytes(&[9; 32])));
