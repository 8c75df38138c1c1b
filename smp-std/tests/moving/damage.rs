//! Damaged files: what is damaged is named and kept aside, the rest is taken.

use std::collections::BTreeSet;
use std::fs;

use smp_std::relay::moving::{REJECTED_FILE, Reason};

use crate::{Copied, Everything, Random, everything, imported};

const STORE: &str = "var/smp-server-store.log";
const MESSAGES: &str = "var/smp-server-messages.log";

/// Changes a file, imports, and gives what was rejected and what is there.
fn with(name: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> (Vec<(String, Reason, u64)>, Everything, String) {
    let copied = Copied::new("memory");
    let path = copied.path(name);
    let content = change(fs::read(&path).unwrap());
    fs::write(&path, content).unwrap();
    let (directory, report) = imported(&copied.sources());
    let aside = fs::read(directory.path().join(REJECTED_FILE)).unwrap_or_default();
    (report.rejected, everything(directory.path()), String::from_utf8_lossy(&aside).into_owned())
}

fn text(change: impl FnOnce(String) -> String) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    |content| change(String::from_utf8(content).unwrap()).into_bytes()
}

fn store_log(reason: Reason) -> Vec<(String, Reason, u64)> {
    vec![("store log".to_owned(), reason, 1)]
}

const QUEUE: &str = "M7UjOivWE6VSmbTFbCPlqSRt68lpfyrx";

#[test]
fn each_damage_costs_its_line() {
    let append = |line: String| text(move |log| format!("{log}{line}\n"));
    let unknown = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let key = "MCowBQYDK2VwAyEAdqzQ0lES-Gf9c487evDWBbJw_vUGxOQS2MIBzzDCj1o=";
    for (line, reason) in [
        (format!("SUSPEND {unknown}"), Reason::UnknownQueue),
        (format!("DELETE {unknown}"), Reason::UnknownQueue),
        // Deleted before.
        ("SUSPEND G-DilXJCkc3RjnRuqeUH2s4wx3FNlSM6".to_owned(), Reason::UnknownQueue),
        (format!("SECURE IMw5nPIfkSGTfQ7B-v-7y5BcLeVSOI7S {key}"), Reason::OtherKey),
        (format!("QUEUE_SERVICE {QUEUE} N {unknown}"), Reason::NoNotifier),
        // The link of another queue, and another link than the queue has.
        (format!("LINK {QUEUE} _D1WQ2tAojRSlXjIaOTsdFa_X0JxgPrZ AAAA AAAA"), Reason::IdTaken),
        (format!("LINK txpNQ7suKlVfAhZEFEzceTeO7RNViGLa {unknown} AAAA AAAA"), Reason::OtherLink),
        (
            format!(
                "NOTIFIER {QUEUE} EMWvrnNFcm7GfJ-nUOhujS4tBSjkhuCe {key} tGmC5YGZnX-ZSBdJeE8dL2iAz1AHE0T8iP66zGWGzHI="
            ),
            Reason::IdTaken,
        ),
        ("GIBBERISH".to_owned(), Reason::UnknownKind),
        (String::new(), Reason::UnknownKind),
        ("x".repeat(300_000), Reason::TooLong),
    ] {
        let (rejected, all, aside) = with(STORE, append(line.clone()));
        assert_eq!(rejected, store_log(reason), "{line:.80}");
        assert_eq!(all.queues.len(), 10);
        assert_eq!(all, with(STORE, |content| content).1, "{line:.80}");
        let kept = line.get(..200_000).unwrap_or(&line);
        assert!(aside.starts_with("# smp-server-store.log:21: ") && aside.contains(kept), "{aside:.100}");
    }
}

