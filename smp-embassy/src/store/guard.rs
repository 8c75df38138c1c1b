//! Makes erasing a page of flash all or nothing, and writing certain.
//!
//! `sequential-storage` survives loss of power during a write, and during an erase of a flash that erases from front to
//! back. Flash does not: while it is erased, any bit may already be one or still be what it was, so that a half erased page
//! can pass for a full or for an empty one, and what was moved to another page before would be given up for it. So each
//! page has its own frame:
//!
//! ```text
//! | death note | header: magic, layout, erase count, CRC | the page that sequential-storage sees | death note |
//! ```
//!
//! Both death notes are written before a page is erased, the header after. A page with a death note, or without a header,
//! is erased again before anything is read from it. There are two of them because a flash may erase forwards, backwards
//! or everywhere at once: as long as anything of the header is left, something of a death note is, too.

use core::ops::Range;

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use heapless::Vec;

use super::checksum::crc32;

/// The least length of a page, in bytes. Smaller pages of flash are taken together.
const LEAST_PAGE: usize = 4_096;
/// The longest word that `sequential-storage` takes.
pub(super) const LONGEST_WORD: usize = 32;
/// Length of the header and of a death note, in bytes, when words are not longer.
const FRAME: usize = 16;
/// How the header begins. The layout follows.
const MAGIC: [u8; 7] = *b"smp-emb";
/// The layout that this code reads and writes: this frame, and version 8 of `sequential-storage`.
const LAYOUT: u8 = 1;
/// This many flipped bits in a frame are the flash's age and not half an erase.
const FLIPPED: u32 = 8;
/// How many items can be hidden from `sequential-storage`.
const HIDDEN: usize = 8;
/// A death note, and the second one when all pages are to be erased.
const ERASING: [u8; LONGEST_WORD] = [0; LONGEST_WORD];
const ERASING_ALL: [u8; LONGEST_WORD] = [0x55; LONGEST_WORD];

/// What can be said of a page by its frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// It is in use. The number says how often it was erased; 0 when that cannot be read.
    Whole(u32),
    /// It was being erased, or never used.
    Broken,
    /// All pages were being erased.
    BrokenAll,
    /// A later layout.
    TooNew,
}

/// Why the flash behind the guard failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GuardError<E> {
    Flash(E),
    /// It does not hold what was written.
    Worn,
    /// Outside of a page.
    Bounds,
}

impl<E: core::fmt::Debug> NorFlashError for GuardError<E> {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Bounds => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// A part of a flash, as pages that are shorter by their frame.
pub(super) struct Guard<F> {
    flash: F,
    start: u32,
    pages: u32,
    /// Addresses of items that `sequential-storage` has to pass over: it would stop at them for ever, or panic.
    hidden: Vec<u32, HIDDEN>,
}

impl<F: NorFlash> Guard<F> {
    /// Length of a word: nothing shorter is read or written.
    pub(super) const WORD: usize = if F::WRITE_SIZE > F::READ_SIZE { F::WRITE_SIZE } else { F::READ_SIZE };
    /// Length of a page in the flash.
    const PAGE: usize = if F::ERASE_SIZE == 0 { LEAST_PAGE } else { LEAST_PAGE.next_multiple_of(F::ERASE_SIZE) };
    /// Length of each of the three parts of a frame.
    const PART: usize = if Self::WORD > FRAME { Self::WORD } else { FRAME };
    /// Length of what `sequential-storage` sees of a page.
    pub(super) const INNER: usize = Self::PAGE.saturating_sub(Self::PART.saturating_mul(3));
    /// Whether a word can be written only once, because the flash keeps its checksum. Flash with such short words as
    /// these allows more bits to be cleared later.
    const ONCE: bool = Self::WORD >= 8;

