use super::*;
use smp_agent::storage::MemoryStorage;

const ALICE: ConnectionId = ConnectionId::from_bytes([1; 12]);
const BOB: ConnectionId = ConnectionId::from_bytes([2; 12]);

fn entry(text: &str) -> Entry {
    Entry { time: 1, delivery: Delivery::Incoming, text: Some(text.into()) }
}

fn texts(book: &mut Book<MemoryStorage>, connection: ConnectionId, count: usize) -> Vec<String> {
    book.history(connection, count).unwrap().into_iter().filter_map(|(_, entry)| entry.text).collect()
}

#[test]
fn the_last_messages_come_in_their_order() {
    let mut book = Book::new(MemoryStorage::default());
    let mut batch = Batch::default();
    for number in 0..1000 {
        batch.entry(ALICE, MessageId(number * 3), &entry(&number.to_string()));
    }
    batch.entry(BOB, MessageId(1), &entry("other"));
    book.commit(batch).unwrap();
    assert_eq!(texts(&mut book, ALICE, 3), ["997", "998", "999"]);
    assert_eq!(texts(&mut book, ALICE, 5000).len(), 1000);
    assert_eq!(texts(&mut book, BOB, 10), ["other"]);
    book.forget_history(ALICE).unwrap();
    assert!(texts(&mut book, ALICE, 10).is_empty());
    assert_eq!(texts(&mut book, BOB, 10), ["other"]);
}

#[test]
fn an_event_counts_once() {
    let mut book = Book::new(MemoryStorage::default());
    assert!(!book.has_seen(EventId(0)).unwrap());
    let mut batch = Batch::default();
    batch.entry(ALICE, MessageId(1), &entry("one"));
    book.absorb(EventId(7), batch).unwrap();
    for (event, seen) in [(0, true), (7, true), (8, false)] {
        assert_eq!(book.has_seen(EventId(event)).unwrap(), seen);
    }
}

#[test]
fn contacts_and_requests_are_kept_apart() {
    let mut book = Book::new(MemoryStorage::default());
    let contact = Contact { name: "bob".into(), named: false, stage: Stage::Invited, link: None };
    let mut batch = Batch::default();
    batch.contact(BOB, &contact);
    batch.request(InvitationId::from_bytes([2; 12]), &Request { name: "carol".into() });
    book.commit(batch).unwrap();
    assert!(book.contacts().unwrap() == [(BOB, contact)]);
    assert_eq!(book.requests().unwrap().len(), 1);
    let mut batch = Batch::default();
    batch.forget_contact(BOB);
    batch.forget_request(InvitationId::from_bytes([2; 12]));
    book.commit(batch).unwrap();
    assert!(book.contacts().unwrap().is_empty() && book.requests().unwrap().is_empty());
}

#[test]
fn damage_is_noticed() {
    let mut storage = MemoryStorage::default();
    storage.commit(&[Change::Put { key: SETTINGS.to_vec(), value: b"{".to_vec() }]).unwrap();
    let mut book = Book::new(storage);
    assert_eq!(book.settings().unwrap_err().code(), STATE);
}
