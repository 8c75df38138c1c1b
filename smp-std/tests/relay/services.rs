//! Clients that are services: with a certificate, and with all their queues received at once (wire reference, sections
//! 4.2, 4.3 and 6.4, and section 2 of its part on version 19).

mod certificates;
mod notifiers;
mod queues;
mod sessions;
mod subscriptions;

use std::collections::HashMap;

use smp_crypto::key::{AuthorizationSecretKey, X25519SecretKey};
use smp_proto::smp::recipient::QueueMode;
use smp_proto::smp::service::{IdsHash, ServiceQueues, ServiceRole};
use smp_proto::smp::{BrokerMessage, Command};
use smp_std::relay::store::QueueSet;

use crate::harness::{RawClient, Received, TestQueue, TestRelay, ack, new_command, send_command};
use crate::{body, ed25519, relay, send};
use certificates::TestService;

/// The parameters of SUBS and NSUBS.
fn queues(set: &QueueSet) -> ServiceQueues<'_> {
    ServiceQueues { count: set.count as i64, hash: IdsHash::new(&set.hash) }
}

/// The queues with these ids.
fn set<'a>(ids: impl IntoIterator<Item = &'a Vec<u8>>) -> QueueSet {
    ids.into_iter().fold(QueueSet::default(), |set, id| set.with(&id[..].try_into().unwrap()))
}

fn recipients<'a>(queues: impl IntoIterator<Item = &'a TestQueue>) -> QueueSet {
    queues.into_iter().fold(QueueSet::default(), |set, queue| set.with(&queue.recipient_id[..].try_into().unwrap()))
}

impl RawClient {
    fn service_id(&self) -> Vec<u8> {
        self.session.context.service().unwrap().id().as_bytes().to_vec()
    }

    fn service_key(&self) -> AuthorizationSecretKey {
        AuthorizationSecretKey::Ed25519(
            smp_crypto::key::Ed25519SecretKey::from_pkcs8(self.service.as_ref().unwrap().to_pkcs8().as_bytes())
                .unwrap(),
        )
    }

    /// SUBS, and what SOKS says.
    async fn subscribe_all(&mut self, expected: QueueSet) -> QueueSet {
        let (id, key) = (self.service_id(), self.service_key());
        let response = self.ask(Some(&key), &id, &Command::SubscribeService(queues(&expected))).await;
        self.read_set(&response)
    }

    /// The set that SOKS or ENDS tells.
    fn read_set(&self, received: &Received) -> QueueSet {
        match received.decode(self.version()) {
            BrokerMessage::ServiceSubscribed(queues) | BrokerMessage::ServiceEnd(queues) => {
                QueueSet { count: queues.count as u64, hash: queues.hash.to_array().unwrap() }
            }
            other => panic!("{other:?}"),
        }
    }

    /// SUB, and the service that SOK tells.
    async fn subscribe(&mut self, queue: &TestQueue) -> Option<Vec<u8>> {
        let response = self.ask(Some(&queue.key), &queue.recipient_id, &Command::Subscribe).await;
        match response.decode(self.version()) {
            BrokerMessage::Subscribed(service) => service.map(|id| id.as_bytes().to_vec()),
            _ => panic!("{}", response.text()),
        }
    }

    /// The next event: what it is about, and its text.
    async fn event(&mut self) -> (Vec<u8>, String) {
        let received = self.receive().await;
        assert_eq!(received.correlation, b"", "{}", received.text());
        (received.entity.clone(), received.text())
    }

    async fn acknowledge(&mut self, queue: &TestQueue, id: &[u8]) -> String {
        self.tell(Some(&queue.key), &queue.recipient_id, &ack(id)).await
    }
}