#[test]
fn a_queue_that_is_lost_costs_what_is_about_it() {
    let (rejected, all, aside) = with(STORE, text(|log| log.replacen("rdh=tGmC", "rdh=*GmC", 1)));
    assert_eq!(
        rejected,
        [
            ("message log".to_owned(), Reason::UnknownQueue, 2),
            ("store log".to_owned(), Reason::Field("delivery secret"), 1)
        ]
    );
    assert_eq!(all.queues.len(), 9);
    assert_eq!(aside.lines().count(), 6, "each with its place");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let copied = Copied::new("memory");
        fs::write(copied.path(MESSAGES), "nonsense").unwrap();
        let (directory, _) = imported(&copied.sources());
        let mode = fs::metadata(directory.path().join(REJECTED_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn every_step_of_a_links_life_is_replayed() {
    let link = "_D1WQ2tAojRSlXjIaOTsdFa_X0JxgPrZ";
    let queue = "txpNQ7suKlVfAhZEFEzceTeO7RNViGLa";
    let (rejected, all, _) = with(
        STORE,
        text(|log| {
            format!(
                "{log}LDELETE {queue}\nLDELETE {queue}\nLINK {QUEUE} {link} AAAA AQEB\nLINK {QUEUE} {link} AAAA AgIC\nUNBLOCK o8FxILOwHIpTH3M0-Qj-V9VuqDhDNRAE\n"
            )
        }),
    );
    assert_eq!(rejected, []);
    let links: Vec<_> =
        all.queues.values().filter_map(|queue| queue.link.as_ref()).map(|link| link.user.to_vec()).collect();
    assert_eq!(links.len(), 2);
    assert!(links.contains(&vec![2, 2, 2]));
    assert!(all.queues.values().all(|queue| queue.record.status.blocked().is_none()));
}

#[test]
fn quota_marks_are_kept_as_the_reference_keeps_them() {
    let mark = |number: u8| format!("v3 {QUEUE} {} 1795293600 quota\n", smp_proto::wire::Base64(&[number; 24]));
    // Behind messages a mark is one more; alone, the later takes its place.
    let (_, all, _) = with(MESSAGES, text(|log| format!("{log}{}", mark(1))));
    let queue = all.queues.values().find(|queue| queue.full && queue.size == 3).unwrap();
    assert_eq!(queue.messages[2].id, [1; 24]);
    let (rejected, all, _) = with(MESSAGES, |_| format!("{}{}", mark(1), mark(2)).into_bytes());
    assert_eq!(rejected, []);
    let queue = all.queues.values().find(|queue| queue.full).unwrap();
    assert_eq!((queue.size, queue.messages[0].id), (1, [2; 24]));
}

#[test]
fn notifications_of_unknown_notifiers_are_kept_aside() {
    let (rejected, all, _) = with(
        "var/smp-server-ntfs.log",
        text(|log| log.replacen("EMWvrnNF", "AAAAAAAA", 1).replacen(" 1795293598 kpHI", " x kpHI", 1)),
    );
    assert_eq!(
        rejected,
        [
            ("notification log".to_owned(), Reason::Field("time"), 1),
            ("notification log".to_owned(), Reason::UnknownNotifier, 1)
        ]
    );
    assert_eq!(all.notifications.values().map(Vec::len).sum::<usize>(), 1);
}

/// Which queues and messages a damaged file still has: those whose lines it did not touch, at least.
#[test]
fn random_damage_never_costs_what_it_did_not_touch() {
    let mut random = Random(7);
    for round in 0..60 {
        let name = if round % 2 == 0 { STORE } else { MESSAGES };
        let copied = Copied::new("memory");
        let path = copied.path(name);
        let original = fs::read(&path).unwrap();
        let mut damaged = original.clone();
        if round % 3 == 0 {
            damaged.truncate(random.below(original.len()));
        } else {
            for _ in 0..=random.below(8) {
                let at = random.below(damaged.len());
                damaged[at] ^= 1 << random.below(8);
            }
        }
        fs::write(&path, &damaged).unwrap();
        let (directory, _) = imported(&copied.sources());
        let all = everything(directory.path());
        let lines = |content: &[u8]| -> BTreeSet<Vec<u8>> {
            content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
        };
        let (before, after) = (lines(&original), lines(&damaged));
        let untouched: Vec<_> = before.intersection(&after).filter(|line| !line.is_empty()).collect();
        if name == STORE {
            // A queue may be named by a damaged line as well, such as a DELETE of another.
            let created = untouched.iter().filter(|line| line.starts_with(b"CREATE ")).count();
            assert!(all.queues.len() + 1 >= created, "round {round}: {} of {created}", all.queues.len());
        } else {
            let messages: u64 = all.queues.values().map(|queue| queue.size).sum();
            assert!(messages >= untouched.len() as u64, "round {round}: {messages} of {}", untouched.len());
        }
    }
}
