//! Link data (wire reference, sections 7.3 and 7.4).

use smp_crypto::key::{AuthorizationSecretKey, Ed448SecretKey, X25519SecretKey};
use smp_proto::id::LinkId;
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::link::{LinkContent, SetLink};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::wire::NonEmptyList;
use smp_std::relay::config::Config;
use smp_std::relay::store::{Id, Side};

use crate::harness::{RawClient, Received, TestQueue, TestRelay, send_command};
use crate::new_queue::{NewParts, data, ed25519, ids, invitation};

/// Versions that differ in something that concerns links; commands are the same in all.
const VERSIONS: [u16; 8] = [6, 9, 11, 12, 15, 17, 18, 20];

fn x25519() -> AuthorizationSecretKey {
    AuthorizationSecretKey::X25519(X25519SecretKey::generate(&mut rand::rng()))
}

pub(crate) fn set<'a>(link_id: &'a [u8], fixed: &'a [u8], user: &'a [u8]) -> Command<'a> {
    Command::SetLink(SetLink { link_id: LinkId::new(link_id).unwrap(), data: data(fixed, user) })
}

fn content<'a>(received: &'a Received, client: &RawClient) -> LinkContent<'a> {
    match received.decode(client.version()) {
        BrokerMessage::Link(content) => content,
        _ => panic!("{}", received.text()),
    }
}

pub(crate) fn id(bytes: &[u8]) -> Id {
    bytes.try_into().unwrap()
}

/// A queue of unknown mode, which only version 6 to 8 create.
async fn old_queue(relay: &TestRelay) -> TestQueue {
    relay.client_at(6).await.new_queue(QueueMode::Contact, false).await
}

#[tokio::test]
async fn link_data_of_a_contact_queue_is_set_read_replaced_and_removed_at_every_version() {
    let relay = TestRelay::start(Config::default()).await;
    let mut owner = relay.client_at(15).await;
    for version in VERSIONS {
        let mut client = relay.client_at(version).await;
        let queue = owner.new_queue(QueueMode::Contact, false).await;
        let (key, link_id) = (Some(&queue.key), rand::random::<[u8; 24]>());
        assert_eq!(client.tell(None, &link_id, &Command::GetLink).await, "ERR AUTH", "{version}");
        assert_eq!(client.tell(key, &queue.recipient_id, &Command::DeleteLink).await, "OK", "nothing is there");
        let fixed = vec![1; 2048];
        for user in [&[2; 13_824][..], b"", b"other"] {
            for _ in 0..2 {
                assert_eq!(client.tell(key, &queue.recipient_id, &set(&link_id, &fixed, user)).await, "OK");
            }
            let response = client.ask(None, &link_id, &Command::GetLink).await;
            let content = content(&response, &client);
            assert_eq!(content.sender_id.as_bytes(), queue.sender_id);
            assert_eq!(content.data, data(&fixed, user), "{version}");
        }
        let other: [u8; 24] = rand::random();
        assert_eq!(client.tell(key, &queue.recipient_id, &set(&other, &fixed, b"u")).await, "ERR AUTH");
        assert_eq!(client.tell(key, &queue.recipient_id, &set(&link_id, b"f", b"u")).await, "ERR AUTH");
        assert_eq!(client.tell(key, &queue.recipient_id, &set(&link_id[..23], b"f", b"u")).await, "ERR CMD SYNTAX");
        assert_eq!(client.tell(Some(&ed25519()), &queue.recipient_id, &set(&link_id, &fixed, b"u")).await, "ERR AUTH");
        assert_eq!(client.tell(key, &queue.sender_id, &set(&link_id, &fixed, b"u")).await, "ERR AUTH");
        assert_eq!(client.tell(Some(&ed25519()), &queue.recipient_id, &Command::DeleteLink).await, "ERR AUTH");
        // A contact queue that is secured stays open to all, and its link stays when somebody writes.
        assert_eq!(client.tell(key, &queue.recipient_id, &Command::Secure(queue.key.public_key())).await, "OK");
        assert_eq!(client.tell(key, &queue.sender_id, &send_command(b"hello")).await, "OK");
        assert_eq!(client.tell(key, &queue.recipient_id, &set(&link_id, &fixed, b"u")).await, "OK");
        assert!(client.tell(None, &link_id, &Command::GetLink).await.starts_with("LNK "));
        for _ in 0..2 {
            assert_eq!(client.tell(key, &queue.recipient_id, &Command::DeleteLink).await, "OK");
            assert_eq!(client.tell(None, &link_id, &Command::GetLink).await, "ERR AUTH");
        }
        assert_eq!(client.tell(key, &queue.recipient_id, &set(&other, b"f", b"u")).await, "OK", "free for another");
    }
    relay.stop().await;
}

