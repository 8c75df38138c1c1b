//! What import and export refuse, and what an interruption leaves.

use std::fs;
use std::process::Command;

use smp_std::relay::moving::{MessageForm, MovingError, REJECTED_FILE, Sources, export, import, is_unfinished};

use crate::{Copied, KINDS, everything, imported, sample, tree};

#[test]
fn the_old_server_stays_as_it_was() {
    for kind in KINDS {
        let copied = Copied::new(kind);
        // With a line that is kept aside, so that all of it is exercised.
        fs::write(copied.path("var/smp-server-ntfs.log"), "nonsense\n").unwrap();
        let before = tree(copied.folder.path());
        for dry_run in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            import(&copied.sources(), directory.path(), dry_run).unwrap();
            assert_eq!(tree(copied.folder.path()), before);
            assert_eq!(fs::read_dir(directory.path()).unwrap().next().is_none(), dry_run);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_enough() {
    use std::os::unix::fs::PermissionsExt;
    let copied = Copied::new("journal");
    let folders: Vec<_> = tree(copied.folder.path()).into_iter().filter(|(_, content)| content.is_none()).collect();
    let mode = |mode| {
        folders.iter().for_each(|(path, _)| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        })
    };
    mode(0o500);
    let (_directory, report) = imported(&copied.sources());
    mode(0o700);
    assert_eq!(report.counts.messages, 138);
}

#[test]
fn nothing_is_imported_twice_or_over_anything() {
    let sources = Sources::below(&sample("memory"));
    let (directory, _) = imported(&sources);
    let before = everything(directory.path());
    let again = import(&sources, directory.path(), false);
    assert!(matches!(again, Err(MovingError::NotEmpty(_))), "{again:?}");
    assert_eq!(everything(directory.path()), before);
    for name in ["store", "smp-server.toml", "fingerprint", "ca.key", REJECTED_FILE] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(name), "something").unwrap();
        let refused = import(&sources, directory.path(), false);
        assert!(matches!(refused, Err(MovingError::NotEmpty(_))), "{name}: {refused:?}");
        assert_eq!(tree(directory.path()).len(), 1);
    }
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("x"), "").unwrap();
    assert!(matches!(export(directory.path(), out.path(), MessageForm::Log), Err(MovingError::NotEmpty(_))));
}

#[test]
fn an_interrupted_import_starts_over_or_is_finished() {
    let sources = Sources::below(&sample("memory"));
    let (whole, _) = imported(&sources);
    // Interrupted while it read.
    let directory = tempfile::tempdir().unwrap();
    let partial = directory.path().join("import.partial");
    fs::create_dir_all(partial.join("store")).unwrap();
    fs::write(partial.join("store/0.jnl"), "half").unwrap();
    fs::write(partial.join("ca.key"), "half").unwrap();
    assert!(is_unfinished(directory.path()));
    import(&sources, directory.path(), false).unwrap();
    assert!(!is_unfinished(directory.path()));
    assert_eq!(everything(directory.path()), everything(whole.path()));

    // Interrupted in its last step.
    fs::create_dir(&partial).unwrap();
    assert!(!is_unfinished(directory.path()));
    fs::remove_dir(&partial).unwrap();

    // Interrupted while it moved what was complete, at every step of that.
    let names = ["store", "smp-server.toml", "ca.key", "server.key", "server.crt", "ca.crt", "fingerprint"];
    for moved in 0..=names.len() {
        let (whole, _) = imported(&sources);
        let before = tree(whole.path()).len();
        let partial = whole.path().join("import.partial");
        fs::create_dir(&partial).unwrap();
        fs::write(partial.join("complete"), "").unwrap();
        for name in &names[moved..] {
            fs::rename(whole.path().join(name), partial.join(name)).unwrap();
        }
        assert!(is_unfinished(whole.path()));
        let again = import(&sources, whole.path(), false);
        assert!(matches!(again, Err(MovingError::NotEmpty(_))), "it is complete: {again:?}");
        assert!(!is_unfinished(whole.path()));
        assert_eq!(tree(whole.path()).len(), before);
        assert_eq!(everything(whole.path()).queues.len(), 10);
    }
}

