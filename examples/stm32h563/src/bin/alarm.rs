//! Sends a numbered alarm each time the blue button is pressed. See README.md.

#![no_std]
#![no_main]

use apps::{AlarmButton, TEXT_LENGTH, alarm_button};
use defmt::error;
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use smp_embassy::outbox::Outbox;
use smp_embassy::sender::SenderOptions;
use stm32h563::{Board, connection, device, provision, rest, tell};

/// Alarms that are not in the flash yet.
static OUTBOX: Outbox<CriticalSectionRawMutex, 4, TEXT_LENGTH> = Outbox::new();

const SETTINGS: AlarmButton<'_> = AlarmButton { name: "button", ..AlarmButton::DEFAULT };

#[embassy_executor::main]
async fn main(spawner: Spawner) -> ! {
    run(Board::start(spawner)).await;
    rest().await
}

/// Sends until that becomes impossible.
async fn run(mut board: Board) {
    let store = match provision::open_store(board.flash, &mut board.button, &mut board.lamp).await {
        Ok(store) => provision::share(store),
        Err(failure) => return error!("store: {}", failure),
    };
    let mut sender = match provision::sender(&store, &mut board.random, &mut board.terminal).await {
        Ok(sender) => sender,
        Err(failure) => return error!("no sender: {}", failure),
    };
    let (mut network, buffer) = connection(board.network);
    let device = device(&mut network, buffer, &mut board.random);
    let options = SenderOptions::default();
    let mut kept = &store;
    let sending = sender.run(device, &mut kept, &OUTBOX, &options, tell);
    match select(sending, alarm_button(board.button, &store, &OUTBOX, &SETTINGS)).await {
        Either::First(failure) => error!("the sender stopped: {}", failure),
        Either::Second(never) => never,
    }
}
