//! Out again: what an export writes is what the reference writes, and imports to the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use smp_crypto::key::SharedSecret;
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_std::relay::moving::messages::LoggedNotification;
use smp_std::relay::moving::{MessageForm, Sources, export, import};

use crate::{Copied, KINDS, everything, imported, sample};

fn lines(path: &Path) -> BTreeSet<String> {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The state of a journal is told by its last line.
fn last_line(path: &Path) -> String {
    fs::read_to_string(path).unwrap().lines().last().unwrap().to_owned()
}

#[test]
fn an_export_is_what_the_reference_compacts_to() {
    let (directory, _) = imported(&Sources::below(&sample("memory")));
    let out = tempfile::tempdir().unwrap();
    let report = export(directory.path(), out.path(), MessageForm::Log).unwrap();
    assert_eq!((report.queues, report.messages, report.notifications), (10, 138, 3));
    assert!(report.left_out.is_empty());
    for name in ["smp-server-store.log", "smp-server-messages.log"] {
        let (ours, theirs) = (out.path().join("var").join(name), sample("memory").join("var-after-restart").join(name));
        assert_eq!(lines(&ours), lines(&theirs), "{name}");
        assert_eq!(fs::metadata(ours).unwrap().len(), fs::metadata(theirs).unwrap().len(), "{name}");
    }
    for name in ["ca.crt", "ca.key", "server.crt", "server.key", "fingerprint"] {
        let theirs = fs::read(sample("memory").join("etc").join(name)).unwrap();
        assert_eq!(fs::read(out.path().join("etc").join(name)).unwrap(), theirs, "{name}");
    }
}

/// Notifications are sealed with a nonce of their own; what is in them stands beside it.
#[test]
fn notifications_are_sealed_for_the_same_recipient() {
    let (directory, report) = imported(&Sources::below(&sample("memory")));
    assert_eq!((report.taken.notifications, report.counts.notifications), (3, 3));
    let out = tempfile::tempdir().unwrap();
    export(directory.path(), out.path(), MessageForm::Log).unwrap();
    let read = |path: &Path| -> Vec<LoggedNotification> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| LoggedNotification::parse(line.as_bytes()).unwrap()).collect()
    };
    let ours = read(&out.path().join("var/smp-server-ntfs.log"));
    let theirs = read(&sample("memory").join("var/smp-server-ntfs.log"));
    assert_eq!((ours.len(), theirs.len()), (3, 3));
    let all = everything(directory.path());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_ne!(ours.nonce, theirs.nonce);
        let notifier =
            |id| all.queues.values().filter_map(|queue| queue.record.notifier.as_ref()).find(|it| it.id == id);
        let secret = *notifier(ours.notifier_id).unwrap().secret.as_bytes();
        let key = BoxKey::from(&SharedSecret::from_bytes(secret));
        for logged in [ours, theirs] {
            let mut sealed = logged.metadata.clone();
            let opened = smp_crypto::notification::open(&key, &Nonce(logged.nonce), &mut sealed).unwrap();
            assert_eq!(opened.message_id.as_bytes(), theirs.message_id);
            assert_eq!(opened.time.0, theirs.time);
            assert_eq!(
                (logged.message_id, logged.time, logged.notifier_id),
                (theirs.message_id, theirs.time, theirs.notifier_id)
            );
        }
    }
}

/// Messages of one queue keep their order.
#[test]
fn messages_keep_their_order() {
    let (directory, _) = imported(&Sources::below(&sample("memory")));
    let out = tempfile::tempdir().unwrap();
    export(directory.path(), out.path(), MessageForm::Log).unwrap();
    let of_full_queue = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().filter(|line| line.starts_with("v3 7kh1UBojvbUi6wV1Nm-U8_I9dB90VkpP")).map(str::to_owned).collect()
    };
    let ours = of_full_queue(&out.path().join("var/smp-server-messages.log"));
    assert_eq!(ours, of_full_queue(&sample("memory").join("var/smp-server-messages.log")));
    assert_eq!(ours.len(), 129);
}

