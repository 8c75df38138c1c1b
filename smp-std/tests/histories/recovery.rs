//! A store is opened again, and the power fails while that goes on: after a kill, which leaves changes that nobody synced
//! and everybody sees, or after a first power cut, which left whatever it left.

use std::path::Path;

use smp_std::relay::store::FjallBackend;

use crate::cuts::{Recorded, at_each, record, try_out};
use crate::disk::{Disk, MARK, records};
use crate::history::{NOBODY, Plan, Random};
use crate::host::{HOME, Journals, small_store};
use crate::program;
use crate::promise::Promise;
use crate::stored::Facts;

/// Cuts while one store is opened.
const CUTS: usize = 8;

/// What a process does with the files while it opens the store in `home`.
fn opening(recorded: &Recorded, home: &Path) -> Vec<u8> {
    let recording = recorded.again(home.join("log"));
    let mut child = recording.process("recovery::opening_process", home).spawn().unwrap();
    let mut lines = program::lines(&mut child);
    let ready = lines.any(|line| line == "ready");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready, "the store does not open");
    std::fs::read(recording.log).unwrap()
}

/// Cuts the power while `disk`, of which `log` tells, is opened again.
fn try_recovery(
    recorded: &Recorded,
    disk: &Disk<'_>,
    (promise, facts): (&Promise, &Facts),
    log: &[u8],
    seed: u64,
) -> Result<usize, String> {
    let mut random = Random(seed);
    let home = tempfile::tempdir().unwrap();
    let (store, copy) = (home.path().join("store"), home.path().join("copy"));
    std::fs::create_dir(&store).unwrap();
    std::fs::create_dir(&copy).unwrap();
    let killed = random.below(4) != 0;
    if killed {
        disk.leave(&store);
    } else {
        let kept = Random(random.below(usize::MAX) as u64);
        disk.cut(&mut Random(kept.0), &store);
        disk.cut(&mut Random(kept.0), &copy);
    }
    let told = opening(recorded, home.path());
    let mut whole = if killed { log.to_vec() } else { Vec::new() };
    let known = records(&whole).len();
    whole.extend(&told);
    let mut disk = if killed { Disk::new(&whole) } else { Disk::found(&copy, &whole) };
    let all = records(&whole);
    let (before, opening) = all.split_at(known);
    before.iter().filter(|record| record.kind != MARK).for_each(|record| disk.apply(record));
    let mut moments: Vec<usize> = (0..CUTS).map(|_| random.below(opening.len() + 1)).collect();
    moments.sort_unstable();
    let mut at = 0;
    for (number, moment) in moments.into_iter().enumerate() {
        opening[at..moment].iter().for_each(|record| disk.apply(record));
        at = moment;
        try_out(&disk, promise, facts, seed ^ (number as u64) << 40).map_err(|error| {
            let after = if killed { "a kill" } else { "a cut" };
            format!("opened after {after}, cut before operation {moment} of {}: {error}", opening.len())
        })?;
    }
    Ok(CUTS)
}

/// Opens stores that were left at some moments, and cuts the power meanwhile.
fn recover(recorded: &Recorded, seed: u64, count: usize) -> usize {
    let all = records(recorded.log());
    let mut random = Random(seed);
    // Half of them where a name was just replaced and nobody synced it. A store that is not complete is made anew.
    let begun = all.iter().position(|record| record.kind == MARK).unwrap();
    let renames: Vec<usize> = (begun..all.len()).filter(|at| all[at - 1].renames()).collect();
    assert!(renames.len() > 10, "{}", renames.len());
    let moments = (0..count).map(|number| match number % 2 {
        0 => renames[random.below(renames.len())],
        _ => begun + random.below(all.len() - begun),
    });
    at_each(recorded, seed, moments.collect(), &|disk, promise, facts, bytes, seed| {
        try_recovery(recorded, disk, (promise, facts), &recorded.log()[..bytes], seed)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_while_a_store_is_opened_costs_nothing() {
    let recorded = record(Plan { seed: 449, steps: 120, kills: 40, people: NOBODY }, Journals::Long).await;
    assert_eq!(recover(&recorded, 449, 12), 12 * CUTS);
}

/// `cargo test --release -p smp-std --test histories -- --ignored --nocapture thousands_of_cuts_while_opening`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn thousands_of_cuts_while_opening() {
    let mut cuts = 0;
    for seed in crate::seeds(500..505) {
        let recorded = record(Plan { seed, steps: 300, kills: 100, people: NOBODY }, Journals::Long).await;
        cuts += recover(&recorded, seed, 100);
        let recorded = record(Plan { seed, steps: 300, kills: 100, people: NOBODY }, Journals::Short).await;
        cuts += recover(&recorded, seed, 100);
    }
    println!("{cuts} cuts");
}

/// Opens a store and waits to be killed.
#[test]
#[ignore = "a part of the tests above"]
fn opening_process() {
    let Some(home) = std::env::var_os(HOME) else { return };
    let store = FjallBackend::open(&Path::new(&home).join("store"), &small_store()).unwrap();
    println!("\nready");
    // Whoever started this may go without a word.
    let _ = std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new());
    drop(store);
}
