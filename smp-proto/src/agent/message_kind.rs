//! The kinds of agent messages (wire reference of the agent, sections 6 and 26).

/// The kinds of agent messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// [`AgentMessage::ConnectionInfo`](super::AgentMessage::ConnectionInfo).
    ConnectionInfo,
    /// [`AgentMessage::ConnectionInfoReply`](super::AgentMessage::ConnectionInfoReply).
    ConnectionInfoReply,
    /// [`AgentMessage::RatchetInfo`](super::AgentMessage::RatchetInfo).
    RatchetInfo,
    /// [`Message::Hello`](super::Message::Hello).
    Hello,
    /// [`Message::Application`](super::Message::Application).
    Application,
    /// [`Message::Receipts`](super::Message::Receipts).
    Receipts,
    /// [`Message::QuotaContinue`](super::Message::QuotaContinue).
    QuotaContinue,
    /// [`Message::AddQueues`](super::Message::AddQueues).
    AddQueues,
    /// [`Message::QueueKeys`](super::Message::QueueKeys).
    QueueKeys,
    /// [`Message::UseQueues`](super::Message::UseQueues).
    UseQueues,
    /// [`Message::TestQueues`](super::Message::TestQueues).
    TestQueues,
    /// [`Message::Ready`](super::Message::Ready).
    Ready,
}

impl MessageKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::ConnectionInfo,
        Self::ConnectionInfoReply,
        Self::RatchetInfo,
        Self::Hello,
        Self::Application,
        Self::Receipts,
        Self::QuotaContinue,
        Self::AddQueues,
        Self::QueueKeys,
        Self::UseQueues,
        Self::TestQueues,
        Self::Ready,
    ];

    /// The letters agents store a kind as (section 26). Those of numbered messages begin the message itself; those of
    /// the others are different from what is sent.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ConnectionInfo => "C",
            Self::ConnectionInfoReply => "D",
            Self::RatchetInfo => "S",
            Self::Hello => "H",
            Self::Application => "M",
            Self::Receipts => "V",
            Self::QuotaContinue => "QC",
            Self::AddQueues => "QA",
            Self::QueueKeys => "QK",
            Self::UseQueues => "QU",
            Self::TestQueues => "QT",
            Self::Ready => "E",
        }
    }

    /// Whether the sender asks the relay to notify the recipient of a message of this kind (the flag of SEND, section 6).
    /// Of messages of the application it `requested` that or not.
    ///
    /// Requests to connect and keys of a new ratchet, which no ratchet encrypts, ask for it too.
    #[must_use]
    pub const fn notifies(self, requested: bool) -> bool {
        match self {
            Self::ConnectionInfo | Self::ConnectionInfoReply | Self::RatchetInfo | Self::Hello | Self::Ready => true,
            Self::Application => requested,
            Self::Receipts
            | Self::QuotaContinue
            | Self::AddQueues
            | Self::QueueKeys
            | Self::UseQueues
            | Self::TestQueues => false,
        }
    }

    /// The kind that is stored as these letters.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_codes_of_their_own() {
        for kind in MessageKind::ALL {
            assert_eq!(MessageKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(MessageKind::from_code("Q"), None);
    }

    #[test]
    fn people_are_woken_for_what_they_wait_for() {
        for (requested, codes) in [(false, "CDSHE"), (true, "CDSHME")] {
            let notifies = MessageKind::ALL.into_iter().filter(|kind| kind.notifies(requested));
            assert_eq!(notifies.map(MessageKind::code).collect::<std::string::String>(), codes);
        }
    }
}
