//! A store moves to another computer.

use std::fs;
use std::path::Path;

use smp_std::agent::store::{Part, Passphrase, SqliteStorage, StorageError};

use crate::{Fixture, Random, passphrase, put};

fn import(fixture: &Fixture, export: &Path, text: &str) -> Result<SqliteStorage, StorageError> {
    SqliteStorage::import(export, &passphrase(text), &fixture.path("new.db"), &passphrase("third"))
}

/// A store with records of all lengths.
fn filled(fixture: &Fixture, records: u64) -> SqliteStorage {
    let mut random = Random(records);
    let store = fixture.create();
    let mut changes = vec![put(&[0xff; 64], &[1; 65_536]), put(&[0], b"")];
    for _ in 0..records {
        let (key, value) = (random.below(64) + 1, random.below(20_000));
        changes.push(put(&random.bytes(key), &random.bytes(value)));
    }
    store.commit(&changes).unwrap();
    store
}

#[test]
fn an_export_becomes_a_store_with_all_records() {
    for records in [0, 1, 200] {
        let fixture = Fixture::new();
        let store = filled(&fixture, records);
        let export = fixture.path("export");
        store.export(&export, &passphrase("second")).unwrap();
        let imported = import(&fixture, &export, "second").unwrap();
        let all = imported.scan(&[], None, usize::MAX).unwrap();
        assert_eq!(all, store.scan(&[], None, usize::MAX).unwrap());
        assert!(all.len() as u64 >= records);
        // The new store is one.
        imported.commit(&[put(b"key", b"value")]).unwrap();
        drop(imported);
        assert!(matches!(
            SqliteStorage::open(&fixture.path("new.db"), &passphrase("second")),
            Err(StorageError::WrongPassphrase)
        ));
        let imported = SqliteStorage::open(&fixture.path("new.db"), &passphrase("third")).unwrap();
        assert_eq!(imported.get(b"key").unwrap().unwrap(), b"value");
    }
}

#[test]
fn an_empty_store_is_exported_too() {
    let fixture = Fixture::new();
    fixture.create().export(&fixture.path("export"), &passphrase("second")).unwrap();
    assert!(import(&fixture, &fixture.path("export"), "second").unwrap().scan(&[], None, 1).unwrap().is_empty());
}

#[test]
fn an_export_opens_with_its_passphrase_and_replaces_nothing() {
    let fixture = Fixture::new();
    let store = filled(&fixture, 3);
    let export = fixture.path("export");
    store.export(&export, &passphrase("second")).unwrap();
    assert!(matches!(store.export(&export, &passphrase("second")), Err(StorageError::Exists)));
    for wrong in ["first", "third", "Second"] {
        assert!(matches!(import(&fixture, &export, wrong), Err(StorageError::WrongPassphrase)));
    }
    let twice = SqliteStorage::import(&export, &passphrase("second"), &fixture.path("agent.db"), &passphrase("third"));
    assert!(matches!(twice, Err(StorageError::Exists)));
    assert!(matches!(import(&fixture, &fixture.path("none"), "second"), Err(StorageError::NotFound)));
    drop(store);
    assert_eq!(fixture.files(), ["agent.db", "export"]);
}

#[test]
fn other_files_are_no_exports() {
    let fixture = Fixture::new();
    let export = fixture.path("export");
    drop(fixture.create());
    let other = fs::read(fixture.path("agent.db")).unwrap();
    for content in [&b""[..], b"SMP agent expor", b"SMP agent exporT.........", &other] {
        fs::write(&export, content).unwrap();
        assert!(matches!(import(&fixture, &export, "first"), Err(StorageError::NotAnExport)));
    }
    fs::write(&export, b"SMP agent export\x02").unwrap();
    assert!(matches!(import(&fixture, &export, "first"), Err(StorageError::NewerFormat(2))));
    // The header of a store does not pass for that of an export.
    let start = other.windows(10).position(|window| window == [1, 0, 0, 0x4c, 0, 0, 0, 0, 2, 1]).unwrap();
    fs::write(&export, [b"SMP agent export", &other[start..start + 106]].concat()).unwrap();
    assert!(matches!(import(&fixture, &export, "first"), Err(StorageError::WrongPassphrase)));
}

