//! The agent as programs hold it.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};

use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use smp_agent::policy::server::UserId;
use smp_agent::storage::Storage;
use smp_agent::{Command, ConnectionId, ConnectionSummary, Event, Reply};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};

use super::AgentOptions;
use super::clock::Clock;
use super::error::{AgentFailure, CommandError, StartError};
use super::network::Network;
use super::thread::{Ask, Thread};

/// How many commands may wait for the agent's thread. More of them wait in their own tasks.
const ASKS: usize = 64;
/// How many answers and messages of relays may wait for the agent's thread. When they are as many, less is read.
const REPORTS: usize = 256;

/// A running agent. Clones share it; when the last one is dropped, it stops as soon as it can, without waiting for what is
/// under way.
#[derive(Clone, Debug)]
pub struct Agent {
    asks: mpsc::Sender<Ask>,
    shared: Arc<Shared>,
}

/// What an agent tells, in order. When events wait and nobody takes them, the agent keeps further ones in its storage.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    room: Arc<Notify>,
    full: Arc<AtomicBool>,
}

/// What the agent's thread leaves behind.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) failure: OnceLock<AgentFailure>,
}

/// Where events go.
pub(super) struct Outlet {
    pub(super) sender: mpsc::Sender<Event>,
    /// Wakes the thread when there is room again.
    pub(super) room: Arc<Notify>,
    /// Whether there was none.
    pub(super) full: Arc<AtomicBool>,
}

impl Agent {
    /// Starts an agent with what a storage holds. Connections are served by tasks on the current tokio runtime, which must
    /// outlive the agent; the agent itself has a thread of its own.
    ///
    /// This reads the storage, and takes as long as that does.
    ///
    /// # Errors
    /// The storage cannot be read, or the machine does not have what an agent needs.
    pub fn start<S>(storage: S, options: AgentOptions) -> Result<(Self, Events), StartError>
    where
        S: Storage + Send + 'static,
        S::Error: StdError + Send + Sync + 'static,
    {
        let runtime = Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let random = StdRng::try_from_rng(&mut SysRng).map_err(|_| StartError::Random)?;
        let mut clock = Clock::default();
        let started = clock.now();
        let agent = smp_agent::Agent::open(storage, options.configuration(), random, started)
            .map_err(|error| StartError::Failed(AgentFailure::new(error)))?;
        let (asks, asked) = mpsc::channel(ASKS);
        let (reporter, reports) = mpsc::channel(REPORTS);
        let (sender, receiver) = mpsc::channel(options.events.max(1));
        let (room, full) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let shared = Arc::new(Shared::default());
        let thread = Thread {
            agent,
            clock,
            network: Network::new(&options, runtime, reporter, started.0),
            asks: asked,
            reports,
            events: Outlet { sender, room: Arc::clone(&room), full: Arc::clone(&full) },
            shared: Arc::clone(&shared),
            limit: options.requests_under_way.max(1),
            stop_time_out: options.stop_time_out,
            replies: Vec::new(),
            stopping: None,
        };
        // A clock of its own, so that it ends in order also when the runtime of the connections is gone.
        let timers = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let timers = timers.map_err(StartError::Thread)?;
        let run = move || timers.block_on(thread.run());
        std::thread::Builder::new().name("agent".to_owned()).spawn(run).map_err(StartError::Thread)?;
        Ok((Self { asks, shared }, Events { receiver, room, full }))
    }

    /// Executes a command. What needs a relay is only noted, durably, when this returns. A command that was begun is
    /// executed also when nobody waits for its reply any more.
    ///
    /// # Errors
    /// The command is refused, or the agent has ended.
    pub async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        self.ask(|reply| Ask::Command(command, reply)).await?
    }

    /// All connections, and whose they are.
    ///
    /// # Errors
    /// The agent has ended.
    pub async fn connections(&self) -> Result<Vec<(ConnectionId, UserId)>, CommandError> {
        self.ask(Ask::Connections).await
    }

    /// What is known of a connection; `None` if there is no such connection.
    ///
    /// # Errors
    /// The agent has ended.
    pub async fn connection(&self, id: ConnectionId) -> Result<Option<ConnectionSummary>, CommandError> {
        self.ask(|reply| Ask::Connection(id, reply)).await
    }

    /// What both sides of a connection compare to be sure that nobody is in between; `None` before it is known.
    ///
    /// # Errors
    /// There is no such connection, or the agent has ended.
    pub async fn verification_code(&self, id: ConnectionId) -> Result<Option<[u8; 32]>, CommandError> {
        self.ask(|reply| Ask::VerificationCode(id, reply)).await?
    }

    /// Stops the agent: begins nothing new, waits for answers to what is under way, up to
    /// [`AgentOptions::stop_time_out`], and closes its connections and its storage. What was not finished is taken up by
    /// the next agent with the storage. Other clones of this one are told [`CommandError::Stopped`].
    ///
    /// # Errors
    /// The agent had ended with a failure, or did so now.
    pub async fn stop(self) -> Result<(), AgentFailure> {
        let (waiting, stopped) = oneshot::channel();
        if self.asks.send(Ask::Stop(waiting)).await.is_ok() {
            // It is dropped when the agent fails.
            let _ = self.reply(stopped).await;
        }
        self.shared.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, CommandError> {
        let (reply, replied) = oneshot::channel();
        if self.asks.send(ask(reply)).await.is_err() {
            return Err(self.ended());
        }
        self.reply(replied).await.ok_or_else(|| self.ended())
    }

    /// What the thread replies; `None` when it has ended without. Who asks at the moment it ends may have done so after it
    /// threw away what waited, and would be neither answered nor thrown away before the last handle is: so the end counts,
    /// too. Whatever was replied was replied before it.
    async fn reply<T>(&self, mut replied: oneshot::Receiver<T>) -> Option<T> {
        tokio::select! {
            biased;
            reply = &mut replied => reply.ok(),
            () = self.asks.closed() => replied.try_recv().ok(),
        }
    }

    fn ended(&self) -> CommandError {
        self.shared.failure.get().map_or(CommandError::Stopped, |failure| CommandError::Failed(failure.clone()))
    }
}

impl Events {
    /// The next event; `None` when the agent has ended. Can be dropped and called again.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.receiver.recv().await;
        // The room was made before this looks, and the thread says that there is none before it looks once more: one of
        // the two sees the other.
        fence(Ordering::SeqCst);
        if self.full.swap(false, Ordering::SeqCst) {
            self.room.notify_one();
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    fn handle() -> (Agent, mpsc::Receiver<Ask>) {
        let (asks, asked) = mpsc::channel(ASKS);
        (Agent { asks, shared: Arc::default() }, asked)
    }

    /// The channel keeps what is sent by somebody who had got his place in it before the receiver went away.
    #[tokio::test]
    async fn who_asks_while_the_agent_ends_is_told() {
        let (agent, asked) = handle();
        let place = agent.asks.reserve().await.unwrap();
        drop(asked);
        let (reply, replied) = oneshot::channel();
        place.send(Ask::Connections(reply));
        let told = timeout(Duration::from_secs(10), agent.reply(replied)).await.expect("an answer");
        assert_eq!(told, None);
        assert!(matches!(agent.connections().await, Err(CommandError::Stopped)));
    }

    #[tokio::test]
    async fn a_reply_before_the_end_counts() {
        let (agent, asked) = handle();
        let (reply, replied) = oneshot::channel();
        reply.send(Vec::<u8>::new()).unwrap();
        drop(asked);
        assert_eq!(agent.reply(replied).await, Some(Vec::new()));
    }
}
