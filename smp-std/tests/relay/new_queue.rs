//! NEW in every form that a version gives it (wire reference, sections 7.2 and 8.1).

use smp_crypto::hash;
use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};
use smp_proto::id::{CorrelationId, LinkId, QueueId};
use smp_proto::key::X25519PublicKey;
use smp_proto::smp::link::LinkData;
use smp_proto::smp::notifier::NotifierKeys;
use smp_proto::smp::recipient::{
    ContactLink, InvitationLink, NewQueue, QueueIds, QueueMode, QueueRequest, SubscriptionMode,
};
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::version::VersionRange;
use smp_proto::wire::{LongString, Writer};
use smp_std::net::{ClientAlpn, ClientTls};
use smp_std::relay::config::Config;

use crate::harness::{PATIENCE, RawClient, Received, TestRelay, send_command};

pub(crate) fn ed25519() -> AuthorizationSecretKey {
    AuthorizationSecretKey::generate_ed25519(&mut rand::rng())
}

pub(crate) fn data<'a>(fixed: &'a [u8], user: &'a [u8]) -> LinkData<'a> {
    LinkData { fixed: LongString::new(fixed).unwrap(), user: LongString::new(user).unwrap() }
}

/// Everything a client says of a new queue, and what it keeps.
pub(crate) struct NewParts {
    pub(crate) key: AuthorizationSecretKey,
    pub(crate) dh: X25519SecretKey,
    pub(crate) correlation: [u8; 24],
    pub(crate) sender_id: [u8; 24],
}

impl NewParts {
    pub(crate) fn new() -> Self {
        let correlation = rand::random();
        let sender_id = hash::sender_id(CorrelationId::from_array(&correlation));
        Self { key: ed25519(), dh: X25519SecretKey::generate(&mut rand::rng()), correlation, sender_id }
    }

    pub(crate) fn command<'a>(
        &self,
        request: Option<QueueRequest<'a>>,
        notifier: Option<NotifierKeys>,
    ) -> NewQueue<'a> {
        NewQueue {
            recipient_key: self.key.public_key(),
            recipient_dh_key: self.dh.public_key(),
            password: None,
            subscription: SubscriptionMode::CreateOnly,
            request,
            notifier,
        }
    }

    pub(crate) async fn ask(&self, client: &mut RawClient, new: NewQueue<'_>) -> Received {
        let transmission = client.encode_as(&self.correlation, Some(&self.key), b"", &Command::New(new));
        client.send_block(&[transmission]).await;
        let response = client.response_to(&self.correlation).await;
        assert_eq!(response.entity, b"" as &[u8]);
        response
    }
}

pub(crate) fn invitation<'a>(parts: &'a NewParts, data: LinkData<'a>) -> QueueRequest<'a> {
    QueueRequest::Messaging(Some(InvitationLink { sender_id: QueueId::from_array(&parts.sender_id), data }))
}

pub(crate) fn contact<'a>(parts: &'a NewParts, link_id: &'a [u8], data: LinkData<'a>) -> QueueRequest<'a> {
    let (link_id, sender_id) = (LinkId::new(link_id).unwrap(), QueueId::from_array(&parts.sender_id));
    QueueRequest::Contact(Some(ContactLink { link_id, sender_id, data }))
}

pub(crate) fn ids<'a>(received: &'a Received, client: &RawClient) -> QueueIds<'a> {
    match received.decode(client.version()) {
        BrokerMessage::Ids(ids) => ids,
        _ => panic!("{}", received.text()),
    }
}

/// The bytes of IDS that the version must make of these fields, by hand.
fn expected_ids(version: u16, ids: &QueueIds<'_>) -> Vec<u8> {
    let mut out = b"IDS ".to_vec();
    let short = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.push(bytes.len() as u8);
        out.extend_from_slice(bytes);
    };
    let key = |out: &mut Vec<u8>, key: &X25519PublicKey| {
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer);
        writer.value(key).unwrap();
        out.extend_from_slice(writer.written());
    };
    short(&mut out, ids.recipient_id.as_bytes());
    short(&mut out, ids.sender_id.as_bytes());
    key(&mut out, &ids.relay_dh_key);
    match (version, ids.mode) {
        (..9, _) => {}
        (9..15, mode) => out.push(if mode == Some(QueueMode::Messaging) { b'T' } else { b'F' }),
        (_, None) => out.push(b'0'),
        (_, Some(QueueMode::Messaging)) => out.extend_from_slice(b"1M"),
        (_, Some(QueueMode::Contact)) => out.extend_from_slice(b"1C"),
    }
    if version >= 15 {
        match ids.link_id {
            None => out.push(b'0'),
            Some(id) => {
                out.push(b'1');
                short(&mut out, id.as_bytes());
            }
        }
    }
    if version >= 16 {
        out.push(b'0');
    }
    if version >= 17 {
        match ids.notifier {
            None => out.push(b'0'),
            Some(notifier) => {
                out.push(b'1');
                short(&mut out, notifier.notifier_id.as_bytes());
                key(&mut out, &notifier.relay_dh_key);
            }
        }
    }
    out
}