    /// `None` when flash or range cannot be used.
    pub(super) fn new(flash: F, range: &Range<u32>) -> Option<Self> {
        let page = u32::try_from(Self::PAGE).ok()?;
        let suitable = Self::WORD.is_power_of_two()
            && Self::WORD <= LONGEST_WORD
            && F::READ_SIZE.is_power_of_two()
            && F::ERASE_SIZE.is_multiple_of(Self::WORD.max(1))
            && F::ERASE_SIZE > 0
            && F::ERASE_SIZE <= LEAST_PAGE.saturating_mul(64);
        let inside = usize::try_from(range.end).ok()? <= flash.capacity();
        let length = range.end.checked_sub(range.start)?;
        let aligned =
            usize::try_from(range.start).ok()?.is_multiple_of(F::ERASE_SIZE.max(1)) && length.is_multiple_of(page);
        let pages = length.checked_div(page)?;
        (suitable && inside && aligned && pages >= 2).then_some(Self {
            flash,
            start: range.start,
            pages,
            hidden: Vec::new(),
        })
    }

    pub(super) const fn pages(&self) -> u32 {
        self.pages
    }

    pub(super) fn into_flash(self) -> F {
        self.flash
    }

    /// Where `sequential-storage` sees a page.
    pub(super) const fn inner_address(page: u32) -> u32 {
        page.saturating_mul(Self::INNER as u32)
    }

    pub(super) const fn inner_range(&self) -> Range<u32> {
        0..Self::inner_address(self.pages)
    }

    const fn address(&self, page: u32) -> u32 {
        self.start.saturating_add(page.saturating_mul(Self::PAGE as u32))
    }

    const fn header_address(&self, page: u32) -> u32 {
        self.address(page).saturating_add(Self::PART as u32)
    }

    const fn body_address(&self, page: u32) -> u32 {
        self.header_address(page).saturating_add(Self::PART as u32)
    }

    const fn second_note_address(&self, page: u32) -> u32 {
        self.body_address(page).saturating_add(Self::INNER as u32)
    }

    /// Reads a part of a frame.
    async fn part(&mut self, address: u32) -> Result<[u8; LONGEST_WORD], GuardError<F::Error>> {
        let mut part = [0xFF; LONGEST_WORD];
        let read = part.get_mut(..Self::PART).ok_or(GuardError::Bounds)?;
        self.flash.read(address, read).await.map_err(GuardError::Flash)?;
        Ok(part)
    }

    pub(super) async fn frame(&mut self, page: u32) -> Result<Frame, GuardError<F::Error>> {
        let mut parts = [[0; LONGEST_WORD]; 3];
        let addresses = [self.address(page), self.second_note_address(page), self.header_address(page)];
        for (part, address) in parts.iter_mut().zip(addresses) {
            *part = self.part(address).await?;
        }
        let [first, second, header] = parts;
        let first = zeros(&first);
        if distance(second.get(..Self::PART).unwrap_or_default(), &ERASING_ALL) <= FLIPPED {
            return Ok(Frame::BrokenAll);
        }
        // The second note alone, before a header, is a decision to erase all that was not written to its end, or an erase
        // that has not come as far as the header and what is behind it. Where words are written once, the first note
        // may have had to stay as an interrupted write left it.
        if first > FLIPPED || (Self::ONCE && first > 0 && zeros(&second) > FLIPPED) {
            return Ok(Frame::Broken);
        }
        let Some((known, checksum)) = header.split_first_chunk::<12>() else { return Ok(Frame::Broken) };
        let Some((magic, [layout, count @ ..])) = known.split_first_chunk::<7>() else { return Ok(Frame::Broken) };
        let whole = checksum.first_chunk() == Some(&crc32(&[known]).to_le_bytes());
        if whole && *magic == MAGIC && *layout > LAYOUT {
            return Ok(Frame::TooNew);
        }
        if whole && *magic == MAGIC && *layout == LAYOUT {
            return Ok(Frame::Whole(count.first_chunk().map_or(0, |count| u32::from_le_bytes(*count))));
        }
        // A header with a flipped bit or two is no reason to erase what is behind it.
        let flipped = distance(magic, &MAGIC).saturating_add((layout ^ LAYOUT).count_ones());
        Ok(if flipped <= FLIPPED { Frame::Whole(0) } else { Frame::Broken })
    }

