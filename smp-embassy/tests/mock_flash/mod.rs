//! A NOR flash in memory that is used up, loses power and flips bits.

#![allow(dead_code, reason = "each test uses a part of it")]

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

/// How many moments an erase has in which power can be lost.
pub(crate) const ERASE_MOMENTS: u64 = 12;

/// A small generator of numbers, the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A byte each of whose bits is one with a chance of `ones` in 256.
    fn byte(&mut self, ones: u64) -> u8 {
        (0..8).fold(0, |byte, bit| byte | u8::from(self.below(256) < ones) << bit)
    }
}

/// Why the mock did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MockError {
    /// There is no power.
    Off,
    /// The address or the length is not one of this flash.
    Unaligned,
    /// A word that was written is not what it should be.
    Worn,
}

impl NorFlashError for MockError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// A flash with words of `WORD` bytes for writing and `READ` for reading, erased in pieces of `ERASE` bytes.
///
/// Words of 8 bytes and more can be written once, as in flash that keeps a checksum of each; in others a write may clear
/// more bits. Anything else ends the test.
#[derive(Clone, Debug)]
pub(crate) struct MockFlash<const READ: usize, const WORD: usize, const ERASE: usize> {
    pub(crate) bytes: Vec<u8>,
    written: Vec<bool>,
    /// How many more bytes are written, and moments of erases passed, before power is lost.
    pub(crate) power: Option<u64>,
    pub(crate) off: bool,
    pub(crate) random: Numbers,
    /// Whether writes where there is something are taken as they come.
    pub(crate) forgiving: bool,
    /// Whether each operation takes a while, so that it can be given up.
    pub(crate) slow: bool,
    /// Words that never change again.
    pub(crate) worn: Vec<usize>,
    /// Whether it says so when such a word is written, as drivers do that look at what they have written.
    pub(crate) tells: bool,
    pub(crate) erases: u64,
    pub(crate) written_bytes: u64,
    /// Shared with clones.
    pub(crate) read_bytes: std::rc::Rc<std::cell::Cell<u64>>,
    /// All bytes written and moments passed.
    pub(crate) moments: u64,
}

impl<const READ: usize, const WORD: usize, const ERASE: usize> MockFlash<READ, WORD, ERASE> {
    pub(crate) fn new(length: usize) -> Self {
        Self {
            bytes: vec![0xFF; length],
            written: vec![false; length / WORD],
            power: None,
            off: false,
            random: Numbers::new(1),
            forgiving: false,
            slow: false,
            worn: Vec::new(),
            tells: false,
            erases: 0,
            written_bytes: 0,
            read_bytes: std::rc::Rc::default(),
            moments: 0,
        }
    }

    /// The same flash, with power, in a device that was just switched on.
    pub(crate) fn restarted(mut self) -> Self {
        (self.off, self.power) = (false, None);
        self
    }

    async fn take_time(&self) {
        if self.slow {
            embassy_futures::yield_now().await;
        }
    }

