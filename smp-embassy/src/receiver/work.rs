//! A receiver at work: connects, and keeps what its connections bring.

use core::pin::pin;

use embassy_time::Instant;
use rand_core::TryCryptoRng;
use smp_proto::address::ServerAddress;

use super::conversation::Online;
use super::machine::{Machine, Request, Step};
use super::{Receiver, ReceiverError, ReceiverEvent, ReceiverHandler, ReceiverOptions};
use crate::apart::apart;
use crate::clock::WallClock;
use crate::connection::{self, Connection, Expectation};
use crate::device::Device;
use crate::dial::Network;
use crate::error::Error;
use crate::random;
use crate::serve::{Ended, Next, serve, sleep_until};
use crate::state::ReceiverStore;

/// A receiver at work.
pub(super) struct Work<'w, S, H> {
    pub(super) machine: Machine,
    pub(super) receiver: &'w mut Receiver,
    pub(super) store: &'w mut S,
    pub(super) options: &'w ReceiverOptions<'w>,
    pub(super) handler: &'w mut H,
}

pub(super) enum Never {}

impl<S: ReceiverStore, H: ReceiverHandler> Work<'_, S, H> {
    pub(super) async fn run<N, R, C>(&mut self, device: Device<'_, N, R, C>) -> Result<Never, ReceiverError<S::Error>>
    where
        N: Network,
        R: TryCryptoRng + ?Sized,
        C: WallClock + ?Sized,
    {
        let Device { network, random, clock, buffer } = device;
        self.tell_address();
        loop {
            match self.next().await? {
                Next::Connect => {}
                Next::Wait(until) => {
                    sleep_until(until).await;
                    continue;
                }
                // Without a connection there is nothing else to do.
                Next::Request(_) | Next::Disconnect => {
                    self.machine.closed();
                    continue;
                }
            }
            let opened = {
                let opening = pin!(self.connect(&mut *network, &mut *buffer, &mut *random, clock));
                apart(opening).await?
            };
            let ended = match opened {
                Ok(mut connection) => {
                    self.receiver.known_chain = connection.known_chain();
                    let ended = {
                        let mut online = Online::new(self, connection.version());
                        let serving = pin!(serve(&mut online, &mut connection, &mut *random));
                        apart(serving).await?
                    };
                    if !matches!(ended, Ended::Failed(_)) {
                        connection.close().await;
                    }
                    ended
                }
                Err(error) => Ended::Failed(error),
            };
            if let Ended::Closed = ended {
                self.machine.closed();
                continue;
            }
            self.machine.lost(Instant::now(), random::spread(random));
            if let Ended::Failed(error) = ended {
                self.handler.event(ReceiverEvent::Failed(error));
                match error {
                    Error::BufferTooShort => return Err(ReceiverError::BufferTooShort),
                    Error::NoFingerprint => return Err(ReceiverError::NoFingerprint),
                    _ => {}
                }
            }
        }
    }

    async fn connect<'d, N, R, C>(
        &self,
        network: &'d mut N,
        buffer: &'d mut [u8],
        random: &mut R,
        clock: &C,
    ) -> Result<Result<Connection<'d, N::Stream<'d>>, Error>, ReceiverError<S::Error>>
    where
        N: Network,
        R: TryCryptoRng + ?Sized,
        C: WallClock + ?Sized,
    {
        let server = self.server()?;
        let expectation = match Expectation::new(&server, clock) {
            Ok(expectation) => {
                Expectation { versions: self.options.versions, known_chain: self.receiver.known_chain, ..expectation }
            }
            Err(error) => return Ok(Err(error)),
        };
        Ok(connection::open(network, buffer, &server, &expectation, random).await)
    }

    /// The relay of the queue or, without one, the relay where it is to be created.
    fn server(&self) -> Result<ServerAddress<'_>, ReceiverError<S::Error>> {
        match &self.receiver.queue {
            Some(queue) => queue.server().ok_or(ReceiverError::Corrupt),
            None => Ok(self.options.relay.address()),
        }
    }

    /// The next thing that is not a matter of the store alone.
    pub(super) async fn next(&mut self) -> Result<Next<Request>, ReceiverError<S::Error>> {
        loop {
            match self.machine.step(Instant::now()) {
                Step::SaveQueue => {
                    let Some(queue) = &self.receiver.queue else { return Err(ReceiverError::Corrupt) };
                    self.store.save_receiver(queue.state()).await.map_err(ReceiverError::Store)?;
                    self.machine.saved_queue();
                    self.receiver.unkept.queue = false;
                    if !queue.is_introduced() {
                        self.tell_address();
                    }
                }
                Step::SaveLast(id) => {
                    self.store.save_last_message(&id).await.map_err(ReceiverError::Store)?;
                    self.machine.saved_last();
                    self.receiver.unkept.last = false;
                }
                Step::Connect => return Ok(Next::Connect),
                Step::Disconnect => return Ok(Next::Disconnect),
                Step::Request(request) => return Ok(Next::Request(request)),
                Step::Wait(until) => return Ok(Next::Wait(Some(until))),
                Step::Stop(stopped) => return Err(ReceiverError::Stopped(stopped)),
            }
        }
    }

    fn tell_address(&mut self) {
        if let Some(address) = self.receiver.address() {
            self.handler.queue(&address);
        }
    }
}
