use super::*;
use crate::chat::json::request::tests::variants;
use smp_agent::event::{Content, DeliveryProblem, RatchetSync, ReceivedMessage, SwitchPhase};
use smp_agent::policy::server::Server;
use smp_agent::request::{Blocked, BlockingReason, Reason};
use smp_agent::{ConnectionError, EventId, Failure, InvitationId};

const SERVER: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@a.example";

/// An event of each kind, in the order of the agent's source.
pub(in crate::chat::json) fn examples() -> Vec<EventKind> {
    let connection = ConnectionId::from_bytes([1; 12]);
    let server = Server::parse(SERVER).unwrap();
    let servers = vec![server.clone()];
    let failure = Failure::of_relay(Reason::Network);
    let message = MessageId(5);
    vec![
        EventKind::LinkReady { connection, links: Links { full: "full".into(), short: Some("short".into()) } },
        EventKind::LinkPrepared { connection, links: Links { full: "full".into(), short: None } },
        EventKind::LinkDeleted { connection },
        EventKind::LinkRead {
            connection,
            full: "full".into(),
            invitation: true,
            user_data: Content(b"data".to_vec()),
            entity_id: Some(Content(vec![255])),
            relays: vec!["relay".into()],
            direct: true,
        },
        EventKind::Joined { connection, can_send: true },
        EventKind::Confirmation {
            connection,
            info: Content(b"bob".to_vec()),
            servers: servers.clone(),
            post_quantum: true,
        },
        EventKind::Request {
            connection,
            invitation: InvitationId::from_bytes([2; 12]),
            info: Content(vec![255]),
            servers: servers.clone(),
            post_quantum: false,
        },
        EventKind::Info { connection, info: Content(b"bob".to_vec()) },
        EventKind::Connected { connection, post_quantum: true, version: 7 },
        EventKind::Message {
            connection,
            message: ReceivedMessage {
                id: message,
                sender_number: 3,
                relay_time: 60,
                integrity: Integrity::Skipped { first: 1, last: 2 },
                post_quantum: true,
                body: Content(b"hello".to_vec()),
            },
        },
        EventKind::Sent { connection, message, proxied: true },
        EventKind::NotSent { connection, messages: vec![message], problem: DeliveryProblem::Failed(failure) },
        EventKind::Waiting { connection, message, failure },
        EventKind::Receipt { connection, message, intact: true },
        EventKind::Switch { connection, receiving: true, phase: SwitchPhase::Secured, servers: servers.clone() },
        EventKind::Ratchet { connection, state: RatchetSync::Required },
        EventKind::Continued { connection },
        EventKind::Redundancy { connection, receiving: servers.clone(), sending: servers },
        EventKind::Up { server: server.clone(), connections: vec![connection] },
        EventKind::Down { server: server.clone(), connections: vec![connection] },
        EventKind::SubscriptionEnded { connection },
        EventKind::QueueDeleted { connection, server: server.clone() },
        EventKind::QueueBlocked {
            connection,
            receiving: true,
            server: server.clone(),
            blocked: Blocked { reason: BlockingReason::Spam, notice: None },
        },
        EventKind::Deleted { connection, failures: vec![(server, failure)] },
        EventKind::Failed { connection, error: ConnectionError::Relay(failure) },
    ]
}

#[test]
fn every_event_of_the_agent_is_told() {
    let names: Vec<_> = examples().iter().map(word).collect();
    assert_eq!(names, variants("event.rs", "EventKind"));
    for (kind, name) in examples().into_iter().zip(names) {
        let object = event(&Event { id: Some(EventId(9)), kind: kind.clone() });
        assert_eq!(object["event"], name.as_str());
        assert_eq!(object["event_id"], 9);
        assert_eq!(object["connection"].is_null(), kind.connection().is_none(), "{name}");
    }
    assert!(event(&Event { id: None, kind: examples().remove(16) }).get("event_id").is_none());
}

#[test]
fn members_have_their_values() {
    let told = |name: &str| {
        let kind = examples().into_iter().find(|kind| word(kind) == name).unwrap();
        event(&Event { id: None, kind })
    };
    let message = told("message");
    assert_eq!((&message["text"], &message["message"]), (&"hello".into(), &5.into()));
    assert_eq!(message["integrity"], json!({ "code": "skipped", "first": 1, "last": 2 }));
    assert_eq!((&message["sender_number"], &message["relay_time"]), (&3.into(), &60.into()));
    let request = told("request");
    assert_eq!((&request["info_base64"], &request["info"]), (&"_w==".into(), &Value::Null));
    assert_eq!(request["servers"], json!([SERVER]));
    assert_eq!(request["invitation"], "AgICAgICAgICAgIC");
    assert_eq!(told("link_read")["entity_id_base64"], "_w==");
    assert_eq!(told("connected")["agent_version"], 7);
    assert_eq!(told("not_sent")["messages"], json!([5]));
    assert_eq!(told("not_sent")["problem"]["failure"]["reason"], "network");
    assert_eq!(told("switch")["phase"], "secured");
    assert_eq!(told("ratchet")["state"], "required");
    assert_eq!(told("up")["connections"], json!(["AQEBAQEBAQEBAQEB"]));
    assert_eq!(told("deleted")["failures"][0]["server"], SERVER);
    assert_eq!(told("queue_blocked")["blocked"], json!({ "reason": "spam" }));
    assert_eq!(told("failed")["error"]["code"], "relay");
    assert_eq!(told("link_ready")["short_link"], "short");
}
