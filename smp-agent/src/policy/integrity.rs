//! Whether a received message continues the last one: numbers and the hash chain (wire reference of the agent,
//! section 13).
//!
//! ```
//! use smp_agent::policy::integrity::{Integrity, Link};
//!
//! let last = Link { number: 2, hash: &[7; 32] };
//! let received = Link { number: 5, hash: &[9; 32] };
//! assert_eq!(Integrity::check(last, received), Integrity::Skipped { first: 3, last: 4 });
//! ```

use serde::{Deserialize, Serialize};

/// A place in the chain of one direction of a connection, which has one sequence across all its queues.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// The sender's number of a message; the confirmation is 1.
    pub number: i64,
    /// A SHA-256 hash of 32 bytes, or nothing where the sender had sent nothing before; other lengths equal no hash.
    pub hash: &'a [u8],
}

/// Shows the number only.
impl core::fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Link").field("number", &self.number).finish_non_exhaustive()
    }
}

/// What numbers and hashes say of a message. It is delivered in all cases, with this beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Integrity {
    /// It continues the last message.
    Ok,
    /// Its number is below that of the last message.
    BadId {
        /// The number.
        number: i64,
    },
    /// Its number is that of the last message.
    Duplicate,
    /// Messages between the last one and this one are missing. Expired messages leave such gaps, too.
    Skipped {
        /// The first missing number.
        first: i64,
        /// The last missing number.
        last: i64,
    },
    /// It has the next number, and was sent after another message than the one received last.
    BadHash,
}

impl Integrity {
    /// Judges a message. `last` is the number of the message received last and the hash of its plaintext; `received` is
    /// what the header of the message says: its own number, and the hash of the message sent before it.
    ///
    /// Number and hash of the received message are to be stored also when the numbers go backwards, but for a message that
    /// was [missing](Self::Skipped) and comes after all.
    #[must_use]
    pub fn check(last: Link<'_>, received: Link<'_>) -> Self {
        let number = received.number;
        let next = last.number.saturating_add(1);
        if number < last.number {
            Self::BadId { number }
        } else if number == last.number {
            Self::Duplicate
        } else if number > next {
            Self::Skipped { first: next, last: number.saturating_sub(1) }
        } else if received.hash == last.hash {
            Self::Ok
        } else {
            Self::BadHash
        }
    }

    /// Whether the message continues the last one.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = &[1; 32];
    const B: &[u8] = &[2; 32];

    fn check(last: i64, received: i64, hash: &[u8]) -> Integrity {
        Integrity::check(Link { number: last, hash: A }, Link { number: received, hash })
    }

    #[test]
    fn each_row_of_the_table() {
        assert_eq!(check(1, 2, A), Integrity::Ok);
        assert_eq!(check(5, 4, A), Integrity::BadId { number: 4 });
        assert_eq!(check(5, 5, A), Integrity::Duplicate);
        assert_eq!(check(5, 7, A), Integrity::Skipped { first: 6, last: 6 });
        assert_eq!(check(5, 9, A), Integrity::Skipped { first: 6, last: 8 });
        assert_eq!(check(5, 6, B), Integrity::BadHash);
    }

    #[test]
    fn the_number_is_judged_before_the_hash() {
        assert_eq!(check(5, 4, B), Integrity::BadId { number: 4 });
        assert_eq!(check(5, 5, B), Integrity::Duplicate);
        assert_eq!(check(5, 8, B), Integrity::Skipped { first: 6, last: 7 });
    }

    #[test]
    fn hashes_are_equal_in_full_or_not_at_all() {
        assert_eq!(check(1, 2, &[]), Integrity::BadHash);
        assert_eq!(check(1, 2, &[1; 31]), Integrity::BadHash);
        assert_eq!(check(1, 2, &[1; 33]), Integrity::BadHash);
        let nothing = Link { number: 0, hash: &[] };
        assert_eq!(Integrity::check(nothing, Link { number: 1, hash: &[] }), Integrity::Ok);
    }

    /// The rows do not depend on their order but for the hash, and no number a peer may send overflows.
    #[test]
    fn exactly_one_row_holds_for_any_numbers() {
        let edges = [i64::MIN, i64::MIN + 1, -1, 0, 1, 2, 3, i64::MAX - 1, i64::MAX];
        for last in edges {
            for received in edges {
                for hash in [A, B] {
                    let (wide_last, wide) = (i128::from(last), i128::from(received));
                    let expected = match wide - wide_last {
                        ..=-1 => Integrity::BadId { number: received },
                        0 => Integrity::Duplicate,
                        1 if hash == A => Integrity::Ok,
                        1 => Integrity::BadHash,
                        2.. => Integrity::Skipped { first: last + 1, last: received - 1 },
                    };
                    assert_eq!(check(last, received, hash), expected, "{last} {received}");
                }
            }
        }
    }

    #[test]
    fn results_are_stored() {
        for result in [Integrity::Ok, Integrity::BadId { number: -1 }, Integrity::Skipped { first: 2, last: i64::MAX }]
        {
            let bytes = postcard::to_allocvec(&result).unwrap();
            assert_eq!(postcard::from_bytes::<Integrity>(&bytes), Ok(result));
        }
    }
}
