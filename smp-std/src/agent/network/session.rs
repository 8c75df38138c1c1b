//! A session: the connection to a relay for one user, or for one entity of a user.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use smp_agent::policy::session::SessionKey;
use smp_agent::request::{Answer, Delivery, Failure, RelayEvent, RequestId};
use smp_proto::smp::SmpError;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Job, Kept, LINGER, Loan, Order, Report, Shared, Whose, failure, operation};
use crate::client::{Client, ClientError, Event, Events};

/// Requests under way, which are started in the order of the agent.
type UnderWay = FuturesUnordered<Pin<Box<dyn Future<Output = (RequestId, Result<Answer, Failure>)> + Send>>>;

/// Why a connection is not served any longer.
enum End {
    /// It broke.
    Disconnected,
    /// It had nothing to do and was closed.
    Idle,
    /// The agent stopped.
    Stopped,
}

/// Executes orders for a session, until there were none for a while.
pub(super) async fn run(key: SessionKey, shared: Arc<Shared>, mut orders: UnboundedReceiver<Order>) {
    let mut kept = Kept::default();
    loop {
        let order = match timeout(LINGER, orders.recv()).await {
            Ok(Some(order)) => order,
            Ok(None) => return,
            Err(_) => break,
        };
        if let Some(failure) = kept.get() {
            refuse(&shared, order, failure).await;
            continue;
        }
        match connect(&key, &shared).await {
            Ok((client, events)) => {
                if let End::Stopped = serve(&key, &shared, client, events, order, &mut orders).await {
                    return;
                }
                shared.report(Report::Event(RelayEvent::Disconnected(key.clone()))).await;
            }
            Err(error) => {
                let failure = failure::of_relay(&error);
                kept.keep(failure);
                refuse(&shared, order, failure).await;
                // Those who waited for the same connection.
                while let Ok(order) = orders.try_recv() {
                    refuse(&shared, order, failure).await;
                }
            }
        }
    }
    orders.close();
    let mut late = Vec::new();
    while let Some(order) = orders.recv().await {
        late.push(order);
    }
    shared.report(Report::Ended(Whose::Session(key))).await;
    if !late.is_empty() {
        shared.report(Report::Again(late)).await;
    }
}

async fn connect(key: &SessionKey, shared: &Shared) -> Result<(Client, Events), ClientError> {
    let _turn = shared.connects.wait(key.server()).await;
    Client::connect_to(&key.server().address(), &shared.options(key)).await
}

async fn refuse(shared: &Shared, order: Order, failure: Failure) {
    match order {
        Order::Direct(_, job) | Order::Proxied(_, _, job) => shared.report(Report::Answer(job.id, Err(failure))).await,
        Order::Lend(_, borrower) => {
            let _ = borrower.send(Err(failure));
        }
    }
}

async fn serve(
    key: &SessionKey,
    shared: &Shared,
    client: Client,
    mut events: Events,
    first: Order,
    orders: &mut UnboundedReceiver<Order>,
) -> End {
    let loans = Arc::new(());
    let mut under_way = UnderWay::new();
    begin(&client, &loans, &under_way, first);
    let mut idle_at = after(shared);
    loop {
        // Answers come before what follows from them, such as the messages of a new subscription.
        tokio::select! {
            biased;
            Some((id, result)) = under_way.next() => {
                idle_at = after(shared);
                shared.report(Report::Answer(id, result)).await;
            }
            event = events.next() => match event {
                Some(Event::Disconnected(_)) | None => break,
                Some(event) => {
                    idle_at = after(shared);
                    if let Some(event) = relay_event(key, event) {
                        shared.report(Report::Event(event)).await;
                    }
                }
            },
            order = orders.recv() => match order {
                Some(order) => {
                    idle_at = after(shared);
                    begin(&client, &loans, &under_way, order);
                }
                None => return End::Stopped,
            },
            () = sleep_until(idle_at) => {
                let lent = Arc::strong_count(&loans) > 1;
                if under_way.is_empty() && client.subscriptions() == 0 && !lent {
                    return End::Idle;
                }
                idle_at = after(shared);
            }
        }
    }
    // All of them have failed by now, unless their answers came in time. A subscription must not be reported after the
    // end of its connection.
    while let Some((id, result)) = under_way.next().await {
        shared.report(Report::Answer(id, result)).await;
    }
    End::Disconnected
}

fn after(shared: &Shared) -> Instant {
    let now = Instant::now();
    now.checked_add(shared.idle_time_out).unwrap_or(now)
}

fn begin(client: &Client, loans: &Arc<()>, under_way: &UnderWay, order: Order) {
    match order {
        Order::Direct(_, Job { id, operation }) | Order::Proxied(_, _, Job { id, operation }) => {
            let client = client.clone();
            under_way.push(Box::pin(async move {
                let result = operation::direct(&client, &operation).await;
                (id, result.map_err(|error| failure::of_relay(&error)))
            }));
        }
        Order::Lend(_, borrower) => {
            let _ = borrower.send(Ok(Loan { client: client.clone(), _held: Arc::clone(loans) }));
        }
    }
}

/// What an event of a connection is for the agent, if it is anything.
fn relay_event(session: &SessionKey, event: Event) -> Option<RelayEvent> {
    let session = session.clone();
    match event {
        Event::Message(delivery) => {
            let server = session.server().clone();
            let crate::client::Delivery { queue, message_id, body } = *delivery;
            let [queue, message_id] = [queue, message_id].map(|id| id.as_bytes().to_vec());
            Some(RelayEvent::Message(Box::new(Delivery { server, session, queue, message_id, body: body.into_vec() })))
        }
        Event::SubscriptionEnded(queue) => {
            Some(RelayEvent::SubscriptionEnded { session, queue: queue.as_bytes().to_vec() })
        }
        Event::QueueDeleted(queue) => Some(RelayEvent::QueueDeleted { session, queue: queue.as_bytes().to_vec() }),
        Event::Error(Some(queue), error) => match error.get() {
            SmpError::Blocked(blocked) => {
                let blocked = failure::of_block(&blocked);
                Some(RelayEvent::QueueBlocked { session, queue: queue.as_bytes().to_vec(), blocked })
            }
            _ => None,
        },
        // Notifications were not asked for.
        _ => None,
    }
}
