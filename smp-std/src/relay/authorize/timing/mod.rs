//! Does the time of a refusal tell what there is? `cargo test --release -p smp-std --lib timing -- --ignored --nocapture`
//! measures it (on an idle machine, some ten minutes; `SAMPLES` in the environment sets how many measurements for each
//! class, 20,000 by default) and prints how much the classes of refused commands differ. What must not depend on the
//! noise of a machine is tested every time in [`reads`](super::reads).

mod instructions;
pub(super) mod population;
mod services;
pub(super) mod session;
mod statistics;

use std::hint::black_box;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use smp_crypto::authorization::{Agreements, Decoy, authorize, sign_service, verify, verify_again};
use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};
use smp_proto::id::{CorrelationId, EntityId, MessageId, SessionId};
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::Command;
use smp_proto::smp::sender::Send;
use smp_proto::smp::service::{IdsHash, ServiceQueues};
use smp_proto::transport::transmission::{Authorization, AuthorizedBytes};
use smp_proto::version::SmpVersion;
use smp_proto::wire::Writer;

use self::population::{Ids, Kind, Population};
use self::session::TestSession;
use self::statistics::{heading, measure, report};
use super::Terms;
use crate::relay::store::Store;

pub(super) const SESSION: [u8; 32] = [9; 32];

const NO_QUEUES: ServiceQueues<'_> = ServiceQueues { count: 0, hash: IdsHash::new(&[0; 16]) };

/// So many ids of each class are asked for again and again: enough that where the rows of one of them lie does not count
/// for the class.
const REPEATED: usize = 64;

fn samples() -> usize {
    std::env::var("SAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

/// A stranger: has keys of all kinds, none of them registered anywhere.
pub(super) struct Stranger {
    keys: [Vec<AuthorizationSecretKey>; 3],
    pub(super) random: StdRng,
}

impl Stranger {
    pub(super) fn new() -> Self {
        let mut random = StdRng::seed_from_u64(3);
        let keys = Kind::ALL.map(|kind| (0..64).map(|_| kind.generate(&mut random)).collect());
        Self { keys, random }
    }

    /// One that has this key alone.
    pub(super) fn with_key(kind: Kind, key: AuthorizationSecretKey) -> Self {
        let mut keys: [Vec<_>; 3] = Default::default();
        keys[kind as usize].push(key);
        Self { keys, random: StdRng::seed_from_u64(3) }
    }

    fn key(&mut self, kind: Kind) -> &AuthorizationSecretKey {
        let keys = &self.keys[kind as usize];
        &keys[self.random.random_range(0..keys.len())]
    }

    /// Ids that nothing has, each with a queue of its own to stand in for it, as each that exists has rows of its own.
    pub(super) fn unknown(&mut self) -> Vec<[u8; 24]> {
        (0..REPEATED)
            .map(|number| {
                let mut id: [u8; 24] = self.random.random();
                id[0] = number.try_into().unwrap();
                id
            })
            .collect()
    }

    /// A transmission that this stranger authorized, with a key of `kind` or with none.
    pub(super) fn transmission(
        &mut self,
        session: &TestSession,
        kind: Option<Kind>,
        entity: &[u8],
        command: Wanted,
        service: Signed,
    ) -> Vec<u8> {
        let correlation: [u8; 24] = self.random.random();
        let correlation = CorrelationId::from_array(&correlation);
        let new_key = self.key(kind.unwrap_or(Kind::X25519)).public_key();
        let mut buffer = [0; 512];
        let entity = EntityId::new(entity).unwrap();
        let bytes =
            AuthorizedBytes::write(&mut buffer, SessionId::new(&SESSION).unwrap(), correlation, entity, |writer| {
                command.as_command(new_key).encode(writer, SmpVersion::MAX)
            })
            .unwrap();
        let made = kind.map(|kind| {
            let fingerprint = if service == Signed::No { &[] } else { session.fingerprint() };
            let authorized = [fingerprint, bytes.as_bytes()].concat();
            // The key in SKEY and LKEY is another one than this: neither would be let in with the right one.
            authorize(self.key(kind), Some(&session.key()), correlation, &authorized).unwrap()
        });
        let signature = match service {
            Signed::No => None,
            Signed::Rightly => Some(sign_service(&session.service_key, bytes.as_bytes())),
            Signed::Wrongly => Some(sign_service(&session.service_key, b"something else")),
        };
        let authorization = made.as_ref().map_or(Authorization::None, |made| made.as_authorization());
        let mut out = [0; 1024];
        let mut writer = Writer::new(&mut out);
        bytes.encode(&mut writer, SmpVersion::MAX, &authorization, signature.as_ref()).unwrap();
        writer.written().to_vec()
    }
}

/// Whether a service signs a command besides the one who authorizes it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Signed {
    No,
    Rightly,
    Wrongly,
}

/// Commands, one for each way to find a queue.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Wanted {
    Get,
    Subscribe,
    Acknowledge,
    Send,
    Secure,
    Notifications,
    SecureByLink,
    Link,
    /// All queues of a service, which is the entity itself.
    Service,
    /// All notifiers of a service.
    NotifierService,
}

