//! An agent between a relay and a peer, of which one is hostile: it has all keys that its part has, so whatever it says
//! passes every encryption, and the fuzzer decides what it says.
//!
//! An input begins with the choice of a [start](starts), a connection in some state, and goes on with [deeds](deeds) of the
//! hostile part, of the application, and of time. After each of them the [host](host) checks what an agent promises.
//!
//! With `DEEDS` in the environment all that happens is printed.

mod application;
pub mod deeds;
pub mod host;
mod lies;
pub mod outside;
pub mod peer;
pub mod relays;
mod says;
pub mod starts;
#[path = "../../../smp-agent/tests/support/storage.rs"]
pub mod storage;

use std::sync::LazyLock;

static SHOWN: LazyLock<bool> = LazyLock::new(|| std::env::var_os("DEEDS").is_some());

/// Prints what happens, for who wants to see it.
fn show(what: impl FnOnce() -> String) {
    if *SHOWN {
        eprintln!("{}", what());
    }
}
