//! Padding: what is inside survives, and nothing outside the buffer is named.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_proto::wire::{pad, unpad};

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = unpad(data) {
        let mut padded = vec![0; data.len()];
        assert_eq!(pad(message, &mut padded), Ok(()));
        assert_eq!(unpad(&padded), Ok(message));
    }
    // The first two bytes say how much room there is for the rest.
    if let Some((room, message)) = data.split_first_chunk() {
        let room = usize::from(u16::from_be_bytes(*room));
        let mut padded = vec![0; room];
        match pad(message, &mut padded) {
            Ok(()) => assert_eq!(unpad(&padded), Ok(message)),
            Err(_) => assert!(message.len() + 2 > room),
        }
    }
});
