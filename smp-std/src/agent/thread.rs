//! The agent's thread: it owns the state machine and its storage, and waits for nothing but inputs and its storage.
//!
//! All inputs that wait, up to [`BATCH`], are taken before one commit; what follows from them goes out afterwards. Replies
//! to commands are given after the commit, too: whatever a command was answered with survives.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use rand::rngs::StdRng;
use smp_agent::policy::server::UserId;
use smp_agent::storage::Storage;
use smp_agent::{Agent, Command, ConnectionId, ConnectionSummary, Reply, Time};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::clock::Clock;
use super::error::{AgentFailure, CommandError};
use super::network::{Network, Order, Report};
use super::{Outlet, Shared};

/// How many inputs share a commit at most.
const BATCH: usize = 256;
/// The longest sleep: moments are those of the time of day, which may jump and goes on while the machine sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// The shortest sleep, so that a deadline that does not go away keeps nobody busy.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// The reply to a command.
type Replied = Result<Reply, CommandError>;

/// What an application asks.
pub(super) enum Ask {
    Command(Command, oneshot::Sender<Replied>),
    Connections(oneshot::Sender<Vec<(ConnectionId, UserId)>>),
    Connection(ConnectionId, oneshot::Sender<Option<ConnectionSummary>>),
    VerificationCode(ConnectionId, oneshot::Sender<Result<Option<[u8; 32]>, CommandError>>),
    Stop(oneshot::Sender<()>),
}

/// The state machine, with what goes in and out.
pub(super) struct Thread<S: Storage> {
    pub(super) agent: Agent<S, StdRng>,
    pub(super) clock: Clock,
    pub(super) network: Network,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) reports: mpsc::Receiver<Report>,
    pub(super) events: Outlet,
    pub(super) shared: Arc<Shared>,
    /// How many requests may be under way.
    pub(super) limit: usize,
    pub(super) stop_time_out: Duration,
    /// Replies that wait for the commit.
    pub(super) replies: Vec<(oneshot::Sender<Replied>, Replied)>,
    /// Since when the agent is being stopped, and who waits for it.
    pub(super) stopping: Option<(Instant, Vec<oneshot::Sender<()>>)>,
}

enum Input {
    Ask(Ask),
    Report(Report),
    /// There is room for events, or a deadline has come.
    Nothing,
    /// Nobody can ask any more, or the time to stop is up.
    End,
}

