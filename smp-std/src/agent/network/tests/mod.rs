//! Requests at relays of this process.

mod relay;
mod story;

use std::time::Duration;

use smp_agent::policy::server::Server;
use smp_agent::policy::session::{SessionKey, SessionMode};
use smp_agent::request::{
    AccessKey, Answer, CreatedQueue, Failure, LinkData, NewLink, NewQueue, Operation, QueueAccess, Reason, RelayEvent,
    Reporter,
};
use smp_crypto::hash::sender_id;
use smp_crypto::key::{AuthorizationKey, Ed25519SecretKey, X25519SecretKey};
use smp_proto::id::CorrelationId;
use smp_proto::smp::recipient::QueueMode;

use super::*;
use relay::TestRelay;
use story::{Story, session};

fn key() -> AccessKey {
    AccessKey::new(&Ed25519SecretKey::generate(&mut rand::rng()))
}

fn data(text: &str) -> LinkData {
    LinkData { fixed: b"fixed".to_vec(), user: text.as_bytes().to_vec() }
}

/// A queue that is to be created, its link, and the sender's id it will have.
fn new_queue(mode: QueueMode, subscribe: bool) -> (NewQueue, [u8; 24]) {
    let correlation_id: [u8; 24] = rand::random();
    let link_id = (mode == QueueMode::Contact).then(rand::random);
    let queue = NewQueue {
        key: key(),
        delivery_key: X25519SecretKey::generate(&mut rand::rng()),
        password: None,
        mode,
        subscribe,
        link: Some(NewLink { correlation_id, link_id, data: data("first") }),
    };
    (queue, sender_id(CorrelationId::from_array(&correlation_id)))
}

/// A queue that was created: the recipient's side and the rest.
async fn create(
    story: &mut Story,
    session: &SessionKey,
    mode: QueueMode,
    subscribe: bool,
) -> (QueueAccess, CreatedQueue) {
    let (queue, sender_id) = new_queue(mode, subscribe);
    let (key, link_id) = (queue.key.clone(), queue.link.as_ref().and_then(|link| link.link_id));
    let answer = story.ask(session, None, Operation::CreateQueue(Box::new(queue))).await;
    let Ok(Answer::Created(created)) = answer else { panic!("{answer:?}") };
    assert_eq!(created.sender_id, sender_id);
    assert_eq!(created.mode, Some(mode));
    let link = created.link_id.clone().unwrap();
    assert!(link_id.is_none_or(|wanted| link == wanted));
    (QueueAccess { id: created.recipient_id.clone(), key }, created)
}

fn send(queue: &CreatedQueue, key: Option<&AccessKey>, body: &[u8]) -> Operation {
    Operation::Send { sender_id: queue.sender_id.clone(), key: key.cloned(), notify: true, body: body.to_vec() }
}

fn failed(reason: Reason) -> Result<(), Failure> {
    Err(Failure { by: Reporter::Relay, reason })
}