#[tokio::test]
async fn every_version_gets_the_ids_it_can_read() {
    let relay = TestRelay::start(Config::default()).await;
    for version in 6..=20 {
        let mut client = relay.client_at(version).await;
        let link_id: [u8; 24] = rand::random();
        let notifier = || NotifierKeys {
            notifier_key: ed25519().public_key(),
            recipient_dh_key: X25519SecretKey::generate(&mut rand::rng()).public_key(),
        };
        for form in 0..6 {
            let parts = NewParts::new();
            let (request, notifier) = match form {
                0 => (None, None),
                1 => (Some(QueueRequest::Messaging(None)), None),
                2 => (Some(QueueRequest::Contact(None)), Some(notifier())),
                3 => (Some(invitation(&parts, data(b"fixed", b"user"))), None),
                4 => (Some(contact(&parts, &link_id, data(b"fixed", b"user"))), Some(notifier())),
                _ => (None, Some(notifier())),
            };
            if request.is_none() && (9..15).contains(&version) {
                continue;
            }
            let response = parts.ask(&mut client, parts.command(request, notifier)).await;
            let ids = ids(&response, &client);
            assert_eq!(response.message, expected_ids(version, &ids), "{version} {form}");
            let mode = request.map(|request| request.mode()).filter(|_| version >= 9);
            assert_eq!(ids.mode, mode, "{version} {form}");
            let linked = version >= 15 && (form == 3 || form == 4);
            assert_eq!(ids.link_id.is_some(), linked, "{version} {form}");
            assert_eq!(ids.sender_id.as_bytes() == parts.sender_id, linked, "{version} {form}");
            if linked && form == 4 {
                assert_eq!(ids.link_id.unwrap().as_bytes(), link_id);
            }
            assert_eq!(ids.notifier.is_some(), version >= 17 && notifier.is_some(), "{version} {form}");
            assert_eq!(ids.service_id, None);
            let mut all = vec![ids.recipient_id.as_bytes(), ids.sender_id.as_bytes()];
            all.extend(ids.link_id.map(|id| id.as_bytes()));
            all.extend(ids.notifier.map(|notifier| notifier.notifier_id.as_bytes()));
            let count = all.len();
            assert!(all.iter().all(|id| id.len() == 24));
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count);
        }
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_notifier_made_with_the_queue_is_stored_with_it() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(17).await;
    let parts = NewParts::new();
    let (key, dh) = (ed25519(), X25519SecretKey::generate(&mut rand::rng()));
    let notifier = NotifierKeys { notifier_key: key.public_key(), recipient_dh_key: dh.public_key() };
    let response = parts.ask(&mut client, parts.command(None, Some(notifier))).await;
    let ids = ids(&response, &client);
    let made = ids.notifier.unwrap();
    let store = relay.store();
    let id = made.notifier_id.to_array().unwrap();
    let record = store.queue_by_side(smp_std::relay::store::Side::Notifier, &id).unwrap().unwrap();
    assert_eq!(record.recipient_id, ids.recipient_id.as_bytes());
    let stored = record.notifier.as_ref().unwrap();
    assert_eq!((stored.id, stored.key), (id, key.public_key()));
    assert_eq!(stored.secret.as_bytes(), dh.diffie_hellman(&made.relay_dh_key).unwrap().as_bytes());
    let described = client.tell(Some(&parts.key), &record.recipient_id, &Command::QueueInfo).await;
    assert!(described.contains("\"qiNtf\":true"), "{described}");
    relay.stop().await;
}

#[tokio::test]
async fn a_sender_id_must_be_the_hash_of_the_correlation_id() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(15).await;
    let other = NewParts::new();
    let link_id: [u8; 24] = rand::random();
    let mut wrong = NewParts::new();
    wrong.sender_id = other.sender_id;
    let mut short = Vec::new();
    for parts in [wrong] {
        for request in [invitation(&parts, data(b"f", b"u")), contact(&parts, &link_id, data(b"f", b"u"))] {
            short.push(parts.ask(&mut client, parts.command(Some(request), None)).await.text());
        }
    }
    assert_eq!(short, ["ERR CMD PROHIBITED"; 2]);
    // An id of another length cannot be a hash either, and no client makes link ids of another length.
    let parts = NewParts::new();
    let request = QueueRequest::Messaging(Some(InvitationLink {
        sender_id: QueueId::new(&parts.sender_id[..23]).unwrap(),
        data: data(b"f", b"u"),
    }));
    assert_eq!(parts.ask(&mut client, parts.command(Some(request), None)).await.text(), "ERR CMD PROHIBITED");
    let request = contact(&parts, &link_id[..23], data(b"f", b"u"));
    assert_eq!(parts.ask(&mut client, parts.command(Some(request), None)).await.text(), "ERR CMD SYNTAX");
    assert_eq!(relay.store().counts().queues, 0);
    // The value of the wire reference, Appendix A.
    let correlation: [u8; 24] = std::array::from_fn(|index| 0x80 + index as u8);
    let mut known = NewParts::new();
    known.correlation = correlation;
    known.sender_id = hash::sender_id(CorrelationId::from_array(&correlation));
    assert_eq!(known.sender_id[..4], [0x47, 0x55, 0x3d, 0xca]);
    let response = known.ask(&mut client, known.command(Some(invitation(&known, data(b"f", b"u"))), None)).await;
    assert_eq!(ids(&response, &client).sender_id.as_bytes(), known.sender_id);
    relay.stop().await;
}

