//! Power cuts, simulated below the system calls: one history is played on a relay whose file operations are recorded
//! (`record.c`), with marks of what was on its way and what was acknowledged. The disk is then built as it may be after a
//! cut at any operation (`disk.rs`), opened, and compared with what the model allows at that mark.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use smp_std::identity::Identity;
use smp_std::relay::store::{Backend, FjallBackend, MessageKind, QueueMode, QueueRecord, Store};

use crate::disk::{Disk, MARK, mark, records};
use crate::harness::TestRelay;
use crate::history::{Deed, Plan, QueueNumber, Random, draw};
use crate::host::{HOME, Host, Program, Recording, config, small_store};
use crate::judge::{Seen, judge};
use crate::model::{Item, Model, Notifier, Queue, Response};
use crate::world::{Mark, World, body, fixed_data, user_data};

/// What a mark in the log stands for.
enum Told {
    Begin(Vec<(usize, Deed)>),
    Answered(usize, Response),
    End(BTreeSet<Model>),
}

/// A history that was recorded.
pub(crate) struct Recorded {
    facts: Facts,
    told: Vec<Told>,
    log: Vec<u8>,
    library: PathBuf,
    _folder: tempfile::TempDir,
}

impl Recorded {
    pub(crate) fn log(&self) -> &[u8] {
        &self.log
    }

    /// What records, compiled.
    pub(crate) fn library(&self) -> &Path {
        self.library.as_path()
    }
}

pub(crate) async fn record(plan: Plan) -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::in_folder(folder.path());
    let (library, log_path) = (recording.library.clone(), recording.log.clone());
    let program = tokio::task::block_in_place(|| Program::recorded(recording));
    let mut world = World::new(Host::Program(program)).await;
    let told = Rc::new(RefCell::new(Vec::new()));
    let mut log = std::fs::OpenOptions::new().append(true).open(&log_path).unwrap();
    let teller = Rc::clone(&told);
    world.recorder = Some(Box::new(move |what| {
        let mut told = teller.borrow_mut();
        log.write_all(&mark(told.len())).unwrap();
        told.push(match what {
            Mark::Begin(deeds) => Told::Begin(deeds.to_vec()),
            Mark::Answered(index, response) => Told::Answered(index, response.clone()),
            Mark::End(states) => Told::End(states.clone()),
        });
    }));
    for (number, step) in draw(plan).iter().enumerate() {
        if let Err(error) = world.step(step).await {
            panic!("seed {} fails at step {number}: {error}", plan.seed);
        }
    }
    // What still waits comes out, so that its ids are known.
    world.finish().await.unwrap();
    world.host.kill();
    world.recorder = None;
    let told = Rc::into_inner(told).unwrap().into_inner();
    let log = std::fs::read(log_path).unwrap();
    Recorded { facts: Facts::of(&world), told, log, library, _folder: folder }
}

/// What must be known of a history to judge a disk.
pub(crate) struct Facts {
    queues: BTreeMap<QueueNumber, QueueFacts>,
    notifiers: BTreeMap<Vec<u8>, u32>,
    ids: BTreeMap<Vec<u8>, (QueueNumber, Item)>,
}

struct QueueFacts {
    recipient_id: [u8; 24],
    sender_keys: [smp_proto::key::AuthorizationKey; 2],
}

impl Facts {
    fn of(world: &World) -> Self {
        let queues = world.queues.iter().map(|(number, known)| {
            let recipient_id = known.queue.recipient_id.as_slice().try_into().unwrap();
            let sender_keys = [0, 1].map(|key: usize| known.sender_keys[key].public_key());
            (*number, QueueFacts { recipient_id, sender_keys })
        });
        Self {
            queues: queues.collect(),
            notifiers: world.notifiers.iter().map(|(number, known)| (known.id.clone(), *number)).collect(),
            ids: world.items.iter().map(|(id, (queue, item, _))| (id.clone(), (*queue, *item))).collect(),
        }
    }
}

/// A notifier whose creation was never answered.
const UNKNOWN: u32 = u32::MAX;

/// What is not kept, or not to be told from outside, counts for nothing.
fn plain(mut queue: Queue, facts: &Facts) -> Queue {
    queue.marks = 0;
    for item in &mut queue.messages {
        if let Item::Mark(number) = item {
            *number = 0;
        }
    }
    queue.notifier = queue.notifier.map(|notifier| {
        let known = facts.notifiers.values().any(|number| *number == notifier.number);
        Notifier { number: if known { notifier.number } else { UNKNOWN }, ..Notifier::default() }
    });
    queue
}

