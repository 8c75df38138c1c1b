//! Stores of older versions.

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use smp_std::relay::store::{
    FjallOptions, LinkSetting, MessageKind, QueueMode, QueueStatus, Side, Store, StoreError, StoreOptions,
};

use crate::{id, key, link_data};

/// A store as the first layout had it: a suspended, secured messaging queue with a notifier and one message.
fn first_layout(folder: &std::path::Path, format: u8) {
    let database = Database::builder(folder).manual_journal_persist(true).open().unwrap();
    let keyspace = |name: &str| database.keyspace(name, KeyspaceCreateOptions::default).unwrap();
    let mut record = vec![1u8];
    let mut field = |tag: u8, parts: &[&[u8]]| {
        let value = parts.concat();
        record.extend_from_slice(&[tag, u8::try_from(value.len()).unwrap()]);
        record.extend_from_slice(&value);
    };
    field(1, &[&id(2)]);
    field(2, &[&[1], &[7; 32]]);
    field(3, &[&[8; 32]]);
    field(4, &[&[3], &[9; 32]]);
    field(5, &[&[1]]);
    field(6, &[&[1]]);
    field(7, &[&20_000u32.to_be_bytes()]);
    field(9, &[&id(3), &[6; 32], &[1], &[5; 32]]);
    keyspace("queues").insert(id(1), record).unwrap();
    for (side, name) in [(b's', id(2)), (b'n', id(3))] {
        keyspace("names").insert([&[side], &name[..]].concat(), id(1)).unwrap();
    }
    let state = [&[1][..], &4u64.to_be_bytes(), &5u64.to_be_bytes(), &[0]].concat();
    keyspace("states").insert(id(1), state).unwrap();
    let message = [&id(1)[..], &4u64.to_be_bytes()].concat();
    keyspace("headers").insert(&*message, [&[1, 1][..], &77u64.to_be_bytes(), &id(9)].concat()).unwrap();
    keyspace("bodies").insert(&*message, b"hello").unwrap();
    let counts = [&[1][..], &1u64.to_be_bytes(), &1u64.to_be_bytes()].concat();
    keyspace("store").insert("counts", counts).unwrap();
    keyspace("store").insert("format", [format]).unwrap();
    database.persist(PersistMode::SyncAll).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_the_first_layout_is_read_and_written_on() {
    let folder = tempfile::tempdir().unwrap();
    first_layout(folder.path(), 1);
    for _ in 0..2 {
        let store = Store::fjall(folder.path(), &FjallOptions::default(), StoreOptions::default()).unwrap();
        let record = store.queue_by_sender(&id(2)).unwrap().unwrap();
        assert_eq!(record.recipient_id, id(1));
        assert_eq!((record.mode, record.status), (QueueMode::Messaging, QueueStatus::Suspended));
        assert!(record.sender_key.is_some() && record.link_id.is_none());
        assert_eq!(record.activity_day, 20_000);
        assert_eq!(store.queue_by_side(Side::Notifier, &id(3)).unwrap(), Some(record));
        assert_eq!(store.link(&id(1)).unwrap(), None);
        let head = store.head(&id(1)).unwrap().unwrap();
        assert_eq!((head.id, head.time), (id(9), 77));
        assert_eq!(head.kind, MessageKind::Message { notification: true, body: "hello".into() });
        let counts = store.counts();
        assert_eq!((counts.queues, counts.messages, counts.reserved, counts.notifiers), (1, 1, 0, 1));
        store.close().await.unwrap();
    }
    let store = Store::fjall(folder.path(), &FjallOptions::default(), StoreOptions::default()).unwrap();
    store.create_queue(crate::queue(10).into()).await.unwrap().await.unwrap();
    let set = store.set_link(id(10), id(50), link_data(1, 1)).await.unwrap().await.unwrap();
    assert_eq!(set, LinkSetting::Set);
    store.delete_queue(id(1), 20_001).await.unwrap().await.unwrap().unwrap();
    drop(store);
    let store = Store::fjall(folder.path(), &FjallOptions::default(), StoreOptions::default()).unwrap();
    assert_eq!(store.link(&id(10)).unwrap(), Some(link_data(1, 1)));
    assert_eq!(store.queue_by_recipient(&id(10)).unwrap().unwrap().recipient_keys.iter().next(), Some(&key(10)));
    assert_eq!((store.counts().queues, store.counts().reserved, store.counts().notifiers), (1, 1, 0));
}

#[test]
fn a_store_of_a_later_layout_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    first_layout(folder.path(), 3);
    let opened = Store::fjall(folder.path(), &FjallOptions::default(), StoreOptions::default());
    assert!(matches!(opened.err(), Some(StoreError::NewerFormat { what: "store", found: 3 })));
}
