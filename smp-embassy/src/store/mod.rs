//! What a device must not forget, in flash: queues and their keys, alarms that no relay has accepted yet, and numbers that
//! are used once.
//!
//! [`FlashStore`] keeps records through loss of power at any byte. An operation that returned without an error is kept;
//! one that was interrupted, by loss of power or because its future was dropped, has happened as a whole or not at all.
//! It is the [`SenderStore`](crate::state::SenderStore) of a sender and the
//! [`ReceiverStore`](crate::state::ReceiverStore) of a receiver, keeps the [`NotifierState`] of a notifier's queues, and is
//! a [`NumberStore`]. A `&Mutex<_, FlashStore<..>>` is all of these too, for several roles at once. A device without flash
//! takes [`Volatile`](crate::state::Volatile) and [`VolatileNumbers`].
//!
//! # Example
//!
//! ```
//! use embedded_storage_async::nor_flash::NorFlash;
//! use smp_embassy::store::{Error, FlashStore, NotifierState};
//!
//! async fn start<F: NorFlash>(flash: F) -> Result<(), Error<F::Error>> {
//!     let mut buffer = [0; 1088]; // alarms of up to 1,079 bytes
//!     let mut store = FlashStore::<_, 16>::open(flash, 0x1F_0000..0x1F_4000, &mut buffer).await?;
//!     if store.is_empty().await? {
//!         // A new device: bring a queue onto it, and `store.save(0, &state)`.
//!     }
//!     while let Some(queue) = store.load::<NotifierState>(0).await? {
//!         // Subscribe.
//! #       let _ = queue;
//! #       break;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Flash
//!
//! Any [`NorFlash`](embedded_storage_async::nor_flash::NorFlash); flash that blocks comes through an adapter such as
//! `embassy_embedded_hal::adapter::BlockingAsync`. Needed are two pages or more, aligned. A page is what is erased at once,
//! and several of these where they are shorter than 4,096 bytes; the longest is 256 KiB. Words, the larger of the
//! sizes of a read and of a write, have 1, 2, 4, 8, 16 or 32 bytes. Words of 8 bytes and more are written only once
//! between erases, so that flash with a checksum of each word works (STM32H5: 16 bytes, STM32G4 and L4: 8 bytes). RP2040 and
//! RP2350 program pages of 256 bytes, but their drivers write single bytes by leaving the others alone, which such flash
//! allows.
//!
//! One page is always spare; of each page 48 bytes are the store's, or three words where these are longer, and two words
//! `sequential-storage`'s. A record takes its length in postcard and 3 bytes, rounded up to words, and a header of 8 bytes
//! or a word. Alarms leave 768 bytes in each page for other records. Two pages of 4,096 bytes keep a sender's queue and 12
//! alarms of 200 bytes.
//!
//! To keep an alarm and forget it takes two records; the second one is 17 bytes long before rounding. Erases for 1,000 alarms,
//! each with a number from [`NumberStore`], one at a time, over all pages:
//!
//! | alarm | flash | erases | alarms until 10,000 erases of each page |
//! |---|---|---|---|
//! | 100 bytes | 2 pages of 4,096 bytes, words of 1 | 36 | 550,000 |
//! | 100 bytes | 4 pages of 4,096 bytes, words of 1 | 31 | 1,290,000 |
//! | 100 bytes | 2 pages of 8,192 bytes, words of 16 | 21 | 950,000 |
//! | 100 bytes | 4 pages of 8,192 bytes, words of 16 | 18 | 2,220,000 |
//! | 1,000 bytes | 2 pages of 8,192 bytes, words of 16 | 142 | 140,000 |
//!
//! A write into a page with room reads what lies in the way; when a page is full, moving what is still needed reads up to
//! 0.3 MB from pages of 4,096 bytes and 0.9 MB from pages of 8,192, without a cache. An almost full store turns more pages.
//!
//! # Memory
//!
//! The buffer belongs to the caller: as long as the longest record in postcard and 3 bytes, or alarm and 9 bytes, in whole
//! words. Some flash wants it aligned. The store itself takes about 700 bytes with 16 alarms; an alarm's place is 12 bytes. Futures take
//! about 1 KB. The
//! buffer is zeroized after each use; up to a word of a record can stay on the stack of `sequential-storage`.
//!
//! # Versions
//!
//! Each record carries the version of its form. Later firmware reads the forms of earlier ones by [`Record::upgrade`]. A
//! version that is not known yet is [`Error::RecordTooNew`]: it is not replaced, and stays when pages are moved. The number
//! of alarms may grow from one firmware to the next, but not shrink.
//!
//! # Damage
//!
//! Each record has a checksum. A damaged one is passed over, and the one before it under the same key counts again, if it
//! has not been moved away yet: an alarm may be sent twice. Numbers stay unique, see [`STRIDE`]. What was written is read
//! again at once; if it differs, the next place is tried before the store gives up with [`Error::Worn`]. A store whose
//! pages contradict each other is [`Error::Damaged`] when it is opened, and nothing in it is changed; whoever wants
//! to use the device again calls [`FlashStore::format`].
//!
//! # What sequential-storage leaves to this code
//!
//! Version 8 of `sequential-storage` takes an interrupted erase for one that came from the front. Real flash may show
//! anything in a half erased page, also a page that looks whole or empty; repairing it then gives up what had been moved
//! already. A frame around each page (`guard.rs`) makes erases all or nothing. It also panics at an item that is too short for its
//! key, and stops for ever at one that is longer than the buffer, which the half written header of an item can be by chance; these
//! are hidden from it.
//!
//! # Secrets
//!
//! Keys are in flash as they are, and so are alarms; forgetting and replacing records leaves old ones in place until their page is erased.
//! [`FlashStore::erase`] erases all. Whoever can read the flash of a device has its queues. Boards offer read-out
//! protection (STM32: product states or RDP; nRF: APPROTECT; RP2350: secure boot with encrypted flash, OTP); for flash outside of the
//! chip only a driver that encrypts helps.

mod alarms;
mod checksum;
mod error;
mod flash;
mod guard;
mod index;
mod mount;
mod numbers;
mod record;
mod roles;

#[cfg(feature = "agent")]
pub(crate) use checksum::{CRC32_START, adapt, crc32, crc32_more};
pub use error::Error;
pub use flash::FlashStore;
pub use numbers::{COUNTERS, NumberStore, STRIDE, VolatileNumbers};
pub use record::{Kind, LastMessage, NotifierKey, NotifierState, Record};
