//! Answers that are awaited, and what they must be.

use smp_std::relay::store::{
    Acknowledged, AppendOutcome, Appended, Blocked, Blocking, Creation, DeletedQueue, KeyReplacement, LinkDeletion,
    LinkSetting, MessageHeader, MessageKind, NotifierRemoval, NotifierSetting, Pending, Securing, StoreError,
    Suspension, Unblocking,
};

use super::number_of;
use crate::body;

/// An answer that is awaited, and what it must be.
pub(super) enum Expected {
    Creation(Pending<Creation>, Creation),
    Securing(Pending<Securing>, Securing),
    Suspension(Pending<Suspension>, Suspension),
    Deletion(Pending<Option<DeletedQueue>>, Option<u64>),
    Keys(Pending<KeyReplacement>, KeyReplacement),
    LinkSetting(Pending<LinkSetting>, LinkSetting),
    LinkDeletion(Pending<LinkDeletion>, LinkDeletion),
    Blocking(Pending<Blocking>, Blocking),
    Unblocking(Pending<Unblocking>, Unblocking),
    Release(Pending<u64>, u64),
    Append(Pending<Appended>, ExpectedAppend, u64, Option<(bool, u64)>),
    SetNotifier(Pending<NotifierSetting>, NotifierSetting),
    RemoveNotifier(Pending<NotifierRemoval>, NotifierRemoval),
    /// With the header of the next message, if the answer came before any later operation.
    Acknowledge(Pending<Option<Acknowledged>>, Option<Option<MessageHeader>>),
    Expire(Pending<u64>, u64),
}

#[derive(PartialEq, Debug)]
pub(super) enum ExpectedAppend {
    Stored(bool, u64),
    Marked(bool, u64),
    Exceeded,
    Suspended,
    Blocked(Blocked),
    NotFound,
}

impl Expected {
    pub(super) async fn check(self) -> Result<(), StoreError> {
        match self {
            Self::Creation(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Securing(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Keys(pending, expected) => assert_eq!(pending.await?, expected),
            Self::LinkSetting(pending, expected) => assert_eq!(pending.await?, expected),
            Self::LinkDeletion(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Blocking(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Unblocking(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Release(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Suspension(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Deletion(pending, expected) => assert_eq!(pending.await?.map(|deleted| deleted.messages), expected),
            Self::Expire(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Acknowledge(pending, expected) => {
                assert_eq!(pending.await?.map(|acknowledged| acknowledged.deleted), expected);
            }
            Self::SetNotifier(pending, expected) => assert_eq!(pending.await?, expected),
            Self::RemoveNotifier(pending, expected) => assert_eq!(pending.await?, expected),
            Self::Append(pending, expected, expired, notified) => {
                let appended = pending.await?;
                assert_eq!(appended.notified.map(|notified| (notified.stored, notified.lost)), notified);
                assert_eq!(appended.expired, expired);
                let outcome = match appended.outcome {
                    AppendOutcome::Stored { was_empty, message } => {
                        let number = number_of(&message.id);
                        assert_eq!(
                            message.kind,
                            MessageKind::Message { notification: number.is_multiple_of(2), body: body(number) }
                        );
                        ExpectedAppend::Stored(was_empty, number)
                    }
                    AppendOutcome::QuotaMarked { was_empty, message } => {
                        assert_eq!(message.kind, MessageKind::QuotaMark);
                        ExpectedAppend::Marked(was_empty, number_of(&message.id))
                    }
                    AppendOutcome::QuotaExceeded => ExpectedAppend::Exceeded,
                    AppendOutcome::Suspended => ExpectedAppend::Suspended,
                    AppendOutcome::Blocked(blocked) => ExpectedAppend::Blocked(blocked),
                    AppendOutcome::NotFound => ExpectedAppend::NotFound,
                };
                assert_eq!(outcome, expected);
            }
        }
        Ok(())
    }
}