/// No change of an export passes, and none leaves anything behind.
#[test]
fn an_export_that_was_changed_or_cut_is_refused() {
    let fixture = Fixture::new();
    let store = fixture.create();
    store.commit(&[put(b"key", b"secret")]).unwrap();
    let export = fixture.path("export");
    store.export(&export, &passphrase("second")).unwrap();
    drop(store);
    let good = fs::read(&export).unwrap();
    assert!(good.len() < 200 && !good.windows(6).any(|window| window == b"secret"));
    let refused = |bad: &[u8], what: &str| {
        fs::write(&export, bad).unwrap();
        let error = import(&fixture, &export, "second").expect_err(what);
        let known = matches!(
            error,
            StorageError::Damaged(Part::Header | Part::Content)
                | StorageError::NotAnExport
                | StorageError::NewerFormat(_)
        );
        assert!(known, "{what}: {error:?}");
    };
    for at in 0..good.len() {
        refused(&good[..at], &format!("cut to {at} bytes"));
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            refused(&bad, &format!("bit {bit} of octet {at}"));
        }
    }
    refused(&[&good[..], b"x"].concat(), "an octet more");
    assert_eq!(fixture.files(), ["agent.db", "export"]);
    fs::write(&export, &good).unwrap();
    import(&fixture, &export, "second").unwrap();
}

#[test]
fn chunks_cannot_be_left_out_repeated_or_put_in_another_order() {
    const FULL: usize = 65_536 + 16;
    let fixture = Fixture::new();
    let store = filled(&fixture, 40);
    let export = fixture.path("export");
    store.export(&export, &passphrase("second")).unwrap();
    let good = fs::read(&export).unwrap();
    let (head, content) = good.split_at(16 + 106);
    let chunks: Vec<_> = content.chunks(FULL).collect();
    assert!(chunks.len() >= 5);
    let refused = |chunks: &[&[u8]]| {
        fs::write(&export, [head, &chunks.concat()].concat()).unwrap();
        assert!(matches!(import(&fixture, &export, "second"), Err(StorageError::Damaged(Part::Content))));
    };
    for at in 0..chunks.len() {
        refused(&chunks[..at]);
        let mut without = chunks.clone();
        without.remove(at);
        refused(&without);
        let mut twice = chunks.clone();
        twice.insert(at, chunks[at]);
        refused(&twice);
        let mut swapped = chunks.clone();
        swapped.swap(at, (at + 1) % chunks.len());
        refused(&swapped);
    }
    fs::write(&export, [head, &chunks.concat()].concat()).unwrap();
    import(&fixture, &export, "second").unwrap();
}

#[test]
fn chunks_of_two_exports_do_not_mix() {
    let fixture = Fixture::new();
    let store = filled(&fixture, 1);
    for name in ["one", "two"] {
        store.export(&fixture.path(name), &passphrase("second")).unwrap();
    }
    let (one, two) = (fs::read(fixture.path("one")).unwrap(), fs::read(fixture.path("two")).unwrap());
    assert_eq!(one.len(), two.len());
    fs::write(fixture.path("mixed"), [&one[..122], &two[122..]].concat()).unwrap();
    let mixed = import(&fixture, &fixture.path("mixed"), "second");
    assert!(matches!(mixed, Err(StorageError::Damaged(Part::Content))));
}

/// Lengths around the chunk's: the end of the text falls on, before and behind the end of a chunk.
#[test]
fn a_text_may_end_where_a_chunk_does() {
    // Length of the key, key, length of the value; the end and the number of records.
    let around = 1 + 1 + 4 + 1 + 8;
    for more in [0, 1, 2, 15, 16, 17] {
        let fixture = Fixture::new();
        let store = fixture.create();
        store.commit(&[put(&[1], &vec![7; 65_536 - around - 8 + more])]).unwrap();
        store.export(&fixture.path("export"), &Passphrase::empty()).unwrap();
        let imported = SqliteStorage::import(
            &fixture.path("export"),
            &Passphrase::empty(),
            &fixture.path("new.db"),
            &passphrase("third"),
        );
        let records = imported.unwrap().scan(&[], None, 9).unwrap();
        assert_eq!(records, store.scan(&[], None, 9).unwrap());
    }
}