    /// Whether nothing was ever written behind the header of a page since it was erased.
    pub(super) fn is_body_blank(&mut self, page: u32) -> impl Future<Output = Result<bool, GuardError<F::Error>>> {
        self.is_blank(self.body_address(page), Self::INNER as u32)
    }

    pub(super) fn is_page_blank(&mut self, page: u32) -> impl Future<Output = Result<bool, GuardError<F::Error>>> {
        self.is_blank(self.address(page), Self::PAGE as u32)
    }

    async fn is_blank(&mut self, address: u32, length: u32) -> Result<bool, GuardError<F::Error>> {
        let mut chunk = [0; LONGEST_WORD];
        let end = address.saturating_add(length);
        let mut address = address;
        while address < end {
            let step = (LONGEST_WORD as u32).min(end.saturating_sub(address));
            let chunk = chunk.get_mut(..step as usize).ok_or(GuardError::Bounds)?;
            self.flash.read(address, chunk).await.map_err(GuardError::Flash)?;
            if chunk.iter().any(|byte| *byte != 0xFF) {
                return Ok(false);
            }
            address = address.saturating_add(step);
        }
        Ok(true)
    }

    /// Writes a part of a frame, unless there is something: a word may not be written twice.
    async fn write_part(&mut self, address: u32, part: &[u8; LONGEST_WORD]) -> Result<(), GuardError<F::Error>> {
        if Self::ONCE && !self.is_blank(address, Self::PART as u32).await? {
            return Ok(());
        }
        let part = part.get(..Self::PART).ok_or(GuardError::Bounds)?;
        self.flash.write(address, part).await.map_err(GuardError::Flash)
    }

    /// Erases a page, from death note to header.
    pub(super) async fn erase_page(&mut self, page: u32) -> Result<(), GuardError<F::Error>> {
        let erased = match self.frame(page).await? {
            Frame::Whole(erased) => {
                for address in [self.address(page), self.second_note_address(page)] {
                    self.write_part(address, &ERASING).await?;
                }
                erased
            }
            // Its count is lost; another page's is about the same.
            _ => self.erases().await?,
        };
        let address = self.address(page);
        let length = Self::PAGE as u32;
        self.flash.erase(address, address.saturating_add(length)).await.map_err(GuardError::Flash)?;
        if !self.is_page_blank(page).await? {
            return Err(GuardError::Worn);
        }
        let body = Self::inner_address(page)..Self::inner_address(page.saturating_add(1));
        self.hidden.retain(|address| !body.contains(address));
        self.write_header(page, erased.saturating_add(1)).await
    }

    /// Begins the use of an empty page.
    pub(super) async fn write_header(&mut self, page: u32, erased: u32) -> Result<(), GuardError<F::Error>> {
        let mut header = [0xFF; LONGEST_WORD];
        if let Some((known, checksum)) = header.split_first_chunk_mut::<12>() {
            let (magic, rest) = known.split_at_mut(MAGIC.len());
            magic.copy_from_slice(&MAGIC);
            if let Some((layout, count)) = rest.split_first_mut() {
                *layout = LAYOUT;
                count.copy_from_slice(&erased.to_le_bytes());
            }
            let sum = crc32(&[known]).to_le_bytes();
            checksum.iter_mut().zip(sum).for_each(|(to, from)| *to = from);
        }
        let address = self.header_address(page);
        self.write_part(address, &header).await?;
        if self.part(address).await? != header {
            return Err(GuardError::Worn);
        }
        Ok(())
    }

    /// Erases all pages. When power is lost meanwhile, the rest is erased by the next mount.
    pub(super) async fn erase_all(&mut self) -> Result<(), GuardError<F::Error>> {
        if matches!(self.frame(0).await?, Frame::Whole(_)) {
            // This decides: the first note would only say something of its own page.
            self.write_part(self.second_note_address(0), &ERASING_ALL).await?;
            self.write_part(self.address(0), &ERASING).await?;
        }
        for page in (0..self.pages).rev() {
            self.erase_page(page).await?;
        }
        Ok(())
    }

