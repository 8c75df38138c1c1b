//! Commands through proxies that do what a story tells them to, right or wrong.

mod behind;
mod routes;

use smp_proto::id::QueueId;
use smp_proto::smp::error::{BrokerError, HandshakeError, NetworkError, ProxyError, SmpError, TransportError};
use smp_proto::smp::link::{LinkContent, LinkData};
use smp_proto::smp::names::Domain;
use smp_proto::smp::{BrokerMessage, CommandError};
use smp_proto::version::SmpVersion;
use smp_proto::wire::{LongString, Reader};
use smp_std::client::{ClientError, CommandKey, Credentials, Id, Options, ProxyFailure, ProxySession, SenderCommands};

use crate::queue;
use crate::scripted::{Peer, connected, versions};
use behind::{Behind, new_identity, relay_address, relay_identity};

/// A session through a scripted proxy that tells the truth.
async fn session() -> (ProxySession, Peer, Behind) {
    let (client, _events, mut peer) = connected(20, &Options::default()).await;
    let behind = Behind::new();
    let relay = relay_address();
    let address = relay.address();
    let (session, ()) = tokio::join!(client.proxy_session(&address, None), async {
        let asked = peer.asked().await;
        behind.introduce(&mut peer, &asked[0], relay_identity()).await;
    });
    (session.unwrap(), peer, behind)
}

fn failure<T: std::fmt::Debug>(result: Result<T, ClientError>) -> ProxyFailure {
    match result {
        Err(ClientError::Proxy(failure)) => failure,
        result => panic!("{result:?}"),
    }
}

#[tokio::test]
async fn the_proxy_is_asked_for_the_relay_with_its_password() {
    let (client, _events, mut peer) = connected(20, &Options::default()).await;
    let relay = relay_address();
    let address = relay.address();
    let (session, behind) = tokio::join!(client.proxy_session(&address, Some(b"word")), async {
        let asked = peer.asked().await.remove(0);
        let command = smp_proto::smp::Command::decode(&mut Reader::new(&asked.command), SmpVersion::MAX).unwrap();
        let smp_proto::smp::Command::ProxySession(request) = command else { panic!("{command:?}") };
        assert_eq!(request.server, relay.address());
        assert_eq!(request.password.unwrap().as_bytes(), b"word");
        let mut behind = Behind::new();
        behind.versions = versions(8, 17);
        behind.introduce(&mut peer, &asked, relay_identity()).await;
        behind
    });
    assert_eq!(session.unwrap().version(), SmpVersion(17));
    drop(behind);
}

#[tokio::test]
async fn every_command_of_senders_goes_through() {
    let (session, mut peer, behind) = session().await;
    let queue = queue(3);
    let link = LinkContent {
        sender_id: QueueId::from_array(&[9; 24]),
        data: LinkData { fixed: LongString::new(b"fixed").unwrap(), user: LongString::new(b"user").unwrap() },
    };
    let name = br#"RNAME {"name":"alice.simplex","nickname":"","website":"","location":"","simplexContact":[],"simplexChannel":[],"owner":"0x0000000000000000000000000000000000000000","resolver":"0x0000000000000000000000000000000000000000"}"#;
    let name = BrokerMessage::decode(&mut Reader::new(name), SmpVersion::MAX).unwrap();
    let script = async {
        for (command, authorized, entity, answer) in [
            (&b"SEND T hello"[..], true, 24, BrokerMessage::Ok),
            (b"SEND F open", false, 24, BrokerMessage::Ok),
            (b"SKEY ", true, 24, BrokerMessage::Ok),
            (b"LKEY ", true, 24, BrokerMessage::Link(link)),
            (b"LGET", false, 24, BrokerMessage::Link(link)),
            (b"RSLV alice.simplex", false, 0, name),
            (b"SEND ", true, 24, BrokerMessage::Error(SmpError::Auth)),
            (b"SEND ", true, 24, BrokerMessage::Error(SmpError::Quota)),
            (b"SEND ", true, 24, BrokerMessage::Pong),
        ] {
            let asked = peer.asked().await.remove(0);
            let inner = behind.open(&asked);
            assert!(inner.command.starts_with(command), "{}", inner.command.escape_ascii());
            assert_eq!((inner.authorized, inner.entity.len()), (authorized, entity));
            behind.answer(&mut peer, &asked, answer).await;
        }
    };
    let story = async {
        let (id, key) = (&queue.id, &queue.key);
        session.send(id, Some(key), true, b"hello").await.unwrap();
        session.send(id, None, false, b"open").await.unwrap();
        session.secure_by_sender(&queue).await.unwrap();
        for parts in [session.secure_by_link(id, key).await.unwrap(), session.link_data(id).await.unwrap()] {
            assert_eq!(
                (parts.sender_id.as_bytes(), &*parts.fixed, &*parts.user),
                (&[9; 24][..], &b"fixed"[..], &b"user"[..])
            );
        }
        let resolved = session.resolve_name(Domain::new("alice.simplex").unwrap()).await.unwrap();
        assert!(resolved.record().is_ok());
        assert!(session.send(id, Some(key), true, b"x").await.unwrap_err().is_not_authorized());
        assert!(session.send(id, Some(key), true, b"x").await.unwrap_err().is_quota());
        assert!(matches!(session.send(id, Some(key), true, b"x").await, Err(ClientError::Unexpected)));
    };
    tokio::join!(script, story);
}

