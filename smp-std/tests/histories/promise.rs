//! What was promised by a moment of a history, and whether a store keeps it.

use std::collections::BTreeSet;

use crate::cuts::Told;
use crate::history::{Deed, QueueNumber};
use crate::judge::{Seen, judge};
use crate::model::{Model, Queue, Response};
use crate::stored::{Facts, Found, plain};

/// What was promised at a moment.
pub(crate) struct Promise {
    states: BTreeSet<Model>,
    deeds: Vec<(usize, Deed)>,
    responses: Vec<Option<Response>>,
    /// Queues whose creation was never answered because of a kill.
    orphans: usize,
}

impl Default for Promise {
    fn default() -> Self {
        let states = BTreeSet::from([Model::default()]);
        Self { states, deeds: Vec::new(), responses: Vec::new(), orphans: 0 }
    }
}

impl Promise {
    pub(crate) fn hear(&mut self, told: &Told) {
        match told {
            Told::Begin(deeds) => {
                self.deeds.clone_from(deeds);
                self.responses = vec![None; deeds.len()];
            }
            // Which queues SOKS tells of was not known yet, and it changes nothing that is kept.
            Told::Answered(_, Response::All(_)) => {}
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
    pub(crate) fn check(&self, found: &Found, facts: &Facts) -> Result<(), String> {
        let seen = Seen { responses: self.responses.clone(), killed: true, ..Seen::default() };
        let possible = judge(&self.states, &self.deeds, &seen);
        let coming: BTreeSet<_> = self.unanswered_queues().collect();
        if found.unknown > self.orphans + coming.len() {
            return Err(format!("{} queues that nobody made", found.unknown));
        }
        let wanted = |model: &Model| {
            let kept = |(number, queue): (&QueueNumber, &Queue)| {
                found.queues.get(number).is_some_and(|stored| is_kept(queue, stored, facts))
            };
            model.queues.iter().all(kept)
                && found.queues.keys().all(|number| model.queues.contains_key(number) || coming.contains(number))
                && model.reserved == found.reserved
                && model.sessions.iter().flatten().all(|session| found.services.contains(&session.service))
        };
        if possible.iter().any(wanted) {
            return Ok(());
        }
        let one = possible.first();
        Err(format!("found {found:?}\nof {} states, one: {one:?}\nunder way: {:?}", possible.len(), self.deeds))
    }
}

/// Whether a stored queue is what was promised.
fn is_kept(promised: &Queue, stored: &Queue, facts: &Facts) -> bool {
    let told = |queue: &Queue| queue.notifier.as_ref().map(|it| (it.waiting.clone(), it.uncertain)).unwrap_or_default();
    let ((waiting, uncertain), (stored_waiting, _)) = (told(promised), told(stored));
    // Those that somebody heard of go a little later. Those on their way to who was cut off may be gone.
    let (more, fewer) =
        (stored_waiting.len().saturating_sub(waiting.len()), waiting.len().saturating_sub(stored_waiting.len()));
    let same = stored_waiting.iter().skip(more).eq(waiting.iter().skip(fewer));
    same && fewer <= uncertain && plain(promised.clone(), facts) == plain(stored.clone(), facts)
}
