//! What services are told, in the words of the model.

use std::mem;

use smp_proto::smp::service::ServiceQueues;
use smp_std::relay::store::QueueSet;

use super::World;
use crate::judge::Seen;
use crate::model::{Event, Response};
use crate::services::{Held, Service, numbers};

/// The queues of a service, as SOKS or ENDS tell them: the response or the event with this number.
pub(super) struct Told {
    place: Result<usize, usize>,
    service: Service,
    set: QueueSet,
}

impl World {
    /// The id of the service that a client is.
    pub(crate) fn service_id(&self, client: usize) -> &[u8] {
        self.clients[client].session.context.service().map(|service| service.id().as_bytes()).unwrap_or_default()
    }

    /// The service whose id SOK or IDS tell: the client's own.
    pub(super) fn own_service(&self, client: usize, id: Option<&[u8]>) -> Result<Option<Service>, String> {
        match id {
            None => Ok(None),
            Some(id) if id == self.service_id(client) => Ok(self.people[client]),
            Some(_) => Err("the id of another service".to_owned()),
        }
    }

    /// How many queues a service has; which ones is found out when the ids of all are known.
    pub(super) fn held(
        &mut self,
        client: usize,
        entity: &[u8],
        place: Result<usize, usize>,
        queues: &ServiceQueues<'_>,
    ) -> Result<Held, String> {
        let service = self.people[client].ok_or("told of a service, which it is not")?;
        if entity != self.service_id(client) {
            return Err("the queues of another service".to_owned());
        }
        let hash = queues.hash.to_array().ok_or("a hash of another length")?;
        self.told.push(Told { place, service, set: QueueSet { count: queues.count as u64, hash } });
        Ok(Held::Count(queues.count as u32))
    }

    /// Says which queues services were told of.
    pub(super) fn name_queues(&mut self, seen: &mut Seen) -> Result<(), String> {
        for Told { place, service, set } in mem::take(&mut self.told) {
            let found = match service {
                Service::Messages(_) => {
                    numbers(self.queues.iter().map(|(number, known)| (*number, &known.queue.recipient_id[..])), set)
                }
                Service::Notifications(_) => {
                    numbers(self.notifiers.iter().map(|(number, known)| (*number, &known.id[..])), set)
                }
            };
            let held = Held::Numbers(found.ok_or("a service is told of queues that nobody made")?);
            match place {
                Ok(index) => seen.responses[index] = Some(Response::All(held)),
                Err(index) => seen.events[index].1 = Event::ServiceEnded(held),
            }
        }
        Ok(())
    }
}
