//! How conversations begin: every version, every case of encapsulation in the agreement, both kinds of agreement.

use smp_crypto::ratchet::{Error, Initiator, Joiner, Ratchet, Resynchronization, Role};
use smp_proto::agent::{AgreedParameters, Encapsulation, RatchetParameters};
use smp_proto::version::{RatchetVersion, VersionRange};
use smp_proto::wire::{Decode, Encode};

use crate::keys::Keys;
use crate::oracle::{Oracle, Slot};
use crate::party::stored;

/// Two ratchets that agreed, the one that sends first in front.
pub struct Start {
    pub ratchets: [Vec<u8>; 2],
    pub oracles: [Oracle; 2],
}

fn versions(max: u16) -> VersionRange<RatchetVersion> {
    VersionRange::new(RatchetVersion::MIN, RatchetVersion(max)).unwrap()
}

impl Start {
    pub fn all() -> Vec<Self> {
        let flags = [false, true];
        let mut all = Vec::new();
        for (inviting, joining) in [(3, 3), (2, 3), (3, 2), (2, 2)] {
            for propose in flags {
                for encapsulation in flags {
                    for support in flags {
                        // A joiner that does not see the key of the invitation proposes its own.
                        for sees_key in flags {
                            let cases = (propose, encapsulation, sees_key, support);
                            all.push(Self::invitation((inviting, joining), cases));
                        }
                        all.push(Self::again((inviting, joining), (propose, encapsulation), support));
                    }
                }
            }
        }
        accepting_what_was_not_proposed();
        all
    }

    fn new(ratchets: [&Ratchet; 2], oracles: [Oracle; 2]) -> Self {
        assert_eq!(ratchets[0].verification_code(), ratchets[1].verification_code());
        Self { ratchets: ratchets.map(stored), oracles }
    }

    fn invitation(
        (inviting, joining): (u16, u16),
        (propose, encapsulation, sees_key, support): (bool, bool, bool, bool),
    ) -> Self {
        let mut keys = Keys::new(u64::from(inviting * 100 + joining));
        let initiator = Initiator::generate(&mut keys, versions(inviting), propose);
        // Both wait on disk for the other.
        let initiator = {
            let mut buffer = [0; Initiator::MAX_SERIALIZED_LENGTH];
            Initiator::from_bytes(initiator.to_bytes(&mut buffer).unwrap()).unwrap()
        };
        let mut buffer = [0; 2000];
        let sent = initiator.parameters().to_slice(&mut buffer).unwrap();
        let mut invitation = RatchetParameters::from_bytes(sent).unwrap();
        assert_eq!(invitation.encapsulation_key.is_some(), propose);
        if !sees_key {
            invitation.encapsulation_key = None;
        }
        let joiner = Joiner::answer(&mut keys, versions(joining), &invitation, encapsulation).unwrap();
        let joiner = {
            let mut buffer = [0; Joiner::MAX_SERIALIZED_LENGTH];
            Joiner::from_bytes(joiner.to_bytes(&mut buffer).unwrap()).unwrap()
        };
        let mut buffer = [0; AgreedParameters::MAX_LENGTH];
        let sent = joiner.parameters().to_slice(&mut buffer).unwrap();
        let answer = AgreedParameters::from_bytes(sent).unwrap();

        let version = inviting.min(joining);
        let (answers, agreed) = match (encapsulation && version == 3, propose && sees_key) {
            (false, _) => (Slot::Empty, Slot::Empty),
            (true, false) => (Slot::Proposes, Slot::Empty),
            (true, true) => (Slot::Accepts, Slot::Accepts),
        };
        let said = match answer.encapsulation {
            None => Slot::Empty,
            Some(Encapsulation::Proposed { .. }) => Slot::Proposes,
            Some(Encapsulation::Accepted { .. }) => Slot::Accepts,
        };
        assert_eq!((answer.version.0, joiner.version().0, said), (version, version, answers));
        let ratchets = [joiner.ratchet(&mut keys).unwrap(), initiator.accept(&answer, support).unwrap()];
        Self::new(
            ratchets.each_ref(),
            [
                Oracle::new((version, joining), answers, answers != Slot::Empty, true),
                Oracle::new((version, inviting), agreed, support && version == 3, false),
            ],
        )
    }

    /// Two parties that re-synchronise. The one that answers takes the version of the one that started.
    fn again((starting, answering): (u16, u16), (starter, answerer): (bool, bool), support: bool) -> Self {
        let version = starting.min(answering);
        let mut keys = Keys::new(u64::from(version));
        let first = Resynchronization::start(&mut keys, RatchetVersion(version), starter);
        let second = Resynchronization::answer(&mut keys, versions(answering), &first.parameters(), answerer).unwrap();
        let [first, second] = [first, second].map(|side| {
            let mut buffer = [0; Resynchronization::MAX_SERIALIZED_LENGTH];
            Resynchronization::from_bytes(side.to_bytes(&mut buffer).unwrap()).unwrap()
        });
        let (starts, answers) = (first.parameters(), second.parameters());
        assert_ne!(first.role(&answers), second.role(&starts));
        let ((sender, of_sender, to_sender), (receiver, to_receiver), proposes, program) = match first.role(&answers) {
            Role::Sender => ((&first, answers, starter), (&second, starts), starter, (version, answering)),
            Role::Receiver => ((&second, starts, answerer), (&first, answers), answerer, (answering, version)),
            role => panic!("{role:?} is no answer"),
        };
        assert_eq!(to_sender, proposes);
        let ratchets =
            [sender.sender(&of_sender, &mut keys).unwrap(), receiver.receiver(&to_receiver, support).unwrap()];
        let proposes = proposes && version == 3;
        let slot = if proposes { Slot::Proposes } else { Slot::Empty };
        Self::new(
            ratchets.each_ref(),
            [
                Oracle::new((version, program.0), slot, proposes, true),
                Oracle::new((version, program.1), Slot::Empty, support && version == 3, false),
            ],
        )
    }
}

/// The case of the agreement in which neither side gets a ratchet.
fn accepting_what_was_not_proposed() {
    let mut keys = Keys::new(3);
    let plain = Initiator::generate(&mut keys, versions(3), false);
    let proposing = Initiator::generate(&mut keys, versions(3), true);
    let mut invitation = plain.parameters();
    invitation.encapsulation_key = proposing.parameters().encapsulation_key;
    let joiner = Joiner::answer(&mut keys, versions(3), &invitation, true).unwrap();
    assert_eq!(plain.accept(&joiner.parameters(), true).err(), Some(Error::Encapsulation));
}
