//! Numbers that are used once in the life of a device.
//!
//! Numbers are reserved in flash by the stride before the first of them is given out, so that most of them cost no write,
//! and a reset leaves out at most two strides. Two records per counter are written in turn and hold the end of what is
//! reserved; if the newer one is damaged, the older is one stride behind, and the first number after a reset is a stride
//! behind the larger of both.

use embedded_storage_async::nor_flash::NorFlash;

use super::error::Error;
use super::flash::FlashStore;
use super::record::{Kind, Record};

/// How many counters there are: 0 to 7.
pub const COUNTERS: usize = 8;
/// How many numbers are reserved at once.
pub const STRIDE: u64 = 32;

/// Numbers that may be given out.
#[derive(Clone, Copy)]
pub(super) struct Reserved {
    next: u64,
    end: u64,
    /// Which of the two records is the older one.
    older: u8,
}

/// All smaller numbers may have been used.
#[derive(serde::Serialize, serde::Deserialize)]
struct Bound(u64);

impl Record for Bound {
    const KIND: Kind = Kind::COUNTER;
    const VERSION: u8 = 1;
}

/// Gives out numbers, each once.
#[allow(async_fn_in_trait, reason = "executors of firmware have one thread: nobody asks whether futures can move")]
pub trait NumberStore {
    /// Why there is no number.
    type Error;

    /// The next number of this counter, larger than all before. After a reset some are left out.
    async fn next_number(&mut self, counter: u8) -> Result<u64, Self::Error>;
}

/// Numbers for devices without flash: larger than a first one that is chosen at random after each reset.
///
/// With 63 random bits, the chance that two lives of the device use a number twice is the number of lives, squared, times
/// the numbers used in one, divided by 2^63.
#[derive(Debug)]
pub struct VolatileNumbers {
    next: [u64; COUNTERS],
}

impl VolatileNumbers {
    /// `random` has 63 random bits or more; the highest of 64 is not used.
    #[must_use]
    pub const fn new(random: u64) -> Self {
        Self { next: [random & (u64::MAX >> 1); COUNTERS] }
    }
}

impl NumberStore for VolatileNumbers {
    type Error = Error<core::convert::Infallible>;

    async fn next_number(&mut self, counter: u8) -> Result<u64, Self::Error> {
        let next = self.next.get_mut(usize::from(counter)).ok_or(Error::Unsuitable)?;
        let number = *next;
        *next = number.checked_add(1).ok_or(Error::Exhausted)?;
        Ok(number)
    }
}

impl<F: NorFlash, const ALARMS: usize> NumberStore for FlashStore<'_, F, ALARMS> {
    type Error = Error<F::Error>;

    async fn next_number(&mut self, counter: u8) -> Result<u64, Self::Error> {
        let slot = usize::from(counter);
        let reserved = match self.counters.get(slot).ok_or(Error::Unsuitable)? {
            Some(reserved) if reserved.next < reserved.end => *reserved,
            known => {
                let known = *known;
                self.reserve(counter, known).await?
            }
        };
        let next = reserved.next.checked_add(1).ok_or(Error::Exhausted)?;
        if let Some(slot) = self.counters.get_mut(slot) {
            *slot = Some(Reserved { next, ..reserved });
        }
        Ok(reserved.next)
    }
}

impl<F: NorFlash, const ALARMS: usize> FlashStore<'_, F, ALARMS> {
    /// Reserves one more stride. After a reset both records are written before a number is given out.
    async fn reserve(&mut self, counter: u8, used: Option<Reserved>) -> Result<Reserved, Error<F::Error>> {
        let (next, mut older, records) = match used {
            Some(used) => (used.end, used.older, 1),
            None => {
                let (next, older) = self.resume(counter).await?;
                (next, older, 2)
            }
        };
        let end = next.checked_add(STRIDE).ok_or(Error::Exhausted)?;
        for _ in 0..records {
            self.save(Self::bound_index(counter, older), &Bound(end)).await?;
            older ^= 1;
        }
        Ok(Reserved { next, end, older })
    }

    /// The first number after a reset, and which of the two records is the older one.
    async fn resume(&mut self, counter: u8) -> Result<(u64, u8), Error<F::Error>> {
        let mut bounds = [None; 2];
        for (bound, which) in bounds.iter_mut().zip(0..) {
            match self.load::<Bound>(Self::bound_index(counter, which)).await {
                Ok(kept) => *bound = kept.map(|kept| kept.0),
                Err(Error::Damaged) => {} // the other one does
                Err(error) => return Err(error),
            }
        }
        let [a, b] = bounds;
        let next = a.max(b).map_or(Some(0), |used| used.checked_add(STRIDE)).ok_or(Error::Exhausted)?;
        Ok((next, u8::from(a >= b)))
    }

    const fn bound_index(counter: u8, which: u8) -> u8 {
        counter.wrapping_mul(2).wrapping_add(which)
    }
}
