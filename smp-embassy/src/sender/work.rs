//! A sender at work: connects when there is something to send, and moves alarms from the outbox to the store.

use core::future::{Future, pending};
use core::pin::{Pin, pin};

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_time::{Duration, Instant, Timer};
use rand_core::TryCryptoRng;
use smp_crypto::certificate::KnownChain;
use smp_proto::address::ServerAddress;

use super::conversation::Online;
use super::machine::{Machine, Request, Step};
use super::queue::{AddressError, SendQueue};
use super::{SenderError, SenderEvent, SenderOptions};
use crate::apart::apart;
use crate::clock::WallClock;
use crate::connection::{self, Expectation};
use crate::device::Device;
use crate::dial::Network;
use crate::error::Error;
use crate::outbox::Outbox;
use crate::random;
use crate::serve::{Ended, Next, serve, sleep_until};
use crate::state::SenderStore;

/// After how long a store that has no alarm is asked again for room that it did not have.
const FULL_PAUSE: Duration = Duration::from_secs(60);

/// A sender at work.
pub(super) struct Work<'w, S, M: RawMutex, F, const ALARMS: usize, const LENGTH: usize> {
    pub(super) machine: Machine,
    pub(super) queue: &'w SendQueue,
    pub(super) options: &'w SenderOptions<'w>,
    pub(super) report: F,
    store: &'w mut S,
    outbox: &'w Outbox<M, ALARMS, LENGTH>,
    known_chain: &'w mut Option<KnownChain>,
    /// One alarm on its way from the outbox to the store, or from the store to the relay.
    body: [u8; LENGTH],
    /// How long it is.
    length: usize,
    /// The store has an alarm.
    pending: bool,
    /// The store has no room.
    full: bool,
    /// The store has alarms of an earlier life, which the outbox knows nothing of.
    earlier: bool,
}

pub(super) enum Never {}

