//! What each adversary costs: a line for each.

use std::time::Duration;

use crate::honest::HonestPair;
use crate::process::{Kind, RelayProcess};

/// A relay under attack and those who use it meanwhile.
pub(crate) struct Ledger<'a> {
    kind: Kind,
    pub(crate) relay: &'a RelayProcess,
    pub(crate) pair: &'a HonestPair,
    /// The honest pair's p99 when nobody does any harm.
    quiet: Duration,
}

impl<'a> Ledger<'a> {
    pub(crate) async fn open(kind: Kind, relay: &'a RelayProcess, pair: &'a HonestPair) -> Self {
        Self { kind, relay, pair, quiet: pair.quiet().await }
    }

    /// Lets one adversary do its work, during which the relay may grow by `limit` MiB. How much longer the honest pair has
    /// to wait is printed and not judged: others may be at work on this machine.
    pub(crate) async fn of<T>(&self, adversary: &str, limit: u64, attack: impl Future<Output = T>) -> T {
        // What an earlier one left is not this one's.
        let before = self.relay.memory();
        self.relay.forget_peak();
        self.pair.p99();
        let outcome = attack.await;
        let (peak, p99) = (self.relay.peak(), self.pair.p99());
        let factor = p99.as_secs_f64() / self.quiet.as_secs_f64();
        eprintln!(
            "| {adversary} | {:?} | {} | {} | {limit} | {:.1} | {:.1} | {factor:.1} |",
            self.kind,
            before >> 20,
            peak >> 20,
            self.quiet.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3,
        );
        let grown = peak.saturating_sub(before);
        assert!(grown <= limit << 20, "{adversary}, {:?}: {before} bytes before, {peak} at the most", self.kind);
        outcome
    }
}
