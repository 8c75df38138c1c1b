//! A way to a relay through a proxy: the session that the proxy has with the relay (wire reference of the agent, section
//! 23).

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use smp_agent::policy::server::ServerPassword;
use smp_agent::request::{Answer, Failure, Reporter};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Job, Kept, LINGER, Loan, Order, Report, Shared, WayKey, Whose, failure, operation};
use crate::client::{ClientError, ProxyFailure, ProxySession};

/// What became of a command.
struct Done {
    job: Job,
    /// What the proxy asks of its users.
    password: Option<ServerPassword>,
    /// The session it was sent in.
    session: ProxySession,
    /// Whether it was sent for the second time.
    repeated: bool,
    result: Result<Answer, ClientError>,
}

type UnderWay = FuturesUnordered<Pin<Box<dyn Future<Output = Done> + Send>>>;

struct Way {
    key: WayKey,
    shared: Arc<Shared>,
    orders: UnboundedReceiver<Order>,
    /// The session, and the connection to the proxy.
    session: Option<(ProxySession, Loan)>,
    kept: Kept,
    under_way: UnderWay,
    /// What became of commands while something else was waited for.
    finished: VecDeque<Done>,
}

/// Executes orders for a way, until there were none for a while.
pub(super) async fn run(key: WayKey, shared: Arc<Shared>, orders: UnboundedReceiver<Order>) {
    let (under_way, finished) = (UnderWay::new(), VecDeque::new());
    let way = Way { key, shared, orders, session: None, kept: Kept::default(), under_way, finished };
    way.serve().await;
}

impl Way {
    async fn serve(mut self) {
        loop {
            while let Some(done) = self.finished.pop_front() {
                self.finish(done).await;
            }
            let idle_time_out = if self.session.is_some() { self.shared.idle_time_out } else { LINGER };
            tokio::select! {
                biased;
                Some(done) = self.under_way.next() => self.finish(done).await,
                order = timeout(idle_time_out, self.orders.recv()) => match order {
                    Ok(Some(Order::Proxied(_, password, job))) => self.begin(job, password, false).await,
                    // Given to sessions only.
                    Ok(Some(Order::Direct(..) | Order::Lend(..))) => {}
                    Ok(None) => return,
                    Err(_) if self.under_way.is_empty() => break,
                    Err(_) => {}
                }
            }
        }
        self.orders.close();
        let mut late = Vec::new();
        while let Some(order) = self.orders.recv().await {
            late.push(order);
        }
        self.shared.report(Report::Ended(Whose::Way(self.key))).await;
        if !late.is_empty() {
            self.shared.report(Report::Again(late)).await;
        }
    }

    /// Sends a command, after the session has been made if there is none.
    async fn begin(&mut self, job: Job, password: Option<ServerPassword>, repeated: bool) {
        if self.session.as_ref().is_some_and(|(session, _)| session.is_closed()) {
            self.session = None;
        }
        let session = match &self.session {
            Some((session, _)) => session.clone(),
            None => match self.open(password.as_ref()).await {
                Ok(session) => session,
                Err(failure) => return self.refuse(job, failure).await,
            },
        };
        self.under_way.push(Box::pin(async move {
            let result = operation::of_sender(&session, &job.operation).await;
            Done { job, password, session, repeated, result }
        }));
    }

    async fn open(&mut self, password: Option<&ServerPassword>) -> Result<ProxySession, Failure> {
        if let Some(failure) = self.kept.get() {
            return Err(failure);
        }
        let Self { key, shared, under_way, finished, .. } = self;
        let asking = async {
            let loan = borrow(shared, key).await?;
            let password = password.map(ServerPassword::as_bytes);
            let session = loan.client.proxy_session(&key.session.server().address(), password).await;
            session.map(|session| (session, loan)).map_err(|error| failure::through_proxy(&error))
        };
        let result = meanwhile(asking, under_way, finished).await;
        match result {
            Ok((session, loan)) => {
                self.session = Some((session.clone(), loan));
                Ok(session)
            }
            Err(failure) => {
                self.kept.keep(failure);
                // Those who waited for the same session.
                while let Ok(Order::Proxied(_, _, job)) = self.orders.try_recv() {
                    self.refuse(job, failure).await;
                }
                Err(failure)
            }
        }
    }

    async fn finish(&mut self, done: Done) {
        let Done { job, password, session, repeated, result } = done;
        let error = match result {
            Ok(answer) => return self.shared.report(Report::Answer(job.id, Ok(answer))).await,
            Err(error) => error,
        };
        if let ClientError::Proxy(failure) = &error {
            let current = self.session.as_ref().is_some_and(|(current, _)| current.is_same(&session));
            if failure.ends_session() && current {
                self.session = None;
            }
            // It was not forwarded.
            if matches!(failure, ProxyFailure::NoSession) && !repeated {
                return self.begin(job, password, true).await;
            }
        }
        self.refuse(job, failure::through_proxy(&error)).await;
    }

    async fn refuse(&mut self, job: Job, failure: Failure) {
        self.shared.report(Report::Answer(job.id, Err(failure))).await;
    }
}

/// The connection to the proxy.
async fn borrow(shared: &Shared, key: &WayKey) -> Result<Loan, Failure> {
    let gone = failure::through_proxy(&ClientError::Closed);
    let (lender, loan) = oneshot::channel();
    shared.report(Report::Borrow(key.proxy_session(), lender)).await;
    // What is wrong with the relay of that session is wrong with the proxy.
    loan.await.unwrap_or(Err(gone)).map_err(|failure| Failure { by: Reporter::Proxy, ..failure })
}

/// Waits for something while commands that are under way go on. They may stand in front of it: commands that wait for room
/// on the connection take their turns, and one that is not polled would keep its turn for ever.
async fn meanwhile<T>(work: impl Future<Output = T>, under_way: &mut UnderWay, finished: &mut VecDeque<Done>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            output = &mut work => return output,
            Some(done) = under_way.next() => finished.push_back(done),
        }
    }
}