#[test]
fn what_is_missing_is_named() {
    let copied = Copied::new("memory");
    let directory = tempfile::tempdir().unwrap();
    let attempt = || import(&copied.sources(), directory.path(), false).map(drop).unwrap_err();
    let ini = fs::read_to_string(copied.path("etc/smp-server.ini")).unwrap();
    fs::remove_file(copied.path("etc/smp-server.ini")).unwrap();
    assert!(matches!(attempt(), MovingError::NoConfiguration(_)));
    for key in ["store_queues = memory", "store_messages = memory"] {
        let database = ini.replace(key, &key.replace("memory", "database"));
        fs::write(copied.path("etc/smp-server.ini"), database).unwrap();
        assert!(matches!(attempt(), MovingError::InDatabase));
    }
    fs::write(copied.path("etc/smp-server.ini"), &ini).unwrap();
    let fingerprint = fs::read(copied.path("etc/fingerprint")).unwrap();
    fs::write(copied.path("etc/fingerprint"), fs::read(sample("journal").join("etc/fingerprint")).unwrap()).unwrap();
    assert!(matches!(attempt(), MovingError::Identity(_)), "another server's");
    fs::write(copied.path("etc/fingerprint"), fingerprint).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left of failed attempts");

    // Without these there is less, but something.
    fs::remove_file(copied.path("etc/ca.key")).unwrap();
    fs::remove_file(copied.path("var/smp-server-messages.log")).unwrap();
    fs::remove_file(copied.path("var/smp-server-ntfs.log")).unwrap();
    let report = import(&copied.sources(), directory.path(), false).unwrap();
    assert_eq!((report.counts.queues, report.counts.messages), (10, 0));
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
    assert!(!directory.path().join("ca.key").exists());
}

#[test]
fn a_log_that_was_being_rewritten_is_taken_from_its_copy() {
    let copied = Copied::new("memory");
    let log = copied.path("var/smp-server-store.log");
    fs::copy(&log, copied.path("var/smp-server-store.log.start")).unwrap();
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.lines().next().unwrap()).unwrap();
    let (_directory, report) = imported(&copied.sources());
    assert_eq!(report.counts.queues, 10);
    assert!(report.notes.iter().any(|note| note.contains(".start")), "{:?}", report.notes);
}

fn smp_server(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_smp-server")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn the_program_reports_and_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (from, new, out) = (sample("memory").to_str().unwrap().to_owned(), path("new"), path("out"));

    let (done, text) = smp_server(&["import", "--from", &from, "--dir", &new, "--dry-run"]);
    assert!(done && text.contains("messages       138") && text.contains("nothing was kept"), "{text}");
    assert!(!folder.path().join("new").exists());
    let (done, text) = smp_server(&["import", "--dir", &new]);
    assert!(!done && text.contains("--from"), "{text}");
    assert!(!folder.path().join("new").exists());
    let (done, text) = smp_server(&["import", "--from", &from, "--dir", &new, "--port", "1"]);
    assert!(!done && text.contains("only --dir"), "{text}");

    fs::create_dir_all(folder.path().join("new/import.partial")).unwrap();
    let (done, text) = smp_server(&["start", "--dir", &new]);
    assert!(!done && text.contains("interrupted"), "{text}");
    let (etc, var) = (format!("{from}/etc"), format!("{from}/var"));
    let (done, text) = smp_server(&["import", "--config-dir", &etc, "--data-dir", &var, "--dir", &new]);
    assert!(done && text.contains("queues         10"), "{text}");
    // Neither passwords nor anything of a queue.
    for secret in ["= admin", "= user", "M7UjOivW"] {
        assert!(!text.contains(secret), "{text}");
    }
    let (done, address) = smp_server(&["address", "--dir", &new]);
    let fingerprint = fs::read_to_string(sample("memory").join("etc/fingerprint")).unwrap();
    assert!(done);
    assert_eq!(address.lines().next(), Some(format!("smp://{}@127.0.0.1:16391", fingerprint.trim()).as_str()));
    let (done, text) = smp_server(&["import", "--from", &from, "--dir", &new]);
    assert!(!done && text.contains("already"), "{text}");

    // A relay that runs holds this lock.
    let lock = fs::File::options().write(true).open(folder.path().join("new/lock")).unwrap();
    lock.lock().unwrap();
    let (done, text) = smp_server(&["export", "--dir", &new, "--to", &out]);
    assert!(!done && text.contains("stopped"), "{text}");
    drop(lock);
    let (done, text) = smp_server(&["export", "--dir", &new, "--to", &out]);
    assert!(done && text.contains("queues         10"), "{text}");
    assert!(folder.path().join("out/etc/smp-server.ini").exists());
    let audit = fs::read_to_string(folder.path().join("new/audit.log")).unwrap();
    let lines: Vec<&str> = audit.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(lines, ["import ok by=program", "export ok by=program"]);
}

