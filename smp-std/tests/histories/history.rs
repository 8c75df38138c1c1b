//! What clients do, drawn from a seed.

use crate::model::Item;
use crate::services::Service;

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

/// A queue, in the order of creation.
pub(crate) type QueueNumber = u32;
/// A notifier, in the order of creation.
pub(crate) type NotifierNumber = u32;

/// One command. Every client knows the keys of every queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    New {
        queue: QueueNumber,
        contact: bool,
        subscribe: bool,
        /// With a link to this user data, and ids that its client chose.
        prepared: Option<u32>,
    },
    /// NEW with the ids of a queue that was prepared, with other keys: whoever knows them would have the queue.
    Again {
        queue: QueueNumber,
    },
    Send {
        queue: QueueNumber,
        number: u32,
        key: Option<u8>,
        notify: bool,
    },
    Subscribe {
        queue: QueueNumber,
    },
    Get {
        queue: QueueNumber,
    },
    /// Of what came last, which is found out when the time has come, or of something that never was.
    Acknowledge {
        queue: QueueNumber,
        wrong: bool,
        item: Option<Item>,
    },
    Secure {
        queue: QueueNumber,
        key: u8,
        by_sender: bool,
    },
    Suspend {
        queue: QueueNumber,
    },
    Delete {
        queue: QueueNumber,
    },
    SetLink {
        queue: QueueNumber,
        user: u32,
    },
    DeleteLink {
        queue: QueueNumber,
    },
    GetLink {
        queue: QueueNumber,
    },
    SecureByLink {
        queue: QueueNumber,
        key: u8,
    },
    EnableNotifications {
        queue: QueueNumber,
        notifier: NotifierNumber,
    },
    DisableNotifications {
        queue: QueueNumber,
    },
    /// NSUB.
    Listen {
        queue: QueueNumber,
        notifier: NotifierNumber,
    },
    /// SUBS, or NSUBS.
    SubscribeAll {
        notifiers: bool,
    },
    /// No command: what waits in the queue is too old, or what a notifier was not told of.
    Expire {
        queue: QueueNumber,
        notifier: Option<NotifierNumber>,
    },
}

/// The queue of deeds about none.
const NO_QUEUE: QueueNumber = QueueNumber::MAX;

impl Deed {
    pub(crate) fn queue(&self) -> QueueNumber {
        match self {
            Self::New { queue, .. }
            | Self::Again { queue }
            | Self::Send { queue, .. }
            | Self::Subscribe { queue }
            | Self::Get { queue }
            | Self::Acknowledge { queue, .. }
            | Self::Secure { queue, .. }
            | Self::Suspend { queue }
            | Self::Delete { queue }
            | Self::SetLink { queue, .. }
            | Self::DeleteLink { queue }
            | Self::GetLink { queue }
            | Self::SecureByLink { queue, .. }
            | Self::EnableNotifications { queue, .. }
            | Self::DisableNotifications { queue }
            | Self::Listen { queue, .. }
            | Self::Expire { queue, .. } => *queue,
            Self::SubscribeAll { .. } => NO_QUEUE,
        }
    }
}

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Commands under way at the same time. Those of one client are all SEND, in this order.
    Deeds(Vec<(usize, Deed)>),
    /// A client's connection ends, and it comes again.
    Leave(usize),
    /// The relay ends without a warning while these are under way, and starts again.
    Kill(Vec<(usize, Deed)>),
}

pub(crate) const CLIENTS: usize = 4;
/// Queues that are used at the same time.
const WINDOW: u32 = 6;

/// How a history is drawn.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) steps: usize,
    /// One in so many steps kills the relay; 0 never.
    pub(crate) kills: usize,
    pub(crate) people: People,
}

/// Which clients are services: the last two may be.
pub(crate) type People = [Option<Service>; CLIENTS];

/// No client is a service.
pub(crate) const NOBODY: People = [None; CLIENTS];

struct Author {
    random: Random,
    queues: u32,
    notifiers: Vec<(QueueNumber, NotifierNumber)>,
    messages: u32,
}

/// Draws a history.
pub(crate) fn draw(plan: Plan) -> Vec<Step> {
    let mut author = Author { random: Random(plan.seed), queues: 0, notifiers: Vec::new(), messages: 0 };
    let steps = (0..plan.steps).map(|number| {
        let mut step = author.step(number, plan.kills);
        if let Step::Deeds(deeds) | Step::Kill(deeds) = &mut step {
            author.serve(&plan.people, deeds);
        }
        step
    });
    steps.collect()
}

impl Author {
    fn step(&mut self, number: usize, kills: usize) -> Step {
        if number < 3 {
            let client = self.random.below(CLIENTS);
            return Step::Deeds(vec![(client, self.create())]);
        }
        if kills > 0 && self.random.one_in(kills) {
            let deeds = self.together();
            return Step::Kill(deeds);
        }
        match self.random.below(40) {
            0 => Step::Leave(self.random.below(CLIENTS)),
            1..=12 => Step::Deeds(self.together()),
            13..=17 => {
                // Any two of two clients.
                let first = self.random.below(CLIENTS);
                let second = (first + 1 + self.random.below(CLIENTS - 1)) % CLIENTS;
                Step::Deeds(vec![(first, self.deed()), (second, self.deed())])
            }
            _ => {
                let client = self.random.below(CLIENTS);
                Step::Deeds(vec![(client, self.deed())])
            }
        }
    }

