//! Hashes, and the identifier that a hash makes (wire reference, sections 6.3, 7.2 and 13.2).

use sha2::{Digest, Sha256, Sha512};
use sha3::{Sha3_256, Sha3_384};
use smp_proto::id::{CorrelationId, ID_LENGTH};

fn digest<D: Digest>(parts: &[&[u8]]) -> sha2::digest::Output<D> {
    parts.iter().fold(D::new(), |hash, part| hash.chain_update(part)).finalize()
}

/// SHA-256 of the parts, one after the other: fingerprints of certificates.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    digest::<Sha256>(parts).into()
}

/// SHA-512 of the parts, one after the other: the content of authenticators.
#[must_use]
pub fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    digest::<Sha512>(parts).into()
}

/// SHA3-256 of the parts, one after the other: the key of link data.
#[must_use]
pub fn sha3_256(parts: &[&[u8]]) -> [u8; 32] {
    digest::<Sha3_256>(parts).into()
}

/// SHA3-384 of the parts, one after the other.
#[must_use]
pub fn sha3_384(parts: &[&[u8]]) -> [u8; 48] {
    digest::<Sha3_384>(parts).into()
}

/// The sender id of a queue whose NEW command has link data and this correlation id: the first half of its SHA3-384. It
/// lets a client compute the queue's address before the relay has answered.
#[must_use]
pub fn sender_id(correlation_id: CorrelationId<'_>) -> [u8; ID_LENGTH] {
    let mut id = [0; ID_LENGTH];
    id.iter_mut().zip(sha3_384(&[correlation_id.as_bytes()])).for_each(|(to, from)| *to = from);
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{bytes, numbers};

    /// The value of the wire reference, Appendix A.
    #[test]
    fn appendix_a_vectors() {
        assert_eq!(
            sender_id(CorrelationId::from_array(&numbers(0x80))),
            bytes("47553dcaafcca4130f4e7be513c4c9c36dff814dda87dd24")
        );
        // And the one of the agent's wire reference, section 27.
        assert_eq!(
            sender_id(CorrelationId::from_array(&numbers(0))),
            bytes("3ae1a7e6f8e0007f53167b85c478203b8445ac2b7b092da2")
        );
    }
}
