//! Text of byte strings: one text for each value, with or without padding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_proto::wire::{Base64, base64_url_decode, base64_url_decoded_len, base64_url_encode};

fuzz_target!(|data: &[u8]| {
    let mut bytes = vec![0; base64_url_decoded_len(data.len())];
    if let Ok(bytes) = base64_url_decode(data, &mut bytes) {
        let padded = data.ends_with(b"=") || data.len() % 4 == 0;
        let mut text = vec![0; data.len()];
        assert_eq!(base64_url_encode(bytes, padded, &mut text).map(str::as_bytes), Ok(data));
    }

    let shown = Base64(data).to_string();
    let mut back = vec![0; base64_url_decoded_len(shown.len())];
    assert_eq!(base64_url_decode(shown.as_bytes(), &mut back), Ok(data));
});
