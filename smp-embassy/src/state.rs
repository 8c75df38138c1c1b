//! What the roles keep: plain records, and the traits through which they are kept.
//!
//! The sender and the receiver say when something has to be kept and wait until it is: nothing is sent before the record
//! that it depends on is safe. Where it is kept is a matter of the implementation: flash, or nothing at all
//! ([`Volatile`]), in which case a reset forgets keys and alarms.

use heapless::{Deque, Vec};
use serde::{Deserialize, Serialize};
use smp_proto::uri::SENDER_ID_CAPACITY;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Room for the binary form of any queue address, in bytes.
pub const QUEUE_ADDRESS_CAPACITY: usize = 512;
/// Room for the binary form of any relay's address, in bytes.
pub const SERVER_ADDRESS_CAPACITY: usize = 400;
/// Length of the names that relays give to messages, in bytes.
pub const MESSAGE_ID_LENGTH: usize = smp_proto::id::ID_LENGTH;

/// How far a sender has come with its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SendStage {
    /// Nothing was accepted yet.
    New,
    /// The relay has the sender's key, from the sender itself (SKEY); the recipient knows nothing.
    Secured,
    /// The relay has the first message, with the key that the recipient needs to read the others.
    Confirmed,
}

/// What a sender keeps of its queue. About 600 bytes; fewer in flash, because addresses are as long as they are.
///
/// Everything in it is secret: who has it can send in the sender's name.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct SenderState {
    /// The queue's address in its binary form.
    pub(crate) address: Vec<u8, QUEUE_ADDRESS_CAPACITY>,
    /// The X25519 key that authorizes commands.
    pub(crate) authorization: [u8; 32],
    /// The sender's X25519 key of the encryption between sender and recipient.
    pub(crate) secret: [u8; 32],
    #[zeroize(skip)]
    pub(crate) stage: SendStage,
    /// Whether the sender sets its key itself; else the recipient is asked to.
    pub(crate) secures: bool,
}

impl core::fmt::Debug for SenderState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SenderState").field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// What a receiver keeps of its queue. About 700 bytes; fewer in flash, because addresses are as long as they are.
///
/// Everything in it is secret: who has it can read what is sent to the queue.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct ReceiverState {
    /// The relay's address in its binary form.
    pub(crate) server: Vec<u8, SERVER_ADDRESS_CAPACITY>,
    pub(crate) recipient_id: Vec<u8, SENDER_ID_CAPACITY>,
    pub(crate) sender_id: Vec<u8, SENDER_ID_CAPACITY>,
    /// Whether the sender may secure the queue.
    pub(crate) messaging: bool,
    /// The X25519 key that authorizes commands.
    pub(crate) authorization: [u8; 32],
    /// What was agreed with the relay, for the last hop of messages.
    pub(crate) delivery: [u8; 32],
    /// The X25519 key whose public half is in the queue's address.
    pub(crate) secret: [u8; 32],
    /// The sender's key, once there was a first message.
    pub(crate) sender_key: Option<[u8; 32]>,
}

impl core::fmt::Debug for ReceiverState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReceiverState").field("confirmed", &self.sender_key.is_some()).finish_non_exhaustive()
    }
}

/// Keeps a sender's queue and its alarms until a relay has accepted them, first in, first out.
///
/// When a method returns without an error, what it says has happened survives a reset. When power is lost before it
/// returns, it has happened or not, and nothing else is lost.
#[allow(async_fn_in_trait, reason = "executors of firmware have one thread: nobody asks whether futures can move")]
pub trait SenderStore {
    /// Why something cannot be kept.
    type Error;

    /// The queue, if one is kept.
    async fn load_sender(&mut self) -> Result<Option<SenderState>, Self::Error>;

    /// Keeps the queue, in place of the one that was kept.
    async fn save_sender(&mut self, state: &SenderState) -> Result<(), Self::Error>;

    /// Keeps an alarm behind all others, or returns `false` when there is no room for it now. Alarms that are kept are
    /// never given up for others.
    async fn push_alarm(&mut self, body: &[u8]) -> Result<bool, Self::Error>;

    /// Copies the oldest alarm to the front of `buffer` and tells its length; nothing when there is none. The buffer is as
    /// long as the longest alarm the sender takes; one that does not fit is an error.
    async fn first_alarm(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Self::Error>;

    /// Forgets the oldest alarm: a relay has accepted it.
    async fn pop_alarm(&mut self) -> Result<(), Self::Error>;
}

/// Keeps a receiver's queue, and which of its messages the application took last.
///
/// When a method returns without an error, what it says has happened survives a reset. When power is lost before it
/// returns, it has happened or not, and nothing else is lost.
#[allow(async_fn_in_trait, reason = "executors of firmware have one thread: nobody asks whether futures can move")]
pub trait ReceiverStore {
    /// Why something cannot be kept.
    type Error;

    /// The queue, if one is kept.
    async fn load_receiver(&mut self) -> Result<Option<ReceiverState>, Self::Error>;

    /// Keeps the queue, in place of the one that was kept. Rare: when it is created and when its sender introduces itself.
    async fn save_receiver(&mut self, state: &ReceiverState) -> Result<(), Self::Error>;

    /// The message that the application took last, if that is kept.
    async fn load_last_message(&mut self) -> Result<Option<[u8; MESSAGE_ID_LENGTH]>, Self::Error>;

