//! Who can open a store.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use smp_std::agent::store::{Cost, Passphrase, SqliteStorage, StorageError};

use crate::{Fixture, passphrase, put};

const PATH: &str = "AGENT_STORE_OWNER_PATH";

#[test]
fn a_store_opens_with_its_passphrase_only() {
    let fixture = Fixture::new();
    drop(fixture.create());
    let path = fixture.path("agent.db");
    for wrong in [passphrase("First"), passphrase("first "), Passphrase::empty()] {
        assert!(matches!(SqliteStorage::open(&path, &wrong), Err(StorageError::WrongPassphrase)));
    }
    // The cost is the one it was set at.
    SqliteStorage::open(&path, &Passphrase::new("first").unwrap()).unwrap();
}

#[test]
fn a_store_can_do_without_a_passphrase() {
    let fixture = Fixture::new();
    let path = fixture.path("agent.db");
    drop(SqliteStorage::create(&path, &Passphrase::empty()).unwrap());
    assert!(matches!(SqliteStorage::open(&path, &passphrase("any")), Err(StorageError::WrongPassphrase)));
    SqliteStorage::open(&path, &Passphrase::empty()).unwrap();
}

#[test]
fn a_passphrase_is_changed() {
    let fixture = Fixture::new();
    let path = fixture.path("agent.db");
    let store = fixture.create();
    store.commit(&[put(b"key", b"value")]).unwrap();
    let (first, second) = (passphrase("first"), Passphrase::new("second").unwrap());
    assert!(matches!(store.change_passphrase(&second, &second), Err(StorageError::WrongPassphrase)));
    let contains = |bytes: &[u8]| {
        let file = fs::read(&path).unwrap();
        let log = fs::read(fixture.path("agent.db-wal")).unwrap();
        [file, log].iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
    };
    // Version and cost of the header, then its salt.
    let start = [&[1][..], &Cost::WEAKEST.memory.to_be_bytes(), &Cost::WEAKEST.passes.to_be_bytes(), &[1]].concat();
    store.commit(&[put(b"key", b"value")]).unwrap();
    let before = fs::read(&path).unwrap();
    let at = before.windows(start.len()).position(|window| window == start).unwrap();
    let header = before[at..at + 106].to_vec();
    assert!(contains(&header[10..26]));
    store.change_passphrase(&first, &second).unwrap();
    // The former one is nowhere any more.
    assert!(!contains(&header[10..26]));
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"value");
    drop(store);
    assert!(matches!(SqliteStorage::open(&path, &first), Err(StorageError::WrongPassphrase)));
    let store = SqliteStorage::open(&path, &second).unwrap();
    assert_eq!(store.get(b"key").unwrap().unwrap(), b"value");
}

#[test]
fn a_store_is_open_once() {
    let fixture = Fixture::new();
    let path = fixture.path("agent.db");
    let store = fixture.create();
    assert!(matches!(SqliteStorage::open(&path, &passphrase("first")), Err(StorageError::InUse)));
    store.commit(&[put(b"key", b"value")]).unwrap();
    drop(store);

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "owner::child"])
        .env(PATH, &path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "open"));
    for _ in 0..3 {
        assert!(matches!(SqliteStorage::open(&path, &passphrase("first")), Err(StorageError::InUse)));
    }
    // Another try, refused, does not take the lock away from the child.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fixture.open().get(b"key").unwrap().unwrap(), b"child");
}

#[test]
#[ignore = "started by a_store_is_open_once"]
fn child() {
    let store = SqliteStorage::open(std::path::Path::new(&std::env::var(PATH).unwrap()), &passphrase("first")).unwrap();
    store.commit(&[put(b"key", b"child")]).unwrap();
    println!("\nopen");
    // Until it is killed.
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn nothing_is_overwritten() {
    let fixture = Fixture::new();
    let path = fixture.path("agent.db");
    for name in ["agent.db", "agent.db-wal", "agent.db-journal"] {
        fs::write(fixture.path(name), "something").unwrap();
        assert!(matches!(SqliteStorage::create(&path, &passphrase("first")), Err(StorageError::Exists)));
        assert_eq!(fixture.files(), [name]);
        fs::remove_file(fixture.path(name)).unwrap();
    }
    assert!(matches!(SqliteStorage::open(&path, &passphrase("first")), Err(StorageError::NotFound)));
    let nowhere = fixture.path("no folder").join("agent.db");
    assert!(matches!(SqliteStorage::create(&nowhere, &passphrase("first")), Err(StorageError::NotFound)));
    assert!(fixture.files().is_empty());
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_a_store() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let store = fixture.create();
    store.commit(&[put(b"key", b"value")]).unwrap();
    store.export(&fixture.path("export"), &passphrase("second")).unwrap();
    assert_eq!(fixture.files(), ["agent.db", "agent.db-wal", "export"]);
    for name in fixture.files() {
        let mode = fs::metadata(fixture.path(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    drop(store);
    assert_eq!(fixture.files(), ["agent.db", "export"]);
}