#[tokio::test]
async fn recipients_operations() {
    let relay = TestRelay::start().await;
    let mut story = Story::new(AgentOptions::default());
    let session = session(1, &relay.server);
    let (queue, created) = create(&mut story, &session, QueueMode::Messaging, true).await;
    let sender = key();
    let secure = || Operation::Secure { queue: queue.clone(), sender_key: AuthorizationKey::Ed25519(sender.public()) };
    for _ in 0..2 {
        assert_eq!(story.done(&session, None, secure()).await, Ok(()));
    }
    for number in 0..3_u8 {
        assert_eq!(story.done(&session, None, send(&created, Some(&sender), &[number; 1_000])).await, Ok(()));
    }
    assert_eq!(story.done(&session, None, send(&created, None, b"stranger")).await, failed(Reason::NotAuthorized));
    let mut last = None;
    for _ in 0..3 {
        let RelayEvent::Message(delivery) = story.event().await else { panic!() };
        assert_eq!((&delivery.queue, &delivery.session, &delivery.server), (&queue.id, &session, &relay.server));
        assert_ne!(last.as_ref(), Some(&delivery.message_id));
        let acknowledge = || Operation::Acknowledge { queue: queue.clone(), message_id: delivery.message_id.clone() };
        assert_eq!(story.done(&session, None, acknowledge()).await, Ok(()));
        last = Some(delivery.message_id.clone());
    }
    let acknowledge = Operation::Acknowledge { queue: queue.clone(), message_id: last.unwrap() };
    assert_eq!(story.done(&session, None, acknowledge).await, failed(Reason::NoMessage));

    // Another connection takes over; a queue that does not exist is told apart from those that do.
    let other = story::session(2, &relay.server);
    let unknown = QueueAccess { id: vec![7; 24], key: key() };
    let answer = story.ask(&other, None, Operation::Subscribe(vec![queue.clone(), unknown, queue.clone()])).await;
    let Ok(Answer::Each(results)) = answer else { panic!("{answer:?}") };
    assert_eq!(results, [Ok(()), failed(Reason::NotAuthorized), Ok(())]);
    let ended = story.event().await;
    let RelayEvent::SubscriptionEnded { session: from, queue: id } = ended else { panic!("{ended:?}") };
    assert_eq!((&from, &id), (&session, &queue.id));

    assert_eq!(story.done(&session, None, Operation::Suspend(queue.clone())).await, Ok(()));
    let refused = story.done(&session, None, send(&created, Some(&sender), b"late")).await;
    assert_eq!(refused, failed(Reason::NotAuthorized));
    assert_eq!(story.done(&session, None, Operation::Delete(queue.clone())).await, Ok(()));
    let deleted = story.event().await;
    let RelayEvent::QueueDeleted { session: from, queue: id } = deleted else { panic!("{deleted:?}") };
    assert_eq!((&from, &id), (&other, &queue.id));
    assert_eq!(story.done(&session, None, Operation::Delete(queue)).await, failed(Reason::NotAuthorized));
    let large = story.done(&session, None, send(&created, Some(&sender), &[0; 16_300])).await;
    assert_eq!(large, failed(Reason::TooLarge));
}

/// What senders and readers of links do, directly or through a proxy.
async fn senders_operations(proxied: bool) {
    let (relay, proxy) = (TestRelay::start().await, TestRelay::start().await);
    let access = proxied.then(|| ServerAccess { server: proxy.server.clone(), password: None });
    let mut story = Story::new(AgentOptions::default());
    let (recipient, session) = (session(1, &relay.server), session(2, &relay.server));
    let access = access.as_ref();

    let (_, invitation) = create(&mut story, &recipient, QueueMode::Messaging, true).await;
    let (sender, stranger) = (key(), key());
    let link_id = invitation.link_id.clone().unwrap();
    for (key, expected) in [(&sender, true), (&sender, true), (&stranger, false)] {
        let read = Operation::ReadInvitation { link_id: link_id.clone(), key: key.clone() };
        match story.ask(&session, access, read).await {
            Ok(Answer::Link { sender_id, data: read }) if expected => {
                assert_eq!((sender_id, read), (invitation.sender_id.clone(), data("first")));
            }
            answer => assert_eq!(answer.map(drop), failed(Reason::NotAuthorized)),
        }
    }
    assert_eq!(story.done(&session, access, send(&invitation, Some(&sender), b"signed")).await, Ok(()));
    assert!(matches!(story.event().await, RelayEvent::Message(_)));

    let (_, plain) = create(&mut story, &recipient, QueueMode::Messaging, false).await;
    assert_eq!(story.done(&session, access, send(&plain, None, b"unsigned")).await, Ok(()));
    let access_of = |key: &AccessKey| QueueAccess { id: plain.sender_id.clone(), key: key.clone() };
    for (key, expected) in [(&sender, Ok(())), (&sender, Ok(())), (&stranger, failed(Reason::NotAuthorized))] {
        let secure = Operation::SecureBySender { queue: access_of(key) };
        assert_eq!(story.done(&session, access, secure).await, expected);
    }
    let refused = story.done(&session, access, send(&plain, None, b"unsigned")).await;
    assert_eq!(refused, failed(Reason::NotAuthorized));

    let (owner, address) = create(&mut story, &recipient, QueueMode::Contact, false).await;
    let link_id = address.link_id.clone().unwrap();
    let read = || Operation::ReadAddress { link_id: link_id.clone() };
    for text in ["first", "second"] {
        let Ok(Answer::Link { data: found, .. }) = story.ask(&session, access, read()).await else { panic!() };
        assert_eq!(found, data(text));
        let set = Operation::SetLink { queue: owner.clone(), link_id: link_id.clone(), data: data("second") };
        assert_eq!(story.done(&recipient, None, set).await, Ok(()));
    }
    assert_eq!(story.done(&recipient, None, Operation::DeleteLink(owner)).await, Ok(()));
    assert_eq!(story.ask(&session, access, read()).await.map(drop), failed(Reason::NotAuthorized));
    assert_eq!(story.done(&session, access, send(&address, None, b"request")).await, Ok(()));

    let mut last = Ok(());
    for _ in 0..200 {
        last = story.done(&session, access, send(&invitation, Some(&sender), b"more")).await;
        if last.is_err() {
            break;
        }
    }
    assert_eq!(last, failed(Reason::Quota));
}

