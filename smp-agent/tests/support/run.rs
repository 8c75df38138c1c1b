//! How long the world goes on, and what it says when that was not enough.

use std::fmt::Write;

use smp_agent::Agent;
use smp_agent::time::{DAY, MINUTE, SECOND};

use super::transcript::Entry;
use super::world::World;

/// Nothing has happened for so long: nothing will.
const QUIET: u64 = 20 * MINUTE;
/// More than this for one call is a storm.
const MAX_STEPS: u64 = 300_000;

impl World {
    /// Fails when anybody saw what no correct agent does.
    pub fn check(&mut self) {
        let of_relays = self.relays.iter().flat_map(|place| &place.relay.violations);
        let of_apps = self.parties.iter().flat_map(|party| &party.app.violations);
        let all: Vec<_> = self.violations.iter().chain(of_relays).chain(of_apps).cloned().collect();
        assert!(all.is_empty(), "{all:#?}\n{}", self.describe());
    }

    /// Lets time pass until something is true; fails when it is not within some time, in milliseconds.
    pub fn run_until_within(&mut self, limit: u64, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now.after(limit);
        let mut steps = 0;
        while !done(self) {
            steps += 1;
            let late = self.next().is_none_or(|(time, _)| time > end);
            assert!(!late, "it has not happened by {end}\n{}", self.describe());
            assert!(steps < MAX_STEPS, "too much happens\n{}", self.describe());
            self.step();
        }
    }

    /// Lets time pass until something is true; fails when it is not within a day.
    pub fn run_until(&mut self, done: impl FnMut(&Self) -> bool) {
        self.run_until_within(DAY, done);
    }

    /// Lets time pass, in milliseconds.
    pub fn run_for(&mut self, span: u64) {
        let end = self.now.after(span);
        let mut steps = 0;
        while self.next().is_some_and(|(time, _)| time <= end) {
            steps += 1;
            assert!(steps < MAX_STEPS, "too much happens\n{}", self.describe());
            self.step();
        }
        self.now = end;
    }

    /// Lets time pass until nothing is on its way, and no agent does anything of itself within some seconds.
    pub fn settle(&mut self) {
        let mut steps = 0;
        while let Some((time, _)) = self.next() {
            if self.schedule.is_empty() && time.since(self.now) > 3 * SECOND / 2 {
                break;
            }
            steps += 1;
            assert!(steps < MAX_STEPS, "it does not settle\n{}", self.describe());
            self.step();
        }
    }

    /// Lets time pass until no agent asks or tells anything any more.
    pub fn run_until_quiet(&mut self) {
        self.last_activity = self.now;
        let end = self.now.after(10 * DAY);
        let mut steps = 0;
        while let Some((time, _)) = self.next() {
            if self.schedule.is_empty() && time.since(self.last_activity) > QUIET {
                break;
            }
            steps += 1;
            assert!(time <= end && steps < MAX_STEPS, "it does not become quiet\n{}", self.describe());
            self.step();
        }
    }

    /// What there is, for the messages of failing tests.
    pub fn describe(&self) -> String {
        let mut text = format!("seed {}, {}\n", self.seed, self.now);
        for line in &self.history {
            let _ = writeln!(text, "  {line}");
        }
        for party in &self.parties {
            let deadline = party.agent.as_ref().map(Agent::next_deadline);
            let commands = party.transcript.entries.iter().filter(|entry| matches!(entry, Entry::Command(_))).count();
            let _ = writeln!(
                text,
                "{}: run {}, deadline {deadline:?}, {} requests under way, {commands} commands, {} commits, {} reads",
                party.name,
                party.run,
                party.under_way.len(),
                party.storage.commits(),
                party.storage.reads(),
            );
        }
        for (number, place) in self.relays.iter().enumerate() {
            let queues = place.relay.queues().map(|(id, queue)| {
                let subscribed = if queue.subscriber.is_some() { "" } else { " not subscribed" };
                format!("{} {}{subscribed}", self.names.of(id), queue.messages.len())
            });
            let _ = writeln!(text, "relay {number}: up {}, queues {:?}", place.up, queues.collect::<Vec<_>>());
        }
        text
    }
}
