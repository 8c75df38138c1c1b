//! Stored forms of the ratchet: whatever is read is stored as it was read, and works or is refused, but never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_crypto::ratchet::{
    EncapsulationRequest, Error, Initiator, Joiner, PreparedMessage, Ratchet, Resynchronization, SkippedKey,
};
use smp_fuzz::ratchet::{Store, WAITING, random};
use smp_proto::version::VersionRange;

/// Larger than every stored form here.
const ROOM: usize = 8192;

/// Reads, stores, and reads again.
fn stable<T>(
    data: &[u8],
    read: impl Fn(&[u8]) -> Result<T, Error>,
    store: impl Fn(&T, &mut [u8]) -> Result<usize, Error>,
    bound: usize,
) -> Option<T> {
    let value = read(data).ok()?;
    let mut first = [0; ROOM];
    let length = store(&value, &mut first[..bound]).expect("the bound is right");
    let again = read(&first[..length]).unwrap_or_else(|error| panic!("what was stored cannot be read: {error}"));
    let mut second = [0; ROOM];
    assert_eq!(store(&again, &mut second).ok(), Some(length));
    assert!(first[..length] == second[..length], "it is stored in another way than it was read");
    Some(value)
}

macro_rules! stable {
    ($type:ty, $data:expr) => {
        stable(
            $data,
            <$type>::from_bytes,
            |value: &$type, out: &mut [u8]| value.to_bytes(out).map(|bytes| bytes.len()),
            <$type>::MAX_SERIALIZED_LENGTH,
        )
    };
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = smp_fuzz::choice(data, 7) else { return };
    let mut random = random(1);
    let mut out = [0; 4096];
    match choice {
        0 | 1 => {
            // Most of a stored ratchet is keys, which nobody guesses: changes of a real one get further.
            let mut bytes = data.to_vec();
            if choice == 1 {
                let Some(([which, high, low], changes)) = data.split_first_chunk() else { return };
                bytes.clone_from(&WAITING[usize::from(*which) % WAITING.len()].ratchet);
                let start = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
                bytes.iter_mut().skip(start).zip(changes).for_each(|(byte, change)| *byte ^= change);
            }
            let Some(mut ratchet) = stable!(Ratchet, &bytes) else { return };
            for request in [EncapsulationRequest::Unset, EncapsulationRequest::On, EncapsulationRequest::Off] {
                let length = ratchet.encrypted_length(request.into(), 20);
                match ratchet.encrypt(request.into(), b"hello", 20, &mut out) {
                    Ok(message) => {
                        assert_eq!(message.len(), length);
                        let mut message = message.to_vec();
                        drop(ratchet.decrypt(&mut Store::new(), &mut random, &mut message));
                    }
                    Err(error) => assert!(!matches!(error, Error::TooLong)),
                }
                assert!(stable!(Ratchet, &smp_fuzz::ratchet::stored(&ratchet)).is_some());
            }
        }
        2 => {
            let Some(initiator) = stable!(Initiator, data) else { return };
            let answer = Joiner::answer(&mut random, VersionRange::RATCHET, &initiator.parameters(), false);
            if let Ok(joiner) = answer {
                drop(initiator.accept(&joiner.parameters(), true));
            }
        }
        3 => {
            if let Some(joiner) = stable!(Joiner, data) {
                drop(joiner.ratchet(&mut random));
            }
        }
        4 => {
            if let Some(own) = stable!(Resynchronization, data) {
                drop(own.sender(&own.parameters(), &mut random));
                drop(own.receiver(&own.parameters(), true));
            }
        }
        5 => {
            let Some(prepared) = stable!(PreparedMessage, data) else { return };
            let length = prepared.encrypted_length(20);
            if let Ok(message) = prepared.seal(b"hello", 20, &mut out) {
                assert_eq!(message.len(), length);
            }
        }
        _ => {
            // Chains are read in the order of their oldest keys. A ratchet stores no others, so only the keys are compared.
            let Ok(store) = Store::from_bytes(data) else { return };
            let again = Store::from_bytes(&smp_fuzz::ratchet::stored_keys(&store)).expect("it was stored");
            let keys = |store: &Store| -> Vec<_> {
                let parts = |key: SkippedKey| (*key.header_key.as_bytes(), key.number, *key.key.key(), *key.key.iv());
                store.iter().map(parts).collect()
            };
            assert!(keys(&store) == keys(&again), "keys are lost between two programs");
            assert_eq!(keys(&store).len(), store.len());
        }
    }
});
