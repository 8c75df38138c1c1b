//! When others get a turn: a full block of signatures, or of reads from a slow disk, takes long.

use smp_crypto::key::ED448_SIGNATURE_LENGTH;

/// After so many commands authorized or executed in one go others get a turn.
const COMMANDS_PER_TURN: usize = 8;

/// Whether a turn is over before the command with this number.
pub(super) const fn is_over(number: usize) -> bool {
    number > 0 && number.is_multiple_of(COMMANDS_PER_TURN)
}

/// Whether the transmission with this number takes long to authorize: Ed448 takes a millisecond, as 25 of the others.
pub(super) fn needs_its_own(number: usize, transmission: &[u8]) -> bool {
    // It begins with the length of its authorization.
    number > 0 && transmission.first().is_some_and(|length| usize::from(*length) == ED448_SIGNATURE_LENGTH)
}

#[cfg(test)]
mod tests {
    use smp_proto::id::{CorrelationId, EntityId, SessionId};
    use smp_proto::transport::transmission::{Authorization, AuthorizedBytes};
    use smp_proto::version::SmpVersion;
    use smp_proto::wire::Writer;

    use super::*;

    #[test]
    fn slow_signatures_are_verified_one_in_a_turn() {
        let authorizations = [
            (Authorization::Ed448(&[1; 114]), 9),
            (Authorization::Ed25519(&[1; 64]), 1),
            (Authorization::Authenticator(&[1; 80]), 1),
            (Authorization::None, 1),
        ];
        for (authorization, expected) in authorizations {
            let (mut buffer, mut transmission) = ([0; 200], [0; 400]);
            let (correlation, entity) = (CorrelationId::from_array(&[114; 24]), EntityId::new(&[114; 24]).unwrap());
            let session = SessionId::new(&[114; 32]).unwrap();
            let bytes =
                AuthorizedBytes::write(&mut buffer, session, correlation, entity, |writer| writer.bytes(b"SUB"));
            let mut writer = Writer::new(&mut transmission);
            bytes.unwrap().encode(&mut writer, SmpVersion::MAX, &authorization, None).unwrap();
            let transmission = writer.written();
            let turns = (0..10).filter(|number| is_over(*number) || needs_its_own(*number, transmission)).count();
            assert_eq!(turns, expected, "{authorization:?}");
        }
    }
}