    /// Passes one moment. `false` when it is the last one.
    fn pass(&mut self) -> bool {
        self.moments += 1;
        match &mut self.power {
            Some(0) => {
                self.off = true;
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }

    fn aligned(&self, offset: u32, length: usize, unit: usize) -> Result<usize, MockError> {
        let offset = offset as usize;
        let right = offset.is_multiple_of(unit) && length.is_multiple_of(unit) && offset + length <= self.bytes.len();
        assert!(right || self.forgiving, "{offset} or {length} is not aligned to {unit}");
        if right { Ok(offset) } else { Err(MockError::Unaligned) }
    }

    fn write_word(&mut self, start: usize, target: &[u8]) {
        let index = start / WORD;
        if self.worn.contains(&index) {
            return;
        }
        let word = &mut self.bytes[start..start + WORD];
        if !self.forgiving {
            assert!(WORD < 8 || !self.written[index], "the word at {start} was written twice");
            let clears = word.iter().zip(target).all(|(old, new)| old & new == *new);
            assert!(clears, "a bit of the word at {start} cannot be set");
        }
        word.iter_mut().zip(target).for_each(|(old, new)| *old &= new);
        self.written[index] = true;
    }

    /// What is in a word whose writing was interrupted: nothing is certain.
    fn interrupt_word(&mut self, start: usize, target: &[u8]) {
        let (model, ones) = (self.random.below(4), self.random.below(256));
        let word = &mut self.bytes[start..start + WORD];
        for (old, new) in word.iter_mut().zip(target) {
            *old &= match model {
                0 => 0xFF,
                1 => self.random.byte(ones),
                _ => *new | self.random.byte(ones),
            };
        }
        self.written[start / WORD] = word.iter().any(|byte| *byte != 0xFF);
    }

    /// What is in a piece whose erase was interrupted at a moment: forwards, backwards, or all over at once.
    fn interrupt_erase(&mut self, start: usize, moment: u64) {
        let part = ERASE * moment as usize / ERASE_MOMENTS as usize;
        let (model, ones) = (self.random.below(4), moment * 256 / ERASE_MOMENTS);
        for (index, byte) in self.bytes[start..start + ERASE].iter_mut().enumerate() {
            match model {
                0 if index < part => *byte = 0xFF,
                1 if ERASE - index <= part => *byte = 0xFF,
                2 => *byte |= self.random.byte(ones),
                3 if moment > 0 => *byte = self.random.byte(128),
                _ => {}
            }
        }
        for word in start / WORD..(start + ERASE) / WORD {
            self.written[word] = self.bytes[word * WORD..][..WORD].iter().any(|byte| *byte != 0xFF);
        }
    }
}

impl<const READ: usize, const WORD: usize, const ERASE: usize> ErrorType for MockFlash<READ, WORD, ERASE> {
    type Error = MockError;
}

impl<const READ: usize, const WORD: usize, const ERASE: usize> ReadNorFlash for MockFlash<READ, WORD, ERASE> {
    const READ_SIZE: usize = READ;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), MockError> {
        if self.off {
            return Err(MockError::Off);
        }
        self.take_time().await;
        let offset = self.aligned(offset, bytes.len(), READ)?;
        bytes.copy_from_slice(&self.bytes[offset..offset + bytes.len()]);
        self.read_bytes.set(self.read_bytes.get() + bytes.len() as u64);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const READ: usize, const WORD: usize, const ERASE: usize> NorFlash for MockFlash<READ, WORD, ERASE> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = ERASE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), MockError> {
        if self.off {
            return Err(MockError::Off);
        }
        let from = self.aligned(from, to.saturating_sub(from) as usize, ERASE)?;
        for start in (from..to as usize).step_by(ERASE) {
            self.take_time().await;
            for moment in 0..ERASE_MOMENTS {
                if !self.pass() {
                    self.interrupt_erase(start, moment);
                    return Err(MockError::Off);
                }
            }
            self.erases += 1;
            for index in (start..start + ERASE).filter(|index| !self.worn.contains(&(index / WORD))).collect::<Vec<_>>()
            {
                self.bytes[index] = 0xFF;
            }
            self.written[start / WORD..(start + ERASE) / WORD].fill(false);
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), MockError> {
        if self.off {
            return Err(MockError::Off);
        }
        let offset = self.aligned(offset, bytes.len(), WORD)?;
        for (index, word) in bytes.chunks(WORD).enumerate() {
            let start = offset + index * WORD;
            self.take_time().await;
            for _ in 0..WORD {
                if !self.pass() {
                    self.interrupt_word(start, word);
                    return Err(MockError::Off);
                }
            }
            self.write_word(start, word);
            self.written_bytes += WORD as u64;
            if self.tells && self.bytes[start..start + WORD] != *word {
                return Err(MockError::Worn);
            }
        }
        Ok(())
    }
}
