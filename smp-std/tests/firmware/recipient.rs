//! The person the board writes to: `smp-std`'s client on the host.

use std::collections::HashSet;
use std::time::Duration;

use smp_proto::address::ServerBuf;
use smp_proto::uri::QueueUri;
use smp_proto::version::SmpVersion;
use smp_proto::wire::Base64;
use smp_std::client::{
    Backoff, Event, Events, Id, Options, QueueOptions, ReceiveQueue, Received, ReconnectingClient, SendQueue,
};
use tokio::time::timeout;

use crate::board::PATIENCE;
use crate::relay::Relay;

/// Holds a queue, and a subscription to it through every restart of the relay.
pub(crate) struct Recipient {
    pub(crate) client: ReconnectingClient,
    events: Events,
    pub(crate) queue: ReceiveQueue,
    /// Messages that were taken: a relay whose acknowledgement was lost brings them again.
    taken: HashSet<Vec<u8>>,
    /// The id of the last one.
    last: Vec<u8>,
}

impl Recipient {
    pub(crate) async fn new(relay: &Relay) -> Self {
        let server = relay.uri().server().clone();
        let (client, events) = ReconnectingClient::start(server.clone(), Options::default(), backoff());
        let created = client.create_queue(&QueueOptions::default()).await.unwrap();
        let queue = ReceiveQueue::new(&server, created).unwrap();
        Self { client, events, queue, taken: HashSet::new(), last: Vec::new() }
    }

    /// The queue's address.
    pub(crate) fn address(&self) -> String {
        self.queue.uri().unwrap().to_string()
    }

    /// Takes the next message that is not a repetition.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            let event = timeout(PATIENCE, self.events.next()).await.expect("a message in time").expect("a relay");
            let Event::Message(delivery) = event else { continue };
            let Received::Message(message) = self.queue.open(&delivery).unwrap() else { continue };
            let text = String::from_utf8(message.body).unwrap();
            self.acknowledge(&delivery.message_id).await;
            self.last = delivery.message_id.as_bytes().to_vec();
            if self.taken.insert(self.last.clone()) {
                return text;
            }
        }
    }

    /// The id of the message that was taken last, in base64url.
    pub(crate) fn last(&self) -> String {
        Base64(&self.last).to_string()
    }

    /// As often as it takes: a restart may be under way.
    async fn acknowledge(&self, message: &Id) {
        for _ in 0..100 {
            match self.client.acknowledge(self.queue.credentials(), message).await {
                Err(error) if error.is_temporary() => tokio::time::sleep(Duration::from_millis(50)).await,
                // Somebody who was not heard the first time hears that there is nothing to acknowledge.
                _ => return,
            }
        }
        panic!("the relay takes no acknowledgement");
    }
}

/// Somebody on the host who writes to a queue.
pub(crate) struct Writer {
    client: ReconnectingClient,
    queue: SendQueue,
}

impl Writer {
    pub(crate) fn new(address: &str) -> Self {
        let uri: QueueUri = address.parse().unwrap();
        let queue = SendQueue::new(&uri, SmpVersion::MAX).unwrap();
        let server = ServerBuf::try_from(&queue.server()).unwrap();
        let (client, _events) = ReconnectingClient::start(server, Options::default(), backoff());
        Self { client, queue }
    }

    /// Sends a text, marked to be notified of.
    pub(crate) async fn send(&mut self, text: &str) {
        for _ in 0..100 {
            let sent = match self.client.client().await {
                Ok(client) => self.queue.send(&client, text.as_bytes()).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => return,
                Err(error) => assert!(error.is_temporary(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the relay takes no message");
    }
}

/// Impatient: relays come back soon.
fn backoff() -> Backoff {
    let mut backoff = Backoff::default();
    (backoff.first, backoff.most) = (Duration::from_millis(50), Duration::from_millis(500));
    backoff
}