impl Wanted {
    fn as_command(self, key: AuthorizationKey) -> Command<'static> {
        match self {
            Self::Get => Command::Get,
            Self::Acknowledge => Command::Acknowledge(MessageId::new(&[1; 24]).unwrap()),
            Self::Send => Command::Send(Send { notify: false, body: b"a message" }),
            Self::Secure => Command::SecureBySender(key),
            Self::Notifications => Command::SubscribeNotifications,
            Self::SecureByLink => Command::SecureByLink(key),
            Self::Link => Command::GetLink,
            Self::Subscribe => Command::Subscribe,
            Self::Service => Command::SubscribeService(NO_QUEUES),
            Self::NotifierService => Command::SubscribeNotifierService(NO_QUEUES),
        }
    }

    pub(super) fn id(self, ids: &Ids) -> [u8; 24] {
        match self {
            Self::Get | Self::Acknowledge | Self::Subscribe => ids.recipient,
            Self::Send | Self::Secure => ids.sender,
            Self::Notifications => ids.notifier,
            Self::SecureByLink | Self::Link => ids.link,
            Self::Service | Self::NotifierService => ids.service.unwrap_or(ids.recipient),
        }
    }
}

/// Pure verification, without a relay around it.
#[test]
#[ignore = "measures"]
fn timing_of_verification() {
    let random = &mut StdRng::seed_from_u64(4);
    let relay = X25519SecretKey::generate(random);
    let decoy = Decoy::generate(random);
    heading("verification (smp-crypto), a command of 150 bytes");
    let mut stranger = Stranger::new();
    let registered = Kind::ALL.map(|kind| (0..256).map(|_| kind.generate(random).public_key()).collect::<Vec<_>>());
    let mut kept = Agreements::default();
    for _ in 0..4 {
        let key = Kind::X25519.generate(random);
        let made = authorize(&key, Some(&relay.public_key()), CorrelationId::from_array(&[1; 24]), b"x").unwrap();
        let (made, keys) = (made.as_authorization(), [key.public_key()]);
        assert!(verify_again(&made, CorrelationId::from_array(&[1; 24]), &[b"x"], &keys, &relay, &decoy, &mut kept));
    }
    let kept = Mutex::new(kept);
    type Verify<'v> = &'v dyn Fn(&Authorization<'_>, CorrelationId<'_>, &[&[u8]], &[AuthorizationKey]) -> bool;
    let plain: Verify<'_> = &|made, id, bytes, keys| verify(made, id, bytes, keys, Some(&relay), &decoy);
    let again: Verify<'_> =
        &|made, id, bytes, keys| verify_again(made, id, bytes, keys, &relay, &decoy, &mut kept.lock());
    // Positive controls: what a hurried author would have written, and one hash of 64 bytes too much.
    let early: Verify<'_> =
        &|made, id, bytes, keys| !keys.is_empty() && verify(made, id, bytes, keys, Some(&relay), &decoy);
    let hash: Verify<'_> = &|made, id, bytes, keys| {
        if keys.is_empty() {
            black_box(smp_crypto::hash::sha512(&[black_box(&[0; 64])]));
        }
        verify(made, id, bytes, keys, Some(&relay), &decoy)
    };
    let ways: [(&str, Verify<'_>, &[Kind]); 4] = [
        ("", plain, &Kind::ALL),
        (", keys of others kept", again, &[Kind::X25519]),
        (", CONTROL: no dummy", early, &[Kind::Ed25519, Kind::X25519]),
        (", CONTROL: a hash more", hash, &[Kind::Ed25519, Kind::X25519]),
    ];
    for (way, verify, kinds) in ways {
        for kind in kinds {
            let prepare = |class: usize| {
                let mut bytes = [0; 150];
                stranger.random.fill_bytes(&mut bytes);
                let correlation: [u8; 24] = stranger.random.random();
                let id = CorrelationId::from_array(&correlation);
                let made = authorize(stranger.key(*kind), Some(&relay.public_key()), id, &bytes).unwrap();
                let place = stranger.random.random_range(0..256);
                let keys = match class {
                    0 => None,
                    1 => Some(registered[*kind as usize][place]),
                    _ => Some(registered[(*kind as usize + 1 + place % 2) % 3][place]),
                };
                (bytes, correlation, made, keys)
            };
            let times = measure(3, samples(), prepare, |(bytes, correlation, made, keys)| {
                let id = CorrelationId::from_array(correlation);
                verify(&made.as_authorization(), id, &[&SESSION, bytes], keys.as_slice())
            });
            report(&format!("{kind:?}{way}"), &["unknown", "wrong key", "key of another kind"], &times);
        }
    }
}

