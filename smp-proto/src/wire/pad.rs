use core::ops::Range;

use super::Error;

/// The byte that fills padding; readers do not check it.
pub const FILLER: u8 = b'#';

/// Writes `pad(message, n)`, with `n` the length of `out`: two length bytes, the message, filler.
///
/// Fails with [`Error::TooLong`] when the message does not fit.
pub fn pad(message: &[u8], out: &mut [u8]) -> Result<(), Error> {
    let end = message.len().checked_add(2).ok_or(Error::TooLong)?;
    out.get_mut(2..end).ok_or(Error::TooLong)?.copy_from_slice(message);
    pad_in_place(out, message.len())
}

/// Turns a buffer that holds a message of `length` bytes from its third byte on into `pad(message, n)`, with `n` the
/// length of the buffer.
pub fn pad_in_place(buffer: &mut [u8], length: usize) -> Result<(), Error> {
    let end = length.checked_add(2).ok_or(Error::TooLong)?;
    if length > 65_533 || end > buffer.len() {
        return Err(Error::TooLong);
    }
    let length = u16::try_from(length).map_err(|_| Error::TooLong)?;
    buffer.get_mut(..2).ok_or(Error::TooLong)?.copy_from_slice(&length.to_be_bytes());
    buffer.get_mut(end..).ok_or(Error::TooLong)?.fill(FILLER);
    Ok(())
}

/// The message inside padding. The filler is ignored, as every peer does.
pub fn unpad(padded: &[u8]) -> Result<&[u8], Error> {
    padded.get(unpad_range(padded)?).ok_or(Error::Truncated)
}

/// Where the message stands inside padding.
pub fn unpad_range(padded: &[u8]) -> Result<Range<usize>, Error> {
    let (length, rest) = padded.split_first_chunk::<2>().ok_or(Error::Truncated)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length > rest.len() {
        return Err(Error::Truncated);
    }
    Ok(2..length.saturating_add(2))
}
