//! An input as steps.

use smp_proto::version::SmpVersion;

use super::keys::COUNT;
use super::world::{Person, World};
use crate::history::{CLIENTS, Deed};
use crate::input::Input;
use crate::services::Service;

/// Steps of one input at most: what a relay can be brought to is brought about by few.
const STEPS: usize = 48;

/// Commands under way together at most.
const TOGETHER: usize = 4;

/// What the input has made so far.
#[derive(Default)]
struct Author {
    queues: u32,
    notifiers: Vec<u32>,
    messages: u32,
}

/// Plays an input on a relay without queues.
pub fn play(data: &[u8]) {
    let mut input = Input(data);
    let mut world = World::new([(); CLIENTS].map(|()| person(input.byte())));
    let mut author = Author::default();
    for _ in 0..STEPS {
        let Some(step) = input.next() else { break };
        let client = usize::from(step) % CLIENTS;
        match usize::from(step) / CLIENTS {
            0..=35 => {
                let deed = author.deed(&mut input);
                world.deeds(&[(client, deed)], false);
            }
            36..=47 => {
                let (deeds, packed) = (author.together(&mut input), step & 1 == 0);
                world.deeds(&deeds, packed);
            }
            48..=49 => world.leave(client),
            50..=52 => world.tick(),
            _ => {
                let deed = author.other_deed(&mut input);
                world.noise(client, &deed, &mut input);
            }
        }
    }
    world.end();
}

/// A version, counted back from the newest, and for half of the numbers a service.
fn person(number: u8) -> Person {
    let versions = (SmpVersion::MAX.0 - SmpVersion::MIN.0 + 1) as u8;
    let service = match number / versions % 8 {
        number @ 1..=2 => Some(Service::Messages(number - 1)),
        number @ 3..=4 => Some(Service::Notifications(number - 3)),
        _ => None,
    };
    Person::new(SmpVersion(SmpVersion::MAX.0 - u16::from(number % versions)), service)
}

impl Author {
    fn deed(&mut self, input: &mut Input<'_>) -> Deed {
        let choice = input.byte();
        if self.queues == 0 || choice % 16 == 0 && (self.queues as usize) < COUNT {
            self.queues += 1;
            let (contact, subscribe) = (choice & 64 == 0, choice & 128 == 0);
            let prepared = (choice & 32 != 0).then_some(u32::from(choice));
            return Deed::New { queue: self.queues - 1, contact, subscribe, prepared };
        }
        if choice % 16 == 1 && self.notifiers.len() < COUNT {
            let (queue, notifier) = (self.queue(input), self.notifiers.len() as u32);
            self.notifiers.push(queue);
            return Deed::EnableNotifications { queue, notifier };
        }
        if choice % 16 == 14 && choice & 127 > 95 {
            return self.expire(choice & 128 != 0, input);
        }
        self.use_queue(choice, input)
    }

    /// A command that makes nothing new.
    fn other_deed(&mut self, input: &mut Input<'_>) -> Deed {
        let choice = input.byte();
        self.use_queue(choice, input)
    }

    fn use_queue(&mut self, choice: u8, input: &mut Input<'_>) -> Deed {
        let queue = self.queue(input);
        let (flag, kind) = (choice & 128 == 0, choice & 127);
        match kind % 16 {
            2 => Deed::Subscribe { queue },
            3 => Deed::Get { queue },
            4 | 5 => Deed::Acknowledge { queue, wrong: false, item: None },
            6 => Deed::Acknowledge { queue, wrong: flag, item: None },
            7 => Deed::Secure { queue, key: 1 + u8::from(kind > 63), by_sender: flag },
            8 if kind > 63 => Deed::Suspend { queue },
            8 => Deed::Delete { queue },
            9 => Deed::SetLink { queue, user: u32::from(kind) },
            10 if flag => Deed::GetLink { queue },
            10 => Deed::DeleteLink { queue },
            11 if flag && kind > 63 => Deed::Again { queue },
            11 => Deed::SecureByLink { queue, key: 1 + u8::from(kind > 63) },
            12 if !flag && kind > 95 => Deed::DisableNotifications { queue },
            12 | 13 if !self.notifiers.is_empty() => {
                let notifier = input.below(self.notifiers.len());
                Deed::Listen { queue: self.notifiers[notifier], notifier: notifier as u32 }
            }
            15 if kind > 63 => Deed::SubscribeAll { notifiers: !flag },
            _ => self.send(queue, choice),
        }
    }

    fn expire(&self, notifications: bool, input: &mut Input<'_>) -> Deed {
        if notifications && !self.notifiers.is_empty() {
            let notifier = input.below(self.notifiers.len());
            return Deed::Expire { queue: self.notifiers[notifier], notifier: Some(notifier as u32) };
        }
        Deed::Expire { queue: self.queue(input), notifier: None }
    }

    fn send(&mut self, queue: u32, choice: u8) -> Deed {
        self.messages += 1;
        let key = [None, None, Some(1), Some(2)][usize::from(choice) / 32 % 4];
        Deed::Send { queue, number: self.messages, key, notify: choice & 128 == 0 }
    }

    fn queue(&self, input: &mut Input<'_>) -> u32 {
        let back = input.below((self.queues as usize).max(1)) as u32;
        self.queues.saturating_sub(1 + back)
    }

    /// Commands of several clients; several of one client are all SEND, whose order is kept.
    fn together(&mut self, input: &mut Input<'_>) -> Vec<(usize, Deed)> {
        let mut deeds: Vec<(usize, Deed)> = Vec::new();
        for _ in 0..2 + input.below(TOGETHER - 1) {
            let client = input.below(CLIENTS);
            let deed = self.deed(input);
            let is_send = |deed: &Deed| matches!(deed, Deed::Send { .. });
            let alone = !deeds.iter().any(|(other, _)| *other == client);
            if alone || is_send(&deed) && deeds.iter().all(|(other, deed)| *other != client || is_send(deed)) {
                deeds.push((client, deed));
            }
        }
        deeds
    }
}