    /// Keeps which message the application took last. Once for each message.
    async fn save_last_message(&mut self, id: &[u8; MESSAGE_ID_LENGTH]) -> Result<(), Self::Error>;
}

/// Keeps up to `ALARMS` alarms of up to `LENGTH` bytes in memory, and nothing of queues: for devices without flash.
///
/// After a reset a sender begins with a new key. It can do so with the address of a queue that it has secured before only
/// if the recipient makes a new queue.
#[derive(Debug, Default)]
pub struct Volatile<const ALARMS: usize, const LENGTH: usize> {
    alarms: Deque<Vec<u8, LENGTH>, ALARMS>,
}

impl<const ALARMS: usize, const LENGTH: usize> Volatile<ALARMS, LENGTH> {
    /// A store that keeps nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { alarms: Deque::new() }
    }
}

/// An alarm that is longer than its place. It cannot come up when store and sender have the same lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooLong;

impl core::fmt::Display for TooLong {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the alarm is longer than its place")
    }
}

impl core::error::Error for TooLong {}

impl<const ALARMS: usize, const LENGTH: usize> SenderStore for Volatile<ALARMS, LENGTH> {
    type Error = TooLong;

    async fn load_sender(&mut self) -> Result<Option<SenderState>, TooLong> {
        Ok(None)
    }

    async fn save_sender(&mut self, _: &SenderState) -> Result<(), TooLong> {
        Ok(())
    }

    async fn push_alarm(&mut self, body: &[u8]) -> Result<bool, TooLong> {
        if self.alarms.is_full() {
            return Ok(false);
        }
        let body = Vec::from_slice(body).map_err(|_| TooLong)?;
        Ok(self.alarms.push_back(body).is_ok())
    }

    async fn first_alarm(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, TooLong> {
        let Some(alarm) = self.alarms.front() else { return Ok(None) };
        buffer.get_mut(..alarm.len()).ok_or(TooLong)?.copy_from_slice(alarm);
        Ok(Some(alarm.len()))
    }

    async fn pop_alarm(&mut self) -> Result<(), TooLong> {
        self.alarms.pop_front();
        Ok(())
    }
}

impl<const ALARMS: usize, const LENGTH: usize> ReceiverStore for Volatile<ALARMS, LENGTH> {
    type Error = TooLong;

    async fn load_receiver(&mut self) -> Result<Option<ReceiverState>, TooLong> {
        Ok(None)
    }

    async fn save_receiver(&mut self, _: &ReceiverState) -> Result<(), TooLong> {
        Ok(())
    }

    async fn load_last_message(&mut self) -> Result<Option<[u8; MESSAGE_ID_LENGTH]>, TooLong> {
        Ok(None)
    }

    async fn save_last_message(&mut self, _: &[u8; MESSAGE_ID_LENGTH]) -> Result<(), TooLong> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use embassy_futures::block_on;

    use super::*;

    #[test]
    fn alarms_come_out_in_order_and_none_is_given_up() {
        block_on(async {
            let mut store = Volatile::<2, 4>::new();
            let buffer = &mut [0; 4];
            assert_eq!(store.first_alarm(buffer).await, Ok(None));
            assert_eq!(store.push_alarm(b"one").await, Ok(true));
            assert_eq!(store.push_alarm(b"longer").await, Err(TooLong));
            assert_eq!(store.push_alarm(b"two").await, Ok(true));
            assert_eq!(store.push_alarm(b"3").await, Ok(false));
            assert_eq!(store.first_alarm(&mut [0; 2]).await, Err(TooLong));
            for expected in [&b"one"[..], b"two"] {
                let length = store.first_alarm(buffer).await.unwrap().unwrap();
                assert_eq!(&buffer[..length], expected);
                store.pop_alarm().await.unwrap();
            }
            assert_eq!(store.first_alarm(buffer).await, Ok(None));
            assert_eq!(store.pop_alarm().await, Ok(()));
        });
    }

    #[test]
    fn states_survive_as_records_and_print_no_secrets() {
        let state = SenderState {
            address: Vec::from_slice(&[7; 130]).unwrap(),
            authorization: [1; 32],
            secret: [2; 32],
            stage: SendStage::Secured,
            secures: true,
        };
        let mut buffer = [0; 1024];
        let record = postcard::to_slice(&state, &mut buffer).unwrap();
        assert_eq!(record, [&[130, 1][..], &[7; 130], &[1; 32], &[2; 32], &[1], &[1]].concat());
        let read: SenderState = postcard::from_bytes(record).unwrap();
        assert!(read.address == state.address && read.authorization == [1; 32] && read.secret == [2; 32]);
        assert!(read.stage == SendStage::Secured && read.secures);
        assert_eq!(std::format!("{state:?}"), "SenderState { stage: Secured, .. }");

        let state = ReceiverState {
            server: Vec::from_slice(&[7; 60]).unwrap(),
            recipient_id: Vec::from_slice(&[1; 24]).unwrap(),
            sender_id: Vec::from_slice(&[2; 24]).unwrap(),
            messaging: true,
            authorization: [3; 32],
            delivery: [4; 32],
            secret: [5; 32],
            sender_key: Some([6; 32]),
        };
        let record = postcard::to_slice(&state, &mut buffer).unwrap();
        assert_eq!(record.len(), 61 + 25 + 25 + 1 + 96 + 33);
        let read: ReceiverState = postcard::from_bytes(record).unwrap();
        assert!(read.sender_id == state.sender_id && read.sender_key == Some([6; 32]) && read.messaging);
        assert_eq!(std::format!("{state:?}"), "ReceiverState { confirmed: true, .. }");
    }
}