#[tokio::test]
async fn the_shape_of_link_commands_is_checked() {
    let relay = TestRelay::start(Config::default()).await;
    for version in [9, 20] {
        let mut client = relay.client_at(version).await;
        let (key, entity) = (ed25519(), [7; 24]);
        let keys = [key.public_key()];
        let keys = Command::SetRecipientKeys(NonEmptyList::new(&keys).unwrap());
        let by_link = Command::SecureByLink(key.public_key());
        for command in [&set(&entity, b"f", b"u"), &Command::DeleteLink, &by_link, &keys] {
            assert_eq!(client.tell(None, &entity, command).await, "ERR CMD NO_AUTH");
            assert_eq!(client.tell(Some(&key), b"", command).await, "ERR CMD NO_AUTH");
            assert_eq!(client.tell(Some(&key), &entity, command).await, "ERR AUTH");
            assert_eq!(client.tell(Some(&key), &entity[1..], command).await, "ERR AUTH");
        }
        assert_eq!(client.tell(None, b"", &Command::GetLink).await, "ERR CMD NO_ENTITY");
        assert_eq!(client.tell(Some(&key), &entity, &Command::GetLink).await, "ERR CMD HAS_AUTH");
        assert_eq!(client.tell(None, &entity, &Command::GetLink).await, "ERR AUTH");
        for (bad, error) in [
            (&b"LGET "[..], "ERR CMD SYNTAX"),
            (b"LDEL x", "ERR CMD SYNTAX"),
            (b"LSET ", "ERR CMD SYNTAX"),
            (b"LKEY ", "ERR CMD SYNTAX"),
            (b"RKEY \x00", "ERR CMD SYNTAX"),
            (b"LGETS", "ERR CMD UNKNOWN"),
        ] {
            assert_eq!(client.tell_raw(Some(&key), &entity, bad).await, error, "{}", String::from_utf8_lossy(bad));
        }
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_link_is_taken_over_by_nobody() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(15).await;
    let first = client.new_queue(QueueMode::Contact, false).await;
    let second = client.new_queue(QueueMode::Contact, false).await;
    let link_id: [u8; 24] = rand::random();
    assert_eq!(client.tell(Some(&first.key), &first.recipient_id, &set(&link_id, b"f", b"u")).await, "OK");
    let take = set(&link_id, b"f", b"mine");
    assert_eq!(client.tell(Some(&second.key), &second.recipient_id, &take).await, "ERR AUTH");
    let response = client.ask(None, &link_id, &Command::GetLink).await;
    assert_eq!(content(&response, &client).sender_id.as_bytes(), first.sender_id);
    // Nor when its owner is gone.
    assert_eq!(client.tell(Some(&first.key), &first.recipient_id, &Command::Delete).await, "OK");
    assert_eq!(client.tell(None, &link_id, &Command::GetLink).await, "ERR AUTH");
    assert_eq!(client.tell(Some(&second.key), &second.recipient_id, &take).await, "ERR AUTH");
    relay.stop().await;
}

#[tokio::test]
async fn an_invitation_is_secured_by_its_link_and_gone_with_the_first_message() {
    let relay = TestRelay::start(Config::default()).await;
    for version in [7, 9, 14, 15, 17, 20] {
        let mut owner = relay.client_at(15).await;
        let parts = NewParts::new();
        let request = invitation(&parts, data(b"fixed", b"user"));
        let response = parts.ask(&mut owner, parts.command(Some(request), None)).await;
        let ids = ids(&response, &owner);
        let (recipient_id, link_id) = (ids.recipient_id.as_bytes().to_vec(), ids.link_id.unwrap().as_bytes().to_vec());

        let mut sender = relay.client_at(version).await;
        assert_eq!(sender.tell(None, &link_id, &Command::GetLink).await, "ERR AUTH", "it is for one");
        let (key, other) = (x25519(), ed25519());
        let by_link = |key: &AuthorizationSecretKey| Command::SecureByLink(key.public_key());
        assert_eq!(sender.tell(Some(&other), &link_id, &by_link(&key)).await, "ERR AUTH", "a key proves itself");
        assert_eq!(sender.tell(Some(&key), &parts.sender_id, &by_link(&key)).await, "ERR AUTH", "by its link only");
        assert_eq!(sender.tell(Some(&key), &[9; 24], &by_link(&key)).await, "ERR AUTH");
        for _ in 0..2 {
            let response = sender.ask(Some(&key), &link_id, &by_link(&key)).await;
            let content = content(&response, &sender);
            assert_eq!(content.sender_id.as_bytes(), parts.sender_id);
            assert_eq!(content.data, data(b"fixed", b"user"));
        }
        assert_eq!(sender.tell(Some(&other), &link_id, &by_link(&other)).await, "ERR AUTH", "somebody was first");
        let again = Command::SecureBySender(key.public_key());
        assert_eq!(sender.tell(Some(&key), &parts.sender_id, &again).await, "OK", "as by SKEY");
        let owned = Some(&parts.key);
        assert_eq!(owner.tell(owned, &recipient_id, &set(&link_id, b"fixed", b"new")).await, "ERR AUTH", "secured");

        assert_eq!(sender.tell(None, &parts.sender_id, &send_command(b"x")).await, "ERR AUTH");
        assert!(relay.store().link(&id(&recipient_id)).unwrap().is_some());
        assert_eq!(sender.tell(Some(&key), &parts.sender_id, &send_command(b"hello")).await, "OK");
        assert!(relay.store().link(&id(&recipient_id)).unwrap().is_none());
        assert_eq!(sender.tell(Some(&key), &link_id, &by_link(&key)).await, "ERR AUTH", "{version}");
        assert_eq!(owner.tell(owned, &recipient_id, &Command::DeleteLink).await, "OK");
    }
    relay.stop().await;
}

/// Commands of one block are carried out together; on disk, the second comes when the first is not written yet.
#[tokio::test]
async fn a_queue_is_secured_with_the_link_as_it_is_then() {
    let folder = tempfile::tempdir().unwrap();
    let relay = TestRelay::start_in(folder.path()).await;
    let mut client = relay.client().await;
    let key = x25519();
    let by_link = Command::SecureByLink(key.public_key());
    for user in [Some(&b"changed"[..]), None] {
        let parts = NewParts::new();
        let response =
            parts.ask(&mut client, parts.command(Some(invitation(&parts, data(b"fixed", b"user"))), None)).await;
        let ids = ids(&response, &client);
        let (recipient_id, link_id) = (ids.recipient_id.as_bytes().to_vec(), ids.link_id.unwrap().as_bytes().to_vec());
        let change = user.map_or(Command::DeleteLink, |user| set(&link_id, b"fixed", user));
        let (changed, first) = client.encode(Some(&parts.key), &recipient_id, &change);
        let (secured, second) = client.encode(Some(&key), &link_id, &by_link);
        client.send_block(&[first, second]).await;
        assert_eq!(client.response_to(&changed).await.text(), "OK");
        let response = client.response_to(&secured).await;
        match user {
            Some(user) => assert_eq!(content(&response, &client).data, data(b"fixed", user)),
            None => assert_eq!(response.text(), "ERR AUTH"),
        }
        let record = relay.store().queue_by_recipient(&id(&recipient_id)).unwrap().unwrap();
        assert_eq!(record.sender_key.is_some(), user.is_some());
    }
    relay.stop().await;
}

/// The commands of a block are authorized before any is carried out: LGET and LKEY find the queue by a link that it loses
/// before their turn comes. PINGs give the store time for that.
#[tokio::test]
async fn a_link_shows_and_secures_nothing_but_its_own_queue() {
    let folder = tempfile::tempdir().unwrap();
    for relay in [TestRelay::start(Config::default()).await, TestRelay::start_in(folder.path()).await] {
        let mut client = relay.client().await;
        for mode in [QueueMode::Contact, QueueMode::Messaging] {
            for _ in 0..20 {
                let first = client.new_queue(mode, false).await;
                let second = client.new_queue(mode, false).await;
                let [link_id, other]: [[u8; 24]; 2] = [rand::random(), rand::random()];
                let own = Some(&first.key);
                assert_eq!(client.tell(own, &first.recipient_id, &set(&link_id, b"first", b"u")).await, "OK");
                let key = x25519();
                let asked = match mode {
                    QueueMode::Contact => (None, Command::GetLink),
                    _ => (Some(&key), Command::SecureByLink(key.public_key())),
                };
                let mut commands = vec![
                    client.encode(own, &first.recipient_id, &Command::DeleteLink),
                    client.encode(own, &first.recipient_id, &set(&other, b"changed", b"u")),
                    client.encode(Some(&second.key), &second.recipient_id, &set(&link_id, b"second", b"u")),
                ];
                commands.extend((0..40).map(|_| client.encode(None, b"", &Command::Ping)));
                commands.push(client.encode(asked.0, &link_id, &asked.1));
                let (ids, transmissions): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
                client.send_block(&transmissions).await;
                let mut responses = Vec::new();
                for id in &ids {
                    responses.push(client.response_to(id).await);
                }
                assert!(responses[..3].iter().all(|changed| changed.text() == "OK"));
                let response = responses.last().unwrap();
                // Before the change, where the store was slow, or after it.
                if mode == QueueMode::Contact && response.text().starts_with("LNK ") {
                    let content = content(response, &client);
                    assert_eq!(
                        (content.sender_id.as_bytes(), content.data),
                        (&first.sender_id[..], data(b"first", b"u"))
                    );
                } else {
                    assert_eq!(response.text(), "ERR AUTH");
                }
                for queue in [first, second] {
                    let record = relay.store().queue_by_recipient(&id(&queue.recipient_id)).unwrap().unwrap();
                    assert_eq!(record.sender_key, None);
                }
            }
        }
        relay.stop().await;
    }
}

#[tokio::test]
async fn queues_without_a_mode_share_their_link_until_they_are_secured() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(15).await;
    let queue = old_queue(&relay).await;
    let (key, link_id) = (Some(&queue.key), rand::random::<[u8; 24]>());
    assert_eq!(client.tell(key, &queue.recipient_id, &set(&link_id, b"f", b"u")).await, "OK");
    assert!(client.tell(None, &link_id, &Command::GetLink).await.starts_with("LNK "));
    assert_eq!(client.tell(None, &queue.sender_id, &send_command(b"x")).await, "OK");
    assert!(client.tell(None, &link_id, &Command::GetLink).await.starts_with("LNK "), "it is not secured");
    let sender = ed25519();
    let by_link = Command::SecureByLink(sender.public_key());
    assert_eq!(client.tell(Some(&sender), &link_id, &by_link).await, "ERR AUTH", "not a messaging queue");
    assert_eq!(client.tell(key, &queue.recipient_id, &Command::Secure(sender.public_key())).await, "OK");
    assert_eq!(client.tell(None, &link_id, &Command::GetLink).await, "ERR AUTH");
    assert_eq!(client.tell(key, &queue.recipient_id, &set(&link_id, b"f", b"u")).await, "ERR AUTH");
    assert_eq!(client.tell(Some(&sender), &queue.sender_id, &send_command(b"x")).await, "OK");
    assert!(relay.store().queue_by_side(Side::Link, &link_id).unwrap().is_none());
    relay.stop().await;
}

