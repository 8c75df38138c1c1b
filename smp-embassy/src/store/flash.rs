//! The store in flash.

use core::ops::Range;

use embedded_storage_async::nor_flash::NorFlash;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage, SerializationError, Value};
use zeroize::Zeroize;

use super::error::Error;
use super::guard::{Guard, GuardError};
use super::index::{ALARM_HEADER, Index};
use super::numbers::{COUNTERS, Reserved};
use super::record::Record;

/// Room that alarms leave for other records, in bytes.
pub(super) const RESERVE: usize = 768;
/// Length of a key and a version, in bytes.
pub(super) const PREFIX: usize = 3;
/// Length of the header of an item, in bytes, in words of 8 bytes or less.
const ITEM_HEADER: usize = 8;

type Map<F> = MapStorage<u16, Guard<F>, Cache<Uncached, Uncached, Uncached, u16>>;

/// Keeps records in a part of a flash. See the front page of [`store`](super).
///
/// `ALARMS` is the number of alarms that can wait, at most 256, if the flash has room for so many.
pub struct FlashStore<'b, F: NorFlash, const ALARMS: usize = 16> {
    map: Map<F>,
    buffer: &'b mut [u8],
    pub(super) index: Index<ALARMS>,
    pub(super) counters: [Option<Reserved>; COUNTERS],
    /// Whether the last operation came to its end. If not, the flash is looked at before the next.
    clean: bool,
}

/// Makes the bytes of a record; `None` when the room is too small.
pub(super) type Encode<'a> = &'a dyn Fn(&mut [u8]) -> Option<usize>;

struct Payload<'a> {
    version: u8,
    encode: Encode<'a>,
}

impl<'a> Value<'a> for Payload<'_> {
    fn serialize_into(&self, buffer: &mut [u8]) -> Result<usize, SerializationError> {
        let (version, room) = buffer.split_first_mut().ok_or(SerializationError::BufferTooSmall)?;
        *version = self.version;
        let length = (self.encode)(room).ok_or(SerializationError::BufferTooSmall)?;
        scramble(room.get_mut(..length).ok_or(SerializationError::BufferTooSmall)?);
        Ok(length.saturating_add(1))
    }

    fn deserialize_from(_: &'a [u8]) -> Result<(Self, usize), SerializationError> {
        Err(SerializationError::InvalidFormat)
    }
}

/// Lets content that is likely, such as a run of 0xFF, not look like empty flash in the search for what follows a damaged
/// item. It hides nothing from anybody.
fn scramble(bytes: &mut [u8]) {
    let mut mask = 0x5A_u8;
    for byte in bytes {
        *byte ^= mask;
        mask = mask.wrapping_mul(5).wrapping_add(0x33);
    }
}

impl<'b, F: NorFlash, const ALARMS: usize> FlashStore<'b, F, ALARMS> {
    /// Opens the store in a part of a flash, `range`, in bytes from the flash's start; makes one if the part is empty.
    ///
    /// An operation that loss of power interrupted is finished or taken back. `buffer` bounds the length of records, see
    /// the front page of [`store`](super).
    pub async fn open(flash: F, range: Range<u32>, buffer: &'b mut [u8]) -> Result<Self, Error<F::Error>> {
        let mut store = Self::new(flash, range, buffer)?;
        store.ready().await?;
        Ok(store)
    }

    /// Makes an empty store in a part of a flash and erases all that was there. When power is lost meanwhile, all is
    /// erased or, if there was a store, nothing.
    pub async fn format(flash: F, range: Range<u32>, buffer: &'b mut [u8]) -> Result<Self, Error<F::Error>> {
        let mut store = Self::new(flash, range, buffer)?;
        store.erase().await?;
        Ok(store)
    }

    fn new(flash: F, range: Range<u32>, buffer: &'b mut [u8]) -> Result<Self, Error<F::Error>> {
        let guard = Guard::new(flash, &range).ok_or(Error::Unsuitable)?;
        let config = MapConfig::try_new(guard.inner_range()).map_err(|_| Error::Unsuitable)?;
        // A page has room for the longest record and the reserve.
        let longest = Self::item_length(buffer.len());
        let word_fits = buffer.len().is_multiple_of(Guard::<F>::WORD) && buffer.len() <= usize::from(u16::MAX);
        if !word_fits || ALARMS > 256 || longest.saturating_add(RESERVE) > Self::PAGE_ROOM {
            return Err(Error::Unsuitable);
        }
        Ok(Self {
            map: MapStorage::new(guard, config, Cache::new_uncached()),
            buffer,
            index: Index::new(),
            counters: [const { None }; COUNTERS],
            clean: false,
        })
    }

    /// What a page has room for, in bytes.
    const PAGE_ROOM: usize = Guard::<F>::INNER.saturating_sub(Guard::<F>::WORD.saturating_mul(2));

    /// What an item with so many bytes takes in flash.
    const fn item_length(data: usize) -> usize {
        let word = if Guard::<F>::WORD == 0 { 1 } else { Guard::<F>::WORD };
        ITEM_HEADER.next_multiple_of(word).saturating_add(data.next_multiple_of(word))
    }

    /// Whether nothing was ever kept: the device has to be provisioned.
    pub async fn is_empty(&mut self) -> Result<bool, Error<F::Error>> {
        self.ready().await?;
        Ok(self.index.used == 0)
    }

    /// Erases everything. When power is lost meanwhile, all is erased or nothing.
    pub async fn erase(&mut self) -> Result<(), Error<F::Error>> {
        self.clean = false;
        self.counters = [const { None }; COUNTERS];
        self.map.flash().erase_all().await?;
        self.ready().await
    }

    /// How often the page that was erased most often was erased. Data sheets promise 10,000 times and more.
    pub async fn erases(&mut self) -> Result<u32, Error<F::Error>> {
        Ok(self.map.flash().erases().await?)
    }

