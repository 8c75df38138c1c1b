//! The running day in the backup file of the reference relay (wire reference, section 14.8).

use std::collections::BTreeMap;
use std::io::{self, BufRead, ErrorKind};
use std::path::Path;

use super::calendar::{DAY_SECONDS, date, time_text};
use super::file::Saved;
use super::{Period, Stats, Sums};

/// The reference's name of the file.
pub(in crate::relay) const FILE_NAME: &str = "smp-server-stats.log";

/// Names of single numbers in the order of the file, each with its counter. Without one: what is made of others.
#[rustfmt::skip]
const FIELDS: [(&str, &str); 43] = [
    ("qCreated", "queues.queues_created"), ("qSecured", "queues.queues_secured"), ("qDeletedAll", ""),
    ("qDeletedNew", "queues.queues_deleted_new"), ("qDeletedSecured", "queues.queues_deleted_secured"),
    ("qDeletedAllB", "queues.queues_deleted_batches"), ("qBlocked", "queues.queues_blocked"), ("qCount", ""),
    ("qSub", "queues.subscribed"), ("qSubAllB", "queues.subscribed_batches"), ("qSubAuth", "queues.subscribed_auth"),
    ("qSubDuplicate", "queues.subscribed_again"), ("qSubProhibited", "queues.subscribed_prohibited"),
    ("qSubEnd", "queues.subscriptions_ended"), ("qSubEndB", "queues.subscriptions_ended_batches"),
    ("ntfCreated", "queues.notifiers_created"), ("ntfNewCreated", "queues.notifiers_created_with_queue"),
    ("ntfDeleted", "queues.notifiers_deleted"), ("ntfDeletedB", "queues.notifiers_deleted_batches"),
    ("ntfSub", "queues.notifiers_subscribed"), ("ntfSubB", "queues.notifiers_subscribed_batches"),
    ("ntfSubAuth", "queues.notifiers_subscribed_auth"), ("ntfSubDuplicate", "queues.notifiers_subscribed_again"),
    ("msgSent", "queues.messages_sent"), ("msgSentAuth", "queues.messages_sent_auth"),
    ("msgSentQuota", "queues.messages_sent_quota"), ("msgSentLarge", "queues.messages_sent_large"),
    ("msgSentBlock", "queues.messages_sent_blocked"), ("msgRecv", "queues.messages_received"),
    ("msgRecvGet", "queues.messages_received_get"), ("msgGet", "queues.messages_got"),
    ("msgGetNoMsg", "queues.messages_got_none"), ("msgGetAuth", "queues.messages_got_auth"),
    ("msgGetDuplicate", "queues.messages_got_again"), ("msgGetProhibited", "queues.messages_got_prohibited"),
    ("msgExpired", "queues.messages_expired"), ("msgSentNtf", "queues.messages_sent_notified"),
    ("msgRecvNtf", "queues.messages_received_notified"), ("msgNtfs", "queues.notifications"),
    ("msgNtfsB", "queues.notifications_batches"), ("msgNtfNoSub", "queues.notifications_unsubscribed"),
    ("msgNtfLost", "queues.notifications_lost"), ("msgNtfExpired", "queues.notifications_expired"),
];

/// Names in the file, each with its counter.
type Fields = &'static [(&'static str, &'static str)];

const PROXY: [(&str, &str); 5] = [
    ("requests", "requests"),
    ("successes", "successes"),
    ("errorsConnect", "connect_errors"),
    ("errorsCompat", "version_errors"),
    ("errorsOther", "other_errors"),
];

const SERVICE: [(&str, &str); 8] = [
    ("assocNew", "associated"),
    ("assocDuplicate", "associated_before"),
    ("assocUpdatedt", "moved"),
    ("assocRemoved", "left"),
    ("subCount", "subscriptions"),
    ("subDuplicate", "repeated_subscriptions"),
    ("subQueues", "subscribed_queues"),
    ("subEnd", "ended"),
];

