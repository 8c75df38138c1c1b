//! What the board has to be told, once: the link of the queue to send to, or the access to one to be notified of. It asks on
//! the terminal and keeps the answer in the flash.

use apps::{ACCESS_LENGTH, AccessRequest, Input, Output, SHOWN_KEY_LENGTH, ask};
use defmt::{error, info};
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_time::{Duration, Timer};
use heapless::String;
use smp_embassy::RandomError;
use smp_embassy::sender::{Sender, SenderError};
use smp_embassy::store::{Error, FlashStore, NotifierState};
use static_cell::ConstStaticCell;

use crate::{Button, FlashError, GreenLamp, Random, STORE, StoreFlash, Terminal};

/// How many alarms wait in the flash at most.
pub const ALARMS: usize = 32;

/// The store of this board.
pub type Store = FlashStore<'static, StoreFlash, ALARMS>;

/// The store, for several tasks.
pub type SharedStore = Mutex<NoopRawMutex, Store>;

/// Room for a link, in bytes. Those of relays with one name have about 250.
const LINK_LENGTH: usize = 1024;

/// How long a record of the store may be, in bytes.
const RECORD_LENGTH: usize = 1024;

/// How long the button has to be held at the start for the board to forget everything.
const FORGET: Duration = Duration::from_secs(3);

/// Before a terminal that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

async fn is_held(button: &mut Button) -> bool {
    matches!(select(button.wait_until(false), Timer::after(FORGET)).await, Either::Second(()))
}

/// Opens the store. When the button is held down meanwhile, empties it first, and lights the lamp when that is done.
pub async fn open_store(
    flash: StoreFlash,
    button: &mut Button,
    lamp: &mut GreenLamp,
) -> Result<Store, Error<FlashError>> {
    static BUFFER: ConstStaticCell<[u8; RECORD_LENGTH]> = ConstStaticCell::new([0; RECORD_LENGTH]);
    let buffer = BUFFER.take();
    if !is_held(button).await {
        return FlashStore::open(flash, STORE, buffer).await;
    }
    info!("the store is emptied");
    let store = FlashStore::format(flash, STORE, buffer).await?;
    lamp.set(true);
    Ok(store)
}

/// Lets several tasks use the store.
pub fn share(store: Store) -> SharedStore {
    Mutex::new(store)
}

/// The sender for the queue in the store. When there is none, for the one whose link was compiled in, or is entered on the
/// terminal.
pub async fn sender(
    store: &SharedStore,
    random: &mut Random,
    terminal: &mut Terminal,
) -> Result<Sender, SenderError<Error<FlashError>>> {
    match Sender::load(&mut &*store, None, random).await {
        Err(SenderError::NoQueue) => {}
        sender => return sender,
    }
    if let Some(link) = option_env!("SMP_QUEUE") {
        return Sender::load(&mut &*store, Some(link), random).await;
    }
    loop {
        info!("waiting for the link of a queue on the terminal");
        let link = ask::<LINK_LENGTH, _>(terminal, "the link of the queue:", |link| link.starts_with("smp://")).await;
        match link {
            Ok(link) => match Sender::load(&mut &*store, Some(&link), random).await {
                Err(SenderError::Address(_)) => error!("this is not the link of a queue"),
                sender => return sender,
            },
            Err(_) => Timer::after(PAUSE).await,
        }
    }
}

/// Why the board has no access to a queue's notifications.
#[derive(Clone, Copy, Debug, defmt::Format)]
pub enum AccessError {
    /// The store failed.
    Store(Error<FlashError>),
    /// There is no key without randomness.
    Random(RandomError),
}

/// The queue in the store of which the board is notified. When there is none, shows a key on the terminal and takes what
/// the owner of the queue enters there.
pub async fn notifier(
    store: &mut Store,
    random: &mut Random,
    terminal: &mut Terminal,
) -> Result<NotifierState, AccessError> {
    if let Some(state) = store.load(0).await.map_err(AccessError::Store)? {
        return Ok(state);
    }
    let request = AccessRequest::new(random).map_err(AccessError::Random)?;
    let mut question = String::<{ QUESTION.len() + SHOWN_KEY_LENGTH }>::new();
    // There is room for both.
    let _ = question.push_str(QUESTION).and_then(|()| question.push_str(&request.key()));
    loop {
        info!("waiting for the access to a queue on the terminal");
        let line = ask::<ACCESS_LENGTH, _>(terminal, &question, |line| request.complete(line).is_some()).await;
        if let Some(state) = line.ok().and_then(|line| request.complete(&line)) {
            store.save(0, &state).await.map_err(AccessError::Store)?;
            return Ok(state);
        }
        Timer::after(PAUSE).await;
    }
}

const QUESTION: &str = "what `smp notifier` prints for the key ";
