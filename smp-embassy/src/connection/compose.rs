//! A block that is being composed where it will be sent from.

use core::fmt;

use smp_proto::id::{EntityId, ID_LENGTH};
use smp_proto::smp::Command;
use smp_proto::transport::BatchWriter;
use smp_proto::transport::block::BatchError;
use smp_proto::version::SmpVersion;
use smp_proto::wire::{self, Writer};

use super::TransmissionContext;
use crate::key::CommandKey;

/// Why a transmission was not added to a block. The block is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComposeError {
    /// It does not fit behind the others: send this block, and add it to the next one.
    Full,
    /// It fits no block.
    TooLarge,
    /// It cannot be authorized with this key in this session.
    Key(smp_crypto::Error),
    /// It cannot be written.
    Encode(wire::Error),
}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the block is full",
            Self::TooLarge => "the transmission is too large for any block",
            Self::Key(_) => "the command cannot be authorized with this key",
            Self::Encode(_) => "the command cannot be written",
        })
    }
}

impl core::error::Error for ComposeError {}

impl From<wire::Error> for ComposeError {
    fn from(error: wire::Error) -> Self {
        Self::Encode(error)
    }
}

/// Takes the transmissions of one block, in order.
///
/// A relay executes the commands of a block in any order: commands about one queue that depend on each other belong into
/// different blocks.
#[derive(Debug)]
pub struct Composer<'c> {
    context: TransmissionContext<'c>,
    batch: BatchWriter<'c>,
}

impl<'c> Composer<'c> {
    pub(crate) fn new(context: TransmissionContext<'c>, content: &'c mut [u8]) -> Result<Self, wire::Error> {
        Ok(Self { context, batch: BatchWriter::new(content)? })
    }

    /// What the transmissions are for.
    #[must_use]
    pub const fn context(&self) -> &TransmissionContext<'c> {
        &self.context
    }

    /// The version that both sides speak.
    #[must_use]
    pub const fn version(&self) -> SmpVersion {
        self.context.version
    }

    /// How many transmissions there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Adds a command about an entity, authorized when there is a key. The correlation id must be random and new: it is
    /// the nonce of authenticators, too.
    pub fn push(
        &mut self,
        correlation_id: &[u8; ID_LENGTH],
        entity: EntityId<'_>,
        key: Option<&CommandKey>,
        command: &Command<'_>,
    ) -> Result<(), ComposeError> {
        let version = self.context.version;
        self.push_with(correlation_id, entity, key, |writer| command.encode(writer, version))
    }

    /// Adds a command that `command` writes, complete with its tag: so a large body is written and encrypted where it
    /// stands.
    pub fn push_with(
        &mut self,
        correlation_id: &[u8; ID_LENGTH],
        entity: EntityId<'_>,
        key: Option<&CommandKey>,
        command: impl FnOnce(&mut Writer<'_>) -> Result<(), wire::Error>,
    ) -> Result<(), ComposeError> {
        let context = self.context;
        let mut failure = None;
        let pushed = self.batch.push(|writer| {
            let start = writer.len();
            let room = writer.space();
            match context.encode(writer.reserve(room)?, correlation_id, entity, key, command) {
                Ok(length) => {
                    writer.truncate(start.saturating_add(length));
                    Ok(())
                }
                Err(ComposeError::Encode(error)) => Err(error),
                Err(error) => {
                    failure = Some(error);
                    Err(wire::Error::Invalid)
                }
            }
        });
        pushed.map_err(|error| match (failure, error) {
            (Some(failure), _) => failure,
            (None, BatchError::Full) => ComposeError::Full,
            (None, BatchError::TooLarge) => ComposeError::TooLarge,
            (None, BatchError::Encode(error)) => ComposeError::Encode(error),
            (None, _) => ComposeError::Encode(wire::Error::Invalid),
        })
    }

    /// The length of the content; nothing was added when it is 0.
    pub(crate) fn finish(self) -> usize {
        self.batch.finish().map_or(0, <[u8]>::len)
    }
}

#[cfg(test)]
mod tests {
    use smp_proto::id::SessionId;
    use smp_proto::transport::block::{BLOCK_LENGTH, Batch, TRANSMISSION_LIMIT};

    use super::*;
    use crate::test::random;

    const CONTEXT: TransmissionContext<'static> =
        TransmissionContext { version: SmpVersion(20), session_id: SessionId::EMPTY, server_key: None };

    #[test]
    fn as_many_subscriptions_share_a_block_as_fit() {
        let key = CommandKey::generate_ed25519(&mut random(1)).unwrap();
        let mut content = [0; BLOCK_LENGTH];
        let mut composer = Composer::new(CONTEXT, &mut content).unwrap();
        let entity = EntityId::from_array(&[7; 24]);
        let push =
            |composer: &mut Composer<'_>| composer.push(&[1; 24], entity, Some(&key), &Command::SubscribeNotifications);
        while push(&mut composer).is_ok() {}
        assert_eq!(push(&mut composer), Err(ComposeError::Full));
        assert_eq!(composer.len(), 134);
        let length = composer.finish();
        assert_eq!(Batch::decode(&content[..length]).unwrap().len(), 134);
    }

    #[test]
    fn what_fails_leaves_no_trace() {
        let agreeing = CommandKey::generate_x25519(&mut random(1)).unwrap();
        let mut content = [0; BLOCK_LENGTH];
        let mut composer = Composer::new(CONTEXT, &mut content).unwrap();
        let failed = composer.push(&[1; 24], EntityId::EMPTY, Some(&agreeing), &Command::Ping);
        assert_eq!(failed, Err(ComposeError::Key(smp_crypto::Error::NoServerKey)));
        let failed =
            composer.push_with(&[1; 24], EntityId::EMPTY, None, |writer| writer.bytes(&[0; TRANSMISSION_LIMIT]));
        assert_eq!(failed, Err(ComposeError::TooLarge));
        let failed = composer.push_with(&[1; 24], EntityId::EMPTY, None, |_| Err(wire::Error::Trailing));
        assert_eq!(failed, Err(ComposeError::Encode(wire::Error::Trailing)));
        assert!(composer.is_empty());
        assert_eq!(composer.finish(), 0);
    }
}
