//! What the store must hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use smp_std::relay::store::{Blocked, Expiry, HeaderKind, MessageHeader, QueueName, QueueStatus, Side};

use super::{LIMITS, LINKS, QUEUES, link_id};
use crate::{Random, id, queue};

#[derive(Default)]
pub(super) struct Model {
    pub(super) queues: BTreeMap<u64, ModelQueue>,
    /// Links and senders of deleted queues, by number.
    pub(super) reserved: BTreeSet<(Side, u64)>,
}

#[derive(Default)]
pub(super) struct ModelQueue {
    pub(super) sender_key: Option<u8>,
    pub(super) recipient_key: Option<u8>,
    pub(super) contact: bool,
    pub(super) suspended: bool,
    pub(super) blocked: Option<Blocked>,
    /// Its link, with the numbers of the fixed and the user data.
    pub(super) link: Option<(u64, u64, u64)>,
    pub(super) full: bool,
    /// Number, time, whether it is a mark.
    pub(super) messages: VecDeque<(u64, i64, bool)>,
    pub(super) notifier: Option<ModelNotifier>,
}

pub(super) struct ModelNotifier {
    pub(super) number: u64,
    /// Of the next notification.
    pub(super) sequence: u64,
    /// Sequence number, message number, time.
    pub(super) waiting: VecDeque<(u64, u64, i64)>,
}

impl Model {
    pub(super) fn notifications(&self) -> u64 {
        self.queues.values().filter_map(|queue| queue.notifier.as_ref()).map(|it| it.waiting.len() as u64).sum()
    }

    /// What of a notification is stored, and how many are lost for it.
    pub(super) fn notify(&mut self, target: u64, number: u64, time: i64) -> Option<(bool, u64)> {
        let all = self.notifications();
        let notifier = self.queues.get_mut(&target)?.notifier.as_mut()?;
        let full = notifier.waiting.len() as u64 == u64::from(LIMITS.per_notifier);
        let lost = u64::from(full || all == LIMITS.total);
        let made_room = lost == 1 && notifier.waiting.pop_front().is_some();
        let stored = lost == 0 || made_room;
        if stored {
            notifier.waiting.push_back((notifier.sequence, number, time));
            notifier.sequence += 1;
        }
        Some((stored, lost))
    }

    pub(super) fn with_notifier(&mut self, number: u64) -> Option<&mut ModelNotifier> {
        self.queues.values_mut().filter_map(|queue| queue.notifier.as_mut()).find(|notifier| notifier.number == number)
    }

    pub(super) fn link_owner(&self, link: u64) -> Option<u64> {
        let owns = |queue: &ModelQueue| queue.link.is_some_and(|(owned, _, _)| owned == link);
        self.queues.iter().find(|(_, queue)| owns(queue)).map(|(number, _)| *number)
    }

    pub(super) fn is_reserved(&self, link: u64) -> bool {
        self.reserved.contains(&(Side::Link, link))
    }

    /// A queue's name to its operator, and its number if there is such a queue.
    pub(super) fn named(&self, random: &mut Random) -> (QueueName, Option<u64>) {
        let target = random.below(QUEUES);
        let present = self.queues.contains_key(&target).then_some(target);
        match random.below(3) {
            0 => (QueueName::Recipient(id(target)), present),
            1 => (QueueName::Side(Side::Sender, queue(target).sender_id), present),
            _ => {
                let link = random.below(LINKS);
                (QueueName::Side(Side::Link, link_id(link)), self.link_owner(link))
            }
        }
    }
}

impl ModelQueue {
    pub(super) fn status(&self) -> QueueStatus {
        match (self.blocked, self.suspended) {
            (Some(blocked), suspended) => QueueStatus::Blocked { blocked, suspended },
            (None, true) => QueueStatus::Suspended,
            (None, false) => QueueStatus::Active,
        }
    }

    pub(super) fn is_secured_for_one(&self) -> bool {
        self.sender_key.is_some() && !self.contact
    }

    pub(super) fn expire(&mut self, over: &Expiry) -> u64 {
        let mut count = 0;
        while self.messages.front().is_some_and(|(_, time, mark)| !mark && over.includes(*time)) {
            self.messages.pop_front();
            count += 1;
        }
        if self.messages.is_empty() {
            self.full = false;
        }
        count
    }

    pub(super) fn head(&self) -> Option<MessageHeader> {
        self.messages.front().map(|(number, time, mark)| MessageHeader {
            id: id(*number),
            time: *time,
            kind: if *mark { HeaderKind::QuotaMark } else { HeaderKind::Message { notification: *number % 2 == 0 } },
        })
    }
}