impl<'w, S, M, F, const ALARMS: usize, const LENGTH: usize> Work<'w, S, M, F, ALARMS, LENGTH>
where
    S: SenderStore,
    M: RawMutex,
    F: FnMut(SenderEvent),
{
    pub(super) const fn new(
        machine: Machine,
        queue: &'w SendQueue,
        store: &'w mut S,
        outbox: &'w Outbox<M, ALARMS, LENGTH>,
        options: &'w SenderOptions<'w>,
        report: F,
        known_chain: &'w mut Option<KnownChain>,
    ) -> Self {
        Self {
            machine,
            queue,
            options,
            report,
            store,
            outbox,
            known_chain,
            body: [0; LENGTH],
            length: 0,
            pending: false,
            full: false,
            earlier: false,
        }
    }

    pub(super) async fn run<N, R, C>(&mut self, device: Device<'_, N, R, C>) -> Result<Never, SenderError<S::Error>>
    where
        N: Network,
        R: TryCryptoRng + ?Sized,
        C: WallClock + ?Sized,
    {
        let Device { network, random, clock, buffer } = device;
        self.earlier = self.look().await?;
        if !self.earlier {
            // A run that was given up may not have told of the last ones.
            self.none_left();
        }
        loop {
            match self.next().await? {
                Next::Connect => {}
                Next::Wait(until) => {
                    select(sleep_until(until), self.called()).await;
                    continue;
                }
                // Without a connection there is nothing else to do.
                Next::Request(_) | Next::Disconnect => {
                    self.machine.closed();
                    continue;
                }
            }
            let server = match self.options.proxy {
                Some(proxy) => proxy.address(),
                None => self.queue.server(),
            };
            let ended = match Expectation::new(&server, clock) {
                Err(error) => Ended::Failed(error),
                Ok(expectation) => {
                    let versions = self.options.versions;
                    let expectation = Expectation { versions, known_chain: *self.known_chain, ..expectation };
                    self.connect(network, buffer, &server, &expectation, random).await?
                }
            };
            let Ended::Failed(error) = ended else {
                self.machine.closed();
                (self.report)(SenderEvent::Disconnected);
                continue;
            };
            self.machine.lost(Instant::now(), random::spread(random));
            (self.report)(SenderEvent::Failed(error));
            match error {
                Error::BufferTooShort => return Err(SenderError::BufferTooShort),
                Error::NoFingerprint => return Err(SenderError::Address(AddressError::NoFingerprint)),
                _ => {}
            }
        }
    }

    /// Connects, sends what there is to send, and waits for more.
    async fn connect<N: Network, R: TryCryptoRng + ?Sized>(
        &mut self,
        network: &mut N,
        buffer: &mut [u8],
        server: &ServerAddress<'_>,
        expectation: &Expectation,
        random: &mut R,
    ) -> Result<Ended, SenderError<S::Error>> {
        let opened = {
            let opening = pin!(connection::open(network, buffer, server, expectation, &mut *random));
            self.meanwhile(pin!(apart(opening))).await?
        };
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(error) => return Ok(Ended::Failed(error)),
        };
        *self.known_chain = connection.known_chain();
        let ended = {
            let mut online = Online::new(self, &connection, expectation.now);
            let serving = pin!(serve(&mut online, &mut connection, random));
            apart(serving).await?
        };
        if let Ended::Closed = ended {
            self.meanwhile(pin!(connection.close())).await?;
        }
        Ok(ended)
    }

    /// The next thing that is not a matter of the store alone.
    pub(super) async fn next(&mut self) -> Result<Next<Request>, SenderError<S::Error>> {
        loop {
            self.take_over().await?;
            match self.machine.step(Instant::now(), self.pending) {
                Step::Save => {
                    let (stage, secures) = self.machine.stage();
                    let state = self.queue.to_state(stage, secures);
                    self.store.save_sender(&state).await.map_err(SenderError::Store)?;
                    self.machine.saved();
                }
                Step::Remove => {
                    self.store.pop_alarm().await.map_err(SenderError::Store)?;
                    self.machine.removed();
                    self.full = false;
                    self.look().await?;
                    match (self.earlier, self.pending) {
                        (false, true) => self.outbox.one_accepted(),
                        (_, false) => self.none_left(),
                        (true, true) => {}
                    }
                    (self.report)(SenderEvent::Accepted);
                }
                Step::Connect => return Ok(Next::Connect),
                Step::Disconnect => return Ok(Next::Disconnect),
                Step::Request(request) => return Ok(Next::Request(request)),
                Step::Await(until) => return Ok(Next::Wait(Some(until))),
                Step::Sleep { until, .. } => return Ok(Next::Wait(until)),
                Step::Stop(refusal) => return Err(SenderError::Refused(refusal)),
            }
        }
    }

    /// The oldest alarm, as [`look`](Self::look) found it.
    pub(super) fn alarm(&self) -> &[u8] {
        self.body.get(..self.length).unwrap_or_default()
    }

    /// Copies the oldest alarm of the store and tells whether there is one.
    pub(super) async fn look(&mut self) -> Result<bool, SenderError<S::Error>> {
        let length = self.store.first_alarm(&mut self.body).await.map_err(SenderError::Store)?;
        self.pending = length.is_some();
        self.length = length.unwrap_or_default();
        Ok(self.pending)
    }

    /// The store has no alarm any more. Those that it found damaged count as accepted, too: nobody shall wait for them for
    /// ever.
    pub(super) fn none_left(&mut self) {
        self.earlier = false;
        self.outbox.all_accepted();
    }

    /// Moves alarms from the outbox to the store, as long as there is room.
    async fn take_over(&mut self) -> Result<(), SenderError<S::Error>> {
        // A store without alarms, such as one that found them damaged, gets no room by sending one.
        self.full &= self.pending;
        while !self.full
            && let Some(length) = self.outbox.first(&mut self.body)
        {
            let body = self.body.get(..length).unwrap_or_default();
            if self.store.push_alarm(body).await.map_err(SenderError::Store)? {
                self.outbox.taken();
                self.pending = true;
            } else {
                self.full = true;
            }
        }
        Ok(())
    }

    /// Does something that takes long, and takes over alarms meanwhile.
    pub(super) async fn meanwhile<T>(
        &mut self,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, SenderError<S::Error>> {
        loop {
            match select(work.as_mut(), self.called()).await {
                Either::First(output) => return Ok(output),
                Either::Second(()) => self.take_over().await?,
            }
        }
    }

    /// Waits until there are alarms that the store may have room for.
    pub(super) async fn called(&self) {
        match (self.full, self.pending) {
            (false, _) => self.outbox.filled().await,
            (true, true) => pending().await,
            (true, false) => Timer::after(FULL_PAUSE).await,
        }
    }
}