/// What a store holds, in the words of the model; how many queues nobody was told of.
fn read(store: &FjallBackend, facts: &Facts) -> Result<(BTreeMap<QueueNumber, Queue>, usize), String> {
    let words = |error: smp_std::relay::store::StoreError| error.to_string();
    let mut found = BTreeMap::new();
    let (mut unknown, mut messages, mut notifiers) = (0, 0, 0);
    let records = store.queues(None, 10_000).map_err(words)?;
    for record in &records {
        let state = store.state(&record.recipient_id).map_err(words)?;
        messages += state.size();
        notifiers += u64::from(record.notifier.is_some());
        match facts.queues.iter().find(|(_, known)| known.recipient_id == record.recipient_id) {
            Some((number, known)) => {
                found.insert(*number, read_queue(store, facts, *number, known, record)?);
            }
            None => unknown += 1,
        }
    }
    let counts = store.counts();
    if (counts.queues, counts.messages, counts.notifiers) != (records.len() as u64, messages, notifiers) {
        return Err(format!("{counts:?} counted, {} queues, {messages} messages", records.len()));
    }
    Ok((found, unknown))
}

fn read_queue(
    store: &FjallBackend,
    facts: &Facts,
    number: QueueNumber,
    known: &QueueFacts,
    record: &QueueRecord,
) -> Result<Queue, String> {
    let words = |error: smp_std::relay::store::StoreError| error.to_string();
    let recipient_id = &record.recipient_id;
    let state = store.state(recipient_id).map_err(words)?;
    let mut queue = Queue {
        contact: record.mode == QueueMode::Contact,
        suspended: record.status.is_suspended(),
        full: state.quota_exceeded,
        ..Queue::default()
    };
    if let Some(key) = &record.sender_key {
        let position = known.sender_keys.iter().position(|own| own == key).ok_or("a key nobody set")?;
        queue.sender_key = Some(position as u8 + 1);
    }
    for sequence in state.head..state.tail {
        let message = store.message(recipient_id, sequence).map_err(words)?.ok_or("a message is missing")?;
        let item = match &message.kind {
            MessageKind::Message { body: stored, .. } => {
                let told = stored.get(4..).and_then(|rest| rest.first_chunk()).ok_or("a short message")?;
                let told = u32::from_le_bytes(*told);
                if *stored != body(number, told) {
                    return Err(format!("message {told} of queue {number} is not what was sent"));
                }
                Item::Message(told)
            }
            _ => Item::Mark(0),
        };
        match (facts.ids.get(message.id.as_slice()), item) {
            (None, _) => {}
            (Some((of, Item::Mark(_))), Item::Mark(_)) if *of == number => {}
            (Some((of, delivered)), _) if *of == number && *delivered == item => {}
            (Some(other), _) => return Err(format!("{item:?} has the id of {other:?}")),
        }
        queue.messages.push_back(item);
    }
    let link = store.link(recipient_id).map_err(words)?;
    if link.is_some() != record.link_id.is_some() {
        return Err("a link without its data".to_owned());
    }
    if let Some(data) = link {
        let user = data.user.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if data.fixed != fixed_data(number) || data.user != user_data(user) {
            return Err("link data that nobody set".to_owned());
        }
        queue.link = Some(user);
    }
    queue.notifier = record.notifier.as_ref().map(|notifier| {
        let number = facts.notifiers.get(notifier.id.as_slice()).copied().unwrap_or(UNKNOWN);
        Notifier { number, ..Notifier::default() }
    });
    Ok(queue)
}

/// What was promised at a moment.
pub(crate) struct Promise {
    states: BTreeSet<Model>,
    deeds: Vec<(usize, Deed)>,
    responses: Vec<Option<Response>>,
    /// Queues whose creation was never answered because of a kill.
    orphans: usize,
}

impl Promise {
    fn hear(&mut self, told: &Told) {
        match told {
            Told::Begin(deeds) => {
                self.deeds.clone_from(deeds);
                self.responses = vec![None; deeds.len()];
            }
            Told::Answered(index, response) => self.responses[*index] = Some(response.clone()),
            Told::End(states) => {
                self.orphans += self.unanswered_queues().count();
                self.states.clone_from(states);
                self.deeds.clear();
                self.responses.clear();
            }
        }
    }

    fn unanswered_queues(&self) -> impl Iterator<Item = QueueNumber> {
        let deeds = self.deeds.iter().zip(&self.responses);
        deeds.filter_map(|((_, deed), response)| match deed {
            Deed::New { queue, .. } if response.is_none() => Some(*queue),
            _ => None,
        })
    }

    /// Whether a disk keeps it.
    fn check(&self, found: &BTreeMap<QueueNumber, Queue>, unknown: usize, facts: &Facts) -> Result<(), String> {
        let seen = Seen { responses: self.responses.clone(), killed: true, ..Seen::default() };
        let possible = judge(&self.states, &self.deeds, &seen);
        let coming: BTreeSet<_> = self.unanswered_queues().collect();
        if unknown > self.orphans + coming.len() {
            return Err(format!("{unknown} queues that nobody made"));
        }
        let wanted = |model: &Model| {
            let mut queues = model.queues.iter().map(|(number, queue)| (*number, plain(queue.clone(), facts)));
            queues.all(|(number, queue)| found.get(&number) == Some(&queue))
                && found.keys().all(|number| model.queues.contains_key(number) || coming.contains(number))
        };
        if possible.iter().any(wanted) {
            return Ok(());
        }
        let one: Option<BTreeMap<_, _>> =
            possible.first().map(|model| model.queues.iter().map(|(n, q)| (*n, plain(q.clone(), facts))).collect());
        Err(format!("found {found:?}\nof {} states, one: {one:?}\nunder way: {:?}", possible.len(), self.deeds))
    }
}

