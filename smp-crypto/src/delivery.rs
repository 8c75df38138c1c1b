//! Encryption of messages from a relay to the recipient of a queue: the body of MSG (wire reference, section 10.1).
//!
//! The key is agreed between the relay's key for the queue and the recipient's key from NEW; the nonce is the message id.
//! Every body is [`SEALED_LENGTH`] bytes long, whatever is inside, a message or the mark that says that the queue was
//! full (section 10.4).

use smp_proto::{
    id::MessageId,
    wire::{Decode, Encode},
};

use crate::{
    Error,
    secret_box::{BoxKey, Nonce, TAG_LENGTH},
};

/// Length of the padded plaintext in bytes.
pub const PADDED_LENGTH: usize = 16_106;
/// Length of the body of MSG in bytes.
pub const SEALED_LENGTH: usize = PADDED_LENGTH + TAG_LENGTH;

/// Encrypts what the recipient gets. Fails with [`Error::Length`] when it is longer than 16,104 bytes.
pub fn seal(
    key: &BoxKey,
    message_id: MessageId<'_>,
    content: &impl Encode,
    buffer: &mut [u8; SEALED_LENGTH],
) -> Result<(), Error> {
    key.seal_content(&Nonce::from_slice(message_id.as_bytes()), buffer, |writer| content.encode(writer))
}

/// Decrypts the body of MSG where it stands.
pub fn open<'b, T: Decode<'b>>(key: &BoxKey, message_id: MessageId<'_>, body: &'b mut [u8]) -> Result<T, Error> {
    let content = key.open_content(&Nonce::from_slice(message_id.as_bytes()), body)?;
    Ok(T::from_bytes(content)?)
}
