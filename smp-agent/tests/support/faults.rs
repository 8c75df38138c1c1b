//! What goes wrong between agents and relays, at moments of a test's choice or by chance.

use smp_agent::time::{MINUTE, SECOND};

use super::world::World;

/// Something that happens to a relay, named by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It stops: its connections break.
    Down(usize),
    /// It starts again.
    Up(usize),
    /// It has lost all queues.
    LosesEverything(usize),
    /// No host of its address can be reached directly, or can be again.
    Unreachable(usize, bool),
    /// No proxy reaches it, or they do again.
    UnreachableFromProxies(usize, bool),
    /// It serves as no proxy, or does again.
    NoProxy(usize, bool),
    /// All connections to it break; it goes on.
    Disconnects(usize),
    /// An agent's process ends without notice, and starts again.
    Crashes(usize),
}

/// What goes wrong by chance, in so many cases of a thousand requests, and how long the way takes.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The shortest and the longest time of one way, in milliseconds.
    pub latency: (u64, u64),
    /// The request is executed, and its answer never comes.
    pub lost_answers: u32,
    /// The request never arrives, and nothing says so.
    pub lost_requests: u32,
    /// The connection breaks before the request is executed.
    pub broken_before: u32,
    /// The connection breaks after the request was executed.
    pub broken_after: u32,
    /// The relay cannot serve now.
    pub unavailable: u32,
    /// The proxy has lost its session with the relay.
    pub no_session: u32,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: (5, 200),
            lost_answers: 0,
            lost_requests: 0,
            broken_before: 0,
            broken_after: 0,
            unavailable: 0,
            no_session: 0,
        }
    }
}

impl Faults {
    /// A bad network: one request of ten fails in some way.
    pub const BAD: Self = Self {
        latency: (5, 3 * SECOND),
        lost_answers: 25,
        lost_requests: 15,
        broken_before: 15,
        broken_after: 15,
        unavailable: 15,
        no_session: 15,
    };
}

impl World {
    /// Lets relays go down and come back, connections break and agents crash, so many times within a span of time in
    /// milliseconds.
    pub fn plan_random_faults(&mut self, times: u32, span: u64) {
        for _ in 0..times {
            let start = self.now.after(self.below(span));
            let relay = self.below(self.relays.len() as u64) as usize;
            let length = self.between(100, 5 * MINUTE);
            let end = start.after(length);
            let party = self.below(self.parties.len() as u64) as usize;
            match self.below(6) {
                0 | 1 => {
                    self.at(start, Fault::Down(relay));
                    self.at(end, Fault::Up(relay));
                }
                2 => self.at(start, Fault::Disconnects(relay)),
                3 => self.at(start, Fault::Crashes(party)),
                4 => {
                    self.at(start, Fault::UnreachableFromProxies(relay, true));
                    self.at(end, Fault::UnreachableFromProxies(relay, false));
                }
                _ => {
                    self.at(start, Fault::NoProxy(relay, true));
                    self.at(end, Fault::NoProxy(relay, false));
                }
            }
        }
    }
}
