//! A flash in a file: bits are cleared by writing and set by erasing, and each word is written once, as on a chip.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// Bytes written at a time, as on an STM32H5.
const WORD: usize = 16;

/// Bytes erased at a time.
const SECTOR: usize = 8192;

/// The length of the flash in bytes.
pub(crate) const LENGTH: u32 = 8 * SECTOR as u32;

/// Why the flash failed.
#[derive(Debug)]
pub(crate) enum FlashError {
    OutOfBounds,
    NotAligned,
    /// A word is not empty.
    Occupied,
    File(io::Error),
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds => f.write_str("outside of the flash"),
            Self::NotAligned => f.write_str("not in whole words or sectors"),
            Self::Occupied => f.write_str("the flash is not empty there"),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FlashError {}

impl From<io::Error> for FlashError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// The flash.
pub(crate) struct FileFlash(File);

impl FileFlash {
    /// Opens the file, or makes it: an empty flash. Nobody else may read it, it holds keys.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if file.metadata()?.len() < u64::from(LENGTH) {
            file.write_all_at(&[0xff; LENGTH as usize], 0)?;
        }
        Ok(Self(file))
    }

    /// Checks that a range is inside, and in whole units.
    fn check(from: u32, length: usize, unit: usize) -> Result<(), FlashError> {
        let end = usize::try_from(from).ok().and_then(|from| from.checked_add(length));
        match end {
            Some(end) if end <= LENGTH as usize => {
                if (from as usize).is_multiple_of(unit) && length.is_multiple_of(unit) {
                    Ok(())
                } else {
                    Err(FlashError::NotAligned)
                }
            }
            _ => Err(FlashError::OutOfBounds),
        }
    }
}

impl ErrorType for FileFlash {
    type Error = FlashError;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        Self::check(offset, bytes.len(), Self::READ_SIZE)?;
        Ok(self.0.read_exact_at(bytes, offset.into())?)
    }

    fn capacity(&self) -> usize {
        LENGTH as usize
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let length = to.checked_sub(from).ok_or(FlashError::OutOfBounds)? as usize;
        Self::check(from, length, SECTOR)?;
        self.0.write_all_at(&vec![0xff; length], from.into())?;
        Ok(self.0.sync_data()?)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        Self::check(offset, bytes.len(), WORD)?;
        let mut there = vec![0; bytes.len()];
        self.0.read_exact_at(&mut there, offset.into())?;
        if there.iter().any(|byte| *byte != 0xff) {
            return Err(FlashError::Occupied);
        }
        self.0.write_all_at(bytes, offset.into())?;
        Ok(self.0.sync_data()?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]

    use super::*;

    fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => unreachable!("files do not wait"),
        }
    }

    #[test]
    fn it_keeps_words_and_refuses_to_write_twice() {
        let path = std::env::temp_dir().join(format!("host-tap-flash-{}", std::process::id()));
        let mut flash = FileFlash::open(&path).unwrap();
        ready(flash.write(16, &[7; 32])).unwrap();
        assert!(matches!(ready(flash.write(32, &[7; 16])), Err(FlashError::Occupied)));
        assert!(matches!(ready(flash.write(8, &[7; 16])), Err(FlashError::NotAligned)));
        assert!(matches!(ready(flash.write(LENGTH, &[7; 16])), Err(FlashError::OutOfBounds)));
        drop(flash);
        let mut flash = FileFlash::open(&path).unwrap();
        let mut read = [0; 4];
        ready(flash.read(14, &mut read)).unwrap();
        assert_eq!(read, [0xff, 0xff, 7, 7]);
        ready(flash.erase(0, 8192)).unwrap();
        ready(flash.read(14, &mut read)).unwrap();
        assert_eq!(read, [0xff; 4]);
        std::fs::remove_file(&path).unwrap();
    }
}
