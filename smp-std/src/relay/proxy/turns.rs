//! Connections that are being made, shared fairly among the clients they are made for.
//!
//! An honest relay needs moments, a silent one all the time there is. So when there are too many, the client with most of
//! them gives up its oldest for one that has fewer: naming many relays that do not answer keeps nobody else from theirs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// All turns there are.
#[derive(Debug)]
pub(super) struct Turns {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clients: u64,
    next: u64,
    /// Each with its client and the means to end it, the oldest first.
    turns: BTreeMap<u64, (u64, oneshot::Sender<()>)>,
}

/// A client, as far as turns go.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnTaker(u64);

/// One turn; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl Turns {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default() })
    }

    /// A new client.
    pub(super) fn client(&self) -> TurnTaker {
        let mut state = self.state.lock();
        state.clients = state.clients.wrapping_add(1);
        TurnTaker(state.clients)
    }

    /// Takes a turn, if need be from a client that has more; `None` when nobody has.
    pub(super) fn take(self: &Arc<Self>, client: TurnTaker) -> Option<Turn> {
        let mut state = self.state.lock();
        if state.turns.len() >= self.limit {
            let oldest = state.oldest_of_greediest(client)?;
            // Dropping the sender tells the one who has it.
            state.turns.remove(&oldest);
        }
        let number = state.next;
        state.next = state.next.wrapping_add(1);
        let (sender, ended) = oneshot::channel();
        state.turns.insert(number, (client.0, sender));
        drop(state);
        Some(Turn { turns: Arc::clone(self), number, ended })
    }
}

impl State {
    /// The oldest turn of the client with most of them, if those are more than `client` has.
    fn oldest_of_greediest(&self, client: TurnTaker) -> Option<u64> {
        // For each client how many, and the oldest.
        let mut clients: HashMap<u64, (usize, u64)> = HashMap::new();
        for (number, (owner, _)) in &self.turns {
            let (count, _) = clients.entry(*owner).or_insert((0, *number));
            *count = count.saturating_add(1);
        }
        let own = clients.get(&client.0).map_or(0, |(count, _)| *count);
        let (count, oldest) = clients.into_values().max_by_key(|(count, oldest)| (*count, u64::MAX - *oldest))?;
        (count > own).then_some(oldest)
    }
}

impl Turn {
    /// Waits until the turn is taken away.
    pub(super) async fn taken_away(&mut self) {
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.state.lock().turns.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken_away(turn: &mut Turn) -> bool {
        turn.ended.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn the_greediest_gives_up_its_oldest_for_those_with_fewer() {
        let turns = Turns::new(10);
        let (greedy, modest, late) = (turns.client(), turns.client(), turns.client());
        let mut held: Vec<Turn> = std::iter::from_fn(|| turns.take(greedy)).collect();
        assert_eq!(held.len(), 10, "alone it may have all, and no more");
        let mut first = turns.take(modest).unwrap();
        assert!(is_taken_away(&mut held[0]) && !is_taken_away(&mut held[1]));
        assert!(turns.take(greedy).is_none());
        let more: Vec<Turn> = std::iter::from_fn(|| turns.take(modest)).collect();
        assert_eq!(more.len(), 4, "they share");
        let mut last = turns.take(late).unwrap();
        assert!(!is_taken_away(&mut last));
        assert!(is_taken_away(&mut held[5]) != is_taken_away(&mut first));
        assert_eq!(turns.state.lock().turns.len(), 10);
        drop((held, first, more, last));
        assert_eq!(turns.state.lock().turns.len(), 0);
    }

    #[test]
    fn a_crowd_cannot_fill_it() {
        let turns = Turns::new(10);
        let held: Vec<Turn> = (0..30).map(|_| turns.take(turns.client()).unwrap()).collect();
        let mut honest = turns.take(turns.client()).unwrap();
        assert!(!is_taken_away(&mut honest));
        drop(held);
        assert!(!is_taken_away(&mut honest));
    }
}
