//! When the relay's certificates expire, and telling its operator in time.

use std::sync::Arc;
use std::time::Duration;

use smp_crypto::certificate::Certificate;

use super::Relay;

/// How long before a certificate expires the operator is told.
const NOTICE_DAYS: i64 = 14;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(86_400);

/// Seconds since 1970-01-01, UTC, at which the first certificate of a chain expires; none if it cannot be read.
pub(super) fn expiry(chain: &[impl AsRef<[u8]>]) -> Option<i64> {
    Some(Certificate::from_der(chain.first()?.as_ref()).ok()?.validity().not_after)
}

/// Whole days that are left, if the operator should know.
fn days_left(expires: i64, now: i64) -> Option<i64> {
    let days = expires.saturating_sub(now).div_euclid(86_400);
    (days < NOTICE_DAYS).then_some(days)
}

impl Relay {
    /// The certificates in use, each with the second at which it expires: that of SMP, and that of the web site if it has
    /// one.
    pub(super) fn certificates(&self) -> Vec<(&'static str, i64)> {
        let server = self.greeter.read().expires();
        let web = self.web().and_then(|web| web.certificate_expires());
        [("server", server), ("web", web)].into_iter().filter_map(|(name, at)| Some((name, at?))).collect()
    }

    /// Warns every day of certificates that expire soon.
    pub(super) async fn watch_certificates(self: Arc<Self>) {
        loop {
            let now = self.now();
            for (certificate, expires) in self.certificates() {
                match days_left(expires, now) {
                    Some(days) if days < 0 => {
                        tracing::error!(certificate, "the certificate has expired");
                    }
                    Some(days) => tracing::warn!(certificate, days, "the certificate expires soon"),
                    None => {}
                }
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, KeyAlgorithm};

    #[test]
    fn operators_are_told_two_weeks_before() {
        const DAY: i64 = 86_400;
        assert_eq!(days_left(14 * DAY, 0), None);
        assert_eq!(days_left(14 * DAY - 1, 0), Some(13));
        assert_eq!(days_left(0, 0), Some(0));
        assert_eq!(days_left(0, 1), Some(-1));
    }

    #[test]
    fn a_chain_expires_with_its_leaf() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::create(folder.path(), KeyAlgorithm::Ed25519, "localhost").unwrap();
        let left = expiry(identity.chain()).unwrap() - crate::relay::audit::now();
        assert!(left > 365 * 86_400, "{left}");
        assert_eq!(expiry(&[b"nonsense"]), None);
        assert_eq!(expiry(&[] as &[Vec<u8>]), None);
    }
}
