//! Alarms that no relay has accepted yet, first in, first out.
//!
//! Each alarm is a record in a place of its own. When it was sent, a record that says so replaces it: flash that can write
//! a word only once has no other way to delete one.

use embedded_storage_async::nor_flash::NorFlash;

use super::error::Error;
use super::flash::{FlashStore, RESERVE};
use super::index::ALARM_VERSION;
use super::record::Kind;

impl<F: NorFlash, const ALARMS: usize> FlashStore<'_, F, ALARMS> {
    /// Keeps an alarm behind all others; `false` when there is no place or no room for it now.
    pub async fn push_alarm(&mut self, body: &[u8]) -> Result<bool, Error<F::Error>> {
        self.ready().await?;
        let Some((place, sequence)) = self.index.free()? else { return Ok(false) };
        match self.write_alarm(place, sequence, Some(body)).await {
            Ok(()) => Ok(true),
            Err(Error::Full) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Copies the oldest alarm to the front of `buffer` and tells its length; `None` when no alarm waits. An alarm that
    /// was damaged is passed over.
    pub async fn first_alarm(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Error<F::Error>> {
        let mut damaged = [false; ALARMS];
        loop {
            self.ready().await?;
            // Those that turned out to be damaged: one more each time, so that this ends.
            for (alarm, damaged) in self.index.alarms.iter_mut().zip(damaged) {
                alarm.waiting &= !damaged;
            }
            if self.index.has_newer_alarm() {
                return Err(Error::RecordTooNew);
            }
            let Some((place, expected)) = self.index.oldest() else { return Ok(None) };
            let key = Kind::ALARM.key(place);
            let result = match self.read(key).await {
                Ok(Some((_, bytes))) => match postcard::take_from_bytes::<(u32, bool)>(bytes) {
                    Ok(((sequence, true), body)) if sequence == expected => match buffer.get_mut(..body.len()) {
                        Some(room) => {
                            room.copy_from_slice(body);
                            Ok(Some(body.len()))
                        }
                        None => Err(Error::RecordTooLong),
                    },
                    _ => Err(Error::Damaged),
                },
                Ok(None) => Err(Error::Damaged),
                Err(error) => Err(error),
            };
            self.wipe();
            if !matches!(result, Err(Error::Damaged)) {
                return result;
            }
            *damaged.get_mut(usize::from(place)).ok_or(Error::Damaged)? = true;
        }
    }

    /// Forgets the oldest alarm.
    pub async fn pop_alarm(&mut self) -> Result<(), Error<F::Error>> {
        self.ready().await?;
        let Some((place, sequence)) = self.index.oldest() else { return Ok(()) };
        self.write_alarm(place, sequence, None).await
    }

    /// How many alarms wait.
    pub async fn alarms(&mut self) -> Result<usize, Error<F::Error>> {
        self.ready().await?;
        Ok(self.index.alarms.iter().filter(|alarm| alarm.waiting).count())
    }

    async fn write_alarm(&mut self, place: u8, sequence: u32, body: Option<&[u8]>) -> Result<(), Error<F::Error>> {
        let key = Kind::ALARM.key(place);
        let reserve = if body.is_some() { RESERVE } else { 0 };
        let encode = |room: &mut [u8]| {
            let header = postcard::to_slice(&(sequence, body.is_some()), room).ok()?.len();
            let body = body.unwrap_or_default();
            let end = header.checked_add(body.len())?;
            room.get_mut(header..end)?.copy_from_slice(body);
            Some(end)
        };
        self.write(key, ALARM_VERSION, reserve, &encode).await?;
        if let Some(alarm) = self.index.alarm_mut(key) {
            (alarm.sequence, alarm.waiting) = (sequence, body.is_some());
        }
        Ok(())
    }
}
