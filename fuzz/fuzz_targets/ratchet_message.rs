//! Messages, headers and parameters of the ratchet, as they are read before anything is decrypted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{again, canonical};
use smp_proto::agent::{
    AgreedParameters, Encapsulation, EncryptedHeader, RatchetHeader, RatchetMessage, RatchetParameters,
};
use smp_proto::version::RatchetVersion;
use smp_proto::wire::Decode;

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = smp_fuzz::choice(data, 8) else { return };
    match choice {
        0 => {
            let Ok(message) = RatchetMessage::from_bytes(data) else { return };
            let _ = format!("{message:?}");
            // The length in front has one byte or two; nothing is left over.
            let rest = data.len() - message.header.len() - message.tag.len() - message.body.len();
            assert_eq!(rest, if data[0] < 32 { 2 } else { 1 });
        }
        1 => {
            let Ok(header) = EncryptedHeader::from_bytes(data) else { return };
            let _ = format!("{header:?}");
            let rest = data.len() - header.ciphertext.len();
            assert_eq!(rest, if data[34] < 32 { 36 } else { 35 });
        }
        2 | 3 => {
            let version = RatchetVersion(u16::from(choice));
            let header =
                again!(|reader| RatchetHeader::decode(reader, version), |value, writer| value.encode(writer, version));
            canonical(data, header);
        }
        4 => canonical(data, again!(AgreedParameters<'_>)),
        5 => {
            let proposal =
                again!(|reader| AgreedParameters::decode_proposal(reader), |value, writer| writer.value(&value));
            canonical(data, proposal);
        }
        6 => canonical(data, again!(Encapsulation<'_>)),
        _ => canonical(data, again!(RatchetParameters)),
    }
});
