//! What the device must not forget, in the flash.

use smp_embassy::store::{Error, FlashStore};

use crate::flash::{FileFlash, FlashError, LENGTH};

/// How long a record may be, in bytes.
pub(crate) const BUFFER_LENGTH: usize = 1024;

/// The store in all of the flash.
pub(crate) async fn open<const ALARMS: usize>(
    flash: FileFlash,
    buffer: &mut [u8; BUFFER_LENGTH],
) -> Result<FlashStore<'_, FileFlash, ALARMS>, Error<FlashError>> {
    FlashStore::open(flash, 0..LENGTH, buffer).await
}