/// Sections with their groups of counters, in the order of the file.
const SECTIONS: [(&str, &str, Fields); 6] = [
    ("pRelays", "proxy_sessions", &PROXY),
    ("pRelaysOwn", "proxy_sessions_own", &PROXY),
    ("pMsgFwds", "proxy_forwards", &PROXY),
    ("pMsgFwdsOwn", "proxy_forwards_own", &PROXY),
    ("rcvServices", "recipient_services", &SERVICE),
    ("ntfServices", "notifier_services", &SERVICE),
];

const RECEIVED: (&str, &str) = ("pMsgFwdsRecv", "forwards.received");

const HASHES: [(&str, Period); 3] =
    [("dayHashes", Period::Day), ("weekHashes", Period::Week), ("monthHashes", Period::Month)];

/// The counter of a number in a section.
fn counter(section: &str, name: &str) -> Option<String> {
    let within = SECTIONS.iter().find(|(known, ..)| *known == section).and_then(|(_, group, fields)| {
        fields.iter().find(|(known, _)| *known == name).map(|(_, counter)| format!("{group}.{counter}"))
    });
    let single = || {
        let field = FIELDS.iter().chain([&RECEIVED]).find(|(known, counter)| *known == name && !counter.is_empty());
        field.map(|(_, counter)| (*counter).to_owned())
    };
    within.or_else(single)
}

/// Reads bytes up to one of `ends`, which is returned. What is longer than any number or name is cut.
fn token(reader: &mut impl BufRead, ends: &[u8]) -> io::Result<(String, Option<u8>)> {
    let mut text = String::new();
    loop {
        let Some(byte) = reader.fill_buf()?.first().copied() else { return Ok((text, None)) };
        reader.consume(1);
        if ends.contains(&byte) {
            return Ok((text, Some(byte)));
        }
        if text.len() < 64 && byte != b'\r' {
            text.push(char::from(byte));
        }
    }
}

/// The day of a time such as `2026-11-22T05:55:00Z`.
fn day(text: &str) -> Option<u32> {
    let mut numbers = text.get(..10)?.split('-').map(|number| number.parse::<u32>().ok());
    let wanted = (numbers.next()??, numbers.next()??, numbers.next()??);
    (0..100_000).find(|day| date(*day) == wanted)
}

/// Reads the reference's file and saves what it tells of the running day in `directory`, as a relay that starts there goes
/// on from. Of queues in use it has hashes; ours are others, so queues that are used again count twice in their periods.
///
/// # Errors
/// [`ErrorKind::InvalidData`] for a file that is none of the reference; then nothing is saved.
pub(in crate::relay) fn take(mut reader: impl BufRead, directory: &Path) -> io::Result<()> {
    let damaged = || io::Error::from(ErrorKind::InvalidData);
    let (stats, mut sums) = (Stats::default(), BTreeMap::new());
    let (mut section, mut from) = (String::new(), None);
    loop {
        let (name, end) = token(&mut reader, b"=:\n")?;
        match end {
            None if name.is_empty() => break,
            Some(b'\n') if name.is_empty() => {}
            Some(b':') => {
                section = name;
                token(&mut reader, b"\n")?;
            }
            Some(b'=') => {
                let active = match section.as_str() {
                    "activeQueues" => Some(&stats.active),
                    "activeQueuesNtf" => Some(&stats.active_notified),
                    _ => None,
                };
                if let Some((_, period)) = HASHES.iter().find(|(known, _)| *known == name) {
                    loop {
                        let (hash, end) = token(&mut reader, b",\n")?;
                        match hash.parse() {
                            Ok(hash) => active.into_iter().for_each(|active| active.add_hash(*period, hash)),
                            Err(_) if hash.is_empty() => {}
                            Err(_) => return Err(damaged()),
                        }
                        if end != Some(b',') {
                            break;
                        }
                    }
                    continue;
                }
                let (value, _) = token(&mut reader, b"\n")?;
                if name == "fromTime" {
                    from = Some(day(&value).ok_or_else(damaged)?);
                } else if let Some(counter) = counter(&section, &name) {
                    let number: i64 = value.parse().map_err(|_| damaged())?;
                    sums.insert(counter, u64::try_from(number).unwrap_or_default());
                }
            }
            _ => return Err(damaged()),
        }
    }
    let sums = sums.into_iter().collect();
    Saved::new(from.ok_or_else(damaged)?, sums, Vec::new(), &stats).store(directory)
}

