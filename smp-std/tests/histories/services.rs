//! The model's part about services (wire reference, sections 6.4 and 10.6, and section 2 of its part on version 19): clients
//! with a certificate, which receive from all queues, or hear all notifiers, that are associated with them.
//!
//! Where a relay may choose, it is held to this: a command that fails associates nothing, NEW with ids that are taken apart,
//! whose session receives all the same; SEND brings the oldest message to the session that receives, whether or not the queue
//! was empty; GET is prohibited while a message is outstanding; what ENDS tells are all that the service has.

use std::mem;

use smp_std::relay::store::QueueSet;

use crate::history::{Deed, NotifierNumber, QueueNumber};
use crate::model::{Event, Model, Receiving, Response};

/// A service, by its role and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Service {
    /// Receives messages.
    Messages(u8),
    /// Hears notifiers.
    Notifications(u8),
}

/// What SOKS and ENDS tell of the queues or notifiers of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    /// How many: below version 19.
    Count(u32),
    /// Which: their numbers, as bits.
    Numbers(u64),
}

impl Held {
    /// How many are in one and not in the other.
    pub(crate) fn differs_by(&self, other: &Self) -> usize {
        match (*self, *other) {
            (Self::Count(one), Self::Count(other)) => one.abs_diff(other) as usize,
            (Self::Numbers(one), Self::Numbers(other)) => (one ^ other).count_ones() as usize,
            _ => usize::MAX,
        }
    }
}

/// What a session of a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Session {
    pub(crate) service: Service,
    /// It is told how many queues there are, and not which.
    pub(crate) counts: bool,
}

/// The session that receives for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Receiver {
    pub(crate) client: usize,
    /// It has asked for all since it began.
    pub(crate) subscribed: bool,
}

impl Model {
    /// The service that a client is.
    pub(crate) fn service(&self, client: usize) -> Option<Service> {
        self.sessions[client].map(|session| session.service)
    }

    /// Whether a client may do this: services keep to their role.
    pub(crate) fn permits(&self, client: usize, deed: &Deed) -> bool {
        let of_notifiers = matches!(deed, Deed::Listen { .. } | Deed::SubscribeAll { notifiers: true });
        match self.service(client) {
            None => true,
            Some(Service::Messages(_)) => !of_notifiers,
            Some(Service::Notifications(_)) => of_notifiers,
        }
    }

    /// Who receives from a queue: its subscriber, or the session that receives for its service.
    pub(crate) fn recipient(&self, number: QueueNumber) -> Option<usize> {
        match self.queues.get(&number)?.service {
            Some(service) => self.receivers.get(&service).map(|receiver| receiver.client),
            None => self.receiving.iter().find(|((_, of), it)| *of == number && it.pushed).map(|((who, _), _)| *who),
        }
    }

    /// Who hears a notifier of this service, or of none.
    pub(crate) fn listener(&self, notifier: NotifierNumber, service: Option<Service>) -> Option<usize> {
        match service {
            Some(service) => self.receivers.get(&service).map(|receiver| receiver.client),
            None => self.listening.get(&notifier).copied(),
        }
    }

    /// A session of a service receives for it from now on; the one before is told what it had.
    pub(crate) fn receive(&mut self, client: usize, events: &mut Vec<(usize, Event)>) {
        let Some(service) = self.service(client) else { return };
        let before = self.receivers.get(&service).map(|receiver| receiver.client);
        if before == Some(client) {
            return;
        }
        if let Some(before) = before {
            events.push((before, Event::ServiceEnded(self.held(before, service))));
            self.receiving.retain(|(of, _), receiving| *of != before || !receiving.pushed);
            self.listening.retain(|_, of| *of != before);
        }
        self.receivers.insert(service, Receiver { client, subscribed: false });
    }

    /// SUBS and NSUBS: what waits is delivered, once in the time that the session receives.
    pub(crate) fn subscribe_all(&mut self, client: usize, events: &mut Vec<(usize, Event)>) -> Response {
        let Some(service) = self.service(client) else { return Response::NoService };
        self.receive(client, events);
        let again = self.receivers.get_mut(&service).is_none_or(|own| mem::replace(&mut own.subscribed, true));
        if !again {
            for (number, queue) in &self.queues {
                if queue.service == Some(service) {
                    self.receiving.entry((client, *number)).or_insert(Receiving { pushed: true, outstanding: None });
                }
                if let Some(notifier) = queue.notifier.as_ref().filter(|it| it.service == Some(service)) {
                    self.listening.insert(notifier.number, client);
                }
            }
            events.extend(matches!(service, Service::Messages(_)).then_some((client, Event::AllDelivered)));
        }
        Response::All(self.held(client, service))
    }

    fn held(&self, told: usize, service: Service) -> Held {
        let queues = self.queues.iter().filter(|(_, queue)| queue.service == Some(service)).map(|(number, _)| *number);
        let notifiers = self.queues.values().filter_map(|queue| queue.notifier.as_ref());
        let notifiers = notifiers.filter(|notifier| notifier.service == Some(service)).map(|notifier| notifier.number);
        let numbers: u64 = queues.chain(notifiers).map(|number| 1 << number).sum();
        match self.sessions[told] {
            Some(Session { counts: false, .. }) => Held::Numbers(numbers),
            _ => Held::Count(numbers.count_ones()),
        }
    }
}

/// The numbers of a set, as bits, found among those whose ids are known.
pub(crate) fn numbers<'a>(ids: impl Iterator<Item = (u32, &'a [u8])>, set: QueueSet) -> Option<u64> {
    let mut sets = vec![(0, 0_u128)];
    for (number, id) in ids {
        let hash = u128::from_be_bytes(QueueSet::default().with(id.try_into().ok()?).hash);
        sets.extend_from_within(..);
        let half = sets.len() / 2;
        sets[half..].iter_mut().for_each(|(numbers, sum)| (*numbers, *sum) = (*numbers | 1 << number, *sum ^ hash));
    }
    let is_same =
        |numbers: u64, sum: u128| u64::from(numbers.count_ones()) == set.count && sum.to_be_bytes() == set.hash;
    sets.into_iter().find(|(numbers, sum)| is_same(*numbers, *sum)).map(|(numbers, _)| numbers)
}
