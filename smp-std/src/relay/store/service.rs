//! What a relay keeps about a service: a client that receives, or takes notifications, for many queues at once (wire
//! reference, section 4.3, and section 2 of its part on version 19).

use std::fmt;

use md5::{Digest, Md5};
use smp_proto::smp::service::ServiceRole;

use super::record::Id;

/// A side on which queues are associated with services.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ServiceSide {
    /// The service receives the messages of queues, which it knows by their recipients' ids.
    Recipient,
    /// The service takes the notifications of queues, which it knows by their notifiers' ids.
    Notifier,
}

/// Everything a relay keeps about a service except its queues.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Names the service to itself and in the store.
    pub id: Id,
    /// What the service does. It cannot be changed.
    pub role: ServiceRole,
    /// SHA-256 of its identity certificate.
    pub fingerprint: [u8; 32],
    /// The certificates it showed first, leaf first, in DER.
    pub chain: Box<[Box<[u8]>]>,
    /// When it was first seen: seconds since 1970-01-01, UTC.
    pub created: i64,
    /// When it was last seen: whole days since 1970-01-01, UTC.
    pub seen_day: u32,
}

impl fmt::Debug for ServiceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRecord").field("role", &self.role).finish_non_exhaustive()
    }
}

/// How many queues a service has on one side, and which: the hash is the exclusive or of the MD5 hashes of their ids.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueSet {
    /// Their number.
    pub count: u64,
    /// Tells sets of the same size apart.
    pub hash: [u8; 16],
}

impl QueueSet {
    /// The set with another queue, which it does not have yet.
    #[must_use]
    pub fn with(self, queue: &Id) -> Self {
        Self { count: self.count.saturating_add(1), hash: self.toggled(queue) }
    }

    /// The set without a queue, which it has.
    #[must_use]
    pub fn without(self, queue: &Id) -> Self {
        Self { count: self.count.saturating_sub(1), hash: self.toggled(queue) }
    }

    fn toggled(&self, queue: &Id) -> [u8; 16] {
        let mut hash: [u8; 16] = Md5::digest(queue).into();
        for (byte, own) in hash.iter_mut().zip(self.hash) {
            *byte ^= own;
        }
        hash
    }
}

impl fmt::Debug for QueueSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueSet({})", self.count)
    }
}

/// What came of admitting a service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ServiceAdmission {
    /// It has this id, since now or from before.
    Admitted(Id),
    /// Its certificate was seen in another role; nothing was changed.
    OtherRole,
    /// There are as many services as there may be; nothing was changed.
    Full,
}

impl fmt::Debug for ServiceAdmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admitted(_) => "Admitted(..)",
            Self::OtherRole => "OtherRole",
            Self::Full => "Full",
        })
    }
}

/// What came of associating a queue with a service, or with none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Association {
    /// The service it was associated with before.
    pub previous: Option<Id>,
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of the wire reference.
    #[test]
    fn hashes_of_sets() {
        let id = |first: u8| std::array::from_fn(|n| first + n as u8);
        let (one, other): (Id, Id) = (id(0xa0), id(0xc0));
        let first = QueueSet::default().with(&one);
        assert_eq!(first.hash, 0x861f_81d4_c980_beb7_6c6c_6582_b9f4_1f65_u128.to_be_bytes());
        let both = first.with(&other);
        assert_eq!(both, QueueSet { count: 2, hash: 0x4ab2_0872_d8c4_4d9b_f5ab_1d8d_2375_44e9_u128.to_be_bytes() });
        assert_eq!(both.without(&one).hash, 0xccad_89a6_1144_f32c_99c7_780f_9a81_5b8c_u128.to_be_bytes());
        assert_eq!(both.without(&other).without(&one), QueueSet::default());
    }
}