#[test]
fn the_running_day_goes_along() {
    let copied = Copied::new("memory");
    let day = "fromTime=2026-11-22T05:55:00.25Z\nqCreated=3\nqSecured=2\nmsgSent=41\nactiveQueues:\ndayHashes=1,2\n";
    fs::write(copied.path("var/smp-server-stats.log"), day).unwrap();
    let (directory, _) = imported(&copied.sources());
    assert!(directory.path().join("stats.json").exists());
    let target = tempfile::tempdir().unwrap();
    export(directory.path(), target.path(), MessageForm::Log).unwrap();
    let text = fs::read_to_string(target.path().join("var/smp-server-stats.log")).unwrap();
    assert!(text.starts_with("fromTime=2026-11-22T00:00:00Z\nqCreated=3\nqSecured=2\n"), "{text}");
    assert!(text.contains("\nqCount=10\n") && text.contains("\nmsgSent=41\n"), "{text}");

    fs::write(copied.path("var/smp-server-stats.log"), "damaged").unwrap();
    let (directory, report) = imported(&copied.sources());
    assert!(!directory.path().join("stats.json").exists());
    assert!(report.notes.iter().any(|note| note.contains("smp-server-stats.log")), "{:?}", report.notes);
}

/// kill -9 in the middle, and the same command again.
#[test]
fn a_killed_import_is_made_again() {
    let copied = Copied::new("memory");
    let path = copied.path("var/smp-server-store.log");
    let mut log = fs::read_to_string(&path).unwrap();
    let line = log.lines().next().unwrap().to_owned();
    let (recipient, sender) = ("M7UjOivWE6VSmbTFbCPlqSRt68lpfyrx", "EH35yyguZZaSPPVkjtMNvMKbOtc1JP75");
    for number in 0..30_000u32 {
        let mut id = [1; 24];
        id[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
        let own = smp_proto::wire::Base64(&id).to_string();
        id[23] = 2;
        let other = smp_proto::wire::Base64(&id).to_string();
        log.push_str(&line.replace(recipient, &own).replace(sender, &other));
        log.push('\n');
    }
    fs::write(&path, log).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new");
    let arguments = ["import", "--from", copied.folder.path().to_str().unwrap(), "--dir", new.to_str().unwrap()];
    let mut interrupted = 0;
    for wait in [0, 50, 200] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_smp-server"))
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let begun = std::time::Instant::now();
        while !is_unfinished(&new) && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it does not begin");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        if is_unfinished(&new) {
            interrupted += 1;
            let (started, text) = smp_server(&["start", "--dir", new.to_str().unwrap()]);
            assert!(!started && text.contains("interrupted"), "{text}");
        }
    }
    assert!(interrupted > 0, "the first is killed at once");
    if is_unfinished(&new) {
        let (done, text) = smp_server(&arguments);
        assert!(done && text.contains("queues         30010"), "{text}");
    }
    assert_eq!(everything(&new).queues.len(), 30_010);
}
