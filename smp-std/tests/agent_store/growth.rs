//! A store that is used for years stays as large as what is in it.

use std::fs;

use crate::{Fixture, Random, delete, put};

fn size(fixture: &Fixture) -> u64 {
    fixture.files().iter().map(|name| fs::metadata(fixture.path(name)).unwrap().len()).sum()
}

#[test]
fn messages_that_come_and_go_leave_no_trace_of_their_number() {
    let fixture = Fixture::new();
    let store = fixture.create();
    let mut random = Random(5);
    let mut largest = 0;
    let key = |number: u32| [&[1], &number.to_be_bytes()[..]].concat();
    for first in (0..20_000).step_by(4) {
        let mut changes = vec![put(b"state", &[9; 2000])];
        for number in first..first + 4 {
            changes.push(put(&key(number), &vec![7; 200 + random.below(3000) as usize]));
            changes.push(delete(&key(number.wrapping_sub(5))));
        }
        store.commit(&changes).unwrap();
        if first % 100 == 0 {
            largest = size(&fixture).max(largest);
        }
    }
    assert_eq!(store.scan(&[1], None, 1000).unwrap().len(), 5);
    // Its log counts, too: 4 MiB of pages, each with 24 octets of its own.
    assert!(largest < 6 << 20, "{largest} bytes");
    drop(store);
    assert!(size(&fixture) < 256 << 10, "{} bytes", size(&fixture));
}

#[test]
fn a_backlog_gives_its_space_back() {
    let fixture = Fixture::new();
    let store = fixture.create();
    let key = |number: u32| [&[1], &number.to_be_bytes()[..]].concat();
    for batch in 0..40 {
        let messages: Vec<_> = (0..50).map(|number| put(&key(batch * 50 + number), &[3; 16_000])).collect();
        store.commit(&messages).unwrap();
    }
    assert!(size(&fixture) > 32 << 20);
    for number in 0..2000 {
        store.commit(&[delete(&key(number))]).unwrap();
    }
    drop(store);
    // What may stay free for the next messages.
    assert!(size(&fixture) < 6 << 20, "{} bytes", size(&fixture));
    // And what was deleted is not there.
    let store = fixture.open();
    assert!(store.scan(&[], None, 10).unwrap().is_empty());
}

#[test]
fn deleted_values_are_overwritten() {
    let fixture = Fixture::new();
    let store = fixture.create();
    store.commit(&[put(b"key", &[1; 20_000])]).unwrap();
    drop(store);
    let database = rusqlite::Connection::open(fixture.path("agent.db")).unwrap();
    let sealed: Vec<u8> = database.query_row("SELECT value FROM records", [], |row| row.get(0)).unwrap();
    drop(database);
    let pieces = || {
        let file = fs::read(fixture.path("agent.db")).unwrap();
        sealed.chunks_exact(32).filter(|piece| file.windows(32).any(|window| window == *piece)).count()
    };
    // A few lie across two pages.
    assert!(pieces() > 500);
    let store = fixture.open();
    store.commit(&[delete(b"key")]).unwrap();
    drop(store);
    assert_eq!(pieces(), 0);
}
