//! A relay over an imported directory serves what the old server had.

use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_proto::key::X25519PublicKey;
use smp_proto::smp::sender::Send;
use smp_proto::smp::{BrokerMessage, Command};
use smp_std::identity::Identity;
use smp_std::relay::config::Config;
use smp_std::relay::moving::Sources;
use smp_std::relay::store::{FjallOptions, Store};

use crate::harness::{Received, TestRelay, ack};
use crate::{KINDS, hex, id, imported, queues, sample};

/// A relay over an imported sample, in both states of it.
async fn relays(kind: &str) -> Vec<TestRelay> {
    let mut relays = Vec::new();
    for data in ["var", "var-after-restart"] {
        let configuration = sample(kind).join("etc");
        let (directory, report) = imported(&Sources { configuration, data: sample(kind).join(data) });
        assert_eq!((report.counts.queues, report.counts.messages), (10, 138));
        assert!(report.rejected.is_empty(), "{:?}", report.rejected);
        let mut config = Config::load(directory.path()).unwrap();
        // The messages of the samples grow older than the days they are kept, and their notifications than the hours.
        config.messages.expire_days = 0;
        config.notifications.expire_hours = 1_000_000;
        let identity = Identity::load(directory.path()).unwrap();
        let store = directory.path().join("store");
        let open = |options| Store::fjall(&store, &FjallOptions::default(), options).unwrap();
        relays.push(TestRelay::start_with(config, identity, directory, open).await);
    }
    relays
}

/// What waits in a queue of the sample: bodies with their notification flags, `None` for a quota mark.
fn messages_of(case: &serde_json::Value) -> Vec<Option<(Vec<u8>, bool)>> {
    match case["messages"].as_array() {
        Some(messages) => {
            messages.iter().map(|it| Some((hex(&it["body"]), it["notification"].as_bool().unwrap()))).collect()
        }
        // The full queue is described by a rule.
        None => (1..=128).map(|n| Some((format!("m{n}").into_bytes(), false))).chain([None]).collect(),
    }
}

/// The body a message had when it was sent, and its notification flag; `None` for a quota mark.
fn open(
    received: &Received,
    case: &serde_json::Value,
    client: &crate::harness::RawClient,
) -> (Vec<u8>, Option<(Vec<u8>, bool)>) {
    let BrokerMessage::Message(message) = received.decode(client.version()) else { panic!("{}", received.text()) };
    let own = X25519SecretKey::from_pkcs8(&hex(&case["recipient_dh_private"])).unwrap();
    let relay = X25519PublicKey::from_spki(&hex(&case["server_dh_public"])).unwrap();
    let secret = own.diffie_hellman(&relay).unwrap();
    let mut body = message.body.to_vec();
    let nonce = Nonce::from_slice(message.message_id.as_bytes());
    let plain = BoxKey::from(&secret).open_padded(&nonce, &mut body).unwrap();
    let plain = &body[plain];
    let content = (!plain.starts_with(b"QUOTA ")).then(|| (plain[10..].to_vec(), plain[8] == b'T'));
    (message.message_id.as_bytes().to_vec(), content)
}

#[tokio::test]
async fn every_message_is_delivered_to_the_recipients_of_the_old_server() {
    for kind in KINDS {
        let (mut messages, mut marks) = (0, 0);
        for relay in relays(kind).await {
            let fingerprint = std::fs::read_to_string(sample(kind).join("etc/fingerprint")).unwrap();
            let address = Identity::load(&sample(kind).join("etc")).unwrap().address("h", 1);
            assert!(address.contains(fingerprint.trim()));
            let mut client = relay.client().await;
            for case in queues(kind) {
                let key = AuthorizationSecretKey::from_pkcs8(&hex(&case["recipient_private"])).unwrap();
                let recipient_id = id(&case["recipient_id"]);
                let correlation = client.send(Some(&key), &recipient_id, &Command::Subscribe).await;
                let mut answer = client.response_to(&correlation).await;
                let name = case["name"].as_str().unwrap();
                if case["status"] == "deleted" {
                    assert_eq!(answer.text(), "ERR AUTH", "{name}");
                    continue;
                }
                if case["status"] == "blocked" {
                    assert_eq!(answer.text(), "ERR BLOCKED reason=content,notice={\"ttl\":86400}", "{name}");
                    continue;
                }
                assert!(answer.text().starts_with("SOK"), "{name}: {}", answer.text());
                let expected = messages_of(&case);
                if !expected.is_empty() {
                    answer = client.receive().await;
                }
                for expected in expected {
                    let (message_id, content) = open(&answer, &case, &client);
                    assert_eq!(content, expected, "{name}");
                    *if content.is_some() { &mut messages } else { &mut marks } += 1;
                    let correlation = client.send(Some(&key), &recipient_id, &ack(&message_id)).await;
                    answer = client.response_to(&correlation).await;
                    assert!(matches!(answer.text().split(' ').next(), Some("OK" | "MSG")), "{}", answer.text());
                }
                assert!(!answer.text().starts_with("MSG"), "{name} has more");
            }
            relay.stop().await;
        }
        // All but the one in the blocked queue.
        assert_eq!((messages, marks), (136 * 2, 2), "{kind}");
    }
}

