//! NOR flash in a file of the host: words of 4 bytes written once after an erase, pages of 4 KiB erased at once. The file
//! outlives the program, as flash outlives a reset, and power can be cut in the middle of any write.

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

use crate::console;
use crate::semihosting::{self, File, Mode};

/// Bytes erased at once.
pub const PAGE: usize = 4096;

/// Bytes written at once.
pub const WORD: usize = 4;

/// The longest name of a file, in bytes.
pub const MAX_NAME: usize = 255;

/// Exit code of a program whose power was cut.
pub const POWER_CUT: u32 = 3;

/// Flash of `PAGES` pages in a file.
pub struct HostFlash<const PAGES: usize> {
    file: File,
    /// Bytes that may still be written before the power is cut.
    power: Option<u32>,
}

/// What the flash refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashError {
    /// Not on a word's or, to erase, a page's boundary.
    NotAligned,
    /// Beyond the end.
    OutOfBounds,
    /// A word that was written since its last erase.
    NotErased,
    /// The host's file failed.
    Host,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotErased | Self::Host => NorFlashErrorKind::Other,
        }
    }
}

impl<const PAGES: usize> HostFlash<PAGES> {
    /// Opens the file `name`, or creates it, erased. With `cut`, the program ends, as if the power went, when that many
    /// bytes were written; an erased page counts as its size.
    pub fn open(name: &str, cut: Option<u32>) -> Result<Self, FlashError> {
        let mut terminated = [0; MAX_NAME + 1];
        terminated.get_mut(..name.len().min(MAX_NAME)).ok_or(FlashError::Host)?.copy_from_slice(name.as_bytes());
        let terminated = terminated.get(..=name.len()).ok_or(FlashError::Host)?;
        let existing = File::open(terminated, Mode::Update);
        let file = existing.or_else(|| File::open(terminated, Mode::Create)).ok_or(FlashError::Host)?;
        let mut flash = Self { file, power: None };
        if file.length() != Some(PAGES * PAGE) {
            file.seek(0).map_err(|_| FlashError::Host)?;
            (0..PAGES).try_for_each(|_| flash.fill(PAGE))?;
        }
        flash.power = cut;
        Ok(flash)
    }

    /// Writes `length` erased bytes where the file stands.
    fn fill(&mut self, length: usize) -> Result<(), FlashError> {
        const ERASED: [u8; 64] = [0xff; 64];
        for start in (0..length).step_by(ERASED.len()) {
            let piece = ERASED.get(..(length - start).min(ERASED.len())).unwrap_or_default();
            self.file.write(piece).map_err(|_| FlashError::Host)?;
        }
        Ok(())
    }

    fn go_to(&mut self, offset: u32, length: usize, unit: usize) -> Result<(), FlashError> {
        let offset = offset as usize;
        if !offset.is_multiple_of(unit) || !length.is_multiple_of(unit) {
            return Err(FlashError::NotAligned);
        }
        if offset.checked_add(length).is_none_or(|end| end > PAGES * PAGE) {
            return Err(FlashError::OutOfBounds);
        }
        self.file.seek(offset).map_err(|_| FlashError::Host)
    }

    /// How many of `length` bytes are written before the power goes.
    fn spend(&mut self, length: usize) -> usize {
        let Some(power) = &mut self.power else { return length };
        let spent = length.min(*power as usize);
        *power -= spent as u32;
        spent
    }

    fn power_cut(&self) -> ! {
        console::event("power-cut", "");
        semihosting::exit(POWER_CUT)
    }
}

impl<const PAGES: usize> ErrorType for HostFlash<PAGES> {
    type Error = FlashError;
}

impl<const PAGES: usize> ReadNorFlash for HostFlash<PAGES> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.go_to(offset, bytes.len(), 1)?;
        self.file.read(bytes).map_err(|_| FlashError::Host)
    }

    fn capacity(&self) -> usize {
        PAGES * PAGE
    }
}

impl<const PAGES: usize> NorFlash for HostFlash<PAGES> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let length = (to as usize).checked_sub(from as usize).ok_or(FlashError::OutOfBounds)?;
        self.go_to(from, length, PAGE)?;
        let erased = self.spend(length);
        self.fill(erased)?;
        if erased < length {
            self.power_cut();
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.go_to(offset, bytes.len(), WORD)?;
        let mut word = [0; WORD];
        for _ in 0..bytes.len() / WORD {
            self.file.read(&mut word).map_err(|_| FlashError::Host)?;
            if word != [0xff; WORD] {
                return Err(FlashError::NotErased);
            }
        }
        self.go_to(offset, bytes.len(), WORD)?;
        let written = self.spend(bytes.len());
        self.file.write(bytes.get(..written).unwrap_or_default()).map_err(|_| FlashError::Host)?;
        if written < bytes.len() {
            self.power_cut();
        }
        Ok(())
    }
}
