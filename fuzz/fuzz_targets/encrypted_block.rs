//! Encrypted blocks: what is sealed opens, what was tampered with does not, and the next block opens again.
//!
//! The first three bytes say which byte is changed in which bits; the rest is the content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_crypto::block_chain::{BlockChain, chain_keys};
use smp_crypto::key::SharedSecret;
use smp_proto::transport::block::{BLOCK_LENGTH, ENCRYPTED_CONTENT_START};

fn chain() -> BlockChain {
    chain_keys(&SharedSecret::from_bytes([7; 32]), b"session").expect("the session id is short").0
}

fuzz_target!(|data: &[u8]| {
    let Some(([high, low, bits], content)) = data.split_first_chunk() else { return };
    let (mut sender, mut recipient) = (chain(), chain());
    let mut block = [0; BLOCK_LENGTH];
    let Some(room) = block[ENCRYPTED_CONTENT_START..].get_mut(..content.len()) else {
        assert!(sender.seal(&mut block, content.len()).is_err());
        return;
    };
    room.copy_from_slice(content);
    sender.seal(&mut block, content.len()).expect("the content fits");

    let changed = usize::from(u16::from_be_bytes([*high, *low])) % BLOCK_LENGTH;
    block[changed] ^= bits;
    match recipient.open(&mut block) {
        Ok(range) => assert!(*bits == 0 && block[range] == *content),
        Err(_) => assert!(*bits != 0),
    }

    let mut block = [0; BLOCK_LENGTH];
    sender.seal(&mut block, 0).expect("nothing fits");
    assert!(recipient.open(&mut block).is_ok_and(|range| range.is_empty()));
});
