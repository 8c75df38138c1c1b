//! Does the board work? Looks at each of its parts once and says so in the log; then the lamp follows the button.
//!
//! Run it first on a new board: `cargo run --release --bin check`.

#![no_std]
#![no_main]

use apps::{Input, Output, Sensor};
use defmt::{error, info};
use embassy_executor::Spawner;
use embassy_time::{Duration, Timer, with_timeout};
use embedded_io_async::Write;
use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use rand_core::TryRng;
use stm32h563::{Board, FlashError, Random, RandomError, STORE, StoreFlash};

/// The sector before the store's first, which nothing else uses.
const SPARE: u32 = STORE.start - SECTOR;
const SECTOR: u32 = StoreFlash::ERASE_SIZE as u32;

#[embassy_executor::main]
async fn main(spawner: Spawner) -> ! {
    let mut board = Board::start(spawner);
    info!("the processor runs");
    match random(&mut board.random) {
        Ok(true) => info!("random numbers: they differ"),
        Ok(false) => error!("random numbers: always the same"),
        Err(failure) => error!("random numbers: {}", failure),
    }
    match board.temperature.read().await {
        Ok(tenths) => info!("thermometer: {} tenths of a degree", tenths),
        Err(failure) => error!("thermometer: {}", failure),
    }
    match flash(&mut board.flash).await {
        Ok(()) => info!("flash: erased, written and read back"),
        Err(failure) => error!("flash: {}", failure),
    }
    match board.terminal.write_all(b"terminal: this line is all\r\n").await {
        Ok(()) => info!("terminal: look at its first line"),
        Err(failure) => error!("terminal: {}", failure),
    }
    match with_timeout(Duration::from_secs(30), board.network.wait_config_up()).await {
        Ok(()) => info!("network: the router gave an address"),
        Err(_) if board.network.is_link_up() => error!("network: a cable, but no address"),
        Err(_) => error!("network: no cable"),
    }
    info!("press the blue button: the green lamp is lit as long");
    loop {
        board.button.wait_until(true).await;
        board.lamp.set(true);
        board.button.wait_until(false).await;
        board.lamp.set(false);
        // Bounces are not worth a line in the log.
        Timer::after_millis(20).await;
    }
}

fn random(random: &mut Random) -> Result<bool, RandomError> {
    Ok(random.try_next_u64()? != random.try_next_u64()?)
}

async fn flash(flash: &mut StoreFlash) -> Result<(), FlashError> {
    let mut read = [0; 32];
    flash.erase(SPARE, SPARE + SECTOR).await?;
    flash.read(SPARE, &mut read).await?;
    if read != [0xff; 32] {
        return Err(FlashError::Different);
    }
    flash.write(SPARE, b"sixteen bytes fit a word of it. ").await?;
    flash.read(SPARE, &mut read).await?;
    if read == *b"sixteen bytes fit a word of it. " { Ok(()) } else { Err(FlashError::Different) }
}
