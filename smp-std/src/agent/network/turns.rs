//! Whose turn it is to connect: few at a time, and of one relay only some of them, so that a relay that does not answer keeps
//! nobody from the others.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use smp_agent::policy::server::Server;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// One relay gets at most one in so many turns.
const SHARE: usize = 4;

/// The turns there are.
pub(super) struct Turns {
    all: Semaphore,
    of_each: usize,
    /// Of relays to which somebody connects now.
    relays: Mutex<HashMap<Server, Arc<Semaphore>>>,
}

/// Somebody's turn, as long as it is kept.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    server: &'a Server,
    of_all: Option<SemaphorePermit<'a>>,
    of_relay: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// So many at a time; at least one.
    pub(super) fn new(count: usize) -> Self {
        let count = count.max(1);
        Self { all: Semaphore::new(count), of_each: count.div_ceil(SHARE), relays: Mutex::default() }
    }

    /// Waits for a turn: first among those of the relay, then among all.
    pub(super) async fn wait<'a>(&'a self, server: &'a Server) -> Turn<'a> {
        let mut turn = Turn { turns: self, server, of_all: None, of_relay: None };
        let of_relay = {
            let mut relays = self.relays.lock();
            Arc::clone(relays.entry(server.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.of_each))))
        };
        // The semaphores are never closed.
        turn.of_relay = of_relay.acquire_owned().await.ok();
        turn.of_all = self.all.acquire().await.ok();
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.of_all = None;
        // Whoever waits for a turn of the same relay has the semaphore, too.
        self.of_relay = None;
        let mut relays = self.turns.relays.lock();
        if relays.get(self.server).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            relays.remove(self.server);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn server(name: &str) -> Server {
        Server::parse(&format!("smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@{name}")).unwrap()
    }

    #[tokio::test]
    async fn a_relay_that_does_not_answer_leaves_turns_for_others() {
        let turns = Turns::new(16);
        let [silent, other] = ["a.example", "b.example"].map(server);
        let mut kept = Vec::new();
        while let Some(turn) = turns.wait(&silent).now_or_never() {
            kept.push(turn);
        }
        assert_eq!(kept.len(), 4);
        let mut next = Box::pin(turns.wait(&silent));
        assert!((&mut next).now_or_never().is_none());
        assert!(turns.wait(&other).now_or_never().is_some());
        kept.pop();
        kept.push(next.now_or_never().expect("there is one again"));
        assert!(turns.wait(&silent).now_or_never().is_none());
    }

    #[tokio::test]
    async fn all_together_have_no_more_turns_than_there_are() {
        let turns = Turns::new(3);
        let names = ["a.example", "b.example", "c.example", "d.example"].map(server);
        let kept: Vec<_> = names.iter().filter_map(|name| turns.wait(name).now_or_never()).collect();
        assert_eq!(kept.len(), 3);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_relays_that_nobody_connects_to() {
        let turns = Turns::new(1);
        let [first, second] = ["a.example", "b.example"].map(server);
        let turn = turns.wait(&first).await;
        // Given up while it waits for the relay's turn, and for one of all.
        assert!(turns.wait(&first).now_or_never().is_none());
        assert!(turns.wait(&second).now_or_never().is_none());
        assert_eq!(turns.relays.lock().len(), 1);
        drop(turn);
        assert!(turns.relays.lock().is_empty());
        assert!(turns.wait(&second).now_or_never().is_some());
        assert!(turns.relays.lock().is_empty());
    }
}
