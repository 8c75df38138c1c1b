//! Receipts of the peer's (wire reference, section 16).

use rand_core::CryptoRng;

use super::work::Work;
use super::{Agent, Result};
use crate::event::EventKind;
use crate::id::{ConnectionId, MessageId};
use crate::record::{Connection, Outgoing, OutgoingKind, SentRecord};
use crate::storage::Storage;
use crate::table::Key;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// The peer says that it has received the message of this number, whose plaintext had this hash.
    ///
    /// Nothing is said of messages that are not the application's, or whose record has done its work.
    pub(super) fn take_receipt(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: i64,
        hash: &[u8],
    ) -> Result<(), S> {
        let key = Key::sent(id, number);
        if self.transaction.bytes(&key)?.is_none() {
            self.take_early_receipt(id, connection, number, hash)?;
        }
        let Some(sent) = self.transaction.get::<SentRecord>(&key)? else { return Ok(()) };
        let intact = sent.hash == hash;
        if intact {
            self.transaction.delete(&key);
        }
        self.notify(EventKind::Receipt { connection: id, message: MessageId(sent.message), intact })
    }

    /// A receipt that is here before the relay's answer shows that the message was delivered: the answer was lost, or a
    /// copy in another queue is still on its way and not needed any more. With another hash it is about another message,
    /// whose number was used again after a storage was restored.
    fn take_early_receipt(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection,
        number: i64,
        hash: &[u8],
    ) -> Result<(), S> {
        let queues: alloc::vec::Vec<u32> = connection.send_queues.iter().map(|queue| queue.number).collect();
        for queue in queues {
            let Some(waiting) = self.waiting.get(&(id, queue)) else { continue };
            // Only what was tried can have arrived, which is the first of each queue.
            let Some(message) = waiting.front().copied() else { continue };
            let Some(outgoing) = self.transaction.get::<Outgoing>(&Key::outgoing(id, message))? else { continue };
            if outgoing.number == number && outgoing.hash == hash && outgoing.kind == OutgoingKind::Application {
                self.hurry(&Work::Deliver(id, queue));
                self.delivered_unanswered(id, connection, queue, message, outgoing)?;
            }
        }
        Ok(())
    }
}
