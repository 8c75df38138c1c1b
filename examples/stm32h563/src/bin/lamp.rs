//! Flashes the green lamp from the arrival of a message until the blue button is pressed. See README.md.

#![no_std]
#![no_main]

use apps::{Blinking, run_notification_lamp};
use defmt::{error, info, warn};
use embassy_executor::Spawner;
use smp_embassy::NotifierEvent;
use stm32h563::{Board, connection, device, provision, rest};

#[embassy_executor::main]
async fn main(spawner: Spawner) -> ! {
    run(Board::start(spawner)).await;
    rest().await
}

/// Is notified until that becomes impossible.
async fn run(mut board: Board) {
    let mut store = match provision::open_store(board.flash, &mut board.button, &mut board.lamp).await {
        Ok(store) => store,
        Err(failure) => return error!("store: {}", failure),
    };
    let state = match provision::notifier(&mut store, &mut board.random, &mut board.terminal).await {
        Ok(state) => state,
        Err(failure) => return error!("no access: {}", failure),
    };
    let (mut network, buffer) = connection(board.network);
    let device = device(&mut network, buffer, &mut board.random);
    let settings = Blinking::DEFAULT;
    match run_notification_lamp(device, &state, board.lamp, board.button, &settings, tell).await {
        Ok(end) => error!("the notifier stopped: {}", end),
        Err(failure) => error!("the notifier failed: {}", failure),
    }
}

fn tell(event: &NotifierEvent) {
    match event {
        NotifierEvent::Subscribed(_) => info!("subscribed"),
        NotifierEvent::Message(..) => info!("a message waits"),
        NotifierEvent::Displaced(_) => warn!("another device is notified now"),
        NotifierEvent::Gone(_) => warn!("the queue or its notifier was deleted"),
        NotifierEvent::Disconnected(failure) => warn!("no connection: {}", failure),
        _ => {}
    }
}
