//! NEW and IDS in every form (sections 7.2 and 8.1).

use std::sync::Arc;

use smp_crypto::key::X25519SecretKey;
use smp_std::relay::config::Config;
use tokio::task::JoinSet;

use crate::commands::kinds;
use crate::hand::{ask, ask_all, ask_as, key, long, short};
use crate::harness::{RawClient, TestRelay};
use crate::subject::{FIXED, USER, dh_key, split};
use crate::{VERSIONS, unhurried};

/// One way to write NEW, and what IDS has to say about it.
struct Form {
    about: &'static str,
    /// Behind the two keys. The sender's id and the link's id are what a client may choose.
    tail: fn(&[u8; 24], &[u8; 24]) -> Vec<u8>,
    /// Versions that have this form.
    versions: std::ops::RangeInclusive<u16>,
    /// The mode that IDS names.
    mode: Option<u8>,
    /// The sender's id is the client's.
    own_sender_id: bool,
    link: Link,
    notifier: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Link {
    None,
    /// The relay chose the id.
    Relay,
    /// The client chose it.
    Client,
}

fn form(
    about: &'static str,
    versions: std::ops::RangeInclusive<u16>,
    tail: fn(&[u8; 24], &[u8; 24]) -> Vec<u8>,
) -> Form {
    Form { about, tail, versions, mode: None, own_sender_id: false, link: Link::None, notifier: false }
}

/// The keys of a notifier.
fn notifier() -> Vec<u8> {
    let secret = X25519SecretKey::generate(&mut rand::rng());
    let public = smp_crypto::key::Ed25519SecretKey::generate(&mut rand::rng()).public_key();
    [b"1".to_vec(), short(&public.to_spki()), dh_key(&secret)].concat()
}

fn forms() -> Vec<Form> {
    let messaging = |form: Form| Form { mode: Some(b'M'), ..form };
    let contact = |form: Form| Form { mode: Some(b'C'), ..form };
    vec![
        form("no password", 6..=8, |_, _| b"C".to_vec()),
        form("a password that nobody asked for", 6..=8, |_, _| b"A\x03abcC".to_vec()),
        contact(form("contact", 9..=14, |_, _| b"0CF".to_vec())),
        messaging(form("messaging", 9..=14, |_, _| b"0CT".to_vec())),
        messaging(form("messaging, with a password", 9..=14, |_, _| b"1\x03abcCT".to_vec())),
        form("no mode", 15..=16, |_, _| b"0C0".to_vec()),
        messaging(form("messaging", 15..=16, |_, _| b"0C1M0".to_vec())),
        contact(form("contact", 15..=16, |_, _| b"0C1C0".to_vec())),
        Form {
            own_sender_id: true,
            link: Link::Relay,
            ..messaging(form("invitation data", 15..=16, |sender, _| {
                [b"0C1M1".to_vec(), short(sender), long(FIXED), long(USER)].concat()
            }))
        },
        Form {
            own_sender_id: true,
            link: Link::Client,
            ..contact(form("address data", 15..=16, |sender, link| {
                [b"0C1C1".to_vec(), short(link), short(sender), long(FIXED), long(USER)].concat()
            }))
        },
        form("no mode", 17..=20, |_, _| b"0C00".to_vec()),
        messaging(form("messaging", 17..=20, |_, _| b"0C1M00".to_vec())),
        contact(form("contact", 17..=20, |_, _| b"1\x01xC1C00".to_vec())),
        Form {
            notifier: true,
            ..messaging(form("messaging with a notifier", 17..=20, |_, _| [b"0C1M0".to_vec(), notifier()].concat()))
        },
        Form {
            own_sender_id: true,
            link: Link::Relay,
            notifier: true,
            ..messaging(form("invitation data with a notifier", 17..=20, |sender, _| {
                [b"0C1M1".to_vec(), short(sender), long(FIXED), long(USER), notifier()].concat()
            }))
        },
        Form {
            own_sender_id: true,
            link: Link::Client,
            ..contact(form("address data", 17..=20, |sender, link| {
                [b"0C1C1".to_vec(), short(link), short(sender), long(FIXED), long(USER), b"0".to_vec()].concat()
            }))
        },
    ]
}

/// SHA3-384 of the correlation id, cut (7.2, step 3).
fn sender_id(correlation: &[u8; 24]) -> [u8; 24] {
    smp_crypto::hash::sender_id(smp_proto::id::CorrelationId::from_array(correlation))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_and_ids_in_every_form() {
    let relay = Arc::new(TestRelay::start(unhurried()).await);
    let mut versions = JoinSet::new();
    for version in VERSIONS {
        let relay = Arc::clone(&relay);
        versions.spawn(async move {
            let mut client = relay.client_at(version).await;
            let mut count = 0;
            for form in forms().iter().filter(|form| form.versions.contains(&version)) {
                count += 1;
                for kind in kinds(version) {
                    let about = format!("version {version}, {kind:?}, {}", form.about);
                    let (own, dh) = (kind.generate(), X25519SecretKey::generate(&mut rand::rng()));
                    let (correlation, link_id): ([u8; 24], [u8; 24]) = (rand::random(), rand::random());
                    let tail = (form.tail)(&sender_id(&correlation), &link_id);
                    let command = [b"NEW ".to_vec(), key(&own), dh_key(&dh), tail].concat();
                    refuse(&mut client, &command, &own, &about).await;

                    let reply = ask_as(&mut client, correlation, Some(&own), b"", &command).await;
                    assert_eq!(reply.entity, b"", "{about}");
                    let rest =
                        reply.message.strip_prefix(b"IDS ").unwrap_or_else(|| panic!("{about}: {}", reply.text()));
                    let (recipient, rest) = split(rest);
                    let (sender, rest) = split(rest);
                    assert_eq!((recipient.len(), sender.len()), (24, 24), "{about}");
                    assert_eq!(sender == sender_id(&correlation), form.own_sender_id, "{about}");
                    let (recipient, sender) = (recipient.to_vec(), sender.to_vec());
                    let (relay_key, rest) = split(rest);
                    assert_eq!(relay_key.len(), 44, "{about}");
                    check_tail(form, version, rest, &link_id, &about);
                    // It is there, and does what its kind does.
                    let reply = ask(&mut client, None, &sender, b"SEND F hello").await;
                    assert_eq!(reply.text(), "OK", "{about}");
                    let reply = ask(&mut client, Some(&own), &recipient, b"GET").await;
                    assert!(reply.message.starts_with(b"MSG \x18"), "{about}: {}", reply.text());
                    assert_eq!(reply.message.len(), 4 + 25 + 16_122, "{about}");
                }
            }
            assert!(count >= 2, "version {version}");
        });
    }
    versions.join_all().await;
    Arc::into_inner(relay).unwrap().stop().await;
}

/// What is wrong with NEW: no key, an entity, somebody else's signature, cut or continued.
async fn refuse(client: &mut RawClient, command: &[u8], own: &smp_crypto::key::AuthorizationSecretKey, about: &str) {
    assert_eq!(ask(client, None, b"", command).await.text(), "ERR CMD NO_AUTH", "{about}");
    assert_eq!(ask(client, Some(own), &[1; 24], command).await.text(), "ERR CMD HAS_AUTH", "{about}");
    let stranger = smp_crypto::key::AuthorizationSecretKey::generate_ed25519(&mut rand::rng());
    assert_eq!(ask(client, Some(&stranger), b"", command).await.text(), "ERR AUTH", "{about}");
    let continued = [command, b" "].concat();
    assert_eq!(ask(client, Some(own), b"", &continued).await.text(), "ERR CMD SYNTAX", "{about}");
    let cut: Vec<_> = (4..command.len()).map(|cut| command[..cut].to_vec()).collect();
    for (cut, reply) in ask_all(client, Some(own), b"", &cut).await.into_iter().enumerate() {
        assert_eq!(reply.text(), "ERR CMD SYNTAX", "{about}: cut at {}", cut + 4);
    }
}

fn check_tail(form: &Form, version: u16, mut rest: &[u8], link_id: &[u8; 24], about: &str) {
    match version {
        6..=8 => {}
        9..=14 => {
            assert_eq!(rest[0], if form.mode == Some(b'M') { b'T' } else { b'F' }, "{about}");
            rest = &rest[1..];
        }
        _ => {
            match form.mode {
                None => {
                    assert_eq!(rest[0], b'0', "{about}");
                    rest = &rest[1..];
                }
                Some(mode) => {
                    assert_eq!(rest[..2], [b'1', mode], "{about}");
                    rest = &rest[2..];
                }
            }
            let given = rest[0] == b'1';
            assert_eq!(given, form.link != Link::None, "{about}");
            rest = &rest[1..];
            if given {
                let (id, behind) = split(rest);
                assert_eq!(id.len(), 24, "{about}");
                assert_eq!(id == link_id, form.link == Link::Client, "{about}");
                rest = behind;
            }
            if version >= 16 {
                assert_eq!(rest[0], b'0', "{about}: no service");
                rest = &rest[1..];
            }
            if version >= 17 {
                let given = rest[0] == b'1';
                assert_eq!(given, form.notifier, "{about}");
                rest = &rest[1..];
                if given {
                    let (id, behind) = split(rest);
                    let (key, behind) = split(behind);
                    assert_eq!((id.len(), key.len()), (24, 44), "{about}");
                    rest = behind;
                }
            }
        }
    }
    assert_eq!(rest, b"", "{about}");
}

#[tokio::test]
async fn ids_that_are_the_clients_are_checked() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client().await;
    let own = smp_crypto::key::AuthorizationSecretKey::generate_ed25519(&mut rand::rng());
    let dh = X25519SecretKey::generate(&mut rand::rng());
    let head = [b"NEW ".to_vec(), key(&own), dh_key(&dh)].concat();
    let data = [long(FIXED), long(USER), b"0".to_vec()].concat();
    // The sender's id is that of the correlation id.
    for sender in [[0; 24].to_vec(), sender_id(&[1; 24]).to_vec(), sender_id(&[2; 24])[..23].to_vec()] {
        for request in [b"0C1M1".to_vec(), [b"0C1C1".to_vec(), short(&[7; 24])].concat()] {
            let command = [head.clone(), request, short(&sender), data.clone()].concat();
            let reply = ask_as(&mut client, [2; 24], Some(&own), b"", &command).await;
            assert_eq!(reply.text(), "ERR CMD PROHIBITED");
        }
    }
    // Ids that are taken are not drawn anew.
    let invitation = |correlation: &[u8; 24]| {
        [head.clone(), b"0C1M1".to_vec(), short(&sender_id(correlation)), data.clone()].concat()
    };
    let address = |correlation: &[u8; 24], link: &[u8; 24]| {
        [head.clone(), b"0C1C1".to_vec(), short(link), short(&sender_id(correlation)), data.clone()].concat()
    };
    let reply = ask_as(&mut client, [3; 24], Some(&own), b"", &invitation(&[3; 24])).await;
    assert!(reply.message.starts_with(b"IDS "), "{}", reply.text());
    let reply = ask_as(&mut client, [3; 24], Some(&own), b"", &invitation(&[3; 24])).await;
    assert_eq!(reply.text(), "ERR AUTH", "the sender's id is taken");
    let reply = ask_as(&mut client, [4; 24], Some(&own), b"", &address(&[4; 24], &[9; 24])).await;
    assert!(reply.message.starts_with(b"IDS "), "{}", reply.text());
    let reply = ask_as(&mut client, [5; 24], Some(&own), b"", &address(&[5; 24], &[9; 24])).await;
    assert_eq!(reply.text(), "ERR AUTH", "the link's id is taken");
    // The failed one took no id with it.
    let reply = ask_as(&mut client, [5; 24], Some(&own), b"", &address(&[5; 24], &[10; 24])).await;
    assert!(reply.message.starts_with(b"IDS "), "{}", reply.text());
    relay.stop().await;
}
