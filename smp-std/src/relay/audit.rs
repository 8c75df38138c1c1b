//! The audit log: what the operator did, when, and what came of it.
//!
//! One line for each action in `audit.log` in the relay's directory, readable by its owner only, appended and on disk before
//! the action is answered: `2026-11-22T05:55:00Z block ok queue=q3UfpLrP reason=spam`. It names no user, and a queue only by
//! the first 8 characters of the base64url of SHA-256 of the id that the operator gave: who has the id finds its lines
//! again, who has the log cannot tell the id.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use smp_crypto::certificate::fingerprint;
use smp_proto::wire::Base64;

use super::stats::calendar::time_text;

/// The log's name inside the relay's directory.
pub const FILE_NAME: &str = "audit.log";

/// Seconds since 1970-01-01, UTC.
#[must_use]
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// Adds one line. `details` are words such as `reason=spam`.
pub fn append(directory: &Path, now: i64, action: &str, outcome: &str, details: &str) -> io::Result<()> {
    let mut line = format!("{} {action} {outcome}", time_text(now));
    if !details.is_empty() {
        line.push(' ');
        line.push_str(details);
    }
    // One line whatever was given.
    let mut line: String = line.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    line.push('\n');
    let mut file = File::options().append(true).create(true).mode(0o600).open(directory.join(FILE_NAME))?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// How the log names the queue with this id.
pub(super) fn queue_name(id: &[u8]) -> String {
    let mut text = Base64(&fingerprint(id)).to_string();
    text.truncate(8);
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn lines_are_added_for_the_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        append(directory.path(), 1_795_326_900, "start", "ok", "").unwrap();
        append(directory.path(), 1_795_326_901, "block", "failed", "queue=x\nreason=spam").unwrap();
        let path = directory.path().join(FILE_NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "2026-11-22T05:55:00Z start ok\n2026-11-22T05:55:01Z block failed queue=x reason=spam\n");
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_queue_is_named_by_its_hash() {
        // SHA-256 of the empty string is e3b0c442 98fc…
        assert_eq!(queue_name(b""), "47DEQpj8");
    }
}