    /// Gives back the flash.
    #[must_use]
    pub fn close(self) -> F {
        self.map.destroy().0.into_flash()
    }

    /// Reads the record with this index; `None` when there is none.
    pub async fn load<R: Record>(&mut self, index: u8) -> Result<Option<R>, Error<F::Error>> {
        let Some((version, bytes)) = self.read(R::KIND.key(index)).await? else { return Ok(None) };
        let record = if version > R::VERSION {
            Err(Error::RecordTooNew)
        } else if version < R::VERSION {
            R::upgrade(version, bytes).ok_or(Error::Damaged)
        } else {
            match postcard::take_from_bytes(bytes) {
                Ok((record, [])) => Ok(record),
                _ => Err(Error::Damaged),
            }
        };
        self.buffer.zeroize();
        record.map(Some)
    }

    /// Keeps a record in place of the one with this index.
    pub async fn save<R: Record>(&mut self, index: u8, record: &R) -> Result<(), Error<F::Error>> {
        let encode = |room: &mut [u8]| postcard::to_slice(record, room).ok().map(|bytes| bytes.len());
        self.write(R::KIND.key(index), R::VERSION, 0, &encode).await
    }

    /// The version and the bytes of the newest record with this key, in the buffer.
    pub(super) async fn read(&mut self, key: u16) -> Result<Option<(u8, &[u8])>, Error<F::Error>> {
        self.ready().await?;
        if self.index.version(key).is_none() {
            return Ok(None); // found out without a search through all of the flash
        }
        self.clean = false;
        let length = match self.map.fetch_item::<&[u8]>(self.buffer, &key).await {
            Ok(Some(bytes)) => bytes.len(),
            Ok(None) => return Err(Error::Damaged),
            Err(error) => return Err(Self::error(error)),
        };
        self.clean = true;
        let item = self.buffer.get_mut(2..).and_then(|rest| rest.get_mut(..length)).ok_or(Error::Damaged)?;
        let (version, bytes) = item.split_first_mut().ok_or(Error::Damaged)?;
        scramble(bytes);
        Ok(Some((*version, bytes)))
    }

    /// Writes a record, leaving `reserve` bytes to others.
    pub(super) async fn write(
        &mut self,
        key: u16,
        version: u8,
        reserve: usize,
        encode: Encode<'_>,
    ) -> Result<(), Error<F::Error>> {
        self.ready().await?;
        if self.index.version(key) > Some(version) {
            return Err(Error::RecordTooNew);
        }
        let length = encode(self.buffer.get_mut(PREFIX..).unwrap_or_default());
        self.buffer.zeroize();
        let length = Self::item_length(length.ok_or(Error::RecordTooLong)?.saturating_add(PREFIX));
        // If all pages but the spare one are on average so empty that the record fits, one of them is, and
        // `sequential-storage` comes to it.
        let pages = self.map.flash().pages().saturating_sub(1) as usize;
        if self.index.used > pages.saturating_mul(Self::PAGE_ROOM.saturating_sub(length.saturating_add(reserve))) {
            return Err(Error::Full);
        }
        if !self.index.has_room(key) {
            return Err(Error::Full);
        }
        let mut again = true;
        loop {
            self.clean = false;
            let result = self.map.store_item(self.buffer, &key, &Payload { version, encode }).await;
            self.buffer.zeroize();
            match result {
                Ok(()) => break,
                Err(error) => {
                    let error = Self::error(error);
                    // A word that cannot be written, as the flash says itself or as it turns out: what was written is
                    // passed over, and the next place is tried.
                    if !again || !matches!(error, Error::Worn | Error::Flash(_)) {
                        return Err(error);
                    }
                    again = false;
                    self.ready().await?;
                }
            }
        }
        self.index.note(key, version, length)?;
        self.clean = true;
        Ok(())
    }

    /// Looks at the flash if that has to be done: when the store is opened, and after an operation that failed or was
    /// given up.
    pub(super) async fn ready(&mut self) -> Result<(), Error<F::Error>> {
        if self.clean {
            return Ok(());
        }
        self.index = Index::new();
        self.map.flash().mount(PREFIX, self.buffer.len()).await?;
        let result = self.list().await;
        self.buffer.zeroize();
        result?;
        self.clean = true;
        Ok(())
    }

    /// Makes the list of what there is, from the oldest item to the newest.
    async fn list(&mut self) -> Result<(), Error<F::Error>> {
        let mut items = self.map.fetch_all_items(self.buffer).await.map_err(Self::error)?;
        while let Some((key, item)) = items.next::<&[u8]>(self.buffer).await.map_err(Self::error)? {
            let (version, bytes) = item.split_first().ok_or(Error::Damaged)?;
            let length = Self::item_length(item.len().saturating_add(2));
            let mut start = [0; ALARM_HEADER];
            start.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            scramble(&mut start);
            self.index.note(key, *version, length)?;
            if let Some(alarm) = self.index.alarm_mut(key) {
                alarm.read_header(&start);
            }
        }
        Ok(())
    }

    /// Removes what was read last from memory.
    pub(super) fn wipe(&mut self) {
        self.buffer.zeroize();
    }

    fn error(error: sequential_storage::Error<GuardError<F::Error>>) -> Error<F::Error> {
        match error {
            sequential_storage::Error::Storage { value, .. } => value.into(),
            sequential_storage::Error::FullStorage => Error::Full,
            sequential_storage::Error::BufferTooBig
            | sequential_storage::Error::BufferTooSmall(_)
            | sequential_storage::Error::ItemTooBig
            | sequential_storage::Error::SerializationError(_) => Error::RecordTooLong,
            _ => Error::Damaged,
        }
    }
}
