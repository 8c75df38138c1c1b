//! What the processor does for a refusal, counted instead of timed: no noise, but nothing about caches and disks either.
//! Valgrind counts the instructions of one function in one class of refusals; `TARGET` is the test program that
//! `cargo test --release -p smp-std --lib --no-run` names:
//!
//! ```sh
//! CLASS=unknown valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*refuse_counted*' \
//!     $TARGET --ignored --exact relay::authorize::timing::instructions::instructions_of_refusals
//! ```
//!
//! `CLASS` is `unknown`, `same`, `other` or `none` (the key the queue has, compared with what is supplied); `WANTED` a
//! command's number in the list below; `STORE=fjall` takes the store on disk. 1,000 refusals are counted.

use std::hint::black_box;

use rand::RngExt;

use super::population::{Kind, Population};
use super::session::TestSession;
use super::{Signed, Stranger, Wanted, keep_others};
use crate::relay::authorize::Terms;
use crate::relay::store::Store;

const WANTED: [(Wanted, Option<Kind>); 6] = [
    (Wanted::Send, None),
    (Wanted::Send, Some(Kind::X25519)),
    (Wanted::Get, Some(Kind::X25519)),
    (Wanted::Notifications, Some(Kind::X25519)),
    (Wanted::SecureByLink, Some(Kind::X25519)),
    (Wanted::Link, None),
];

#[inline(never)]
fn refuse_counted(terms: &Terms<'_>, store: &Store, transmission: &[u8]) {
    assert!(black_box(terms.authorize_at_once(store, transmission)).is_err());
}

#[test]
#[ignore = "counts under valgrind"]
fn instructions_of_refusals() {
    let setting = |name: &str| std::env::var(name).unwrap_or_default();
    let (wanted, kind) = WANTED[setting("WANTED").parse().unwrap_or(0)];
    let folder = tempfile::tempdir().unwrap();
    let population = match setting("STORE").as_str() {
        "fjall" => Population::on_disk(folder.path(), 4_000),
        _ => Population::in_memory(4_000),
    };
    let session = TestSession::of_client();
    let terms = session.terms();
    keep_others(&population, &population.store, &terms, &session);
    let mut stranger = Stranger::new();
    let known = match setting("CLASS").as_str() {
        "same" => population.of(kind.unwrap_or(Kind::X25519)),
        "other" => population.of(Kind::Ed25519),
        "none" => population.without_key(),
        _ => &[],
    };
    // All have been asked for before: what stands in was chosen, and rows are in the cache.
    let ids: Vec<[u8; 24]> = (0..500)
        .map(|number| if known.is_empty() { stranger.random.random() } else { wanted.id(&known[number]) })
        .collect();
    for id in &ids {
        let transmission = stranger.transmission(&session, kind, id, wanted, Signed::No);
        assert!(terms.authorize_at_once(&population.store, &transmission).is_err());
    }
    for id in ids.iter().chain(&ids) {
        let transmission = stranger.transmission(&session, kind, id, wanted, Signed::No);
        refuse_counted(&terms, &population.store, &transmission);
    }
}
