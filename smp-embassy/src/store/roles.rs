//! The store as the roles see it.

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_sync::mutex::Mutex;
use embedded_storage_async::nor_flash::NorFlash;

use super::error::Error;
use super::flash::FlashStore;
use super::numbers::NumberStore;
use super::record::LastMessage;
use crate::state::{MESSAGE_ID_LENGTH, ReceiverState, ReceiverStore, SenderState, SenderStore};

impl<F: NorFlash, const ALARMS: usize> SenderStore for FlashStore<'_, F, ALARMS> {
    type Error = Error<F::Error>;

    fn load_sender(&mut self) -> impl Future<Output = Result<Option<SenderState>, Self::Error>> {
        self.load(0)
    }

    fn save_sender(&mut self, state: &SenderState) -> impl Future<Output = Result<(), Self::Error>> {
        self.save(0, state)
    }

    fn push_alarm(&mut self, body: &[u8]) -> impl Future<Output = Result<bool, Self::Error>> {
        FlashStore::push_alarm(self, body)
    }

    fn first_alarm(&mut self, buffer: &mut [u8]) -> impl Future<Output = Result<Option<usize>, Self::Error>> {
        FlashStore::first_alarm(self, buffer)
    }

    fn pop_alarm(&mut self) -> impl Future<Output = Result<(), Self::Error>> {
        FlashStore::pop_alarm(self)
    }
}

impl<F: NorFlash, const ALARMS: usize> ReceiverStore for FlashStore<'_, F, ALARMS> {
    type Error = Error<F::Error>;

    fn load_receiver(&mut self) -> impl Future<Output = Result<Option<ReceiverState>, Self::Error>> {
        self.load(0)
    }

    fn save_receiver(&mut self, state: &ReceiverState) -> impl Future<Output = Result<(), Self::Error>> {
        self.save(0, state)
    }

    async fn load_last_message(&mut self) -> Result<Option<[u8; MESSAGE_ID_LENGTH]>, Self::Error> {
        Ok(self.load::<LastMessage>(0).await?.map(|id| id.0))
    }

    async fn save_last_message(&mut self, id: &[u8; MESSAGE_ID_LENGTH]) -> Result<(), Self::Error> {
        self.save(0, &LastMessage(*id)).await
    }
}

/// A store for several roles and tasks. Each operation waits for the one before.
impl<M: RawMutex, S: SenderStore> SenderStore for &Mutex<M, S> {
    type Error = S::Error;

    async fn load_sender(&mut self) -> Result<Option<SenderState>, Self::Error> {
        self.lock().await.load_sender().await
    }

    async fn save_sender(&mut self, state: &SenderState) -> Result<(), Self::Error> {
        self.lock().await.save_sender(state).await
    }

    async fn push_alarm(&mut self, body: &[u8]) -> Result<bool, Self::Error> {
        self.lock().await.push_alarm(body).await
    }

    async fn first_alarm(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        self.lock().await.first_alarm(buffer).await
    }

    async fn pop_alarm(&mut self) -> Result<(), Self::Error> {
        self.lock().await.pop_alarm().await
    }
}

/// A store for several roles and tasks. Each operation waits for the one before.
impl<M: RawMutex, S: ReceiverStore> ReceiverStore for &Mutex<M, S> {
    type Error = S::Error;

    async fn load_receiver(&mut self) -> Result<Option<ReceiverState>, Self::Error> {
        self.lock().await.load_receiver().await
    }

    async fn save_receiver(&mut self, state: &ReceiverState) -> Result<(), Self::Error> {
        self.lock().await.save_receiver(state).await
    }

    async fn load_last_message(&mut self) -> Result<Option<[u8; MESSAGE_ID_LENGTH]>, Self::Error> {
        self.lock().await.load_last_message().await
    }

    async fn save_last_message(&mut self, id: &[u8; MESSAGE_ID_LENGTH]) -> Result<(), Self::Error> {
        self.lock().await.save_last_message(id).await
    }
}

/// A store for several roles and tasks. Each operation waits for the one before.
impl<M: RawMutex, S: NumberStore> NumberStore for &Mutex<M, S> {
    type Error = S::Error;

    async fn next_number(&mut self, counter: u8) -> Result<u64, Self::Error> {
        self.lock().await.next_number(counter).await
    }
}