/// Cuts the power at random operations, and gives how many cuts there were.
fn cut(recorded: &Recorded, seed: u64, cuts: usize) -> usize {
    let all = records(&recorded.log);
    let mut random = Random(seed);
    let moments = (0..cuts).map(|_| random.below(all.len())).collect();
    at_each(recorded, seed, moments, &|disk, promise, facts, _, seed| try_out(disk, promise, facts, seed).map(|()| 1))
}

/// What is tried with a disk as it is before a record of the log, which has so many bytes before it: the number of cuts.
pub(crate) type Trial<'a> = &'a (dyn Fn(&Disk<'_>, &Promise, &Facts, usize, u64) -> Result<usize, String> + Sync);

/// Tries something at some records of a log, and gives how many cuts that were.
pub(crate) fn at_each(recorded: &Recorded, seed: u64, mut moments: Vec<usize>, trial: Trial<'_>) -> usize {
    let all = records(&recorded.log);
    moments.sort_unstable();
    let failures = Mutex::new(Vec::new());
    let done = AtomicUsize::new(0);
    let (told, log, facts, moments) = (&recorded.told, &recorded.log, &recorded.facts, &moments);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (failures, done, all) = (&failures, &done, &all);
            scope.spawn(move || {
                let mut disk = Disk::new(log);
                let mut at = 0;
                let states = BTreeSet::from([Model::default()]);
                let mut promise = Promise { states, deeds: Vec::new(), responses: Vec::new(), orphans: 0 };
                for (number, moment) in moments.iter().enumerate().skip(worker).step_by(WORKERS) {
                    while at < *moment {
                        let record = &all[at];
                        match record.kind {
                            MARK => promise.hear(&told[record.a as usize]),
                            _ => disk.apply(record),
                        }
                        at += 1;
                    }
                    let seed = seed ^ (number as u64) << 20;
                    match trial(&disk, &promise, facts, all[*moment].start(), seed) {
                        Ok(cuts) => drop(done.fetch_add(cuts, Ordering::Relaxed)),
                        Err(error) => {
                            let error = format!("cut {seed:#x} before {:?}: {error}", all[*moment]);
                            failures.lock().unwrap().push(error);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let operations = all.iter().filter(|record| record.kind != MARK).count();
    let cuts = done.into_inner();
    println!("{cuts} cuts in {operations} operations, {} bytes: {} failures", log.len(), failures.len());
    assert!(failures.is_empty(), "seed {seed}: {} failures, the first: {}", failures.len(), failures[0]);
    cuts
}

const WORKERS: usize = 2;

pub(crate) fn try_out(disk: &Disk<'_>, promise: &Promise, facts: &Facts, seed: u64) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(seed);
    disk.cut(&mut random, folder.path());
    // Now and then a second time: what the first opening mended stays mended.
    for _ in 0..=usize::from(random.below(8) == 0) {
        let opened = std::panic::catch_unwind(|| FjallBackend::open(folder.path(), &small_store()));
        let result = match opened {
            Ok(Ok(store)) => read(&store, facts).and_then(|(found, unknown)| promise.check(&found, unknown, facts)),
            Ok(Err(error)) => Err(format!("it does not open: {error}")),
            Err(_) => Err("opening it panics".to_owned()),
        };
        if let (Err(_), Some(kept)) = (&result, std::env::var_os("KEEP_CUTS")) {
            let kept = PathBuf::from(kept).join(format!("{seed:x}"));
            disk.cut(&mut Random(seed), &{
                std::fs::create_dir_all(&kept).unwrap();
                kept
            });
        }
        result?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_cost_nothing_that_was_acknowledged() {
    let recorded = record(Plan { seed: 300, steps: 60, kills: 30 }).await;
    assert_eq!(cut(&recorded, 300, 100), 100);
}

/// `cargo test --release -p smp-std --test histories -- --ignored --nocapture ten_thousand`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn ten_thousand_power_cuts() {
    let mut cuts = 0;
    for seed in crate::seeds(400..410) {
        let recorded = record(Plan { seed, steps: 600, kills: 100 }).await;
        cuts += cut(&recorded, seed, 1_000);
    }
    println!("{cuts} cuts");
}

/// The relay whose files are recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of the tests above"]
async fn relay_process() {
    let Some(home) = std::env::var_os(HOME) else { return };
    let home = PathBuf::from(home);
    // Whoever started this may go without a word.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let identity = Identity::load(&home).unwrap();
    let open = |options| Store::fjall(&home.join("store"), &small_store(), options).unwrap();
    let relay = TestRelay::start_with(config(), identity, tempfile::tempdir_in(&home).unwrap(), open).await;
    println!("\nready {}", relay.address.port());
    std::future::pending::<()>().await;
}