/// What the dummy key's own arithmetic tells: signatures that it verifies quickly, known from measuring at home, against
/// those that it verifies slowly. A difference for unknown entities and none for known ones would tell which is which.
#[test]
#[ignore = "measures"]
fn timing_of_signatures_chosen_for_the_dummy() {
    let random = &mut StdRng::seed_from_u64(8);
    let own = Decoy::generate(random);
    heading("signatures that an attacker's own relay refuses quickly, against slowly");
    let known: Vec<_> = (0..64).map(|_| Kind::Ed25519.generate(random).public_key()).collect();
    let id = CorrelationId::from_array(&[1; 24]);
    let mut stranger = Stranger::new();
    let mut measured: Vec<_> = (0..4_000)
        .map(|_| {
            let mut bytes = [0; 150];
            stranger.random.fill_bytes(&mut bytes);
            let made = authorize(stranger.key(Kind::Ed25519), None, id, &bytes).unwrap();
            let times = (0..40).map(|_| {
                let start = std::time::Instant::now();
                black_box(verify(&made.as_authorization(), id, &[&bytes], &[], None, &own));
                start.elapsed()
            });
            (times.min().unwrap(), bytes, made)
        })
        .collect();
    measured.sort_by_key(|(time, ..)| *time);
    let (quick, slow) = (&measured[..200], &measured[3_800..]);
    println!("the attacker's relay: {:?} and {:?}", quick[100].0, slow[100].0);
    let others = Decoy::generate(random);
    for (what, decoy, keys) in [
        ("CONTROL: the same secret", &own, None),
        ("another secret, unknown", &others, None),
        ("another secret, known", &others, Some(known[0])),
    ] {
        let prepare = |class: usize| {
            let (_, bytes, made) = &[quick, slow][class][stranger.random.random_range(0..200)];
            (*bytes, *made)
        };
        let times = measure(2, samples(), prepare, |(bytes, made)| {
            verify(&made.as_authorization(), id, &[bytes], keys.as_slice(), None, decoy)
        });
        report(what, &["quick", "slow"], &times);
    }
}

#[test]
#[ignore = "measures"]
fn timing_in_the_relay() {
    let memory = Population::in_memory(100_000);
    of_a_relay("relay, memory store, 100,000 queues", &memory);
    drop(memory);
    let folder = tempfile::tempdir().unwrap();
    let disk = Population::on_disk(folder.path(), 200_000);
    of_a_relay("relay, fjall store, 200,000 queues", &disk);
}

