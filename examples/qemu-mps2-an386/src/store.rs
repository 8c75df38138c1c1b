//! What the programs must not forget, in the flash.

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use smp_embassy::store::{Error, FlashStore};
use static_cell::ConstStaticCell;

use crate::arguments::Arguments;
use crate::console;
use crate::flash::{FlashError, HostFlash, PAGE};

/// Pages of the flash: 64 KiB.
pub const PAGES: usize = 16;

/// How many alarms wait in the flash at most.
pub const ALARMS: usize = 32;

/// How long a record may be, in bytes.
const RECORD_LENGTH: usize = 1024;

/// The store, for several tasks.
pub type Store = Mutex<NoopRawMutex, FlashStore<'static, HostFlash<PAGES>, ALARMS>>;

/// Opens the store in the file that `flash=` names; `cut=` is after how many bytes of writes the power goes. Call it once.
pub async fn open(arguments: Arguments) -> Result<Store, Error<FlashError>> {
    static BUFFER: ConstStaticCell<[u8; RECORD_LENGTH]> = ConstStaticCell::new([0; RECORD_LENGTH]);
    let cut = arguments.get("cut").and_then(|bytes| bytes.parse().ok());
    let flash = HostFlash::open(arguments.get("flash").unwrap_or("flash.bin"), cut).map_err(Error::Flash)?;
    let store = FlashStore::open(flash, 0..(PAGES * PAGE) as u32, BUFFER.take()).await?;
    console::event("store-open", "");
    Ok(Mutex::new(store))
}
