//! Keys of records: the number of a table, then what tells its records apart.

use smp_crypto::hash::sha256;

use crate::id::{ConnectionId, EventId, InvitationId, MessageId};
use crate::policy::server::UserId;

/// A table's number, the first octet of the keys of its records. Never reused for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    /// What there is once.
    State = 1,
    /// Servers of a user.
    User = 2,
    /// Connections with their queues.
    Connection = 3,
    /// The ratchet of a connection.
    Ratchet = 4,
    /// Keys of a connection whose ratchet is not made yet.
    Agreement = 5,
    /// Keys of messages that did not arrive yet.
    Skipped = 6,
    /// Messages that wait to be sent.
    Outgoing = 7,
    /// For each send queue, which messages wait for it.
    Delivery = 8,
    /// Messages that were sent and whose receipts may come.
    Sent = 9,
    /// Events that were not acknowledged.
    Event = 10,
    /// Requests to addresses.
    Invitation = 11,
    /// Hashes of received messages.
    Received = 12,
    /// Hashes of key messages.
    KeyMessage = 13,
    /// One-time links that were read.
    OneTimeLink = 14,
    /// The own keys for a new ratchet of a connection.
    Resynchronization = 15,
    /// Messages that wait for earlier ones of other queues.
    Held = 16,
    /// How many requests came to an address.
    RequestCount = 17,
    /// Which requests came last.
    LastRequest = 18,
}

/// Tables whose records belong to a connection, which its id in their keys says, but for the connection's own.
pub(crate) const OF_CONNECTIONS: [Table; 12] = [
    Table::Delivery,
    Table::Outgoing,
    Table::Sent,
    Table::Received,
    Table::KeyMessage,
    Table::Skipped,
    Table::Agreement,
    Table::Resynchronization,
    Table::Held,
    Table::RequestCount,
    Table::LastRequest,
    Table::Ratchet,
];

/// The key of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    bytes: [u8; 40],
    length: u8,
}

impl Key {
    pub(crate) fn new(table: Table) -> Self {
        Self { bytes: [0; 40], length: 0 }.with(&[table as u8])
    }

    /// The same key with more behind it. All keys of a table have the same parts, so none is another's beginning by
    /// accident.
    fn with(mut self, part: &[u8]) -> Self {
        let start = usize::from(self.length);
        let end = start.saturating_add(part.len());
        if let Some(place) = self.bytes.get_mut(start..end) {
            place.copy_from_slice(part);
            self.length = u8::try_from(end).unwrap_or(u8::MAX);
        }
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    pub(crate) fn of(table: Table, connection: ConnectionId) -> Self {
        Self::new(table).with(connection.as_bytes())
    }

    pub(crate) fn state() -> Self {
        Self::new(Table::State)
    }

    pub(crate) fn user(user: UserId) -> Self {
        Self::new(Table::User).with(&user.0.to_be_bytes())
    }

    pub(crate) fn connection(connection: ConnectionId) -> Self {
        Self::of(Table::Connection, connection)
    }

    pub(crate) fn ratchet(connection: ConnectionId) -> Self {
        Self::of(Table::Ratchet, connection)
    }

    pub(crate) fn agreement(connection: ConnectionId) -> Self {
        Self::of(Table::Agreement, connection)
    }

    pub(crate) fn skipped(connection: ConnectionId) -> Self {
        Self::of(Table::Skipped, connection)
    }

    pub(crate) fn resynchronization(connection: ConnectionId) -> Self {
        Self::of(Table::Resynchronization, connection)
    }

    pub(crate) fn outgoing(connection: ConnectionId, message: MessageId) -> Self {
        Self::of(Table::Outgoing, connection).with(&message.0.to_be_bytes())
    }

    /// All deliveries of a queue.
    pub(crate) fn deliveries(connection: ConnectionId, queue: u32) -> Self {
        Self::of(Table::Delivery, connection).with(&queue.to_be_bytes())
    }

    pub(crate) fn delivery(connection: ConnectionId, queue: u32, message: MessageId) -> Self {
        Self::deliveries(connection, queue).with(&message.0.to_be_bytes())
    }

    /// The message that a receive queue holds back.
    pub(crate) fn held(connection: ConnectionId, queue: u32) -> Self {
        Self::of(Table::Held, connection).with(&queue.to_be_bytes())
    }

    pub(crate) fn sent(connection: ConnectionId, number: i64) -> Self {
        Self::of(Table::Sent, connection).with(&number.to_be_bytes())
    }

    pub(crate) fn event(event: EventId) -> Self {
        Self::new(Table::Event).with(&event.0.to_be_bytes())
    }

    pub(crate) fn invitation(invitation: InvitationId) -> Self {
        Self::new(Table::Invitation).with(invitation.as_bytes())
    }

    pub(crate) fn request_count(address: ConnectionId) -> Self {
        Self::of(Table::RequestCount, address)
    }

    /// One of the last requests to an address, by its number among them.
    pub(crate) fn last_request(address: ConnectionId, number: u32) -> Self {
        Self::of(Table::LastRequest, address).with(&number.to_be_bytes())
    }

    /// A one-time link at a relay with this fingerprint.
    pub(crate) fn one_time_link(salt: &[u8; 32], fingerprint: &[u8; 32], link_id: &[u8]) -> Self {
        Self::new(Table::OneTimeLink).with(&sha256(&[salt, b"L", fingerprint, link_id]))
    }

    /// The queue that such a link leads to.
    pub(crate) fn one_time_queue(salt: &[u8; 32], fingerprint: &[u8; 32], sender_id: &[u8]) -> Self {
        Self::new(Table::OneTimeLink).with(&sha256(&[salt, b"Q", fingerprint, sender_id]))
    }

    /// One of the records that hold hashes of received messages.
    pub(crate) fn received(connection: ConnectionId, bucket: u8) -> Self {
        Self::of(Table::Received, connection).with(&[bucket])
    }

    /// A hash of something that came from outside. The salt, which the storage encrypts, makes sure that nobody who sees
    /// keys can tell which message it was.
    pub(crate) fn salted(table: Table, connection: ConnectionId, salt: &[u8; 32], hash: &[u8; 32]) -> Self {
        let salted = sha256(&[salt, hash]);
        let (short, _) = salted.split_at(12);
        Self::of(table, connection).with(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_their_parts() {
        let connection = ConnectionId::from_bytes([7; 12]);
        let key = Key::delivery(connection, 3, MessageId(258));
        assert_eq!(key.as_bytes().len(), 1 + 12 + 4 + 8);
        assert!(key.as_bytes().starts_with(Key::deliveries(connection, 3).as_bytes()));
        assert!(Key::delivery(connection, 3, MessageId(259)).as_bytes() > key.as_bytes());
        assert_eq!(Key::salted(Table::KeyMessage, connection, &[1; 32], &[2; 32]).as_bytes().len(), 25);
        assert_ne!(
            Key::salted(Table::KeyMessage, connection, &[1; 32], &[2; 32]).as_bytes(),
            Key::salted(Table::KeyMessage, connection, &[3; 32], &[2; 32]).as_bytes()
        );
    }
}