#[tokio::test]
async fn senders_operations_directly() {
    senders_operations(false).await;
}

#[tokio::test]
async fn senders_operations_through_a_proxy() {
    senders_operations(true).await;
}

#[tokio::test]
async fn what_a_recipient_does_is_nothing_for_a_proxy() {
    let (relay, proxy) = (TestRelay::start().await, TestRelay::start().await);
    let mut story = Story::new(AgentOptions::default());
    let session = session(1, &relay.server);
    let (queue, _) = create(&mut story, &session, QueueMode::Messaging, false).await;
    let access = ServerAccess { server: proxy.server.clone(), password: None };
    let result = story.done(&session, Some(&access), Operation::Delete(queue)).await;
    assert_eq!(result, Err(Failure { by: Reporter::Proxy, reason: Reason::Refused }));
}

#[tokio::test]
async fn the_end_of_a_connection_is_told_once_and_the_next_request_opens_another() {
    let mut relay = TestRelay::start().await;
    let mut story = Story::new(AgentOptions::default());
    let session = session(1, &relay.server);
    let (queue, created) = create(&mut story, &session, QueueMode::Messaging, true).await;
    for _ in 0..2 {
        relay.stop().await;
        let ended = story.event().await;
        assert!(matches!(&ended, RelayEvent::Disconnected(from) if *from == session), "{ended:?}");
        let refused = story.done(&session, None, send(&created, None, b"x")).await;
        assert_eq!(refused, failed(Reason::Network));
        relay.start_again().await;
        let answer = story.ask(&session, None, Operation::Subscribe(vec![queue.clone()])).await;
        assert!(matches!(&answer, Ok(Answer::Each(results)) if *results == [Ok(())]), "{answer:?}");
    }
    assert_eq!(story.done(&session, None, send(&created, None, b"x")).await, Ok(()));
    assert!(matches!(story.event().await, RelayEvent::Message(_)), "nothing else was told");
}

