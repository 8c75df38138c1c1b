//! What an agent may be told about how to behave.

use alloc::vec::Vec;

use smp_proto::version::{AgentVersion, ClientVersion, RatchetVersion, VersionRange};

use crate::policy::back_off::{MESSAGE, RECONNECT, RetryInterval, RetryIntervals};
use crate::policy::host::Network;
use crate::policy::routing::Routing;
use crate::policy::server::Server;
use crate::policy::session::SessionMode;
use crate::time::{DAY, MINUTE, SECOND};

/// What goes to which of several send queues of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedundancyPolicy {
    /// Every message to all of them: no relay that is lost takes a message with it.
    #[default]
    All,
    /// Every message to the first one that takes it. Costs no more than a single queue; what a relay has accepted and
    /// then loses is lost, and messages may arrive out of order when a relay fails.
    First,
}

/// How an agent behaves. The default is right for most.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Versions of the agent protocol. Fewer than all are for tests.
    pub agent_versions: VersionRange<AgentVersion>,
    /// Versions of the envelopes in queues.
    pub client_versions: VersionRange<ClientVersion>,
    /// Versions of the ratchet.
    pub ratchet_versions: VersionRange<RatchetVersion>,
    /// When to send through a proxy.
    pub routing: Routing,
    /// Relays that every application knows: short links to them name their host alone. None that a user has added, as
    /// others could not find those.
    pub preset_servers: Vec<Server>,
    /// Through what relays are reached, which decides whether the IP address is protected.
    pub network: Network,
    /// What shares a connection to a relay.
    pub session_mode: SessionMode,
    /// Which of several send queues get a message.
    pub redundancy: RedundancyPolicy,
    /// Intervals between attempts to deliver.
    pub delivery: RetryIntervals,
    /// Intervals between attempts to do anything else at a relay.
    pub reconnect: RetryInterval,
    /// How long a message waits for a relay that cannot be reached, in milliseconds.
    pub message_expiry: u64,
    /// How long a message waits for a queue that is full, in milliseconds.
    pub quota_expiry: u64,
    /// How long hashes of received messages and records of sent ones are kept, in milliseconds.
    pub retention: u64,
    /// How many received messages of each connection are remembered at most, in 9 bytes each, to know their copies. A copy
    /// of an earlier one is dropped all the same, and the application told of it.
    pub remembered_messages: u32,
    /// How long a request to an address can be accepted or rejected before it is forgotten, and an invitation that was
    /// read be joined, in milliseconds.
    pub request_expiry: u64,
    /// Of how many requests to one address, the last ones, those that wait are kept. An earlier one is forgotten without a
    /// word, as one is that is too old; without this a stranger could fill the storage.
    pub requests_kept: u32,
    /// Time between two cleanups, in milliseconds; the first comes after a tenth of it. Each looks at a part of what is
    /// stored.
    pub cleanup_interval: u64,
    /// How often the deletion of a queue is tried: at once, then after a few seconds, then after 5 minutes, 10, 20 and so
    /// on. The default covers most of a day.
    pub deletion_attempts: u8,
    /// How long a redundant queue that the peer does not use is kept, in milliseconds.
    pub unused_queue_expiry: u64,
    /// Whether further queues of peers are used, and told of: `false` behaves as agents do that know of no redundancy.
    pub redundancy_known: bool,
    /// A receive queue counts as empty when all its messages were acknowledged and none followed for so long, in
    /// milliseconds.
    pub queue_rest: u64,
    /// How long a message waits for earlier ones that may be in a queue whose relay cannot be reached, in milliseconds.
    pub order_wait: u64,
    /// How long an old receive queue is kept at most when it cannot be seen to be empty, in milliseconds. Relays keep
    /// messages no longer than the default.
    pub old_queue_expiry: u64,
    /// How long the peer's first message under new ratchet keys is waited for, when the roles are not clear, before the
    /// other role is taken, in milliseconds.
    pub role_doubt: u64,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            agent_versions: VersionRange::AGENT,
            client_versions: VersionRange::CLIENT,
            ratchet_versions: VersionRange::RATCHET,
            routing: Routing::default(),
            preset_servers: Vec::new(),
            network: Network::default(),
            session_mode: SessionMode::default(),
            redundancy: RedundancyPolicy::default(),
            delivery: MESSAGE,
            reconnect: RECONNECT,
            message_expiry: 2 * DAY,
            quota_expiry: 7 * DAY,
            retention: 21 * DAY,
            remembered_messages: 262_144,
            request_expiry: 180 * DAY,
            requests_kept: 1_000,
            cleanup_interval: 5 * MINUTE,
            deletion_attempts: 10,
            unused_queue_expiry: 7 * DAY,
            redundancy_known: true,
            queue_rest: 10 * SECOND,
            order_wait: 30 * MINUTE,
            old_queue_expiry: 21 * DAY,
            role_doubt: 5 * SECOND,
        }
    }
}
