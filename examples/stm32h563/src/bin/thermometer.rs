//! Tells when the processor gets too warm, and when it is cool again. See README.md.

#![no_std]
#![no_main]

use apps::{Gauge, Limits, TEXT_LENGTH, watch_sensor};
use defmt::error;
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_time::Duration;
use smp_embassy::outbox::Outbox;
use stm32h563::{Board, provision, rest, send};

/// Alarms that are not in the flash yet.
static OUTBOX: Outbox<CriticalSectionRawMutex, 4, TEXT_LENGTH> = Outbox::new();

/// The sensor gives tenths of a degree.
const GAUGE: Gauge<'_> = Gauge {
    name: "processor",
    unit: " °C",
    decimals: 1,
    interval: Duration::from_secs(5),
    limits: Limits {
        limit: 500,
        hysteresis: 20,
        spacing: Duration::from_secs(60),
        repeat: Duration::from_secs(3600),
        failures: 3,
    },
};

#[embassy_executor::main]
async fn main(spawner: Spawner) -> ! {
    run(Board::start(spawner)).await;
    rest().await
}

/// Sends, unless there is no store or no queue.
async fn run(mut board: Board) {
    let store = match provision::open_store(board.flash, &mut board.button, &mut board.lamp).await {
        Ok(store) => provision::share(store),
        Err(failure) => return error!("store: {}", failure),
    };
    let mut sender = match provision::sender(&store, &mut board.random, &mut board.terminal).await {
        Ok(sender) => sender,
        Err(failure) => return error!("no sender: {}", failure),
    };
    let sending = send(&mut sender, board.network, &mut board.random, &store, &OUTBOX);
    match select(sending, watch_sensor(board.temperature, &store, &OUTBOX, &GAUGE)).await {
        Either::First(never) | Either::Second(never) => never,
    }
}