#[tokio::test]
async fn many_commands_share_a_session_and_answers_may_come_in_any_order() {
    let (session, mut peer, behind) = session().await;
    let queues: Vec<Credentials> = (1..=5).map(queue).collect();
    let sends = futures_util::future::join_all(queues.iter().map(|queue| {
        let (session, queue) = (session.clone(), queue.clone());
        async move { session.send(&queue.id, Some(&queue.key), false, &[queue.id.as_bytes()[0]]).await }
    }));
    let (results, ()) = tokio::join!(sends, async {
        let mut waiting = Vec::new();
        while waiting.len() < 5 {
            waiting.extend(peer.asked().await);
        }
        // The second is refused; nobody else is.
        for asked in waiting.iter().rev() {
            let second = behind.open(asked).entity[0] == 2;
            let answer = if second { BrokerMessage::Error(SmpError::Quota) } else { BrokerMessage::Ok };
            behind.answer(&mut peer, asked, answer).await;
        }
    });
    for (number, result) in results.into_iter().enumerate() {
        assert_eq!(result.is_err_and(|error| error.is_quota()), number == 1);
    }
}

#[tokio::test]
async fn errors_of_the_proxy_are_not_taken_for_those_of_the_relay() {
    let network = BrokerError::Network(NetworkError::Failed);
    let identity = BrokerError::Transport(TransportError::Handshake(HandshakeError::Identity));
    let errors = [
        (SmpError::Proxy(ProxyError::BasicAuth), "Password"),
        (SmpError::Proxy(ProxyError::NoSession), "NoSession"),
        (SmpError::Proxy(ProxyError::Broker(network)), "Network"),
        (SmpError::Proxy(ProxyError::Broker(BrokerError::Timeout)), "TimedOut"),
        (SmpError::Proxy(ProxyError::Broker(BrokerError::Host)), "NoUsableHost"),
        (SmpError::Proxy(ProxyError::Broker(BrokerError::Transport(TransportError::Version))), "NoCommonVersion"),
        (SmpError::Proxy(ProxyError::Broker(identity)), "WrongRelay"),
        (SmpError::Auth, "Refused(RelayError(AUTH))"),
        (SmpError::Quota, "Refused(RelayError(QUOTA))"),
        (SmpError::Command(CommandError::Unknown), "Refused(RelayError(CMD UNKNOWN))"),
    ];
    let (session, mut peer, behind) = session().await;
    let (queue, relay) = (queue(1), relay_address());
    let script = async {
        for (error, _) in errors {
            let asked = peer.asked().await.remove(0);
            behind.open(&asked);
            peer.answer(&asked, BrokerMessage::Error(error)).await;
            let asked = peer.asked().await.remove(0);
            assert!(asked.command.starts_with(b"PRXY "));
            peer.answer(&asked, BrokerMessage::Error(error)).await;
        }
    };
    let story = async {
        for (_, kind) in errors {
            let result = session.send(&queue.id, Some(&queue.key), true, b"x").await;
            assert_eq!(format!("{:?}", failure(result)), kind);
            let result = session.proxy().proxy_session(&relay.address(), None).await;
            assert_eq!(format!("{:?}", failure(result)), kind);
        }
    };
    tokio::join!(script, story);
}

