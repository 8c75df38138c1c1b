//! Power cuts, simulated below the system calls: one history is played on a relay whose file operations are recorded
//! (`record.c`), with marks of what was on its way and what was acknowledged. The disk is then built as it may be after a
//! cut at any operation (`disk.rs`), opened, and compared with what the model allows at that mark.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use smp_std::identity::Identity;
use smp_std::relay::store::{FjallBackend, Store};

use crate::disk::{Disk, JournalChange, MARK, Record, mark, records};
use crate::harness::TestRelay;
use crate::history::{Deed, NOBODY, Plan, Random, draw};
use crate::host::{FULL, HOME, Host, Journals, Program, Recording, config, fill, small_store};
use crate::model::{Model, Response};
use crate::promise::Promise;
use crate::services;
use crate::stored::{Facts, read};
use crate::world::{Mark, World};

/// What a mark in the log stands for.
pub(crate) enum Told {
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
    journals: Journals,
    _folder: tempfile::TempDir,
}

impl Recorded {
    pub(crate) fn log(&self) -> &[u8] {
        &self.log
    }

    /// How a process is recorded that opens what this one left.
    pub(crate) fn again(&self, log: PathBuf) -> Recording {
        Recording { library: self.library.clone(), log, journals: self.journals }
    }

    /// Records of the log with which the engine began a journal or removed one, while the history went on.
    fn journals(&self, all: &[Record]) -> Vec<(usize, JournalChange)> {
        let begun = begun(all);
        let changes = all.iter().enumerate().skip(begun);
        changes.filter_map(|(at, record)| Some((at, record.changes_journals(&self.log)?))).collect()
    }
}

/// Where the history begins: the store is made by then.
fn begun(all: &[Record]) -> usize {
    all.iter().position(|record| record.kind == MARK).unwrap()
}

pub(crate) async fn record(plan: Plan, journals: Journals) -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::in_folder(folder.path(), journals);
    let (library, log_path) = (recording.library.clone(), recording.log.clone());
    let program = tokio::task::block_in_place(|| Program::recorded(recording));
    let mut world = World::new(Host::Program(program), plan.people).await;
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
    world.begin();
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
    Recorded { facts: Facts::of(&world), told, log, library, journals, _folder: folder }
}

/// Cuts the power at random operations, and gives how many cuts there were.
fn cut(recorded: &Recorded, seed: u64, cuts: usize) -> usize {
    let all = records(&recorded.log);
    let mut random = Random(seed);
    cut_at(recorded, seed, (0..cuts).map(|_| random.below(all.len())).collect())
}

/// Cuts the power before each of the first operations of the history, when services have just got their ids.
fn cut_at_the_beginning(recorded: &Recorded, seed: u64, cuts: usize) -> usize {
    let begun = begun(&records(&recorded.log));
    cut_at(recorded, seed, (begun..begun + cuts).collect())
}

fn cut_at(recorded: &Recorded, seed: u64, moments: Vec<usize>) -> usize {
    at_each(recorded, seed, moments, &|disk, promise, facts, _, seed| try_out(disk, promise, facts, seed).map(|()| 1))
}

/// Operations before and after the engine begins or removes a journal that count as near it.
const NEAR: std::ops::RangeInclusive<isize> = -8..=24;

/// Cuts the power around the moments at which the engine begins a journal or removes one. How many were near one.
fn cut_around_journals(recorded: &Recorded, seed: u64, cuts: usize) -> usize {
    let all = records(&recorded.log);
    let changes = recorded.journals(&all);
    let count = |wanted| changes.iter().filter(|(_, change)| *change == wanted).count();
    println!("{} journals begun, {} removed", count(JournalChange::Begun), count(JournalChange::Removed));
    assert!(count(JournalChange::Begun) > 0, "no journal was begun");
    let mut random = Random(seed);
    let moments: Vec<usize> = (0..cuts)
        .map(|_| {
            let (at, _) = changes[random.below(changes.len())];
            let away = NEAR.start() + random.below(NEAR.clone().count()) as isize;
            at.saturating_add_signed(away).min(all.len() - 1)
        })
        .collect();
    let near = moments.len();
    let done = cut_at(recorded, seed, moments);
    println!("{near} of {done} cuts at most {} operations from one", NEAR.end());
    done
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
                let mut promise = Promise::default();
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
    if let (Some(kept), false) = (std::env::var_os("KEEP_CUTS"), failures.is_empty()) {
        std::fs::write(PathBuf::from(kept).join("log"), log).unwrap();
    }
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
            Ok(Ok(store)) => read(&store, facts).and_then(|found| promise.check(&found, facts)),
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
    // In these short histories notifications wait, and a queue with a link is deleted.
    let recorded = record(Plan { seed: 686, steps: 60, kills: 30, people: NOBODY }, Journals::Long).await;
    assert_eq!(cut(&recorded, 686, 100), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_while_a_journal_is_begun_cost_nothing() {
    let recorded = record(Plan { seed: 604, steps: 60, kills: 30, people: NOBODY }, Journals::Short).await;
    assert_eq!(cut_around_journals(&recorded, 604, 60), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_cost_services_nothing() {
    let recorded = record(Plan { seed: 802, steps: 60, kills: 30, people: services(802) }, Journals::Long).await;
    assert_eq!(cut(&recorded, 802, 60), 60);
    assert_eq!(cut_at_the_beginning(&recorded, 802, 20), 20);
}

/// `cargo test --release -p smp-std --test histories -- --ignored --nocapture thousands_of_cuts_with_services`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn thousands_of_cuts_with_services() {
    let mut cuts = 0;
    for seed in crate::seeds(800..804) {
        let plan = Plan { seed, steps: 400, kills: 80, people: services(seed) };
        cuts += cut(&record(plan, Journals::Long).await, seed, 800);
        cuts += cut_around_journals(&record(plan, Journals::Short).await, seed, 200);
    }
    println!("{cuts} cuts");
}

/// `cargo test --release -p smp-std --test histories -- --ignored --nocapture thousands_of_cuts_around_journals`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn thousands_of_cuts_around_journals() {
    let mut cuts = 0;
    for seed in crate::seeds(604..610) {
        let recorded = record(Plan { seed, steps: 400, kills: 100, people: NOBODY }, Journals::Short).await;
        cuts += cut_around_journals(&recorded, seed, 1_000);
    }
    println!("{cuts} cuts");
}

/// With a journal that is really full. `cargo test --release -p smp-std --test histories -- --ignored --nocapture 64_mb`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn cuts_around_a_journal_of_64_mb() {
    for seed in crate::seeds(700..701) {
        let recorded = record(Plan { seed, steps: 250, kills: 0, people: NOBODY }, Journals::Full).await;
        cut_around_journals(&recorded, seed, 200);
    }
}

/// `cargo test --release -p smp-std --test histories -- --ignored --nocapture ten_thousand`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn ten_thousand_power_cuts() {
    let mut cuts = 0;
    for seed in crate::seeds(400..410) {
        let recorded = record(Plan { seed, steps: 600, kills: 100, people: NOBODY }, Journals::Long).await;
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
    if std::env::var_os(FULL).is_some() && !home.join("store/version").exists() {
        fill(&home.join("store"));
    }
    let open = |options| Store::fjall(&home.join("store"), &small_store(), options).unwrap();
    let relay = TestRelay::start_with(config(), identity, tempfile::tempdir_in(&home).unwrap(), open).await;
    println!("\nready {}", relay.address.port());
    std::future::pending::<()>().await;
}