/// The reference's file for the running day that is saved in `directory`, if any is, of a relay with so many queues. The
/// lists of queues in use are empty: there are none to make them of.
pub(in crate::relay) fn give(directory: &Path, queues: u64) -> io::Result<Option<String>> {
    let Some(saved) = Saved::load(directory, &Stats::default())? else { return Ok(None) };
    Ok(Some(text(saved.day, &saved.sums, queues)))
}

fn text(day: u32, sums: &Sums, queues: u64) -> String {
    let mut lines = vec![format!("fromTime={}", time_text(i64::from(day).saturating_mul(DAY_SECONDS)))];
    let deleted = sums.get("queues.queues_deleted_new").saturating_add(sums.get("queues.queues_deleted_secured"));
    for (name, counter) in FIELDS {
        let number = match name {
            "qDeletedAll" => deleted,
            "qCount" => queues,
            _ => sums.get(counter),
        };
        lines.push(format!("{name}={number}"));
    }
    for section in ["activeQueues", "activeQueuesNtf"] {
        lines.push(format!("{section}:"));
        lines.extend(HASHES.map(|(name, _)| format!("{name}=")));
    }
    for (section, group, fields) in SECTIONS {
        if section == "rcvServices" {
            lines.push(format!("{}={}", RECEIVED.0, sums.get(RECEIVED.1)));
        }
        lines.push(format!("{section}:"));
        lines
            .extend(fields.iter().map(|(name, counter)| format!("{name}={}", sums.get(&format!("{group}.{counter}")))));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(give(directory.path(), 1).unwrap(), None);
        // Every counter the file has, with a value of its own.
        let names = FIELDS.iter().chain([&RECEIVED]).map(|(_, counter)| (*counter).to_owned());
        let grouped =
            SECTIONS.iter().flat_map(|(_, group, fields)| fields.iter().map(move |(_, it)| format!("{group}.{it}")));
        let known = Stats::default().sums();
        let sums: Sums = names.chain(grouped).filter(|name| !name.is_empty()).zip(1..).collect();
        assert!(sums.iter().all(|(name, _)| known.iter().any(|(known, _)| known == name)));
        let given = text(20_779, &sums, 9);
        assert!(given.starts_with("fromTime=2026-11-22T00:00:00Z\nqCreated=1\nqSecured=2\nqDeletedAll=7\n"), "{given}");
        assert!(given.contains("\nqCount=9\nqSub=") && given.contains("\nactiveQueuesNtf:\ndayHashes=\n"), "{given}");
        take(given.as_bytes(), directory.path()).unwrap();
        assert_eq!(give(directory.path(), 9).unwrap(), Some(given));
    }

    #[test]
    fn hashes_of_queues_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let file = "fromTime=2026-11-22T05:55:00.25Z\nqCreated=3\nqDeleted=1\nmsgSent=2\nactiveQueues:\n\
                    dayHashes=-5,7\nweekHashes=-5,7,9\nmonthHashes=-5,7,9,10\npRelays:\nrequests=4";
        take(file.as_bytes(), directory.path()).unwrap();
        let stats = Stats::default();
        let saved = Saved::load(directory.path(), &stats).unwrap().unwrap();
        assert_eq!((saved.day, saved.sums.get("queues.messages_sent")), (20_779, 2));
        assert_eq!(saved.sums.get("proxy_sessions.requests"), 4);
        assert_eq!([Period::Day, Period::Week, Period::Month].map(|period| stats.active.count(period)), [2, 3, 4]);
        assert_eq!(stats.active_notified.count(Period::Month), 0);
    }

    #[test]
    fn other_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for file in ["", "nonsense", "qCreated=1\n", "fromTime=today\n", "fromTime=2026-11-22T00:00:00Z\nqCreated=x\n"]
        {
            assert!(take(file.as_bytes(), directory.path()).is_err(), "{file}");
        }
        assert_eq!(give(directory.path(), 0).unwrap(), None);
    }
}