#[tokio::test]
async fn a_contact_queue_may_have_several_owners() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(15).await;
    let queue = client.new_queue(QueueMode::Contact, false).await;
    let ed448 = AuthorizationSecretKey::Ed448(Ed448SecretKey::generate(&mut rand::rng()));
    let owners = [ed25519(), x25519(), ed448, ed25519()];
    let public: Vec<AuthorizationKey> = owners.iter().map(AuthorizationSecretKey::public_key).collect();
    let keys = Command::SetRecipientKeys(NonEmptyList::new(&public).unwrap());
    assert_eq!(client.tell(Some(&ed25519()), &queue.recipient_id, &keys).await, "ERR AUTH");
    assert_eq!(client.tell(Some(&queue.key), &queue.recipient_id, &keys).await, "OK");
    assert_eq!(client.tell(Some(&queue.key), &queue.recipient_id, &Command::QueueInfo).await, "ERR AUTH", "replaced");
    for owner in &owners {
        assert!(client.tell(Some(owner), &queue.recipient_id, &Command::QueueInfo).await.starts_with("INFO "));
        assert_eq!(client.tell(Some(owner), &queue.recipient_id, &keys).await, "OK");
    }
    // As many as one command may cost verifications.
    let many = |count| vec![public[0]; count];
    let (enough, excess) = (many(16), many(17));
    let excess = Command::SetRecipientKeys(NonEmptyList::new(&excess).unwrap());
    assert_eq!(client.tell(Some(&owners[0]), &queue.recipient_id, &excess).await, "ERR CMD PROHIBITED");
    let enough = Command::SetRecipientKeys(NonEmptyList::new(&enough).unwrap());
    assert_eq!(client.tell(Some(&owners[0]), &queue.recipient_id, &enough).await, "OK");
    assert_eq!(client.tell(Some(&owners[3]), &queue.recipient_id, &Command::QueueInfo).await, "ERR AUTH");

    let messaging = client.new_queue(QueueMode::Messaging, false).await;
    let unknown = old_queue(&relay).await;
    for queue in [messaging, unknown] {
        assert_eq!(client.tell(Some(&queue.key), &queue.recipient_id, &enough).await, "ERR AUTH");
    }
    relay.stop().await;
}

#[tokio::test]
async fn many_links_asked_for_at_once_are_all_answered() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(20).await;
    let queue = client.new_queue(QueueMode::Contact, false).await;
    let link_id: [u8; 24] = rand::random();
    let user = vec![3; 13_824];
    assert_eq!(client.tell(Some(&queue.key), &queue.recipient_id, &set(&link_id, &[4; 2048], &user)).await, "OK");
    let requests: Vec<_> = (0..100).map(|_| client.encode(None, &link_id, &Command::GetLink)).collect();
    let block: Vec<_> = requests.iter().map(|(_, transmission)| transmission.clone()).collect();
    client.send_block(&block).await;
    for (correlation, _) in requests {
        let response = client.response_to(&correlation).await;
        assert_eq!(content(&response, &client).data.user.as_bytes(), user);
    }
    relay.stop().await;
}