#[tokio::test]
async fn senders_of_the_old_server_meet_their_queues() {
    for kind in KINDS {
        for relay in relays(kind).await {
            let mut client = relay.client().await;
            for case in queues(kind) {
                let sender_id = id(&case["sender_id"]);
                let key = case["sender_private"].as_str().map(|_| hex(&case["sender_private"]));
                let key = key.map(|key| AuthorizationSecretKey::from_pkcs8(&key).unwrap());
                let send = Command::Send(Send { notify: false, body: b"another" });
                let answer = client.tell(key.as_ref(), &sender_id, &send).await;
                let name = case["name"].as_str().unwrap();
                let expected = match case["status"].as_str().unwrap() {
                    "deleted" | "off" => "ERR AUTH",
                    "blocked" => "ERR BLOCKED reason=content,notice={\"ttl\":86400}",
                    _ if messages_of(&case).len() > 100 => "ERR QUOTA",
                    _ => "OK",
                };
                assert_eq!(answer, expected, "{name}");
                if key.is_some() && expected == "OK" {
                    assert_eq!(client.tell(None, &sender_id, &send).await, "ERR AUTH", "{name} is secured");
                }
            }
            relay.stop().await;
        }
    }
}

#[tokio::test]
async fn notifiers_of_the_old_server_get_what_waited() {
    for kind in KINDS {
        for relay in relays(kind).await {
            let mut client = relay.client().await;
            let mut count = 0;
            for case in queues(kind) {
                let notifier = &case["notifier"];
                if notifier.is_null() {
                    continue;
                }
                let key = AuthorizationSecretKey::from_pkcs8(&hex(&notifier["notifier_private"])).unwrap();
                let notifier_id = id(&notifier["notifier_id"]);
                let subscribe = Command::SubscribeNotifications;
                let answer = client.tell(Some(&key), &notifier_id, &subscribe).await;
                assert!(answer.starts_with("SOK"), "{answer}");
                // One for each message that was sent with the flag, the acknowledged one too.
                let own = X25519SecretKey::from_pkcs8(&hex(&notifier["recipient_dh_private"])).unwrap();
                let server = X25519PublicKey::from_spki(&hex(&notifier["server_dh_public"])).unwrap();
                let secret = BoxKey::from(&own.diffie_hellman(&server).unwrap());
                let waiting = if case.get("stored_notifications").is_some() { 3 } else { 0 };
                for _ in 0..waiting {
                    let received = client.receive().await;
                    assert_eq!(received.entity, notifier_id);
                    let BrokerMessage::Notification(notification) = received.decode(client.version()) else {
                        panic!("{}", received.text())
                    };
                    let mut sealed = notification.metadata.as_bytes().to_vec();
                    let nonce = Nonce(*notification.nonce);
                    let metadata = smp_crypto::notification::open(&secret, &nonce, &mut sealed).unwrap();
                    assert!((1_795_293_598..=1_795_293_603).contains(&metadata.time.0));
                    count += 1;
                }
            }
            assert_eq!(count, 3);
            relay.stop().await;
        }
    }
}

#[tokio::test]
async fn links_of_the_old_server_lead_to_their_data() {
    for kind in KINDS {
        for relay in relays(kind).await {
            let mut client = relay.client().await;
            let mut count = 0;
            for case in queues(kind) {
                let data = &case["link_data"];
                if data.is_null() {
                    continue;
                }
                let link_id = id(&data["link_id"]);
                let key = AuthorizationSecretKey::generate_x25519(&mut rand::rng());
                let answer = match case["mode"].as_str().unwrap() {
                    "C" => client.ask(None, &link_id, &Command::GetLink).await,
                    _ => client.ask(Some(&key), &link_id, &Command::SecureByLink(key.public_key())).await,
                };
                let BrokerMessage::Link(content) = answer.decode(client.version()) else { panic!("{}", answer.text()) };
                assert_eq!(content.sender_id.as_bytes(), id(&case["sender_id"]));
                for (name, found) in [("fixed", content.data.fixed), ("user", content.data.user)] {
                    if let Some(hash) = data.get(format!("{name}_sha256")) {
                        assert_eq!(smp_crypto::hash::sha256(&[found.as_bytes()]).to_vec(), hex(hash), "{name}");
                    } else {
                        assert_eq!(found.as_bytes(), hex(&data[name]), "{name}");
                    }
                }
                count += 1;
            }
            assert_eq!(count, 2);
            relay.stop().await;
        }
    }
}