#[tokio::test]
async fn a_proxy_that_lost_its_session_is_asked_for_another() {
    let (mut relay, mut proxy) = (TestRelay::start().await, TestRelay::start().await);
    let access = ServerAccess { server: proxy.server.clone(), password: None };
    let access = Some(&access);
    let mut story = Story::new(AgentOptions::default());
    let (recipient, session) = (session(1, &relay.server), session(2, &relay.server));
    let (_, created) = create(&mut story, &recipient, QueueMode::Messaging, false).await;
    assert_eq!(story.done(&session, access, send(&created, None, b"x")).await, Ok(()));
    relay.stop().await;
    relay.start_again().await;
    assert_eq!(story.done(&session, access, send(&created, None, b"x")).await, Ok(()));
    relay.stop().await;
    let unreachable = story.done(&session, access, send(&created, None, b"x")).await.unwrap_err();
    assert_eq!(unreachable.by, Reporter::ProxyAboutRelay);
    assert!(unreachable.is_temporary(), "{unreachable:?}");
    proxy.stop().await;
    let unreachable = story.done(&session, access, send(&created, None, b"x")).await;
    assert_eq!(unreachable, Err(Failure { by: Reporter::Proxy, reason: Reason::Network }));
    relay.start_again().await;
    proxy.start_again().await;
    assert_eq!(story.done(&session, access, send(&created, None, b"x")).await, Ok(()));
}

/// Commands wait for room on the connection to the proxy while the way asks for another session on the same connection.
#[tokio::test]
async fn a_proxy_that_lost_its_session_while_much_was_under_way_is_asked_for_another() {
    let (mut relay, proxy) = (TestRelay::start().await, TestRelay::start().await);
    let access = ServerAccess { server: proxy.server.clone(), password: None };
    let mut options = AgentOptions::default();
    options.client.in_flight = 1;
    let mut story = Story::new(options);
    let (recipient, session) = (session(1, &relay.server), session(2, &relay.server));
    let (_, created) = create(&mut story, &recipient, QueueMode::Messaging, false).await;
    assert_eq!(story.done(&session, Some(&access), send(&created, None, b"x")).await, Ok(()));
    relay.stop().await;
    relay.start_again().await;
    let begun: Vec<_> = (0..100).map(|_| story.begin(&session, Some(&access), send(&created, None, b"x"))).collect();
    for id in begun {
        assert_eq!(story.answer(id).await.map(drop), Ok(()));
    }
}

/// In a runtime without sockets every attempt to connect panics.
#[test]
fn requests_of_a_task_that_panics_are_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let [relay, proxy] = [9, 10].map(|port| {
            Server::parse(&format!("smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@127.0.0.1:{port}")).unwrap()
        });
        let access = ServerAccess { server: proxy.clone(), password: None };
        let mut story = Story::new(AgentOptions::default());
        let used = session(1, &relay);
        let operation = || Operation::ReadAddress { link_id: vec![1; 24] };
        for _ in 0..2 {
            let begun: Vec<_> = (0..3).map(|_| story.begin(&used, None, operation())).collect();
            for id in begun {
                assert_eq!(story.answer(id).await.map(drop), failed(Reason::Network));
            }
            let ended = story.event().await;
            assert!(matches!(&ended, RelayEvent::Disconnected(from) if *from == used), "{ended:?}");
        }
        let failure = story.ask(&used, Some(&access), operation()).await.unwrap_err();
        assert_eq!(failure, Failure { by: Reporter::Proxy, reason: Reason::Network });
        assert_eq!(story.under_way(), 0);
    });
}

#[tokio::test]
async fn another_identity_is_no_relay() {
    let (relay, proxy) = (TestRelay::start().await, TestRelay::start().await);
    let wrong = relay.server_with(&[7; 32]);
    let mut story = Story::new(AgentOptions::default());
    let session = session(1, &wrong);
    let operation = || Operation::ReadAddress { link_id: vec![1; 24] };
    assert_eq!(story.done(&session, None, operation()).await, failed(Reason::Identity));
    let access = ServerAccess { server: proxy.server.clone(), password: None };
    // Proxies say no more of it than that there is no connection.
    let failure = story.done(&session, Some(&access), operation()).await.unwrap_err();
    assert_eq!(failure.by, Reporter::ProxyAboutRelay);
    assert!(matches!(failure.reason, Reason::Identity | Reason::Network), "{failure:?}");
    let access = ServerAccess { server: proxy.server_with(&[7; 32]), password: None };
    let failure = story.done(&session, Some(&access), operation()).await.unwrap_err();
    assert_eq!(failure, Failure { by: Reporter::Proxy, reason: Reason::Identity });
}

