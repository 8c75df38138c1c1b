//! Section 7.1 as a table.

use smp_crypto::key::AuthorizationSecretKey;

use crate::hand::{ask, key, long, short};
use crate::harness::{RawClient, Received};
use crate::subject::{CONTACT, FIXED, MESSAGING, Shape, Subject, UNKNOWN, USER, dh_key};

/// Whose id stands in the transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entity {
    Empty,
    Recipient,
    Sender,
    Link,
    Notifier,
    /// A session or service that the relay does not know.
    Unknown,
}

/// Who authorizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authority {
    Recipient,
    /// The sender, by the key that the queue has.
    Sender,
    /// The sender, by the key that the command sets.
    SetSender,
    Notifier,
    /// Nobody, and it must be so.
    Absent,
    /// Nobody; a queue without a sender's key takes no other.
    Open,
    /// Somebody who pretends to be a service.
    Service,
}

/// What stands behind the parameters that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// There are no parameters.
    None,
    /// Nothing may stand there.
    End,
    /// The last parameter takes everything.
    Rest,
}

/// What the answer is.
pub(crate) enum Expected {
    Text(&'static str),
    Version(fn(u16) -> &'static str),
    Check(fn(&Subject, &Received)),
}

pub(crate) struct Row {
    pub(crate) tag: &'static str,
    pub(crate) shape: Shape,
    pub(crate) entity: Entity,
    pub(crate) authority: Authority,
    pub(crate) tail: Tail,
    pub(crate) parameters: fn(&Subject, u16) -> Vec<u8>,
    pub(crate) expected: Expected,
    /// What becomes of it on a blocked queue: executed all the same.
    pub(crate) works_blocked: bool,
}

fn nothing(_: &Subject, _: u16) -> Vec<u8> {
    Vec::new()
}

/// Before services a subscription was answered like everything else.
fn subscribed(version: u16) -> &'static str {
    if version < 16 { "OK" } else { "SOK 0" }
}

fn link(subject: &Subject, reply: &Received) {
    let expected = [b"LNK ".to_vec(), short(&subject.sender_id), long(FIXED), long(USER)].concat();
    assert_eq!(reply.message, expected, "{}", reply.text());
}

fn service_queues(_: &Subject, version: u16) -> Vec<u8> {
    // Without a space there are no parameters.
    if version < 19 { Vec::new() } else { [&1i64.to_be_bytes()[..], &short(&[7; 16])].concat() }
}

pub(crate) fn rows() -> Vec<Row> {
    use Authority::{Absent, Notifier, Open, Recipient, Sender, Service, SetSender};
    let row = |tag, shape, entity, authority, tail, parameters, expected| Row {
        tag,
        shape,
        entity,
        authority,
        tail,
        parameters,
        expected,
        works_blocked: matches!(tag, "OFF" | "DEL" | "NSUB"),
    };
    let recipient = |tag, shape, tail, parameters, expected| {
        row(tag, shape, Entity::Recipient, Recipient, tail, parameters, expected)
    };
    let secured = Shape { secured: true, ..MESSAGING };
    let ok = || Expected::Text("OK");
    vec![
        recipient("SUB", MESSAGING, Tail::None, nothing, Expected::Version(subscribed)),
        recipient("SUB", UNKNOWN, Tail::None, nothing, Expected::Version(subscribed)),
        row("SUBS", MESSAGING, Entity::Unknown, Service, Tail::End, service_queues, Expected::Text("ERR SERVICE")),
        recipient("KEY", MESSAGING, Tail::End, |it, _| key(&it.sender_key), ok()),
        recipient("KEY", secured, Tail::End, |it, _| key(&it.sender_key), ok()),
        recipient("KEY", CONTACT, Tail::End, |it, _| key(&it.sender_key), ok()),
        recipient("KEY", UNKNOWN, Tail::End, |it, _| key(&it.sender_key), ok()),
        recipient("KEY", secured, Tail::End, |it, _| key(&it.kind.generate()), Expected::Text("ERR AUTH")),
        recipient("RKEY", CONTACT, Tail::End, |it, _| [vec![1], key(&it.recipient_key)].concat(), ok()),
        recipient(
            "RKEY",
            CONTACT,
            Tail::End,
            |it, _| [vec![2], key(&it.notifier_key), key(&it.recipient_key)].concat(),
            ok(),
        ),
        recipient(
            "RKEY",
            MESSAGING,
            Tail::End,
            |it, _| [vec![1], key(&it.recipient_key)].concat(),
            Expected::Text("ERR AUTH"),
        ),
        recipient("LSET", MESSAGING, Tail::End, |it, _| [short(&it.link_id), long(FIXED), long(USER)].concat(), ok()),
        recipient(
            "LSET",
            Shape { link: true, ..CONTACT },
            Tail::End,
            |it, _| [short(&it.link_id), long(FIXED), long(b"changed")].concat(),
            ok(),
        ),
        recipient(
            "LSET",
            Shape { link: true, ..CONTACT },
            Tail::End,
            |it, _| [short(&it.link_id), long(b"changed"), long(USER)].concat(),
            Expected::Text("ERR AUTH"),
        ),
        recipient(
            "LSET",
            Shape { link: true, ..CONTACT },
            Tail::End,
            |_, _| [short(&[5; 24]), long(FIXED), long(USER)].concat(),
            Expected::Text("ERR AUTH"),
        ),
        recipient(
            "LSET",
            secured,
            Tail::End,
            |it, _| [short(&it.link_id), long(FIXED), long(USER)].concat(),
            Expected::Text("ERR AUTH"),
        ),
        recipient("LDEL", CONTACT, Tail::None, nothing, ok()),
        recipient("LDEL", Shape { link: true, ..CONTACT }, Tail::None, nothing, ok()),
        recipient(
            "NKEY",
            MESSAGING,
            Tail::End,
            |it, _| [key(&it.notifier_key), dh_key(&it.notifier_dh)].concat(),
            Expected::Check(|_, reply| {
                assert!(reply.message.starts_with(b"NID \x18"), "{}", reply.text());
                assert_eq!((reply.message.len(), reply.message[29]), (4 + 25 + 45, 44));
            }),
        ),
        recipient("NDEL", MESSAGING, Tail::None, nothing, ok()),
        recipient("NDEL", Shape { notifier: true, ..MESSAGING }, Tail::None, nothing, ok()),
        recipient("GET", MESSAGING, Tail::None, nothing, ok()),
        recipient("ACK", MESSAGING, Tail::End, |_, _| short(&[1; 24]), Expected::Text("ERR NO_MSG")),
        recipient("OFF", MESSAGING, Tail::None, nothing, ok()),
        recipient("DEL", MESSAGING, Tail::None, nothing, ok()),
        recipient(
            "QUE",
            MESSAGING,
            Tail::None,
            nothing,
            Expected::Text("INFO {\"qiSnd\":false,\"qiNtf\":false,\"qiSize\":0}"),
        ),
        recipient(
            "QUE",
            Shape { secured: true, notifier: true, ..MESSAGING },
            Tail::None,
            nothing,
            Expected::Text("INFO {\"qiSnd\":true,\"qiNtf\":true,\"qiSize\":0}"),
        ),
        row("SKEY", MESSAGING, Entity::Sender, SetSender, Tail::End, |it, _| key(&it.sender_key), ok()),
        row("SKEY", secured, Entity::Sender, SetSender, Tail::End, |it, _| key(&it.sender_key), ok()),
        row("SEND", MESSAGING, Entity::Sender, Open, Tail::Rest, |_, _| b"F body".to_vec(), ok()),
        row("SEND", CONTACT, Entity::Sender, Open, Tail::Rest, |_, _| b"T ".to_vec(), ok()),
        row("SEND", secured, Entity::Sender, Sender, Tail::Rest, |_, _| b"Tfuture body".to_vec(), ok()),
        row(
            "LKEY",
            Shape { link: true, ..MESSAGING },
            Entity::Link,
            SetSender,
            Tail::End,
            |it, _| key(&it.sender_key),
            Expected::Check(link),
        ),
        row("LGET", Shape { link: true, ..CONTACT }, Entity::Link, Absent, Tail::None, nothing, Expected::Check(link)),
        row("LGET", Shape { link: true, ..UNKNOWN }, Entity::Link, Absent, Tail::None, nothing, Expected::Check(link)),
        row(
            "LGET",
            Shape { link: true, ..MESSAGING },
            Entity::Link,
            Absent,
            Tail::None,
            nothing,
            Expected::Text("ERR AUTH"),
        ),
        row(
            "NSUB",
            Shape { notifier: true, ..MESSAGING },
            Entity::Notifier,
            Notifier,
            Tail::None,
            nothing,
            Expected::Version(subscribed),
        ),
        row("NSUBS", MESSAGING, Entity::Unknown, Service, Tail::End, service_queues, Expected::Text("ERR SERVICE")),
        row("PING", MESSAGING, Entity::Empty, Absent, Tail::None, nothing, Expected::Text("PONG")),
        row(
            "PRXY",
            MESSAGING,
            Entity::Empty,
            Absent,
            Tail::End,
            // A relay without any host that can be reached.
            |_, _| [vec![1], short(b"10.255.255.1"), short(b"5223"), short(&[3; 32]), b"0".to_vec()].concat(),
            Expected::Text("ERR PROXY BROKER HOST"),
        ),
        row(
            "PFWD",
            MESSAGING,
            Entity::Unknown,
            Absent,
            Tail::Rest,
            |it, _| [9u16.to_be_bytes().to_vec(), dh_key(&it.dh), vec![0; 15_000]].concat(),
            Expected::Text("ERR PROXY NO_SESSION"),
        ),
        row(
            "RFWD",
            MESSAGING,
            Entity::Empty,
            Absent,
            Tail::Rest,
            |_, _| vec![0; 15_000],
            Expected::Version(|version| match version {
                6 => "ERR PROXY BROKER TRANSPORT NO_AUTH",
                _ => "ERR CRYPTO",
            }),
        ),
        row(
            "RSLV",
            MESSAGING,
            Entity::Empty,
            Absent,
            Tail::Rest,
            |_, _| b"alice.simplex".to_vec(),
            Expected::Text("ERR NAME NO_RESOLVER"),
        ),
    ]
}

impl Row {
    pub(crate) fn entity_id<'s>(&self, subject: &'s Subject) -> &'s [u8] {
        match self.entity {
            Entity::Empty => b"",
            Entity::Recipient => &subject.recipient_id,
            Entity::Sender => &subject.sender_id,
            Entity::Link => &subject.link_id,
            Entity::Notifier => &subject.notifier_id,
            Entity::Unknown => &[8; 24],
        }
    }

    pub(crate) fn key<'s>(&self, subject: &'s Subject) -> Option<&'s AuthorizationSecretKey> {
        match self.authority {
            Authority::Recipient | Authority::Service => Some(&subject.recipient_key),
            Authority::Sender | Authority::SetSender => Some(&subject.sender_key),
            Authority::Notifier => Some(&subject.notifier_key),
            Authority::Absent | Authority::Open => None,
        }
    }

    pub(crate) fn command(&self, subject: &Subject, version: u16) -> Vec<u8> {
        let parameters = (self.parameters)(subject, version);
        if parameters.is_empty() {
            return self.tag.as_bytes().to_vec();
        }
        [self.tag.as_bytes(), b" ", &parameters].concat()
    }

    pub(crate) async fn ask(&self, client: &mut RawClient, subject: &Subject, version: u16) -> Received {
        let command = self.command(subject, version);
        ask(client, self.key(subject), self.entity_id(subject), &command).await
    }

    pub(crate) fn check(&self, subject: &Subject, reply: &Received, version: u16, about: &str) {
        match &self.expected {
            Expected::Text(text) => assert_eq!(reply.text(), *text, "{about}"),
            Expected::Version(text) => assert_eq!(reply.text(), text(version), "{about}"),
            Expected::Check(check) => check(subject, reply),
        }
        assert_eq!(reply.entity, self.entity_id(subject), "{about}");
    }
}
