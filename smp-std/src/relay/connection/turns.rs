//! When others get a turn: a full block of signatures, or of reads from a slow disk, takes long.

use smp_crypto::key::ED448_SIGNATURE_LENGTH;

/// After so many commands authorized or carried out in one go others get a turn.
const COMMANDS_PER_TURN: usize = 8;

/// What a connection may do before others get a turn, whatever the number of blocks it comes in.
#[derive(Default)]
pub(super) struct Turn {
    used: usize,
}

/// What takes a part of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Work {
    /// A command authorized or carried out.
    Command,
    /// A command to authorize by Ed448, which takes a millisecond, as 25 of the others: a turn of its own.
    SlowSignature,
}

impl Work {
    /// To authorize this transmission.
    pub(super) fn authorizing(transmission: &[u8]) -> Self {
        // It begins with the length of its authorization.
        match transmission.first() {
            Some(length) if usize::from(*length) == ED448_SIGNATURE_LENGTH => Self::SlowSignature,
            _ => Self::Command,
        }
    }
}

impl Turn {
    /// The connection waited for something, so that others had a turn.
    pub(super) const fn renew(&mut self) {
        self.used = 0;
    }

    /// Counts work that is about to be done; lets others have a turn first if this one has no room for it.
    pub(super) async fn spend(&mut self, work: Work) {
        if !self.has_room_for(work) {
            tokio::task::yield_now().await;
            self.renew();
        }
        self.count(work);
    }

    const fn has_room_for(&self, work: Work) -> bool {
        match work {
            Work::Command => self.used < COMMANDS_PER_TURN,
            Work::SlowSignature => self.used == 0,
        }
    }

    const fn count(&mut self, work: Work) {
        self.used = match work {
            Work::Command => self.used.saturating_add(1),
            Work::SlowSignature => COMMANDS_PER_TURN,
        };
    }
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
            let work = Work::authorizing(transmission);
            let mut turn = Turn::default();
            let turns = (0..10)
                .filter(|_| {
                    let is_over = !turn.has_room_for(work);
                    if is_over {
                        turn.renew();
                    }
                    turn.count(work);
                    is_over
                })
                .count();
            assert_eq!(turns, expected, "{authorization:?}");
        }
    }
}