fn of_a_relay(what: &str, population: &Population) {
    const WANTED: [(Wanted, &[Option<Kind>]); 7] = [
        (Wanted::Get, &[Some(Kind::Ed25519), Some(Kind::Ed448), Some(Kind::X25519)]),
        (Wanted::Acknowledge, &[Some(Kind::X25519)]),
        (Wanted::Send, &[None, Some(Kind::Ed25519), Some(Kind::Ed448), Some(Kind::X25519)]),
        (Wanted::Secure, &[Some(Kind::X25519)]),
        (Wanted::Notifications, &[Some(Kind::Ed25519)]),
        (Wanted::SecureByLink, &[Some(Kind::X25519)]),
        (Wanted::Link, &[None]),
    ];
    for (how, variety) in [("each id asked for once", usize::MAX), ("64 ids asked for again and again", REPEATED)] {
        heading(&format!("{what}, {how}"));
        for (wanted, kinds) in WANTED {
            for kind in kinds {
                of_a_command(population, wanted, *kind, variety);
            }
        }
    }
}

fn of_a_command(population: &Population, wanted: Wanted, kind: Option<Kind>, variety: usize) {
    let session = TestSession::of_client();
    let (terms, store) = (session.terms(), &population.store);
    keep_others(population, store, &terms, &session);
    let mut stranger = Stranger::new();
    let unknown = stranger.unknown();
    // A queue that has no key takes any message without one.
    let mut groups: Vec<(&str, &[Ids])> = vec![("wrong key", population.of(kind.unwrap_or(Kind::X25519)))];
    groups.push((
        "key of another kind",
        population.of(if kind == Some(Kind::X25519) { Kind::Ed448 } else { Kind::X25519 }),
    ));
    if kind.is_some() && matches!(wanted, Wanted::Send | Wanted::Secure | Wanted::SecureByLink) {
        groups.push(("no key", population.without_key()));
    }
    let classes: Vec<&str> = std::iter::once("unknown").chain(groups.iter().map(|(name, _)| *name)).collect();
    let mut cursors = vec![0; classes.len()];
    let prepare = |class: usize| {
        let number = cursors[class];
        cursors[class] += 1;
        let id = if class > 0 {
            let group = groups[class - 1].1;
            wanted.id(&group[number % variety.min(group.len())])
        } else if variety == usize::MAX {
            stranger.random.random()
        } else {
            unknown[number % unknown.len()]
        };
        stranger.transmission(&session, kind, &id, wanted, Signed::No)
    };
    // Ed448 takes 25 times as long, and was measured alone.
    let samples = if kind == Some(Kind::Ed448) { samples() / 10 } else { samples() };
    let times = measure(classes.len(), samples, prepare, |transmission| {
        let refused = terms.authorize_at_once(store, transmission).is_err();
        assert!(refused);
        refused
    });
    let supplied = kind.map_or_else(|| "nothing".to_owned(), |kind| format!("{kind:?}"));
    report(&format!("{wanted:?}, {supplied}"), &classes, &times);
}

/// Fills the agreements of the connection with those of queues that are its own.
fn keep_others(population: &Population, store: &Store, terms: &Terms<'_>, session: &TestSession) {
    for (ids, key) in &population.own {
        let correlation = CorrelationId::from_array(&[1; 24]);
        let mut buffer = [0; 512];
        let entity = EntityId::new(&ids.sender).unwrap();
        let command = Command::Send(Send { notify: false, body: b"x" });
        let bytes = AuthorizedBytes::write(&mut buffer, terms.session_id, correlation, entity, |writer| {
            command.encode(writer, SmpVersion::MAX)
        })
        .unwrap();
        let made = authorize(key, Some(&session.key()), correlation, bytes.as_bytes()).unwrap();
        let mut out = [0; 1024];
        let mut writer = Writer::new(&mut out);
        bytes.encode(&mut writer, SmpVersion::MAX, &made.as_authorization(), None).unwrap();
        assert!(terms.authorize_at_once(store, writer.written()).is_ok());
    }
}