#[tokio::test]
async fn hosts_that_cannot_be_reached_are_said_so() {
    let proxy = TestRelay::start().await;
    let onion = Server::parse("smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@abc.onion").unwrap();
    let mut story = Story::new(AgentOptions::default());
    let session = session(1, &onion);
    let operation = || Operation::ReadAddress { link_id: vec![1; 24] };
    let access = ServerAccess { server: proxy.server.clone(), password: None };
    for _ in 0..2 {
        assert_eq!(story.done(&session, None, operation()).await, failed(Reason::Host));
        let failure = story.done(&session, Some(&access), operation()).await;
        assert_eq!(failure, Err(Failure { by: Reporter::ProxyAboutRelay, reason: Reason::Host }));
    }
}

#[tokio::test]
async fn connections_without_subscriptions_are_closed_when_nobody_uses_them() {
    let relay = TestRelay::start().await;
    let options = AgentOptions { idle_time_out: Duration::from_millis(300), ..AgentOptions::default() };
    let mut story = Story::new(options);
    let (quiet, subscribed) = (session(1, &relay.server), session(2, &relay.server));
    create(&mut story, &subscribed, QueueMode::Messaging, true).await;
    create(&mut story, &quiet, QueueMode::Messaging, false).await;
    let ended = story.event().await;
    assert!(matches!(&ended, RelayEvent::Disconnected(from) if *from == quiet), "{ended:?}");
    assert!(story.no_event(Duration::from_secs(1)).await, "the other one stays");
    create(&mut story, &quiet, QueueMode::Messaging, false).await;
}

#[tokio::test]
async fn many_requests_of_a_session_are_under_way_at_once() {
    let relay = TestRelay::start().await;
    let mut story = Story::new(AgentOptions::default());
    let session = session(1, &relay.server);
    let (queue, created) = create(&mut story, &session, QueueMode::Messaging, true).await;
    let ids: Vec<_> = (0..50_u8).map(|number| story.begin(&session, None, send(&created, None, &[number]))).collect();
    for id in ids {
        assert_eq!(story.answer(id).await.map(drop), Ok(()));
    }
    let mut received = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let RelayEvent::Message(delivery) = story.event().await else { panic!() };
        assert!(received.insert(delivery.message_id.clone()));
        let acknowledge = Operation::Acknowledge { queue: queue.clone(), message_id: delivery.message_id };
        assert_eq!(story.done(&session, None, acknowledge).await, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_hosts_are_kept_for_a_while() {
    let mut kept = Kept::default();
    kept.keep(Failure::of_relay(Reason::Network));
    assert_eq!(kept.get(), None);
    kept.keep(Failure::of_relay(Reason::Host));
    tokio::time::advance(Duration::from_millis(2_900)).await;
    assert_eq!(kept.get(), Some(Failure::of_relay(Reason::Host)));
    tokio::time::advance(Duration::from_millis(200)).await;
    assert_eq!(kept.get(), None);
}

#[test]
fn a_way_uses_the_proxys_session_of_the_same_user_and_entity() {
    let [relay, proxy] = ["a", "b"].map(|host| Server::parse(&format!("smp://LcJU@{host}")).unwrap());
    for mode in [SessionMode::Session, SessionMode::Entity] {
        let key = SessionKey::new(mode, smp_agent::policy::server::UserId(3), &relay, b"entity");
        let way = WayKey { session: key.clone(), proxy: proxy.clone() };
        let used = way.proxy_session();
        assert_eq!((used.user(), used.server(), used.entity()), (key.user(), &proxy, key.entity()));
    }
}