impl<S> Thread<S>
where
    S: Storage,
    S::Error: StdError + Send + Sync + 'static,
{
    /// Runs until the agent is stopped or fails, closes the storage, and tells who waits for it.
    pub(super) async fn run(mut self) {
        if let Err(failure) = self.serve().await {
            for (reply, _) in self.replies.drain(..) {
                let _ = reply.send(Err(CommandError::Failed(failure.clone())));
            }
            // Only this thread sets it.
            let _ = self.shared.failure.set(failure);
        }
        let Self { agent, network, asks, reports, events, stopping, .. } = self;
        drop(network);
        drop(reports);
        drop(agent.into_storage());
        // Whoever asked meanwhile learns it now, when the storage is closed and the failure known.
        drop(asks);
        drop(events);
        for waiting in stopping.into_iter().flat_map(|(_, waiting)| waiting) {
            let _ = waiting.send(());
        }
    }

    async fn serve(&mut self) -> Result<(), AgentFailure> {
        // What an earlier run left.
        self.go_on()?;
        loop {
            match self.input().await {
                Input::Ask(ask) => self.take_ask(ask)?,
                Input::Report(report) => self.take_report(report)?,
                Input::Nothing => {}
                Input::End => return Ok(()),
            }
            for _ in 1..BATCH {
                // In turn, so that neither starves the other.
                let (report, ask) = (self.reports.try_recv().ok(), self.next_ask());
                if report.is_none() && ask.is_none() {
                    break;
                }
                if let Some(report) = report {
                    self.take_report(report)?;
                }
                if let Some(ask) = ask {
                    self.take_ask(ask)?;
                }
            }
            self.go_on()?;
            if self.stopping.is_some() && self.network.under_way() == 0 {
                return Ok(());
            }
        }
    }

    /// Waits for something to do.
    async fn input(&mut self) -> Input {
        let pause = self.agent.next_deadline().map_or(LONGEST_SLEEP, |deadline| {
            let now = self.clock.now();
            Duration::from_millis(deadline.since(now)).clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
        });
        let given_up = self.stopping.as_ref().map(|(since, _)| since.checked_add(self.stop_time_out).unwrap_or(*since));
        let stopping = given_up.is_some();
        tokio::select! {
            report = self.reports.recv() => report.map_or(Input::End, Input::Report),
            ask = self.asks.recv(), if !stopping => ask.map_or(Input::End, Input::Ask),
            () = self.events.room.notified() => Input::Nothing,
            () = sleep(pause) => Input::Nothing,
            () = sleep_until(given_up.unwrap_or_else(Instant::now)), if stopping => Input::End,
        }
    }

    fn next_ask(&mut self) -> Option<Ask> {
        if self.stopping.is_none() { self.asks.try_recv().ok() } else { None }
    }

    fn take_ask(&mut self, ask: Ask) -> Result<(), AgentFailure> {
        match ask {
            Ask::Command(command, reply) => {
                let now = self.clock.now();
                let result = self.agent.handle(now, command).map_err(CommandError::new);
                let failure = match &result {
                    Err(CommandError::Failed(failure)) => Some(failure.clone()),
                    _ => None,
                };
                self.replies.push((reply, result));
                if let Some(failure) = failure {
                    return Err(failure);
                }
            }
            // Whoever asked may have gone away.
            Ask::Connections(reply) => drop(reply.send(self.agent.connections().collect())),
            Ask::Connection(id, reply) => drop(reply.send(self.agent.connection(id))),
            Ask::VerificationCode(id, reply) => {
                drop(reply.send(self.agent.verification_code(id).map_err(CommandError::new)));
            }
            Ask::Stop(waiting) => {
                let (_, all) = self.stopping.get_or_insert_with(|| (Instant::now(), Vec::new()));
                all.push(waiting);
            }
        }
        Ok(())
    }

    fn take_report(&mut self, report: Report) -> Result<(), AgentFailure> {
        match report {
            Report::Answer(request, result) => {
                self.network.answered(request);
                if let Err(failure) = &result {
                    tracing::debug!(%failure, "a request of an agent failed");
                }
                let now = self.clock.now();
                self.agent.answer(now, request, result).map_err(AgentFailure::new)?;
            }
            Report::Event(event) => {
                let now = self.clock.now();
                self.agent.relay_event(now, event).map_err(AgentFailure::new)?;
            }
            Report::Again(orders) => orders.into_iter().for_each(|order| self.network.order(order)),
            Report::Ended(whose) => self.network.forget(&whose),
            Report::Panicked(whose, task) => {
                for report in self.network.panicked(whose, task) {
                    self.take_report(report)?;
                }
            }
            Report::Borrow(session, borrower) => self.network.order(Order::Lend(session, borrower)),
        }
        Ok(())
    }

    /// Does what is due, commits, and lets out what follows.
    fn go_on(&mut self) -> Result<(), AgentFailure> {
        let now = self.clock.now();
        if self.agent.next_deadline().is_some_and(|deadline: Time| deadline <= now) {
            self.agent.advance(now).map_err(AgentFailure::new)?;
        }
        self.agent.commit().map_err(AgentFailure::new)?;
        for (reply, result) in self.replies.drain(..) {
            let _ = reply.send(result);
        }
        if self.stopping.is_some() {
            return Ok(());
        }
        while self.network.under_way() < self.limit
            && let Some(request) = self.agent.next_request()
        {
            self.network.execute(request);
        }
        self.hand_out_events()
    }

    fn hand_out_events(&mut self) -> Result<(), AgentFailure> {
        loop {
            let permit = match self.events.sender.try_reserve() {
                Ok(permit) => permit,
                Err(mpsc::error::TrySendError::Closed(())) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(())) => {
                    self.events.full.store(true, Ordering::SeqCst);
                    fence(Ordering::SeqCst);
                    // Room that was made before is not told of.
                    match self.events.sender.try_reserve() {
                        Ok(permit) => permit,
                        Err(_) => return Ok(()),
                    }
                }
            };
            match self.agent.poll().map_err(AgentFailure::new)? {
                Some(event) => permit.send(event),
                None => return Ok(()),
            }
        }
    }
}
