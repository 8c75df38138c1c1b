//! What every storage does with records.

use std::collections::BTreeMap;

use smp_agent::storage::{APPLICATION, Change, MAX_KEY_LENGTH, MAX_VALUE_LENGTH, MemoryStorage, Storage};
use smp_std::agent::store::StorageError;

use crate::{Fixture, Random, delete, put};

#[test]
fn records_in_memory_keep_the_promises_of_a_storage() {
    conformance(&mut MemoryStorage::default(), |_| {});
}

#[test]
fn records_on_disk_keep_the_promises_of_a_storage() {
    let fixture = Fixture::new();
    let mut store = Some(fixture.create());
    let reopen = |store: &mut Option<_>| {
        *store = None;
        *store = Some(fixture.open());
    };
    // Opened anew every now and then: what is in memory must not matter.
    conformance(&mut Handle(&mut store), |handle| reopen(handle.0));
}

/// A storage that can be closed and opened.
struct Handle<'a, S>(&'a mut Option<S>);

impl<S: Storage> Storage for Handle<'_, S> {
    type Error = S::Error;

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, S::Error> {
        self.0.as_mut().unwrap().get(key)
    }

    fn scan(&mut self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, S::Error> {
        self.0.as_mut().unwrap().scan(prefix, after, limit)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), S::Error> {
        self.0.as_mut().unwrap().commit(changes)
    }
}

fn conformance<S: Storage>(storage: &mut S, mut reopen: impl FnMut(&mut S)) {
    // Changes are made in their order, and what is not there can be deleted.
    storage
        .commit(&[put(b"a", b"1"), put(b"a", b"2"), delete(b"b"), put(b"b", b""), put(b"c", b"3"), delete(b"c")])
        .unwrap();
    assert_eq!(storage.get(b"a").unwrap().unwrap(), b"2");
    assert_eq!(storage.get(b"b").unwrap().unwrap(), b"");
    assert_eq!(storage.get(b"c").unwrap(), None);
    assert_eq!(storage.get(b"").unwrap(), None);
    storage.commit(&[]).unwrap();
    // The longest that there are.
    let (key, value) = (vec![0xff; MAX_KEY_LENGTH], vec![7; MAX_VALUE_LENGTH]);
    storage.commit(&[put(&key, &value)]).unwrap();
    reopen(storage);
    assert_eq!(storage.get(&key).unwrap().unwrap(), value);
    assert_eq!(storage.scan(&key, None, 9).unwrap().len(), 1);
    assert_eq!(storage.scan(&[0xff], None, 9).unwrap().len(), 1);
    assert!(storage.scan(&[0xff], Some(&key), 9).unwrap().is_empty());
    storage.commit(&[delete(b"a"), delete(b"b"), delete(&key)]).unwrap();
    assert!(storage.scan(&[], None, usize::MAX).unwrap().is_empty());

    // The same as a map, whatever is done.
    let mut model = BTreeMap::<Vec<u8>, Vec<u8>>::new();
    let mut random = Random(11);
    for step in 0..600 {
        let changes: Vec<_> = (0..random.below(6)).map(|_| change(&mut random)).collect();
        storage.commit(&changes).unwrap();
        for change in changes {
            match change {
                Change::Put { key, value } => drop(model.insert(key, value)),
                Change::Delete { key } => drop(model.remove(&key)),
            }
        }
        let sought = some_key(&mut random);
        assert_eq!(storage.get(&sought).unwrap(), model.get(&sought).cloned());
        let prefix_length = random.below(3) as usize;
        let prefix = &sought[..prefix_length.min(sought.len())];
        let after = some_key(&mut random);
        let after = (random.below(2) == 0).then_some(after.as_slice());
        let limit = random.below(8) as usize;
        let expected: Vec<_> = model
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_slice() > after))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(storage.scan(prefix, after, limit).unwrap(), expected, "prefix {prefix:?}, after {after:?}");
        if step % 100 == 99 {
            reopen(storage);
        }
    }
    assert!(model.len() > 20);
    let all: Vec<_> = model.into_iter().collect();
    assert_eq!(storage.scan(&[], None, usize::MAX).unwrap(), all);
    // A scan goes on where the last one ended.
    let mut pages = Vec::new();
    while let page @ [_, ..] =
        storage.scan(&[], pages.last().map(|(key, _): &(Vec<u8>, _)| key.as_slice()), 7).unwrap().as_slice()
    {
        pages.extend_from_slice(page);
    }
    assert_eq!(pages, all);
}

/// Keys that are near each other and near the ends.
fn some_key(random: &mut Random) -> Vec<u8> {
    const OCTETS: [u8; 5] = [0, 1, 0x7f, 0x80, 0xff];
    (0..=random.below(3)).map(|_| OCTETS[random.below(5) as usize]).collect()
}

fn change(random: &mut Random) -> Change {
    let key = some_key(random);
    let length = [0, 1, 100, 5000][random.below(4) as usize];
    if random.below(3) == 0 { Change::Delete { key } } else { Change::Put { key, value: random.bytes(length) } }
}

#[test]
fn records_that_are_too_long_are_refused_and_nothing_else_happens() {
    let fixture = Fixture::new();
    let store = fixture.create();
    for bad in [
        put(b"", b"value"),
        delete(b""),
        put(&[1; MAX_KEY_LENGTH + 1], b"value"),
        put(b"key", &[1; MAX_VALUE_LENGTH + 1]),
    ] {
        assert!(matches!(store.commit(&[put(b"good", b"value"), bad]), Err(StorageError::Length)));
        assert_eq!(store.get(b"good").unwrap(), None);
    }
    store.commit(&[put(b"good", b"value")]).unwrap();
}

#[test]
fn a_program_keeps_records_of_its_own_beside_the_agents() {
    let fixture = Fixture::new();
    let store = fixture.create();
    let agent = store.clone();
    let program = std::thread::spawn(move || {
        for number in 0..100_u8 {
            store.commit(&[put(&[APPLICATION, number], b"contact"), put(&[2, number], b"both at once")]).unwrap();
        }
        store
    });
    for number in 0..100_u8 {
        agent.commit(&[put(&[1, number], b"connection")]).unwrap();
    }
    let store = program.join().unwrap();
    for (prefix, value) in [(1, &b"connection"[..]), (2, b"both at once"), (APPLICATION, b"contact")] {
        let records = store.scan(&[prefix], None, 1000).unwrap();
        assert!(records.len() == 100 && records.iter().all(|(_, found)| found == value));
    }
    drop(agent);
    // Open as long as there is a handle.
    assert_eq!(store.get(&[1, 99]).unwrap().unwrap(), b"connection");
}