#[tokio::test]
async fn ids_that_are_taken_are_refused_and_stay_so_for_a_while() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(17).await;
    let first = NewParts::new();
    let link_id: [u8; 24] = rand::random();
    let request = contact(&first, &link_id, data(b"f", b"u"));
    let response = first.ask(&mut client, first.command(Some(request), None)).await;
    let recipient_id = ids(&response, &client).recipient_id.as_bytes().to_vec();

    let same_link = NewParts::new();
    let taken_link = contact(&same_link, &link_id, data(b"f", b"u"));
    let mut same_sender = NewParts::new();
    (same_sender.correlation, same_sender.sender_id) = (first.correlation, first.sender_id);
    let taken_sender = invitation(&same_sender, data(b"f", b"u"));
    for deleted in [false, true] {
        let link = same_link.ask(&mut client, same_link.command(Some(taken_link), None)).await;
        let sender = same_sender.ask(&mut client, same_sender.command(Some(taken_sender), None)).await;
        assert_eq!((link.text(), sender.text()), ("ERR AUTH".to_owned(), "ERR AUTH".to_owned()), "{deleted}");
        if !deleted {
            assert_eq!(client.tell(Some(&first.key), &recipient_id, &Command::Delete).await, "OK");
        }
    }
    assert_eq!(relay.store().counts().queues, 0);
    relay.stop().await;
}

#[tokio::test]
async fn keys_that_hide_nothing_are_refused() {
    let relay = TestRelay::start(Config::default()).await;
    let mut client = relay.client_at(17).await;
    let parts = NewParts::new();
    let weak = X25519PublicKey([0; 32]);
    let mut new = parts.command(None, None);
    new.recipient_dh_key = weak;
    assert_eq!(parts.ask(&mut client, new).await.text(), "ERR CMD SYNTAX");
    let notifier = NotifierKeys { notifier_key: ed25519().public_key(), recipient_dh_key: weak };
    assert_eq!(parts.ask(&mut client, parts.command(None, Some(notifier))).await.text(), "ERR CMD SYNTAX");
    assert_eq!(relay.store().counts().queues, 0);
    relay.stop().await;
}

/// The sender's id of a queue with a link is known before the relay has answered, so somebody may send that early: the
/// subscription that comes with the queue misses nothing, however long its client takes to read.
#[tokio::test]
async fn what_is_sent_before_the_response_is_read_is_delivered() {
    let relay = TestRelay::start(Config::default()).await;
    let mut other = relay.client().await;
    let mut full = Vec::new();
    for _ in 0..85 {
        let queue = other.new_queue(QueueMode::Contact, false).await;
        assert_eq!(other.tell(None, &queue.sender_id, &send_command(&[5; 16_000])).await, "OK");
        full.push(queue);
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16_384).unwrap();
    let tcp = socket.connect(relay.address).await.unwrap();
    let tls = ClientTls::new(ClientAlpn::Smp).connect(tcp, &relay.fingerprint, PATIENCE).await.unwrap();
    let mut owner = RawClient::greet(tls, relay.fingerprint, VersionRange::SMP).await;
    // Long responses that the owner does not read, and new queues between them.
    let created: Vec<NewParts> = (0..8).map(|_| NewParts::new()).collect();
    let mut block = Vec::new();
    for (number, queue) in full.iter().enumerate() {
        block.push(owner.encode(Some(&queue.key), &queue.recipient_id, &Command::Get).1);
        if let Some(parts) = created.get(number / 10).filter(|_| number % 10 == 9) {
            let new = NewQueue {
                subscription: SubscriptionMode::Subscribe,
                ..parts.command(Some(contact(parts, &parts.correlation, data(b"f", b"u"))), None)
            };
            block.push(owner.encode_as(&parts.correlation, Some(&parts.key), b"", &Command::New(new)));
        }
    }
    owner.send_block(&block).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let mut sent = Vec::new();
    for parts in &created {
        if other.tell(None, &parts.sender_id, &send_command(b"early")).await == "OK" {
            sent.push(parts.correlation);
        }
    }
    assert!((1..8).contains(&sent.len()), "some are there, and some have to wait: {}", sent.len());
    let (mut waiting, mut answered) = (Vec::new(), 0);
    while answered < created.len() || !waiting.is_empty() {
        let received = owner.receive().await;
        if received.text().starts_with("IDS ") {
            answered += 1;
            if sent.iter().any(|correlation| correlation[..] == received.correlation) {
                waiting.push(ids(&received, &owner).recipient_id.as_bytes().to_vec());
            }
        } else if received.correlation.is_empty() {
            assert!(received.text().starts_with("MSG "));
            waiting.retain(|queue| *queue != received.entity);
        }
    }
    relay.stop().await;
}
