//! Short links over real relays.

use smp_agent::command::{Command, ConnectionOptions, LinkRequest};
use smp_agent::event::Links;
use smp_agent::policy::routing::ProxyMode;
use smp_agent::{ConnectionId, EventKind};
use smp_std::agent::AgentOptions;

use crate::person::{Person, USER, servers};
use crate::relay::Relay;

fn link(text: &str) -> Option<LinkRequest> {
    Some(LinkRequest { user_data: text.as_bytes().to_vec(), entity_id: None })
}

impl Person {
    async fn links(&mut self) -> Links {
        self.until(|kind| match kind {
            EventKind::LinkReady { links, .. } => Some(links.clone()),
            _ => None,
        })
        .await
    }

    async fn read(&mut self, link: &str) -> Vec<u8> {
        let reading = self.connection(Command::ReadLink { user: USER, link: link.into() }).await;
        self.until(|kind| match kind {
            EventKind::LinkRead { connection, user_data, .. } if *connection == reading => Some(user_data.0.clone()),
            _ => None,
        })
        .await
    }

    async fn join(&self, link: &str) -> ConnectionId {
        let (info, options) = (b"somebody".to_vec(), ConnectionOptions::default());
        self.connection(Command::Join { user: USER, link: link.into(), info, options }).await
    }

    async fn connected(&mut self, connection: ConnectionId) {
        self.until(|kind| {
            matches!(kind, EventKind::Connected { connection: id, .. } if *id == connection).then_some(())
        })
        .await;
    }

    async fn allow(&mut self) {
        let connection = self
            .until(|kind| match kind {
                EventKind::Confirmation { connection, .. } => Some(*connection),
                _ => None,
            })
            .await;
        self.agent.command(Command::Allow { connection, info: b"me".to_vec() }).await.unwrap();
    }
}

/// Two relays for queues and one that forwards.
fn relays() -> [Relay; 3] {
    [1, 2, 3].map(Relay::start)
}

/// Alice at one relay, and Bob at another one, who reaches hers in the given way.
async fn people(relays: &[Relay; 3], mode: ProxyMode) -> [Person; 2] {
    let [one, other, proxy] = relays.each_ref().map(Relay::server);
    let alice = Person::start(AgentOptions::default(), servers(&[&one], &[])).await;
    let mut options = AgentOptions::default();
    options.configuration.routing.mode = mode;
    let bob = Person::start(options, servers(&[&other], &[&proxy])).await;
    [alice, bob]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_changed_read_and_joined() {
    let relays = relays();
    let [mut alice, mut bob] = people(&relays, ProxyMode::Always).await;
    let options = ConnectionOptions::default();
    let inviting = alice.connection(Command::Invite { user: USER, options, link: link("first") }).await;
    let links = alice.links().await;
    let short = links.short.clone().unwrap();
    alice.agent.command(Command::SetLink { connection: inviting, user_data: b"second".to_vec() }).await.unwrap();
    assert_eq!(alice.links().await, links);
    assert_eq!(bob.read(&short).await, b"second");
    let joining = bob.join(&short).await;
    alice.allow().await;
    alice.connected(inviting).await;
    bob.connected(joining).await;
    bob.send(joining, b"hello".to_vec()).await;
    assert_eq!(alice.message().await, b"hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_gets_a_link_which_is_changed_read_asked_at_and_deleted() {
    let relays = relays();
    let [mut alice, mut bob] = people(&relays, ProxyMode::Never).await;
    let address = alice.connection(Command::CreateAddress { user: USER, link: None }).await;
    assert_eq!(alice.links().await.short, None);
    let set = |text: &str| Command::SetLink { connection: address, user_data: text.as_bytes().to_vec() };
    alice.agent.command(set("first")).await.unwrap();
    let short = alice.links().await.short.unwrap();
    assert_eq!(bob.read(&short).await, b"first");
    alice.agent.command(set("second")).await.unwrap();
    assert_eq!(alice.links().await.short, Some(short.clone()));
    assert_eq!(bob.read(&short).await, b"second");
    let asking = bob.join(&short).await;
    let invitation = alice
        .until(|kind| match kind {
            EventKind::Request { invitation, .. } => Some(*invitation),
            _ => None,
        })
        .await;
    let (info, options) = (b"me".to_vec(), ConnectionOptions::default());
    let accepted = alice.connection(Command::Accept { invitation, info, options }).await;
    bob.allow().await;
    bob.connected(asking).await;
    alice.connected(accepted).await;
    alice.agent.command(Command::DeleteLink { connection: address }).await.unwrap();
    alice.until(|kind| matches!(kind, EventKind::LinkDeleted { .. }).then_some(())).await;
}