#[test]
fn journals_are_written_as_the_reference_has_them() {
    let (directory, _) = imported(&Sources::below(&sample("journal")));
    let out = tempfile::tempdir().unwrap();
    export(directory.path(), out.path(), MessageForm::Journal).unwrap();
    let (ours, theirs) = (out.path().join("var"), sample("journal").join("var-after-restart"));
    assert_eq!(lines(&ours.join("smp-server-store.log")), lines(&theirs.join("smp-server-store.log")));
    // A full queue from which nothing was read: the same but for the random name of its file.
    let folder = "messages/9v/m_/bR/gW/10NUbzRGhLbEyrvr0JwcJMtf";
    let state = "queue_state.9vm_bRgW10NUbzRGhLbEyrvr0JwcJMtf.log";
    let ours_state = last_line(&ours.join(folder).join(state));
    let name = ours_state.strip_prefix("write=").unwrap().split(',').next().unwrap().to_owned();
    assert_eq!(name.len(), 16);
    let theirs_state = last_line(&theirs.join(folder).join(state));
    assert_eq!(ours_state.replace(&name, "NAME"), theirs_state.replace("6wPbq3mxtsEdPWad", "NAME"));
    let content = |path: &Path| fs::read(path).unwrap();
    assert_eq!(
        content(&ours.join(folder).join(format!("messages.{name}.log"))),
        content(&theirs.join(folder).join("messages.6wPbq3mxtsEdPWad.log"))
    );
}

#[test]
fn an_export_imports_to_the_same_state() {
    for kind in KINDS {
        let (first, _) = imported(&Sources::below(&sample(kind)));
        for form in [MessageForm::Log, MessageForm::Journal] {
            let out = tempfile::tempdir().unwrap();
            export(first.path(), out.path(), form).unwrap();
            let (second, report) = imported(&Sources::below(out.path()));
            assert!(report.rejected.is_empty(), "{:?}", report.rejected);
            assert_eq!(everything(first.path()), everything(second.path()), "{kind} {form:?}");
        }
    }
}

/// Queues in states the samples do not have: services, a suspended queue that was blocked, a notice and a service.
#[test]
fn rare_states_go_round() {
    let copied = Copied::new("memory");
    let path = copied.path("var/smp-server-store.log");
    let ids: Vec<String> = (0..3u8).map(|n| smp_proto::wire::Base64(&[n + 1; 24]).to_string()).collect();
    let hash = smp_proto::wire::Base64(&[9; 32]).to_string();
    let (suspended, blocked, active) =
        ("0IgX1y3yqJaKlQAiU70fpecP-_KOE5HJ", "o8FxILOwHIpTH3M0-Qj-V9VuqDhDNRAE", "IMw5nPIfkSGTfQ7B-v-7y5BcLeVSOI7S");
    let more = format!(
        "NEW_SERVICE service_id={0} role=M cert=AAA=,AAAA cert_hash={hash} created_at=1795219200\n\
         BLOCK {suspended} reason=spam\nQUEUE_SERVICE {blocked} R {0}\nQUEUE_SERVICE {active} R {0}\n\
         QUEUE_SERVICE {active} N {1}\nTIME {active} 1795305600\n",
        ids[0], ids[1]
    );
    let text = fs::read_to_string(&path).unwrap() + &more;
    fs::write(&path, text).unwrap();
    let (first, report) = imported(&copied.sources());
    assert!(report.rejected.is_empty(), "{:?}", report.rejected);
    assert_eq!((report.counts.services, report.taken.services), (1, 1));
    let out = tempfile::tempdir().unwrap();
    let report = export(first.path(), out.path(), MessageForm::Log).unwrap();
    assert_eq!(report.services, 1);
    let log = fs::read_to_string(out.path().join("var/smp-server-store.log")).unwrap();
    assert!(log.starts_with("NEW_SERVICE "), "services come first");
    let (second, _) = imported(&Sources::below(out.path()));
    let (first, second) = (everything(first.path()), everything(second.path()));
    assert_eq!(first, second);
    let with_services = first.queues.values().filter(|queue| queue.record.recipient_service == Some([1; 24])).count();
    assert_eq!(with_services, 2);
    assert_eq!(first.queues.values().filter(|queue| queue.record.status.is_suspended()).count(), 1);
}

#[test]
fn a_message_without_a_body_stays_behind() {
    let copied = Copied::new("memory");
    let path = copied.path("var/smp-server-messages.log");
    let text = fs::read_to_string(&path).unwrap();
    let line = "v3 M7UjOivWE6VSmbTFbCPlqSRt68lpfyrx -55FQ71DS8pDXPQWcvX1IfDHdZ2n6Smk 1795293598 flags=F aGVsbG8gMQ==";
    assert!(text.contains(line));
    fs::write(&path, text.replace(line, line.trim_end_matches("aGVsbG8gMQ=="))).unwrap();
    let (directory, report) = imported(&copied.sources());
    assert_eq!(report.counts.messages, 138);
    for form in [MessageForm::Log, MessageForm::Journal] {
        let out = tempfile::tempdir().unwrap();
        let report = export(directory.path(), out.path(), form).unwrap();
        assert_eq!(report.messages, 137);
        assert_eq!(report.left_out.values().sum::<u64>(), 1);
        let again = tempfile::tempdir().unwrap();
        assert_eq!(import(&Sources::below(out.path()), again.path(), false).unwrap().counts.messages, 137);
    }
}
