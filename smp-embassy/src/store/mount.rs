//! Looks at the flash before `sequential-storage` does, and finishes what a loss of power interrupted.

use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};

use super::checksum::{CRC32_START, adapt, crc16, crc32_more};
use super::error::Error;
use super::guard::{Frame, Guard, GuardError, LONGEST_WORD, zeros};

/// Zero bits by which `sequential-storage` knows a mark.
const MARKED: u32 = 4;
/// Length of the header of an item in `sequential-storage`, in bytes, before it is rounded up to words.
const ITEM_HEADER: usize = 8;

impl<E> From<GuardError<E>> for Error<E> {
    fn from(error: GuardError<E>) -> Self {
        match error {
            GuardError::Flash(error) => Self::Flash(error),
            GuardError::Worn => Self::Worn,
            GuardError::Bounds => Self::Damaged,
        }
    }
}

/// What `sequential-storage` will take a page for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    Open,
    Partial,
    Closed,
}

impl<F: NorFlash> Guard<F> {
    /// Makes the flash fit for `sequential-storage`. `longest` is the length of the longest item, `shortest` of the shortest.
    pub(super) async fn mount(&mut self, shortest: usize, longest: usize) -> Result<(), Error<F::Error>> {
        self.unhide_all();
        let mut whole = 0_u32;
        for page in 0..self.pages() {
            match self.frame(page).await? {
                Frame::TooNew => return Err(Error::StoreTooNew),
                Frame::Whole(_) => whole = whole.saturating_add(1),
                Frame::Broken | Frame::BrokenAll => {}
            }
        }
        if whole == 0 && self.frame(0).await? != Frame::BrokenAll {
            // New, or power was lost within the first moment of its life: nothing of anybody's is in it.
            for page in 0..self.pages() {
                if !self.is_body_blank(page).await? {
                    return Err(Error::NotFormatted);
                }
            }
            // From one header on, this is known to be a store: an erase that is interrupted can leave anything behind.
            for page in 0..self.pages() {
                if self.is_page_blank(page).await? {
                    self.write_header(page, 0).await?;
                    break;
                }
            }
        }
        if self.frame(0).await? == Frame::BrokenAll {
            self.erase_all().await?;
        }
        for page in 0..self.pages() {
            if !matches!(self.frame(page).await?, Frame::Whole(_)) {
                self.erase_page(page).await?;
            }
        }
        for page in 0..self.pages() {
            // Half a mark, or what is left of another age. Nothing is kept in an open page.
            if self.state(page).await? == Page::Open && !self.is_body_blank(page).await? {
                self.erase_page(page).await?;
            }
        }
        self.check_order().await?;
        for page in 0..self.pages() {
            if self.state(page).await? != Page::Open {
                self.scan(page, shortest, longest).await?;
            }
        }
        Ok(())
    }

    async fn state(&mut self, page: u32) -> Result<Page, Error<F::Error>> {
        let mut word = [0; LONGEST_WORD];
        let word = word.get_mut(..Self::WORD).ok_or(Error::Unsuitable)?;
        let start = Self::inner_address(page);
        self.read(start, word).await?;
        if zeros(word) < MARKED {
            return Ok(Page::Open);
        }
        let end = start.saturating_add(Self::INNER as u32);
        self.read(end.saturating_sub(Self::WORD as u32), word).await?;
        Ok(if zeros(word) < MARKED { Page::Partial } else { Page::Closed })
    }

    /// Pages are used one after the other and around. Anything else is damage, and `sequential-storage` would erase
    /// pages that are not empty to be rid of it.
    ///
    /// Behind the page in use come open ones and then closed ones. There is no open one only while the oldest page is
    /// being moved into the one in use. When the page in use was just closed, there is none; then the first open page,
    /// counted from page 0, is taken for the one behind it.
    async fn check_order(&mut self) -> Result<(), Error<F::Error>> {
        let mut first = 0;
        let mut partial = false;
        let mut open = 0_u32;
        for page in 0..self.pages() {
            match self.state(page).await? {
                Page::Partial if partial => return Err(Error::Damaged),
                Page::Partial => (partial, first) = (true, page),
                Page::Open if open == 0 && !partial => (open, first) = (1, page),
                Page::Open => open = open.saturating_add(1),
                Page::Closed => {}
            }
        }
        if !partial && open == 0 {
            return Err(Error::Damaged);
        }
        let mut closed = false;
        for step in 0..self.pages() {
            let page = first.saturating_add(step).checked_rem(self.pages()).unwrap_or(0);
            match self.state(page).await? {
                Page::Open if closed => return Err(Error::Damaged),
                Page::Open | Page::Partial => {}
                Page::Closed => closed = true,
            }
        }
        Ok(())
    }

    /// Hides items that `sequential-storage` would stop at: those that are too short to have a key, at which it panics,
    /// and those that are too long for the buffer, because the length of a half written header fits its checksum by
    /// chance.
    async fn scan(&mut self, page: u32, shortest: usize, longest: usize) -> Result<(), Error<F::Error>> {
        let word = Self::WORD as u32;
        let start = Self::inner_address(page).saturating_add(word);
        let end = Self::inner_address(page.saturating_add(1)).saturating_sub(word);
        let header_length = ITEM_HEADER.next_multiple_of(Self::WORD.max(1));
        let mut header = [0; LONGEST_WORD];
        let header = header.get_mut(..header_length).ok_or(Error::Unsuitable)?;
        let mut address = start;
        loop {
            let data = address.saturating_add(header_length as u32);
            if data > end {
                return Ok(());
            }
            self.read(address, header).await?;
            if zeros(header) == 0 {
                return Ok(());
            }
            let Some(([c0, c1, c2, c3, rest @ ..], _)) = header.split_first_chunk::<ITEM_HEADER>() else {
                return Ok(());
            };
            let [l0, l1, s0, s1] = *rest;
            let length = u16::from_le_bytes([l0, l1]);
            let padded = u32::from(length).next_multiple_of(word.max(1));
            let next = data.saturating_add(padded);
            if crc16(&[l0, l1]) != u16::from_le_bytes([s0, s1]) || next > end {
                address = address.saturating_add(word.max(1));
                continue;
            }
            let checksum = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
            let length = usize::from(length);
            if checksum != 0 && (length < shortest || padded as usize > longest) {
                if length >= shortest && self.checksum(data, length).await? == checksum {
                    return Err(Error::RecordTooLong);
                }
                if !self.hide(address) {
                    return Err(Error::Damaged);
                }
            }
            address = next;
        }
    }

    async fn checksum(&mut self, address: u32, length: usize) -> Result<u32, Error<F::Error>> {
        let mut chunk = [0; LONGEST_WORD];
        let mut crc = CRC32_START;
        let mut address = address;
        let mut left = length;
        while left > 0 {
            let used = left.min(LONGEST_WORD);
            let read = chunk.get_mut(..used.next_multiple_of(Self::WORD.max(1))).ok_or(Error::Unsuitable)?;
            self.read(address, read).await?;
            crc = crc32_more(crc, chunk.get(..used).unwrap_or_default());
            address = address.saturating_add(LONGEST_WORD as u32);
            left = left.saturating_sub(used);
        }
        Ok(adapt(!crc))
    }
}
