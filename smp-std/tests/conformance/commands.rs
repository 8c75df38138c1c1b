//! Section 7.1, row by row.

use std::sync::Arc;

use smp_crypto::key::AuthorizationSecretKey;
use smp_std::relay::store::{Blocked, BlockingReason, Notice, QueueName, Side};
use tokio::task::JoinSet;

use crate::hand::{ask, ask_all};
use crate::harness::{RawClient, TestRelay};
use crate::rows::{Authority, Entity, Expected, Row, Tail, rows};
use crate::subject::{Kind, Subject};
use crate::{VERSIONS, unhurried};

impl Row {
    /// Everything that is wrong in a way the section knows, with the answer to it.
    async fn refuse(&self, client: &mut RawClient, subject: &Subject, version: u16, about: &str) {
        let (tag, entity, key) = (self.tag, self.entity_id(subject), self.key(subject));
        let command = self.command(subject, version);
        let stranger = subject.kind.generate();
        let shape = |given_key: bool, given_entity: bool| -> Option<&'static str> {
            match (tag, given_key, given_entity) {
                ("SEND", _, false) => Some("NO_ENTITY"),
                ("SEND", ..) => None,
                ("LGET" | "PFWD", _, false) => Some("NO_ENTITY"),
                ("LGET" | "PFWD", true, true) => Some("HAS_AUTH"),
                ("PING" | "PRXY" | "RFWD" | "RSLV", true, _) | ("PING" | "PRXY" | "RFWD" | "RSLV", _, true) => {
                    Some("HAS_AUTH")
                }
                ("LGET" | "PFWD" | "PING" | "PRXY" | "RFWD" | "RSLV", ..) | (_, true, true) => None,
                _ => Some("NO_AUTH"),
            }
        };
        for (given_key, given_entity) in [(false, false), (false, true), (true, false), (true, true)] {
            if let Some(error) = shape(given_key, given_entity) {
                let key = given_key.then_some(key.unwrap_or(&stranger));
                let entity = if !given_entity {
                    &b""[..]
                } else if entity.is_empty() {
                    &[8; 24]
                } else {
                    entity
                };
                let reply = ask(client, key, entity, &command).await;
                assert_eq!(reply.text(), format!("ERR CMD {error}"), "{about}: {given_key}, {given_entity}");
                assert_eq!(reply.entity, entity, "{about}");
            }
        }
        let parameters = command.len() > tag.len();
        let mut malformed: Vec<(Vec<u8>, &str)> = vec![([tag.as_bytes(), b"x"].concat(), "UNKNOWN")];
        if parameters {
            malformed.push((tag.as_bytes().to_vec(), "SYNTAX"));
        } else {
            malformed.push(([tag.as_bytes(), b" "].concat(), "SYNTAX"));
        }
        if self.tail == Tail::End && parameters {
            malformed.push(([&command[..], b" "].concat(), "SYNTAX"));
            for cut in tag.len() + 1..command.len() {
                malformed.push((command[..cut].to_vec(), "SYNTAX"));
            }
        }
        let bytes: Vec<_> = malformed.iter().map(|(bytes, _)| bytes.clone()).collect();
        for ((bytes, error), reply) in malformed.iter().zip(ask_all(client, key, entity, &bytes).await) {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(reply.text(), format!("ERR CMD {error}"), "{about}: {text:?}");
            assert_eq!(reply.entity, entity, "{about}: {text:?}");
        }
        let unknown = [6; 24];
        let mut denied: Vec<(Option<&AuthorizationSecretKey>, &[u8])> = Vec::new();
        match self.authority {
            Authority::Recipient | Authority::Notifier | Authority::Sender | Authority::SetSender => {
                denied.extend([(Some(&stranger), entity), (key, &unknown), (key, &[6; 3]), (key, &[6; 255])]);
            }
            Authority::Open => denied.extend([(Some(&stranger), entity), (None, &unknown[..])]),
            Authority::Absent if tag == "LGET" => denied.push((None, &unknown)),
            Authority::Absent | Authority::Service => {}
        }
        if self.authority == Authority::Sender {
            denied.push((None, entity));
        }
        if self.entity == Entity::Recipient {
            denied.extend([(key, &subject.sender_id[..]), (Some(&subject.sender_key), entity)]);
        }
        if self.entity == Entity::Sender {
            denied.extend([(key, &subject.recipient_id[..])]);
        }
        for (key, entity) in denied {
            let reply = ask(client, key, entity, &command).await;
            assert_eq!(reply.text(), "ERR AUTH", "{about}: {}", key.is_some());
            assert_eq!(reply.entity, entity, "{about}");
        }
    }
}

/// The kinds of keys to try: all where authorization changed, and at the ends.
pub(crate) fn kinds(version: u16) -> Vec<Kind> {
    let mut kinds = vec![Kind::Ed25519];
    if matches!(version, 7 | 11 | 16 | 20) {
        kinds.push(Kind::X25519);
    }
    if matches!(version, 6 | 20) {
        kinds.push(Kind::Ed448);
    }
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_at_every_version() {
    let relay = Arc::new(TestRelay::start(unhurried()).await);
    let mut versions = JoinSet::new();
    for version in VERSIONS {
        let relay = Arc::clone(&relay);
        versions.spawn(async move {
            let (mut keeper, mut client) = (relay.client().await, relay.client_at(version).await);
            for kind in kinds(version) {
                for (number, row) in rows().iter().enumerate() {
                    let about = format!("version {version}, {kind:?}, row {number}, {}", row.tag);
                    let subject = Subject::new(&mut keeper, kind, row.shape).await;
                    row.refuse(&mut client, &subject, version, &about).await;
                    let reply = row.ask(&mut client, &subject, version).await;
                    row.check(&subject, &reply, version, &about);
                }
            }
        });
    }
    versions.join_all().await;
    Arc::into_inner(relay).unwrap().stop().await;
}

/// What an operator's blocking does to every command on a queue (sections 7.3 and 10.8).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_on_a_blocked_queue() {
    let relay = TestRelay::start(unhurried()).await;
    let mut keeper = relay.client().await;
    for version in VERSIONS {
        let mut client = relay.client_at(version).await;
        for (number, row) in rows().iter().enumerate() {
            if matches!(row.entity, Entity::Empty | Entity::Unknown) {
                continue;
            }
            let about = format!("version {version}, row {number}, {}", row.tag);
            let subject = Subject::new(&mut keeper, Kind::Ed25519, row.shape).await;
            let queue = QueueName::Side(Side::Sender, subject.sender_id[..].try_into().unwrap());
            let blocked = Blocked { reason: BlockingReason::Spam, notice: Some(Notice { ttl: Some(3_600) }) };
            relay.relay.block(queue, blocked).await.unwrap();
            let reply = row.ask(&mut client, &subject, version).await;
            // Two refusals stand before it: a sender that must not be, and a link that cannot be read.
            let refused_before = reply.text() == "ERR AUTH" && matches!(row.expected, Expected::Text("ERR AUTH"));
            let expected = match version {
                ..12 => "ERR AUTH",
                12..18 => "ERR BLOCKED reason=spam",
                _ => "ERR BLOCKED reason=spam,notice={\"ttl\":3600}",
            };
            if row.works_blocked {
                row.check(&subject, &reply, version, &about);
                continue;
            }
            if !refused_before {
                assert_eq!(reply.text(), expected, "{about}");
            }
            relay.relay.unblock(queue).await.unwrap();
            let reply = row.ask(&mut client, &subject, version).await;
            row.check(&subject, &reply, version, &about);
        }
    }
    relay.stop().await;
}
