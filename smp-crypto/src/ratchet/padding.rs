//! What bodies are padded to (wire reference of the ratchet, section 13).

use smp_proto::version::AgentVersion;

/// The first version of the agent protocol whose connections may use encapsulation.
pub const ENCAPSULATION_AGENT_VERSION: AgentVersion = AgentVersion(5);

/// The longest message that any padding has room for, in bytes.
pub const MAX_MESSAGE_LENGTH: usize = 65_533;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// The connection information inside a confirmation.
    Confirmation,
    /// Every other agent message.
    Message,
}

impl BodyKind {
    /// The length a body is padded to, in bytes, on a connection of this agent version with or without support for
    /// encapsulation.
    ///
    /// With version 3 of the ratchet this body and its header have 15,982 bytes together in both cases, for a message,
    /// where the header's padding and the connection's support agree. Do not ask for encapsulation below agent version
    /// 5: the header becomes large while the body does not become small, and the message fits into no queue.
    #[must_use]
    pub fn padded_length(self, version: AgentVersion, encapsulation: bool) -> usize {
        match (self, encapsulation && version >= ENCAPSULATION_AGENT_VERSION) {
            (Self::Confirmation, false) => 14_832,
            (Self::Confirmation, true) => 11_106,
            (Self::Message, false) => 15_840,
            (Self::Message, true) => 13_618,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratchet::header::HeaderForm;
    use smp_proto::version::RatchetVersion;

    #[test]
    fn messages_have_one_size_with_and_without_encapsulation() {
        for (kind, encapsulation, length) in [
            (BodyKind::Message, false, 15_982),
            (BodyKind::Message, true, 15_982),
            (BodyKind::Confirmation, false, 14_974),
            (BodyKind::Confirmation, true, 13_470),
        ] {
            let form = HeaderForm { version: RatchetVersion(3), large: encapsulation };
            let body = kind.padded_length(AgentVersion(5), encapsulation);
            assert_eq!(form.overhead() + body, length);
            assert_eq!(kind.padded_length(AgentVersion(4), encapsulation), kind.padded_length(AgentVersion(7), false));
        }
        assert_eq!(HeaderForm { version: RatchetVersion(2), large: true }.overhead(), 140);
    }
}