#[tokio::test]
async fn answers_that_the_relay_did_not_make_are_refused() {
    let (session, mut peer, behind) = session().await;
    let stranger = Behind::new();
    let queue = queue(1);
    let script = async {
        // An answer kept from before.
        let asked = peer.asked().await.remove(0);
        let old = behind.open(&asked).seal(BrokerMessage::Ok);
        peer.answer(&asked, BrokerMessage::ProxyResponse(&old)).await;
        let asked = peer.asked().await.remove(0);
        peer.answer(&asked, BrokerMessage::ProxyResponse(&old)).await;
        // One changed on the way, one cut off, none.
        let changes: [fn(&mut Vec<u8>); 3] = [|sealed| sealed[5000] ^= 1, |sealed| sealed.truncate(100), Vec::clear];
        for change in changes {
            let asked = peer.asked().await.remove(0);
            let mut sealed = behind.open(&asked).seal(BrokerMessage::Error(SmpError::Auth));
            change(&mut sealed);
            peer.answer(&asked, BrokerMessage::ProxyResponse(&sealed)).await;
        }
        // Something that is no answer to PFWD.
        let asked = peer.asked().await.remove(0);
        assert!(!stranger.is_meant(&asked));
        peer.answer(&asked, BrokerMessage::Ok).await;
        let asked = peer.asked().await.remove(0);
        peer.say(&[(&asked.correlation_id, &[8; 32], BrokerMessage::ProxyResponse(&old))]).await;
    };
    let story = async {
        let send = || session.send(&queue.id, Some(&queue.key), true, b"x");
        send().await.unwrap();
        for _ in 0..4 {
            let forged = failure(send().await);
            assert!(matches!(forged, ProxyFailure::Forged) && !forged.is_temporary());
        }
        for _ in 0..2 {
            assert!(matches!(send().await, Err(ClientError::Unexpected)));
        }
    };
    tokio::join!(script, story);
}

#[tokio::test]
async fn a_relay_with_another_certificate_is_refused() {
    let (client, _events, mut peer) = connected(20, &Options::default()).await;
    let relay = relay_address();
    let address = relay.address();
    let (result, ()) = tokio::join!(client.proxy_session(&address, None), async {
        let asked = peer.asked().await;
        Behind::new().introduce(&mut peer, &asked[0], &new_identity()).await;
    });
    let error = result.unwrap_err();
    assert!(matches!(error, ClientError::Identity) && !error.is_temporary());
    // An answer that is no PKEY is none.
    let (result, ()) = tokio::join!(client.proxy_session(&address, None), async {
        let asked = peer.asked().await;
        peer.answer(&asked[0], BrokerMessage::Pong).await;
    });
    assert!(matches!(result, Err(ClientError::Unexpected)));
}

#[tokio::test]
async fn proxies_that_are_too_old_are_not_asked() {
    let (client, _events, _peer) = connected(7, &Options::default()).await;
    let result = client.proxy_session(&relay_address().address(), None).await;
    assert!(matches!(failure(result), ProxyFailure::TooOld));
}

#[tokio::test]
async fn the_relays_version_bounds_what_is_sent() {
    let (client, _events, mut peer) = connected(20, &Options::default()).await;
    let relay = relay_address();
    let mut behind = Behind::new();
    behind.versions = versions(8, 14);
    let address = relay.address();
    let (session, ()) = tokio::join!(client.proxy_session(&address, None), async {
        let asked = peer.asked().await;
        behind.introduce(&mut peer, &asked[0], relay_identity()).await;
    });
    let session = session.unwrap();
    let link = Id::new(&[1; 24]).unwrap();
    let key = CommandKey::generate(session.version());
    assert!(matches!(session.link_data(&link).await, Err(ClientError::NotAtThisVersion(SmpVersion(14)))));
    assert!(matches!(session.secure_by_link(&link, &key).await, Err(ClientError::NotAtThisVersion(_))));
    let name = Domain::new("alice.simplex").unwrap();
    assert!(matches!(session.resolve_name(name).await, Err(ClientError::NotAtThisVersion(_))));
    let body = vec![0; 16_049];
    assert!(matches!(session.send(&link, None, true, &body).await, Err(ClientError::TooLarge(16_048))));
    // Nothing of it reached the proxy.
    let (sent, ()) = tokio::join!(session.send(&link, None, true, &body[..16_048]), async {
        let asked = peer.asked().await.remove(0);
        behind.answer(&mut peer, &asked, BrokerMessage::Ok).await;
    });
    sent.unwrap();
}
