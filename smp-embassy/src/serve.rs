//! One connection of a sender or of a receiver: one command at a time goes out, answers and events come in.

use core::future::pending;

use embassy_futures::select::{Either3, select3};
use embassy_time::{Duration, Instant, Timer};
use embedded_io_async::{Read, Write};
use rand_core::TryCryptoRng;

use crate::connection::{Connection, Incoming};
use crate::error::{Error, Wait};
use crate::random::RandomError;

/// What comes next for a role, once everything is kept that had to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next<Q> {
    /// Make a connection.
    Connect,
    /// Send a command.
    Request(Q),
    /// Wait for the relay or the application, until then if there is a limit.
    Wait(Option<Instant>),
    /// Close the connection.
    Disconnect,
}

/// How a connection ended.
pub(crate) enum Ended {
    /// Because nothing is to be done, or nothing can be.
    Closed,
    /// The application could not take a message.
    Later,
    /// It failed.
    Failed(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<RandomError> for Ended {
    fn from(error: RandomError) -> Self {
        Self::Failed(error.into())
    }
}

/// A role on one connection, and what it knows of the session there.
pub(crate) trait Conversation {
    /// Its commands.
    type Request;
    /// Why it stops for good.
    type Stop;

    /// Keeps what has to be kept and tells what comes next.
    async fn next(&mut self) -> Result<Next<Self::Request>, Self::Stop>;

    /// Composes a command and hands it to the network.
    async fn send<T: Read + Write, R: TryCryptoRng + ?Sized>(
        &mut self,
        connection: &mut Connection<'_, T>,
        request: Self::Request,
        random: &mut R,
    ) -> Result<Result<(), Ended>, Self::Stop>;

    /// Whether a command is on its way, so that the end of the wait for it is a failure.
    fn is_waiting(&self) -> bool;

    /// How long the rest of a block is waited for that is in the way of a command.
    fn patience(&self) -> Duration;

    /// Waits until the application has brought something to do.
    async fn called(&self);

    /// A block has come.
    fn heard(&mut self);

    /// Takes note of a transmission.
    async fn incoming<R: TryCryptoRng + ?Sized>(&mut self, incoming: Incoming<'_>, random: &mut R)
    -> Result<(), Ended>;
}

/// Does on a connection what there is to do, until it ends.
pub(crate) async fn serve<C: Conversation, T: Read + Write, R: TryCryptoRng + ?Sized>(
    conversation: &mut C,
    connection: &mut Connection<'_, T>,
    random: &mut R,
) -> Result<Ended, C::Stop> {
    // Until when the rest of a block is waited for that is in the way of a command.
    let mut rest = None;
    loop {
        let until = match conversation.next().await? {
            Next::Request(request) if connection.can_compose() => {
                match conversation.send(connection, request, random).await? {
                    Ok(()) => continue,
                    Err(ended) => return Ok(ended),
                }
            }
            // A part of a block has come in: the rest first.
            Next::Request(_) => {
                let now = Instant::now();
                let until = *rest.get_or_insert(now.saturating_add(conversation.patience()));
                if now >= until {
                    return Ok(Ended::Failed(Error::TimedOut(Wait::Response)));
                }
                Some(until)
            }
            Next::Wait(until) => until,
            Next::Disconnect if conversation.is_waiting() => {
                return Ok(Ended::Failed(Error::TimedOut(Wait::Response)));
            }
            Next::Connect | Next::Disconnect => return Ok(Ended::Closed),
        };
        match select3(connection.receive(), sleep_until(until), conversation.called()).await {
            Either3::First(Ok(block)) => {
                rest = None;
                conversation.heard();
                for incoming in block {
                    if let Err(ended) = conversation.incoming(incoming, random).await {
                        return Ok(ended);
                    }
                }
            }
            Either3::First(Err(error)) => return Ok(Ended::Failed(error)),
            // What the application has brought is taken over by the next step.
            Either3::Second(()) | Either3::Third(()) => {}
        }
    }
}

/// Waits for a time, or for ever.
pub(crate) async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => Timer::at(until).await,
        None => pending().await,
    }
}
