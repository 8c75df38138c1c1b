use super::*;
use smp_proto::address::ServerUri;
use smp_proto::version::SmpVersion;
use smp_std::client::CreatedQueue;

fn receive_queue() -> ReceiveQueue {
    let server = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@[2001:db8::1],localhost:5224";
    let created = CreatedQueue {
        recipient: Credentials { id: Id::new(&[1; 24]).unwrap(), key: CommandKey::generate(SmpVersion::MAX) },
        sender_id: Id::new(&[2; 24]).unwrap(),
        delivery_secret: SharedSecret::from_bytes([3; 32]),
        mode: Some(QueueMode::Messaging),
        link_id: None,
        notifier: None,
    };
    ReceiveQueue::new(server.parse::<ServerUri>().unwrap().server(), created).unwrap()
}

#[test]
fn a_recipient_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.json");
    let queue = receive_queue();
    let mut printed = Printed { last_message: Id::new(&[4; 24]), ..Printed::default() };
    assert!(!printed.has_seen(([5; 16], 7)));
    let file = StateFile::create(&path).unwrap();
    file.write(&Receiver::new(&queue, &printed)).unwrap();
    let (restored, mut again) = StateFile::resume(&path).read(Receiver::restore).unwrap();
    assert_eq!(restored.uri().unwrap(), queue.uri().unwrap());
    assert_eq!(restored.server(), queue.server());
    assert_eq!(restored.credentials().id, queue.credentials().id);
    assert_eq!(restored.credentials().key.public(), queue.credentials().key.public());
    assert_eq!(restored.to_parts().delivery_secret, queue.to_parts().delivery_secret);
    assert_eq!(again.last_message, printed.last_message);
    assert!(again.has_seen(([5; 16], 7)));
    assert!(!again.has_seen(([5; 16], 8)));
}

#[test]
fn a_sender_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sender.json");
    let uri = receive_queue().uri().unwrap();
    for version in [SmpVersion::MIN, SmpVersion::MAX] {
        let queue = SendQueue::new(&uri, version).unwrap();
        StateFile::resume(&path).write(&Sender::new(&queue)).unwrap();
        let restored = StateFile::resume(&path).read(Sender::restore).unwrap();
        let (restored, queue) = (restored.to_parts(), queue.to_parts());
        assert_eq!(restored.uri, queue.uri);
        assert_eq!(restored.key.public(), queue.key.public());
        assert_eq!(restored.secret.as_bytes(), queue.secret.as_bytes());
        assert_eq!((restored.stage, restored.secures), (queue.stage, queue.secures));
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_file_and_nothing_is_left_beside_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.json");
    let file = StateFile::create(&path).unwrap();
    for _ in 0..2 {
        file.write_first(&Receiver::new(&receive_queue(), &Printed::default())).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    for _ in 0..2 {
        file.write(&Receiver::new(&receive_queue(), &Printed::default())).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn existing_files_are_not_overwritten_by_a_new_queue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.json");
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(StateFile::create(&path).unwrap_err().code(), STATE);
}

#[test]
fn of_many_first_writers_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sender.json");
    let uri = receive_queue().uri().unwrap();
    let (uri, path) = (&uri, &path);
    let written: Vec<_> = std::thread::scope(|scope| {
        let write = || {
            let queue = SendQueue::new(uri, SmpVersion::MAX).unwrap();
            let won = StateFile::resume(path).write_first(&Sender::new(&queue)).unwrap();
            let kept = StateFile::resume(path).read(Sender::restore).unwrap();
            (won, queue.to_parts().key.public() == kept.to_parts().key.public())
        };
        let writers: Vec<_> = (0..8).map(|_| scope.spawn(write)).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(written.iter().filter(|(won, _)| *won).count(), 1);
    assert!(written.iter().all(|(won, kept)| won == kept), "the file holds the keys of the winner");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn damaged_files_and_those_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.json");
    let file = StateFile::resume(&path);
    let read = |file: &StateFile| file.read(Receiver::restore).map(|_| ()).map_err(|failure| failure.code());
    assert_eq!(read(&file), Err(STATE), "no file");
    file.write(&Receiver::new(&receive_queue(), &Printed::default())).unwrap();
    let good = std::fs::read_to_string(&path).unwrap();
    assert_eq!(read(&file), Ok(()));
    for end in 0..good.trim_end().len() {
        std::fs::write(&path, &good[..end]).unwrap();
        assert_eq!(read(&file), Err(STATE), "{end}");
    }
    for (from, to) in [
        ("\"version\": 1", "\"version\": 2"),
        ("smp receive", "smp send"),
        ("\"recipient_key\": \"", "\"recipient_key\": \"A"),
        ("\"mode\"", "\"mood\""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        std::fs::write(&path, bad).unwrap();
        assert_eq!(read(&file), Err(STATE), "{to}");
    }
}

#[test]
fn few_parts_are_remembered() {
    let mut printed = Printed::default();
    for number in 0..1000 {
        assert!(!printed.has_seen(([1; 16], number)));
        assert!(printed.has_seen(([1; 16], number)));
    }
    assert_eq!(printed.parts.len(), REMEMBERED_PARTS);
}
