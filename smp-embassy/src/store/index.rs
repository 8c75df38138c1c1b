//! What is known of a store without reading it.

use heapless::Vec;

use super::error::Error;
use super::record::Kind;

/// How many records there can be, beside alarms.
const RECORDS: usize = 24;
/// The longest header of an alarm, in bytes: a varint and a truth value.
pub(super) const ALARM_HEADER: usize = 6;
/// The version of alarms that is written.
pub(super) const ALARM_VERSION: u8 = 1;

/// The records that there are.
pub(super) struct Index<const ALARMS: usize> {
    records: Vec<Entry, RECORDS>,
    pub(super) alarms: [Alarm; ALARMS],
    /// What all records take in flash, in bytes.
    pub(super) used: usize,
}

/// A record other than an alarm.
#[derive(Clone, Copy, Default)]
struct Entry {
    key: u16,
    version: u8,
    length: u32,
}

/// A place for an alarm.
#[derive(Clone, Copy, Default)]
pub(super) struct Alarm {
    /// Counted up through all alarms. 0 before the first one in this place.
    pub(super) sequence: u32,
    pub(super) waiting: bool,
    version: u8,
    /// 0 while nothing was ever kept here.
    length: u32,
}

impl Alarm {
    /// Takes over what the start of a record says.
    pub(super) fn read_header(&mut self, start: &[u8; ALARM_HEADER]) {
        (self.sequence, self.waiting) = (0, false);
        if self.version <= ALARM_VERSION
            && let Ok((header, _)) = postcard::take_from_bytes(start)
        {
            (self.sequence, self.waiting) = header;
        }
    }
}

impl<const ALARMS: usize> Index<ALARMS> {
    pub(super) const fn new() -> Self {
        const NONE: Alarm = Alarm { sequence: 0, waiting: false, version: 0, length: 0 };
        Self { records: Vec::new(), alarms: [NONE; ALARMS], used: 0 }
    }

    /// The version of the record with this key, if there is one.
    pub(super) fn version(&self, key: u16) -> Option<u8> {
        match Self::place(key) {
            Some(place) => self.alarms.get(place).filter(|alarm| alarm.length > 0).map(|alarm| alarm.version),
            None => self.records.iter().find(|entry| entry.key == key).map(|entry| entry.version),
        }
    }

    /// Takes down that there is a record, in place of an older one with this key. `length` is what it takes in flash.
    pub(super) fn note<E>(&mut self, key: u16, version: u8, length: usize) -> Result<(), Error<E>> {
        let new = u32::try_from(length).unwrap_or(u32::MAX);
        let old = match Self::place(key) {
            Some(place) => {
                let alarm = self.alarms.get_mut(place).ok_or(Error::Unsuitable)?;
                alarm.version = version;
                core::mem::replace(&mut alarm.length, new)
            }
            None => match self.records.iter_mut().find(|entry| entry.key == key) {
                Some(entry) => {
                    entry.version = version;
                    core::mem::replace(&mut entry.length, new)
                }
                None => {
                    self.records.push(Entry { key, version, length: new }).map_err(|_| Error::Full)?;
                    0
                }
            },
        };
        self.used = self.used.saturating_sub(old as usize).saturating_add(length);
        Ok(())
    }

    /// Whether a record with this key can be noted.
    pub(super) fn has_room(&self, key: u16) -> bool {
        Self::place(key).is_some() || self.version(key).is_some() || !self.records.is_full()
    }

    /// The place of the alarm with this key.
    pub(super) fn alarm_mut(&mut self, key: u16) -> Option<&mut Alarm> {
        self.alarms.get_mut(Self::place(key)?)
    }

    /// The place of the oldest alarm that waits.
    pub(super) fn oldest(&self) -> Option<(u8, u32)> {
        let waiting = self.alarms.iter().zip(0_u8..=u8::MAX).filter(|(alarm, _)| alarm.waiting);
        waiting.min_by_key(|(alarm, _)| alarm.sequence).map(|(alarm, place)| (place, alarm.sequence))
    }

    /// The first place for another alarm, and its number in the sequence; an error when all were used.
    pub(super) fn free<E>(&self) -> Result<Option<(u8, u32)>, Error<E>> {
        let mut places = self.alarms.iter().zip(0_u8..=u8::MAX);
        let free = places.find(|(alarm, _)| !alarm.waiting && alarm.version <= ALARM_VERSION).map(|(_, place)| place);
        let last = self.alarms.iter().map(|alarm| alarm.sequence).max().unwrap_or(0);
        let next = last.checked_add(1).ok_or(Error::Exhausted)?;
        Ok(free.map(|place| (place, next)))
    }

    /// Whether later firmware kept an alarm in a way that this one does not know.
    pub(super) fn has_newer_alarm(&self) -> bool {
        self.alarms.iter().any(|alarm| alarm.version > ALARM_VERSION)
    }

    fn place(key: u16) -> Option<usize> {
        let [_, index] = key.to_be_bytes();
        (Kind::ALARM.key(index) == key).then_some(usize::from(index))
    }
}
