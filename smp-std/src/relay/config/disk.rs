//! `[disk]`: what must stay free.

use serde::{Deserialize, Serialize};

/// What must stay free on the disk of the store.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskConfig {
    /// MiB below which no queues are created.
    pub queues_free_mib: u64,
    /// MiB below which senders are told to wait.
    pub messages_free_mib: u64,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self { queues_free_mib: 1_024, messages_free_mib: 512 }
    }
}

impl DiskConfig {
    /// What is wrong with the options, if anything.
    pub(super) fn check(&self) -> Option<&'static str> {
        (self.queues_free_mib < self.messages_free_mib)
            .then_some("disk.queues_free_mib must not be less than disk.messages_free_mib")
    }

    /// Bytes below which no queues are created.
    #[must_use]
    pub const fn free_for_queues(&self) -> u64 {
        self.queues_free_mib.saturating_mul(1 << 20)
    }

    /// Bytes below which senders are told to wait.
    #[must_use]
    pub const fn free_for_messages(&self) -> u64 {
        self.messages_free_mib.saturating_mul(1 << 20)
    }
}

/// The section of a new configuration file.
pub(super) fn template() -> String {
    let DiskConfig { queues_free_mib, messages_free_mib } = DiskConfig::default();
    format!(
        r#"
[disk]
# When less than this is free on the disk of the store, no queues are created, and then senders are told to wait, until
# there is room again. What is stored can be received and deleted all the time. With a full disk the relay would stop.
queues_free_mib = {queues_free_mib}
messages_free_mib = {messages_free_mib}
"#
    )
}
