//! One transmission, at the version that the first byte chooses: read, and written by the means of a client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{SESSION, version, write};
use smp_proto::transport::transmission::{AuthorizedBytes, Transmission};

fuzz_target!(|data: &[u8]| {
    let Some((version, data)) = version(data) else { return };
    match Transmission::decode(data, version, SESSION) {
        Err(error) => drop((error.correlation_id(), error.error(), error.to_string())),
        Ok(transmission) => {
            let Transmission { correlation_id, entity_id, command, .. } = transmission;
            let mut buffer = vec![0; data.len() + 64];
            let authorized =
                AuthorizedBytes::write(&mut buffer, SESSION, correlation_id, entity_id, |writer| writer.bytes(command))
                    .expect("the buffer is large enough");
            assert_eq!(
                write(|writer| transmission.write_authorized(writer, SESSION)).as_deref(),
                Some(authorized.as_bytes())
            );
            let again = write(|writer| {
                authorized.encode(writer, version, &transmission.authorization, transmission.service_signature)
            });
            assert_eq!(again.as_deref(), Some(data));
        }
    }
});
