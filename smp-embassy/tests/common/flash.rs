//! What survives a reset of a device, and a network that fails in the middle of things.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use rand_core::Rng;
use smp_embassy::state::{MESSAGE_ID_LENGTH, ReceiverState, ReceiverStore, SenderState, SenderStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::random;

/// Records as flash keeps them. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Flash(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    sender: Option<Vec<u8>>,
    alarms: VecDeque<Vec<u8>>,
    receiver: Option<Vec<u8>>,
    last: Option<[u8; MESSAGE_ID_LENGTH]>,
    /// How often that was written.
    writes: usize,
    /// Whether a receiver's queue cannot be kept.
    failing: bool,
}

/// There is no place for more alarms.
pub(crate) const CAPACITY: usize = 16;

impl Flash {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap()
    }

    /// How many alarms wait.
    pub(crate) fn alarms(&self) -> usize {
        self.records().alarms.len()
    }

    /// How often it was kept which message was taken last.
    pub(crate) fn writes(&self) -> usize {
        self.records().writes
    }

    /// Lets the store fail, or not any more, when a receiver's queue is to be kept.
    pub(crate) fn fail(&self, failing: bool) {
        self.records().failing = failing;
    }

    /// Damages all alarms: a store passes over them.
    pub(crate) fn damage_alarms(&self) {
        self.records().alarms.clear();
    }
}

/// Writing takes a moment, in which a reset may come.
async fn moment() {
    tokio::task::yield_now().await;
}

impl SenderStore for Flash {
    type Error = postcard::Error;

    async fn load_sender(&mut self) -> Result<Option<SenderState>, Self::Error> {
        self.records().sender.as_deref().map(postcard::from_bytes).transpose()
    }

    async fn save_sender(&mut self, state: &SenderState) -> Result<(), Self::Error> {
        moment().await;
        let record = postcard::to_slice(state, &mut [0; 1024])?.to_vec();
        self.records().sender = Some(record);
        moment().await;
        Ok(())
    }

    async fn push_alarm(&mut self, body: &[u8]) -> Result<bool, Self::Error> {
        moment().await;
        let mut records = self.records();
        if records.alarms.len() == CAPACITY {
            return Ok(false);
        }
        records.alarms.push_back(body.to_vec());
        Ok(true)
    }

    async fn first_alarm(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        let records = self.records();
        let Some(alarm) = records.alarms.front() else { return Ok(None) };
        buffer[..alarm.len()].copy_from_slice(alarm);
        Ok(Some(alarm.len()))
    }

    async fn pop_alarm(&mut self) -> Result<(), Self::Error> {
        moment().await;
        self.records().alarms.pop_front();
        moment().await;
        Ok(())
    }
}

impl ReceiverStore for Flash {
    type Error = postcard::Error;

    async fn load_receiver(&mut self) -> Result<Option<ReceiverState>, Self::Error> {
        self.records().receiver.as_deref().map(postcard::from_bytes).transpose()
    }

    async fn save_receiver(&mut self, state: &ReceiverState) -> Result<(), Self::Error> {
        moment().await;
        let record = postcard::to_slice(state, &mut [0; 1024])?.to_vec();
        if self.records().failing {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.records().receiver = Some(record);
        moment().await;
        Ok(())
    }

    async fn load_last_message(&mut self) -> Result<Option<[u8; MESSAGE_ID_LENGTH]>, Self::Error> {
        Ok(self.records().last)
    }

    async fn save_last_message(&mut self, id: &[u8; MESSAGE_ID_LENGTH]) -> Result<(), Self::Error> {
        moment().await;
        {
            let mut records = self.records();
            records.last = Some(*id);
            records.writes += 1;
        }
        moment().await;
        Ok(())
    }
}

/// Passes connections on to a port, and cuts each after some tens of kilobytes: in handshakes, in commands, between a
/// command and its answer.
pub(crate) async fn flaky(to: u16, seed: u64) -> u16 {
    unreliable(to, seed, 20_000, false).await
}

/// Passes connections on to a port, and falls silent in each, without closing it, some time after the handshake.
pub(crate) async fn silent(to: u16, seed: u64) -> u16 {
    unreliable(to, seed, 50_000, true).await
}

async fn unreliable(to: u16, seed: u64, least: usize, silent: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut random = random(seed);
    tokio::spawn(async move {
        while let Ok((device, _)) = listener.accept().await {
            let Ok(relay) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
            let limit = least + usize::try_from(random.next_u32() % 150_000).unwrap();
            tokio::spawn(async move {
                let (mut device, mut relay) = (device, relay);
                pass(&mut device, &mut relay, limit).await;
                if silent {
                    // Until the device gives up.
                    while let Ok(1..) = device.read(&mut [0; 2048]).await {}
                }
            });
        }
    });
    port
}

async fn pass(device: &mut TcpStream, relay: &mut TcpStream, mut limit: usize) {
    let (mut up, mut down) = ([0; 2048], [0; 2048]);
    while limit > 0 {
        let passed = tokio::select! {
            read = device.read(&mut up) => match read {
                Ok(length @ 1..) => relay.write_all(&up[..length.min(limit)]).await.map(|()| length),
                _ => return,
            },
            read = relay.read(&mut down) => match read {
                Ok(length @ 1..) => device.write_all(&down[..length.min(limit)]).await.map(|()| length),
                _ => return,
            },
        };
        match passed {
            Ok(length) => limit = limit.saturating_sub(length),
            Err(_) => return,
        }
    }
}
