//! The store's part of the flash, and what the processor does when it reads a word whose writing was cut.
//!
//! The flash keeps 9 bits of error correction with each 16-byte word. A word that was being written, or a sector that was
//! being erased, when the power failed can read as uncorrectable, and then the processor calls an interrupt that cannot be
//! masked. The handler here lets the read go on if it was one of the store, which finds the damage by its own checksums;
//! otherwise the program itself is damaged, and starting again is all there is to do.

#![expect(unsafe_code, reason = "the interrupt that reports flash errors and cannot be masked")]

use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m_rt::exception;
use embassy_stm32::flash::{Bank2Region, Blocking, Error};
use embassy_stm32::pac::FLASH;
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// The bytes of flash bank 2 that the store has: its last eight sectors. `memory.x` keeps the program out of this bank.
pub const STORE: Range<u32> = 0xf_0000..0x10_0000;

/// Bytes written at a time, each once between two erasures.
const WORD: usize = 16;

/// Bytes erased at a time.
const SECTOR: usize = 8192;

/// Whether the store is being read.
static READING: AtomicBool = AtomicBool::new(false);

/// Why the flash failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, defmt::Format)]
pub enum FlashError {
    /// Outside of the flash.
    OutOfBounds,
    /// Not in whole words, or not in whole sectors.
    NotAligned,
    /// The controller reports an error.
    Controller,
    /// What is there afterwards is not what was written.
    Different,
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfBounds => "outside of the flash",
            Self::NotAligned => "not in whole words or sectors of the flash",
            Self::Controller => "the flash reports an error",
            Self::Different => "the flash did not keep what was written",
        })
    }
}

impl core::error::Error for FlashError {}

impl From<Error> for FlashError {
    fn from(error: Error) -> Self {
        match error {
            Error::Size => Self::OutOfBounds,
            Error::Unaligned => Self::NotAligned,
            _ => Self::Controller,
        }
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::Controller | Self::Different => NorFlashErrorKind::Other,
        }
    }
}

/// Flash bank 2; addresses begin with it. Each write is read back, because the driver does not look at every flag of the
/// controller.
///
/// Writing a word takes some 50 µs and erasing a sector some 2 ms, during which no task runs.
pub struct StoreFlash(Bank2Region<'static, Blocking>);

impl StoreFlash {
    pub(crate) const fn new(bank: Bank2Region<'static, Blocking>) -> Self {
        Self(bank)
    }

    fn read_back(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        READING.store(true, Ordering::SeqCst);
        let result = self.0.blocking_read(offset, bytes);
        cortex_m::asm::dsb();
        READING.store(false, Ordering::SeqCst);
        Ok(result?)
    }
}

/// Forgets the controller's errors, which otherwise keep it from writing. The driver only writes back the flags it read,
/// which does not clear them.
fn clear_errors() {
    FLASH.nsccr().write(|flags| {
        flags.set_clr_wrperr(true);
        flags.set_clr_pgserr(true);
        flags.set_clr_strberr(true);
        flags.set_clr_incerr(true);
    });
}

impl ErrorType for StoreFlash {
    type Error = FlashError;
}

impl ReadNorFlash for StoreFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.read_back(offset, bytes)
    }

    fn capacity(&self) -> usize {
        STORE.end as usize
    }
}

impl NorFlash for StoreFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        clear_errors();
        Ok(self.0.blocking_erase(from, to)?)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let mut words = (offset..).step_by(WORD).zip(bytes.chunks(WORD));
        words.try_for_each(|(offset, word)| {
            clear_errors();
            self.0.blocking_write(offset, word)?;
            let mut written = [0; WORD];
            self.read_back(offset, &mut written)?;
            if written == *word { Ok(()) } else { Err(FlashError::Different) }
        })
    }
}

/// The interrupt that cannot be masked.
// SAFETY: it interrupts anything and must not touch what others use. It only uses an atomic, and a register that nothing
// else here writes.
#[exception]
unsafe fn NonMaskableInt() {
    let detected = FLASH.eccdetr().read();
    if detected.eccd() && detected.bk_ecc() && READING.load(Ordering::SeqCst) {
        // The flag is cleared by writing it as it was read.
        FLASH.eccdetr().write_value(detected);
        return;
    }
    cortex_m::peripheral::SCB::sys_reset();
}
