//! What operations do, over any [`Rows`].
//!
//! Families of queues' companions have files of their own. Every rule reads all it needs before it writes, so an
//! operation that meets an unreadable value changes nothing.

mod blocking;
mod import;
mod link;
mod message;
mod notifier;
mod queue;
mod reservation;
pub(super) mod service;

use std::sync::Arc;

use super::StoreError;
use super::backend::Rows;
use super::operation::{Operation, QueueName, Reply, Side};
use super::record::{Id, QueueRecord};

/// Ids of deleted queues that are reserved at most: about 40 MB on disk.
pub const RESERVED_IDS: u64 = 1_000_000;

/// Days for which the ids of a deleted queue are reserved; as long as the reference keeps the rows of deleted queues.
pub const RESERVED_DAYS: u32 = 21;

/// Carries out one operation.
pub fn apply(rows: &mut impl Rows, operation: &Operation) -> Result<Reply, StoreError> {
    match operation {
        Operation::CreateQueue { record, link } => queue::create(rows, record, link.as_ref()).map(Reply::Creation),
        Operation::SecureQueue { queue, key } => queue::secure(rows, queue, key).map(Reply::Securing),
        Operation::SecureByLink { recipient_id, link_id, key } => {
            link::secure(rows, recipient_id, *link_id, key).map(Reply::SecuringByLink)
        }
        Operation::SetRecipientKeys { recipient_id, keys } => {
            queue::set_recipient_keys(rows, recipient_id, keys).map(Reply::Keys)
        }
        Operation::SetLink { recipient_id, link_id, data } => {
            link::set(rows, recipient_id, *link_id, data).map(Reply::LinkSetting)
        }
        Operation::DeleteLink { recipient_id } => link::delete(rows, recipient_id).map(Reply::LinkDeletion),
        Operation::BlockQueue { queue, blocked } => blocking::block(rows, queue, *blocked).map(Reply::Blocking),
        Operation::UnblockQueue { queue } => blocking::unblock(rows, queue).map(Reply::Unblocking),
        Operation::ReleaseIds(ids) => reservation::release(rows, ids).map(Reply::Released),
        Operation::SuspendQueue { recipient_id } => queue::suspend(rows, recipient_id).map(Reply::Suspension),
        Operation::DeleteQueue { recipient_id, today } => {
            queue::delete(rows, recipient_id, *today).map(Reply::Deletion)
        }
        Operation::TouchQueue { recipient_id, day } => queue::touch(rows, recipient_id, *day).map(|()| Reply::Touched),
        Operation::AppendMessage(append) => message::append(rows, append).map(Reply::Appended),
        Operation::Acknowledge { recipient_id, message_id } => {
            message::acknowledge(rows, recipient_id, message_id).map(Reply::Acknowledged)
        }
        Operation::ExpireMessages { recipient_id, over } => {
            message::expire(rows, recipient_id, over).map(Reply::Expired)
        }
        Operation::Import(step) => import::import(rows, step).map(Reply::Imported),
        Operation::AdmitService { record, limit } => service::admit(rows, record, *limit).map(Reply::Admission),
        Operation::TouchService { service, day } => service::touch(rows, service, *day).map(|()| Reply::Touched),
        Operation::ForgetService { service, before_day } => {
            service::forget(rows, service, *before_day).map(Reply::Forgotten)
        }
        Operation::AssociateQueue { side, id, service } => {
            service::associate(rows, *side, id, *service).map(Reply::Association)
        }
        Operation::SetNotifier { recipient_id, notifier } => {
            notifier::set(rows, recipient_id, notifier).map(Reply::NotifierSetting)
        }
        Operation::RemoveNotifier { recipient_id } => notifier::remove(rows, recipient_id).map(Reply::NotifierRemoval),
        Operation::ForgetNotifications { notifier_id, next } => {
            notifier::forget(rows, notifier_id, *next).map(|()| Reply::NotificationsForgotten)
        }
        Operation::ExpireNotifications { notifier_id, over } => {
            notifier::expire(rows, notifier_id, over).map(Reply::NotificationsExpired)
        }
        Operation::InsertNotifications { notifier_id, notifications, limits } => {
            notifier::insert(rows, notifier_id, notifications, *limits).map(Reply::NotificationsLost)
        }
    }
}

/// The names of a queue besides its recipient's.
pub(super) fn names(record: &QueueRecord) -> impl Iterator<Item = (Side, Id)> {
    let link = record.link_id.map(|id| (Side::Link, id));
    let notifier = record.notifier.as_ref().map(|notifier| (Side::Notifier, notifier.id));
    std::iter::once((Side::Sender, record.sender_id)).chain(link).chain(notifier)
}

/// Whether an id names a queue on this side, or named one that was deleted not long ago.
fn is_taken(rows: &mut impl Rows, side: Side, id: &Id) -> Result<bool, StoreError> {
    Ok(rows.recipient_id(side, id)?.is_some() || rows.is_reserved(side, id)?)
}

/// The queue of a name.
fn find(rows: &mut impl Rows, queue: &QueueName) -> Result<Option<Arc<QueueRecord>>, StoreError> {
    let recipient_id = match queue {
        QueueName::Recipient(id) => *id,
        QueueName::Side(side, id) => match rows.recipient_id(*side, id)? {
            Some(recipient_id) => recipient_id,
            None => return Ok(None),
        },
    };
    rows.queue(&recipient_id)
}
