//! The store of firmware, in flash with arbitrary contents and through loss of power: it never panics and never stops.
#![no_main]

#[path = "../../smp-embassy/src/store/checksum.rs"]
mod checksum;
#[path = "../../smp-embassy/tests/mock_flash/mod.rs"]
mod mock_flash;

use embassy_futures::block_on;
use libfuzzer_sys::fuzz_target;
use mock_flash::{MockFlash, Numbers};
use serde::{Deserialize, Serialize};
use smp_embassy::store::{FlashStore, Kind, NumberStore, Record};

const PAGES: usize = 2;
const RANGE: core::ops::Range<u32> = 0..(PAGES * 4096) as u32;
/// More deeds show nothing that fewer do not.
const DEEDS: usize = 48;

#[derive(Serialize, Deserialize)]
struct Note(heapless::Vec<u8, 300>);

impl Record for Note {
    const KIND: Kind = Kind::application(0);
    const VERSION: u8 = 1;
}

fuzz_target!(|data: &[u8]| {
    match smp_fuzz::choice(data, 3) {
        Some((0, script)) => block_on(play(MockFlash::<1, 1, 4096>::new(PAGES * 4096), script)),
        Some((1, script)) => block_on(play(MockFlash::<4, 4, 4096>::new(PAGES * 4096), script)),
        Some((_, script)) => block_on(play(MockFlash::<1, 16, 4096>::new(PAGES * 4096), script)),
        None => {}
    }
});

/// Plays a script of deeds, each with two numbers; some of them change the flash behind the store's back.
async fn play<const READ: usize, const WORD: usize>(mut flash: MockFlash<READ, WORD, 4096>, script: &[u8]) {
    flash.forgiving = true;
    let mut buffer = [0; 320];
    // A store to begin with: nobody guesses the checksum in a header.
    let made = FlashStore::<_, 3>::open(&mut flash, RANGE, &mut buffer).await.map(drop);
    assert!(made.is_ok(), "an empty flash becomes a store");
    let (deeds, _) = script.as_chunks::<4>();
    for [deed, a, b, c] in deeds.iter().take(DEEDS) {
        let address = usize::from(u16::from_le_bytes([*a, *b])) % flash.bytes.len();
        match deed % 12 {
            0 => flash.bytes[address] ^= 1 << (c % 8),
            1 => flash.bytes.iter_mut().skip(address).take(usize::from(*c) * 16).for_each(|byte| *byte = 0xFF),
            2 => flash.bytes.iter_mut().skip(address).take(usize::from(*c) * 16).for_each(|byte| *byte = *c),
            3 => item(&mut flash.bytes, address / WORD * WORD, usize::from(*c) * 2, WORD),
            4 => {
                flash.random = Numbers::new(u64::from(*c));
                flash.power = Some(u64::from(u16::from_le_bytes([*a, *b])) % 6_000);
            }
            5 => flash = flash.restarted(),
            _ => {
                let Ok(mut store) = FlashStore::<_, 3>::open(&mut flash, RANGE, &mut buffer).await else { continue };
                act(&mut store, *deed, *a, *b, *c).await;
            }
        }
    }
    let mut flash = flash.restarted();
    let store = FlashStore::<_, 3>::format(&mut flash, RANGE, &mut buffer).await;
    let Ok(mut store) = store else { panic!("a store cannot be made again") };
    assert_eq!(store.is_empty().await, Ok(true), "something is left");
    assert!(store.save(0, &Note(heapless::Vec::new())).await.is_ok(), "a new store keeps nothing");
}

async fn act<F: embedded_storage_async::nor_flash::NorFlash>(
    store: &mut FlashStore<'_, F, 3>,
    deed: u8,
    a: u8,
    b: u8,
    c: u8,
) {
    let content = [b; 300];
    let content = content.get(..usize::from(c)).unwrap_or_default();
    for _ in 0..1 + deed / 64 {
        match a % 8 {
            0 => drop(store.load::<Note>(b % 4).await),
            1 => drop(store.save(b % 4, &Note(content.iter().copied().collect())).await),
            2 => drop(store.push_alarm(content).await),
            3 => drop(store.first_alarm(&mut [0; 320]).await),
            4 => drop(store.pop_alarm().await),
            5 => drop(store.next_number(b % 10).await),
            6 => drop(store.alarms().await),
            _ if b == 0 => drop(store.erase().await),
            _ => drop(store.is_empty().await),
        }
    }
}

/// Puts an item with right checksums into the flash, as nobody guesses these either.
fn item(bytes: &mut [u8], address: usize, length: usize, word: usize) {
    let start = address + 8_usize.next_multiple_of(word);
    let Some(data) = bytes.get(start..start + length) else { return };
    let (sum, length) =
        (checksum::adapt(!checksum::crc32_more(checksum::CRC32_START, data)), (length as u16).to_le_bytes());
    let header = [&sum.to_le_bytes()[..], &length, &checksum::crc16(&length).to_le_bytes()].concat();
    assert_eq!(sum, checksum::crc32(&[data]));
    bytes.iter_mut().skip(address).zip(header).for_each(|(to, from)| *to = from);
}
