//! The process is killed at any moment, again and again: what was acknowledged is there, once, in order, and what was
//! removed stays away.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use smp_std::relay::store::{Backend, FjallBackend, MessageKind, Store, StoreOptions};

use crate::{Random, body, id, message, program, queue, small_options};

const FOLDER: &str = "STORE_CRASH_FOLDER";
const FIRST_NUMBER: &str = "STORE_CRASH_FIRST_NUMBER";
const QUEUES: u64 = 8;
const KILLS: u64 = 25;

/// What the child said it did to one queue. Capital letters after the answer, small ones before the submission.
#[derive(Default)]
struct Said {
    appending: BTreeSet<u64>,
    appended: BTreeSet<u64>,
    removing: BTreeSet<u64>,
    removed: BTreeSet<u64>,
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_removed_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut said: Vec<Said> = (0..QUEUES).map(|_| Said::default()).collect();
    let mut random = Random(7);
    let mut answers = 0;
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "crash::child"])
            .env(FOLDER, folder.path())
            .env(FIRST_NUMBER, (round * 1_000_000).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = program::lines(&mut child);
        // Let it live for a random number of answers: kills fall anywhere, also into the start.
        let lifetime = random.below(800);
        let mut seen = 0;
        for line in lines.by_ref() {
            hear(&line, &mut said);
            seen += 1;
            if seen >= lifetime {
                break;
            }
        }
        std::thread::sleep(Duration::from_micros(random.below(3000)));
        child.kill().unwrap();
        for line in lines {
            hear(&line, &mut said);
            seen += 1;
        }
        child.wait().unwrap();
        answers += seen;
        verify(folder.path(), &said);
    }
    assert!(answers > 1000, "the child worked: {answers}");
}

fn hear(line: &str, said: &mut [Said]) {
    let mut words = line.split(' ');
    let (Some(verb), Some(Ok(queue)), Some(Ok(number)), Some(".")) =
        (words.next(), words.next().map(str::parse::<usize>), words.next().map(str::parse::<u64>), words.next())
    else {
        return;
    };
    let said = &mut said[queue];
    match verb {
        "a" => said.appending.insert(number),
        "A" => said.appended.insert(number),
        "r" => said.removing.insert(number),
        "R" => said.removed.insert(number),
        _ => panic!("the child says {line}"),
    };
}

fn verify(folder: &Path, said: &[Said]) {
    let backend = FjallBackend::open(folder, &small_options()).unwrap();
    let mut messages = 0;
    for (number, said) in (0..).zip(said) {
        let state = backend.state(&id(number)).unwrap();
        messages += state.size();
        let mut waiting = Vec::new();
        for sequence in state.head..state.tail {
            let message = backend.message(&id(number), sequence).unwrap().expect("every message the state tells of");
            let found = message.time as u64;
            assert_eq!(message.id, id(found));
            let MessageKind::Message { body: stored, .. } = message.kind else { panic!("no quota here") };
            assert_eq!(stored, body(found), "whole");
            waiting.push(found);
        }
        assert!(waiting.is_sorted_by(|a, b| a < b), "in order, once each");
        let waiting: BTreeSet<u64> = waiting.into_iter().collect();
        for lost in said.appended.difference(&waiting) {
            assert!(said.removing.contains(lost), "{lost} of queue {number} was acknowledged and is gone");
        }
        assert!(waiting.is_disjoint(&said.removed), "what was removed is back");
        assert!(waiting.is_subset(&said.appending), "what nobody sent is there");
    }
    assert_eq!(backend.counts().messages, messages);
    assert_eq!(backend.queues(None, 100).unwrap().len() as u64, backend.counts().queues);
}

/// The process that is killed.
#[test]
#[ignore = "a part of the test above"]
fn child() {
    let folder = std::env::var_os(FOLDER).unwrap();
    // The test runner may have started a line.
    println!();
    let first: u64 = std::env::var(FIRST_NUMBER).unwrap().parse().unwrap();
    let store = Store::fjall(Path::new(&folder), &small_options(), StoreOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let numbers = Arc::new(AtomicU64::new(first));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for number in 0..QUEUES {
            tasks.push(tokio::spawn(work(store.clone(), number, Arc::clone(&numbers))));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn work(store: Store, number: u64, numbers: Arc<AtomicU64>) {
    let say = |verb: &str, message: u64| {
        let line = format!("{verb} {number} {message} .\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    };
    store.create_queue(Arc::new(queue(number))).await.unwrap().await.unwrap();
    let mut random = Random(number + numbers.load(Ordering::Relaxed));
    loop {
        // Several on their way at once.
        let mut sent = Vec::new();
        for _ in 0..random.below(4) {
            let next = numbers.fetch_add(1, Ordering::Relaxed);
            say("a", next);
            let mut append = message(number, next);
            append.quota = u64::MAX;
            sent.push((next, store.append_message(append).await.unwrap()));
        }
        for (next, pending) in sent {
            pending.await.unwrap();
            say("A", next);
        }
        for _ in 0..random.below(4) {
            let Some(head) = store.head(&id(number)).unwrap() else { break };
            let oldest = head.time as u64;
            say("r", oldest);
            let acknowledged = store.acknowledge(id(number), head.id).await.unwrap().await.unwrap();
            assert!(acknowledged.unwrap().deleted.is_some());
            say("R", oldest);
        }
    }
}
