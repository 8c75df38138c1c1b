//! What the rules of the wire reference say, without any key: sections 3, 5, 7, 10, 11, 12 and 13.

use smp_crypto::ratchet::{EncapsulationRequest, Error};

/// The own encapsulation key, and whether it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    Empty,
    Proposes,
    Accepts,
}

/// What the header of a message says, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The number of the sender's chain.
    pub chain: u32,
    pub number: u32,
    /// Messages in the chain before.
    pub previous: u32,
    pub slot: Slot,
    pub version: u16,
    pub max_version: u16,
    /// Length in bytes beside the padded body.
    pub overhead: usize,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub late: bool,
    pub advanced: bool,
    /// Keys that are skipped in the chain that ended and in that of the message.
    pub skipped: [u32; 2],
}

/// One party's side, as the rules see it.
#[derive(Clone, Debug)]
pub struct Oracle {
    /// The version the program speaks.
    pub program: u16,
    pub version: u16,
    pub max_version: u16,
    pub slot: Slot,
    pub wants: bool,
    pub large: bool,
    pub sends_encapsulated: bool,
    pub receives_encapsulated: bool,
    pub chain: Option<u32>,
    pub sent: u32,
    pub previously_sent: u32,
    pub peer_chain: Option<u32>,
    pub received: u32,
    /// Chain and number of what the store of skipped keys holds, oldest first, and its limits.
    pub late: Vec<(u32, u32)>,
    pub limits: Option<(usize, usize)>,
    pub forgotten: u64,
}

impl Oracle {
    pub fn new((version, program): (u16, u16), slot: Slot, support: bool, sends_first: bool) -> Self {
        Self {
            program,
            version,
            max_version: program,
            slot,
            wants: support,
            large: support,
            sends_encapsulated: sends_first && slot == Slot::Accepts,
            receives_encapsulated: false,
            chain: sends_first.then_some(0),
            sent: 0,
            previously_sent: 0,
            peer_chain: None,
            received: 0,
            late: Vec::new(),
            limits: None,
            forgotten: 0,
        }
    }

    /// Section 10.
    pub fn send(&mut self, request: EncapsulationRequest) -> Place {
        let floor = if request == EncapsulationRequest::On { 3 } else { 0 };
        self.wants = match request {
            EncapsulationRequest::On => true,
            EncapsulationRequest::Off => false,
            EncapsulationRequest::Unset => self.wants,
        };
        self.large |= self.version >= 3 && self.wants;
        self.max_version = self.program.max(self.version).max(floor);
        let place = Place {
            chain: self.chain.expect("it can send"),
            number: self.sent,
            previous: self.previously_sent,
            slot: if self.version >= 3 { self.slot } else { Slot::Empty },
            version: self.version,
            max_version: self.max_version,
            overhead: match (self.version, self.large) {
                (2, _) => 140,
                (_, false) => 142,
                (_, true) => 2364,
            },
        };
        self.sent += 1;
        place
    }

    /// Section 11. After a refusal nothing has changed.
    pub fn receive(&mut self, place: &Place) -> Result<Received, Error> {
        if let Some(index) = self.late.iter().position(|late| *late == (place.chain, place.number)) {
            self.late.remove(index);
            return Ok(Received { late: true, advanced: false, skipped: [0; 2] });
        }
        let advanced = match self.peer_chain {
            Some(chain) if chain == place.chain => false,
            chain if chain.map_or(0, |chain| chain + 1) == place.chain => true,
            _ => return Err(Error::Header),
        };
        let mut skipped = [0; 2];
        if advanced {
            if self.peer_chain.is_some() {
                skipped[0] = gap(place.previous, self.received)?;
            }
            skipped[1] = gap(place.number, 0)?;
        } else {
            skipped[1] = gap(place.number, self.received)?;
        }
        self.version = self.version.max(place.max_version.min(self.max_version));
        if advanced {
            if let Some(chain) = self.peer_chain {
                (self.received..place.previous).for_each(|number| self.skip(chain, number));
            }
            self.received = 0;
            self.advance(place);
        }
        (self.received..place.number).for_each(|number| self.skip(place.chain, number));
        self.received = place.number + 1;
        Ok(Received { late: false, advanced, skipped })
    }

    /// Section 12.
    fn advance(&mut self, place: &Place) {
        let enabled = self.wants && self.version >= 3;
        self.receives_encapsulated = place.slot == Slot::Accepts;
        assert!(!(self.receives_encapsulated && self.slot == Slot::Empty), "nobody accepts what was not proposed");
        self.slot = match (place.slot, self.slot) {
            (Slot::Empty, Slot::Empty) if enabled => Slot::Proposes,
            (Slot::Empty, _) => Slot::Empty,
            _ if enabled => Slot::Accepts,
            _ => Slot::Empty,
        };
        self.sends_encapsulated = self.slot == Slot::Accepts;
        self.wants = self.sends_encapsulated || self.receives_encapsulated || self.slot != Slot::Empty;
        self.large |= self.version >= 3 && self.wants;
        self.previously_sent = std::mem::take(&mut self.sent);
        self.chain = Some(self.chain.map_or(0, |chain| chain + 1));
        self.peer_chain = Some(place.chain);
    }

    /// Puts a key into the store, which forgets the oldest key, or the chain that is there longest, when it is full.
    fn skip(&mut self, chain: u32, number: u32) {
        let Some((keys, chains)) = self.limits else {
            self.late.push((chain, number));
            return;
        };
        let before = self.late.len();
        if before == keys {
            self.late.remove(0);
        }
        // A chain is as old as its number: none begins before the one in front of it has ended.
        let mut all: Vec<u32> = self.late.iter().map(|late| late.0).collect();
        all.sort_unstable();
        all.dedup();
        if !all.contains(&chain) && all.len() == chains {
            self.late.retain(|late| late.0 != all[0]);
        }
        self.forgotten += (before - self.late.len()) as u64;
        self.late.push((chain, number));
    }
}

/// The rule for missing messages.
fn gap(number: u32, next: u32) -> Result<u32, Error> {
    match number.checked_sub(next) {
        None if next - number == 1 => Err(Error::Duplicate),
        None => Err(Error::Earlier(next - number - 1)),
        Some(missing) if missing > 512 => Err(Error::TooManySkipped(missing + 1)),
        Some(missing) => Ok(missing),
    }
}
