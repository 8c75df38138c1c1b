//! Stands for the agent's thread.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use smp_agent::policy::server::{Server, UserId};
use smp_agent::policy::session::{SessionKey, SessionMode};
use smp_agent::request::{Answer, Failure, Operation, RelayEvent, Request, RequestId, ServerAccess};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::{Network, Order, Report};
use crate::agent::AgentOptions;

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn session(user: u32, server: &Server) -> SessionKey {
    SessionKey::new(SessionMode::Session, UserId(user), server, b"")
}

pub(super) struct Story {
    network: Network,
    reports: mpsc::Receiver<Report>,
    next: u64,
    answers: BTreeMap<RequestId, Result<Answer, Failure>>,
    events: VecDeque<RelayEvent>,
}

impl Story {
    pub(super) fn new(options: AgentOptions) -> Self {
        let (reporter, reports) = mpsc::channel(1);
        let network = Network::new(&options, Handle::current(), reporter, 1);
        Self { network, reports, next: 0, answers: BTreeMap::new(), events: VecDeque::new() }
    }

    pub(super) fn begin(
        &mut self,
        session: &SessionKey,
        proxy: Option<&ServerAccess>,
        operation: Operation,
    ) -> RequestId {
        self.next += 1;
        let id = RequestId(self.next);
        self.network.execute(Request { id, session: session.clone(), proxy: proxy.cloned(), operation });
        id
    }

    pub(super) async fn ask(
        &mut self,
        session: &SessionKey,
        proxy: Option<&ServerAccess>,
        operation: Operation,
    ) -> Result<Answer, Failure> {
        let id = self.begin(session, proxy, operation);
        self.answer(id).await
    }

    pub(super) async fn answer(&mut self, id: RequestId) -> Result<Answer, Failure> {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer;
            }
            timeout(PATIENCE, self.turn()).await.expect("an answer in time");
        }
    }

    /// The same, of a request that has nothing to tell.
    pub(super) async fn done(
        &mut self,
        session: &SessionKey,
        proxy: Option<&ServerAccess>,
        operation: Operation,
    ) -> Result<(), Failure> {
        match self.ask(session, proxy, operation).await {
            Ok(Answer::Done) => Ok(()),
            Ok(answer) => panic!("{answer:?}"),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn event(&mut self) -> RelayEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            timeout(PATIENCE, self.turn()).await.expect("an event in time");
        }
    }

    pub(super) async fn no_event(&mut self, time: Duration) -> bool {
        while self.events.is_empty() {
            if timeout(time, self.turn()).await.is_err() {
                return true;
            }
        }
        false
    }

    pub(super) fn under_way(&self) -> usize {
        self.network.under_way()
    }

    async fn turn(&mut self) {
        let report = self.reports.recv().await.unwrap();
        self.take(report);
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Answer(id, result) => {
                self.network.answered(id);
                assert!(self.answers.insert(id, result).is_none(), "one answer for each");
            }
            Report::Event(event) => self.events.push_back(event),
            Report::Again(orders) => orders.into_iter().for_each(|order| self.network.order(order)),
            Report::Ended(whose) => self.network.forget(&whose),
            Report::Panicked(whose, task) => {
                self.network.panicked(whose, task).into_iter().for_each(|report| self.take(report));
            }
            Report::Borrow(session, borrower) => self.network.order(Order::Lend(session, borrower)),
        }
    }
}