    /// How often the page that was erased most often was erased.
    pub(super) async fn erases(&mut self) -> Result<u32, GuardError<F::Error>> {
        let mut most = 0;
        for page in 0..self.pages {
            if let Frame::Whole(erased) = self.frame(page).await? {
                most = most.max(erased);
            }
        }
        Ok(most)
    }

    /// Hides the item at this address, once. `false` when there are too many.
    pub(super) fn hide(&mut self, address: u32) -> bool {
        self.hidden.contains(&address) || self.hidden.push(address).is_ok()
    }

    pub(super) fn unhide_all(&mut self) {
        self.hidden.clear();
    }

    /// Where in the flash the bytes at an address that `sequential-storage` knows are, and where they are in their page.
    fn translate(&self, offset: u32, length: usize) -> Result<(u32, usize), GuardError<F::Error>> {
        let inner = Self::INNER as u32;
        let page = offset.checked_div(inner).ok_or(GuardError::Bounds)?;
        let inside = offset.checked_rem(inner).ok_or(GuardError::Bounds)?;
        let end = (inside as usize).saturating_add(length);
        if page >= self.pages || end > Self::INNER {
            return Err(GuardError::Bounds);
        }
        Ok((self.body_address(page).saturating_add(inside), end))
    }
}

impl<F: NorFlash> ErrorType for Guard<F> {
    type Error = GuardError<F::Error>;
}

impl<F: NorFlash> ReadNorFlash for Guard<F> {
    // A whole word, so that its state is told by all of its bits.
    const READ_SIZE: usize = Self::WORD;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let (address, end) = self.translate(offset, bytes.len())?;
        self.flash.read(address, bytes).await.map_err(GuardError::Flash)?;
        if self.hidden.contains(&offset)
            && let Some(checksum) = bytes.first_chunk_mut::<4>()
        {
            *checksum = [0; 4]; // as if it had been deleted
        }
        // The mark of a full page, when power was lost while it was written. Where a word cannot be written again,
        // less than what counts as a mark has to do.
        if Self::ONCE && end == Self::INNER && bytes.len() == Self::WORD && zeros(bytes) > 0 {
            bytes.fill(0);
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.inner_range().end as usize
    }
}

impl<F: NorFlash> NorFlash for Guard<F> {
    const WRITE_SIZE: usize = Self::WORD;
    const ERASE_SIZE: usize = if Self::INNER == 0 { 1 } else { Self::INNER };

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        let inner = Self::INNER as u32;
        let mut from = from;
        while from < to {
            let page = from.checked_div(inner).ok_or(GuardError::Bounds)?;
            if page >= self.pages {
                return Err(GuardError::Bounds);
            }
            self.erase_page(page).await?;
            from = from.saturating_add(inner);
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let (mut address, _) = self.translate(offset, bytes.len())?;
        self.flash.write(address, bytes).await.map_err(GuardError::Flash)?;
        let mut read = zeroize::Zeroizing::new([0; LONGEST_WORD]);
        for chunk in bytes.chunks(LONGEST_WORD) {
            let read = read.get_mut(..chunk.len()).ok_or(GuardError::Bounds)?;
            self.flash.read(address, read).await.map_err(GuardError::Flash)?;
            if read != chunk {
                return Err(GuardError::Worn);
            }
            address = address.saturating_add(LONGEST_WORD as u32);
        }
        Ok(())
    }
}

/// How many bits were written.
pub(super) fn zeros(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum.saturating_add(byte.count_zeros()))
}

/// In how many bits `bytes` differ from the start of `expected`.
fn distance(bytes: &[u8], expected: &[u8]) -> u32 {
    bytes.iter().zip(expected).fold(0, |sum, (a, b)| sum.saturating_add((a ^ b).count_ones()))
}
