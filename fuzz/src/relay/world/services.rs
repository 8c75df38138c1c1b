//! What services are told, in the words of the model.

use std::collections::BTreeSet;
use std::mem;

use smp_proto::smp::Command;
use smp_proto::smp::service::ServiceQueues;
use smp_proto::version::SmpVersion;
use smp_std::relay::store::QueueSet;

use super::{Place, Told, World};
use crate::judge::Seen;
use crate::model::{Event, Response};
use crate::relay::client::Client;
use crate::relay::keys;
use crate::services::{Held, Service, numbers};

impl World {
    /// The id of the service that a client is.
    pub(super) fn service_id(&self, client: usize) -> &[u8] {
        self.clients[client].as_ref().and_then(Client::service_id).unwrap_or_default()
    }

    /// The service whose id SOK or IDS tell: the client's own.
    pub(super) fn own_service(&self, client: usize, id: Option<&[u8]>) -> Option<Service> {
        assert!(id.is_none_or(|id| id == self.service_id(client)), "the id of another service");
        id.and(self.people[client].service)
    }

    /// How many queues a service has; which ones is found out when the ids of all are known.
    pub(super) fn held(&mut self, client: usize, place: Place, queues: &ServiceQueues<'_>) -> Held {
        let count = u32::try_from(queues.count).expect("there are not as many");
        let session = self.people[client].session().expect("only services are told");
        if !session.counts {
            let hash = queues.hash.to_array().expect("a hash has 16 bytes");
            let set = QueueSet { count: u64::from(count), hash };
            self.told.push(Told { place, service: session.service, set });
        }
        Held::Count(count)
    }

    /// Says which queues services were told of.
    pub(super) fn name_queues(&mut self, seen: &mut Seen) {
        for Told { place, service, set } in mem::take(&mut self.told) {
            let held = Held::Numbers(self.numbers(service, set));
            match place {
                Place::Response(index) => seen.responses[index] = Some(Response::All(held)),
                Place::Event(index) => seen.events[index].1 = Event::ServiceEnded(held),
            }
        }
    }

    /// Others receive for the services of the clients, which then are as if they had just come.
    pub(super) fn keep_services(&mut self) {
        let all: BTreeSet<Service> = self.people.iter().filter_map(|person| person.service).collect();
        for service in all {
            let keeper = self.keepers.remove(&service);
            let mut keeper = keeper.unwrap_or_else(|| Client::connect(&mut self.crew, SmpVersion::MAX, Some(service)));
            let subscribe = match service {
                Service::Messages(_) => Command::SubscribeService(ServiceQueues::UNKNOWN),
                Service::Notifications(_) => Command::SubscribeNotifierService(ServiceQueues::UNKNOWN),
            };
            let command = crate::write(|writer| subscribe.encode(writer, SmpVersion::MAX)).expect("there is room");
            let (correlation, id) = (self.correlation(), keeper.service_id().unwrap_or_default().to_vec());
            let made = keeper.encode(&correlation, Some(&keys::SERVICE_KEY), &id, &command);
            keeper.send_all(&mut self.crew, made.as_slice(), true);
            self.keepers.insert(service, keeper);
        }
        self.crew.run();
        while !self.crew.is_idle() {
            self.crew.run();
        }
        for client in self.clients.iter_mut().flatten().chain(self.keepers.values_mut()) {
            client.take_in();
            client.inbox.clear();
        }
    }

    fn numbers(&self, service: Service, set: QueueSet) -> u64 {
        let found = match service {
            Service::Messages(_) => {
                numbers(self.queues.iter().map(|(number, known)| (*number, &known.recipient_id[..])), set)
            }
            Service::Notifications(_) => {
                numbers(self.notifiers.iter().map(|(number, known)| (*number, &known.id[..])), set)
            }
        };
        found.expect("a service is told of queues that somebody made")
    }
}
