//! Somebody with an agent, who notes what it tells.

use std::time::Duration;

use smp_agent::command::{Command, ConnectionOptions, Reply};
use smp_agent::policy::integrity::Integrity;
use smp_agent::policy::server::{ConfiguredServer, OperatorId, Server, ServerList, UserId};
use smp_agent::storage::{MemoryStorage, Storage};
use smp_agent::{ConnectionId, ConnectionSummary, Event, EventKind};
use smp_std::agent::{AgentFailure, AgentOptions, CommandError, Events};
use tokio::time::timeout;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const USER: UserId = UserId(1);

/// An agent that has to answer in time.
#[derive(Clone)]
pub(crate) struct Agent(smp_std::agent::Agent);

impl Agent {
    pub(crate) async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        in_time(self.0.command(command)).await
    }

    pub(crate) async fn connections(&self) -> Result<Vec<(ConnectionId, UserId)>, CommandError> {
        in_time(self.0.connections()).await
    }

    pub(crate) async fn connection(&self, id: ConnectionId) -> Result<Option<ConnectionSummary>, CommandError> {
        in_time(self.0.connection(id)).await
    }

    pub(crate) async fn verification_code(&self, id: ConnectionId) -> Result<Option<[u8; 32]>, CommandError> {
        in_time(self.0.verification_code(id)).await
    }

    pub(crate) async fn stop(self) -> Result<(), AgentFailure> {
        in_time(self.0.stop()).await
    }
}

pub(crate) async fn in_time<T>(answer: impl Future<Output = T>) -> T {
    timeout(PATIENCE, answer).await.expect("an answer in time")
}

pub(crate) struct Person {
    pub(crate) agent: Agent,
    pub(crate) events: Events,
}

/// Own relays keep queues; all others are proxies, of another operator.
pub(crate) fn servers(storage: &[&Server], proxies: &[&Server]) -> ServerList {
    let own = storage.iter().map(|server| ConfiguredServer {
        proxy: false,
        operator: Some(OperatorId(1)),
        ..ConfiguredServer::new((*server).clone(), None)
    });
    let others = proxies.iter().map(|server| ConfiguredServer {
        storage: false,
        operator: Some(OperatorId(2)),
        ..ConfiguredServer::new((*server).clone(), None)
    });
    own.chain(others).collect::<Vec<_>>().into()
}

impl Person {
    pub(crate) async fn start(options: AgentOptions, servers: ServerList) -> Self {
        let person = Self::begin(MemoryStorage::default(), options);
        person.use_servers(servers).await;
        person
    }

    /// Somebody with a storage that may hold something already.
    pub(crate) fn begin<S>(storage: S, options: AgentOptions) -> Self
    where
        S: Storage + Send + 'static,
        S::Error: Send + Sync + 'static,
    {
        let (agent, events) = smp_std::agent::Agent::start(storage, options).unwrap();
        Self { agent: Agent(agent), events }
    }

    pub(crate) async fn use_servers(&self, servers: ServerList) {
        self.agent.command(Command::SetServers { user: USER, servers }).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Event {
        timeout(PATIENCE, self.events.next()).await.expect("an event in time").expect("a running agent")
    }

    /// The first event that `choose` takes, and acknowledges those before it and itself.
    pub(crate) async fn until<T>(&mut self, mut choose: impl FnMut(&EventKind) -> Option<T>) -> T {
        loop {
            let event = self.next().await;
            if let Some(event) = event.id {
                self.agent.command(Command::Acknowledge { event, receipt: None }).await.unwrap();
            }
            if let Some(chosen) = choose(&event.kind) {
                return chosen;
            }
            assert!(!matches!(event.kind, EventKind::Failed { .. } | EventKind::NotSent { .. }), "{event:?}");
        }
    }

    pub(crate) async fn connection(&self, command: Command) -> ConnectionId {
        match self.agent.command(command).await.unwrap() {
            Reply::Connection(connection) => connection,
            reply => panic!("{reply:?}"),
        }
    }

    pub(crate) async fn send(&self, connection: ConnectionId, body: Vec<u8>) {
        self.agent.command(Command::Send { connection, body, notify: true }).await.unwrap();
    }

    /// The body of the next message, which must continue the last one.
    pub(crate) async fn message(&mut self) -> Vec<u8> {
        self.until(|kind| match kind {
            EventKind::Message { message, .. } => {
                assert_eq!(message.integrity, Integrity::Ok);
                Some(message.body.0.clone())
            }
            _ => None,
        })
        .await
    }
}

/// Makes a connection by an invitation, and gives its names at both sides.
pub(crate) async fn connect(inviter: &mut Person, joiner: &mut Person) -> (ConnectionId, ConnectionId) {
    let options = ConnectionOptions::default();
    let invited = inviter.connection(Command::Invite { user: USER, options, link: None }).await;
    let link = inviter
        .until(|kind| match kind {
            EventKind::LinkReady { links, .. } => Some(links.full.clone()),
            _ => None,
        })
        .await;
    let joined = joiner.connection(Command::Join { user: USER, link, info: b"joiner".to_vec(), options }).await;
    let info = inviter
        .until(|kind| match kind {
            EventKind::Confirmation { info, .. } => Some(info.0.clone()),
            _ => None,
        })
        .await;
    assert_eq!(info, b"joiner");
    inviter.agent.command(Command::Allow { connection: invited, info: b"inviter".to_vec() }).await.unwrap();
    for (person, connection) in [(&mut *inviter, invited), (&mut *joiner, joined)] {
        person
            .until(|kind| match kind {
                EventKind::Connected { connection: id, .. } => {
                    assert_eq!(*id, connection);
                    Some(())
                }
                _ => None,
            })
            .await;
    }
    let codes = (inviter.agent.verification_code(invited).await, joiner.agent.verification_code(joined).await);
    assert_eq!(codes.0.unwrap().unwrap(), codes.1.unwrap().unwrap());
    (invited, joined)
}