    /// Messages sent and received by all clients at the same time.
    fn together(&mut self) -> Vec<(usize, Deed)> {
        let mut deeds = Vec::new();
        for client in 0..CLIENTS {
            match self.random.below(6) {
                0 => {}
                1 | 2 => {
                    let queue = self.queue();
                    let key = self.sender_key();
                    for _ in 0..=self.random.below(2) {
                        deeds.push((client, self.send(queue, key)));
                    }
                }
                _ => deeds.push((client, self.receive())),
            }
            if deeds.len() >= 5 {
                break;
            }
        }
        deeds.truncate(5);
        deeds
    }

    /// Services subscribe to all now and then; those that are notified do little else than listen.
    fn serve(&mut self, people: &People, deeds: &mut [(usize, Deed)]) {
        for index in 0..deeds.len() {
            let client = deeds[index].0;
            let alone = deeds.iter().filter(|(other, _)| *other == client).count() == 1;
            let instead = match people[client] {
                Some(Service::Messages(_)) if alone && self.random.one_in(8) => {
                    Some(Deed::SubscribeAll { notifiers: false })
                }
                Some(Service::Notifications(_)) if alone && self.random.one_in(4) => {
                    Some(Deed::SubscribeAll { notifiers: true })
                }
                Some(Service::Notifications(_)) if alone => self.listen(),
                _ => None,
            };
            if let Some(instead) = instead {
                deeds[index].1 = instead;
            }
        }
    }

    fn listen(&mut self) -> Option<Deed> {
        let back = self.random.below(self.notifiers.len().clamp(1, 5));
        let (queue, notifier) = *self.notifiers.iter().nth_back(back)?;
        Some(Deed::Listen { queue, notifier })
    }

    fn queue(&mut self) -> QueueNumber {
        // The youngest most of the time, the dead now and then.
        let back = self.random.below(WINDOW as usize) as u32;
        self.queues.saturating_sub(1 + back)
    }

    fn sender_key(&mut self) -> Option<u8> {
        [None, None, Some(1), Some(1), Some(2)].get(self.random.below(5)).copied().flatten()
    }

    fn create(&mut self) -> Deed {
        self.queues += 1;
        let (contact, subscribe) = (self.random.one_in(2), self.random.one_in(2));
        let prepared = self.random.one_in(3).then(|| self.random.below(1000) as u32);
        Deed::New { queue: self.queues - 1, contact, subscribe, prepared }
    }

    fn send(&mut self, queue: QueueNumber, key: Option<u8>) -> Deed {
        self.messages += 1;
        Deed::Send { queue, number: self.messages, key, notify: self.random.one_in(2) }
    }

    fn receive(&mut self) -> Deed {
        let queue = self.queue();
        match self.random.below(10) {
            0 | 1 => Deed::Subscribe { queue },
            2 => Deed::Get { queue },
            _ => Deed::Acknowledge { queue, wrong: self.random.one_in(12), item: None },
        }
    }

    fn expire(&mut self, queue: QueueNumber) -> Deed {
        match self.notifiers.last() {
            Some((queue, notifier)) if self.random.one_in(3) => {
                Deed::Expire { queue: *queue, notifier: Some(*notifier) }
            }
            _ => Deed::Expire { queue, notifier: None },
        }
    }

    fn deed(&mut self) -> Deed {
        let queue = self.queue();
        match self.random.below(40) {
            0 => self.create(),
            1 if self.random.one_in(2) => Deed::Delete { queue },
            2 if self.random.one_in(4) => Deed::Suspend { queue },
            3 if self.random.one_in(2) => {
                Deed::Secure { queue, key: 1 + self.random.one_in(6) as u8, by_sender: self.random.one_in(2) }
            }
            4 | 5 => Deed::SetLink { queue, user: self.random.below(1000) as u32 },
            6 => Deed::DeleteLink { queue },
            7 | 8 => Deed::GetLink { queue },
            9 if self.random.one_in(2) => Deed::SecureByLink { queue, key: 1 + self.random.one_in(6) as u8 },
            10 => {
                let notifier = self.notifiers.len() as u32;
                self.notifiers.push((queue, notifier));
                Deed::EnableNotifications { queue, notifier }
            }
            11 if self.random.one_in(3) => Deed::DisableNotifications { queue },
            12..=14 if !self.notifiers.is_empty() => self.listen().unwrap_or(Deed::Get { queue }),
            15 => Deed::Again { queue },
            16..=25 => {
                let key = self.sender_key();
                self.send(queue, key)
            }
            26 => self.expire(queue),
            _ => self.receive(),
        }
    }
}
