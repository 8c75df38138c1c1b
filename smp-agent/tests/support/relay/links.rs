use smp_agent::request::{AccessKey, Answer, Failure, LinkData, Operation, QueueAccess, Reason};
use smp_crypto::short_link::{FIXED_LENGTH, USER_LENGTH};
use smp_proto::smp::recipient::QueueMode;

use super::{Caller, NOT_AUTHORIZED, Relay};

/// Both parts of a link's data have one length each.
pub(super) fn check_lengths(data: &LinkData) -> Result<(), String> {
    let lengths = (data.fixed.len(), data.user.len());
    if lengths == (FIXED_LENGTH, USER_LENGTH) { Ok(()) } else { Err(format!("a link's data of {lengths:?} bytes")) }
}

/// Whether only versions with links have it.
pub(super) fn is_about_links(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::SetLink { .. }
            | Operation::DeleteLink(_)
            | Operation::ReadInvitation { .. }
            | Operation::ReadAddress { .. }
    )
}

impl Relay {
    /// Keeps other data behind the link of a queue than its owner gave, as only a hostile relay does, or data that was
    /// made by hand.
    pub fn put_link(&mut self, sender_id: &[u8], link_id: &[u8], data: LinkData) {
        let recipient_id = self.senders.get(sender_id).expect("a queue with this sender's id");
        self.links.insert(link_id.to_vec(), recipient_id.clone());
        self.queues.get_mut(recipient_id).expect("the same queue").link = Some((link_id.to_vec(), data));
    }

    pub(super) fn set_link(
        &mut self,
        caller: Caller,
        access: &QueueAccess,
        link_id: &[u8],
        data: &LinkData,
    ) -> Result<Answer, Failure> {
        check_lengths(data).unwrap_or_else(|what| self.violation(caller, what));
        let queue = self.own_open(caller, access)?;
        if queue.mode != Some(QueueMode::Contact) && queue.sender_key.is_some() {
            return Err(NOT_AUTHORIZED);
        }
        match &mut queue.link {
            Some((known, stored)) => {
                if known != link_id || stored.fixed != data.fixed {
                    self.violation(caller, "LSET with another link's id or fixed data");
                    return Err(NOT_AUTHORIZED);
                }
                stored.user.clone_from(&data.user);
            }
            None => {
                if queue.mode == Some(QueueMode::Messaging) {
                    self.violation(caller, "LSET for an invitation that was made without a link");
                    return Err(NOT_AUTHORIZED);
                }
                queue.link = Some((link_id.to_vec(), data.clone()));
                let taken = self.links.insert(link_id.to_vec(), access.id.clone());
                assert!(taken.is_none_or(|queue| queue == access.id), "two queues with one link");
            }
        }
        Ok(Answer::Done)
    }

    pub(super) fn delete_link(&mut self, caller: Caller, access: &QueueAccess) -> Result<Answer, Failure> {
        let link = self.own_open(caller, access)?.link.take();
        if let Some((id, _)) = link {
            self.links.remove(&id);
        }
        Ok(Answer::Done)
    }

    pub(super) fn read_invitation(
        &mut self,
        caller: Caller,
        link_id: &[u8],
        key: &AccessKey,
    ) -> Result<Answer, Failure> {
        let Some(queue) = self.links.get(link_id).and_then(|id| self.queues.get_mut(id)) else {
            return Err(NOT_AUTHORIZED);
        };
        if let Some(blocked) = queue.blocked {
            return Err(Failure::of_relay(Reason::Blocked(blocked)));
        }
        queue.secure_by_sender(caller.party, key)?;
        let (_, data) = queue.link.clone().ok_or(NOT_AUTHORIZED)?;
        Ok(Answer::Link { sender_id: queue.sender_id.clone(), data })
    }

    pub(super) fn read_address(&mut self, link_id: &[u8]) -> Result<Answer, Failure> {
        let queue = self.links.get(link_id).and_then(|id| self.queues.get(id)).ok_or(NOT_AUTHORIZED)?;
        let open = match queue.mode {
            Some(QueueMode::Contact) => true,
            Some(QueueMode::Messaging) => false,
            None => queue.sender_key.is_none(),
        };
        if !open {
            return Err(NOT_AUTHORIZED);
        }
        if let Some(blocked) = queue.blocked {
            return Err(Failure::of_relay(Reason::Blocked(blocked)));
        }
        let (_, data) = queue.link.clone().ok_or(NOT_AUTHORIZED)?;
        Ok(Answer::Link { sender_id: queue.sender_id.clone(), data })
    }
}
