//! When others get a turn: a full block of signatures, or of reads from a slow disk, takes long.

use smp_proto::transport::transmission::Authorization;

/// After so many commands authorized or carried out in one go others get a turn.
const COMMANDS_PER_TURN: usize = 8;

/// What a connection may do before others get a turn, whatever the number of blocks it comes in.
#[derive(Default)]
pub(in crate::relay) struct Turn {
    used: usize,
}

/// What takes a part of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::relay) enum Work {
    /// A command authorized by one key, or carried out.
    Command,
    /// An Ed448 signature verified with one key, which takes a millisecond, as 25 of the others: a turn of its own.
    SlowSignature,
}

impl Work {
    /// To verify an authorization with one key.
    pub(in crate::relay) const fn verifying(authorization: &Authorization<'_>) -> Self {
        match authorization {
            Authorization::Ed448(_) => Self::SlowSignature,
            Authorization::None | Authorization::Authenticator(_) | Authorization::Ed25519(_) => Self::Command,
        }
    }
}

impl Turn {
    /// The connection waited for something, so that others had a turn.
    pub(in crate::relay) const fn renew(&mut self) {
        self.used = 0;
    }

    /// Counts work that is about to be done; lets others have a turn first if this one has no room for it.
    pub(in crate::relay) async fn spend(&mut self, work: Work) {
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
            let work = Work::verifying(&authorization);
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
