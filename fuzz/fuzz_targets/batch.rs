//! The content of a block, all the way down: batch, transmissions, and each as a command and as a relay's message. The
//! first byte chooses the version.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_fuzz::{SESSION, version};
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::transport::block::{BATCH_CONTENT_LIMIT, decode_single, pack_batches};
use smp_proto::transport::{Batch, BatchWriter, Transmission};
use smp_proto::wire::Reader;

fuzz_target!(|data: &[u8]| {
    let Some((version, content)) = version(data) else { return };
    let single = decode_single(content);
    let Ok(batch) = Batch::decode(content) else {
        assert!(single.is_err());
        return;
    };
    assert_eq!(single.is_ok(), batch.len() == 1);
    assert_eq!(batch.iter().count(), batch.len());
    for entry in &batch {
        if let Ok(transmission) = Transmission::decode(entry, version, SESSION) {
            let _ = Command::decode(&mut Reader::new(transmission.command), version);
            let _ = BrokerMessage::decode(&mut Reader::new(transmission.command), version);
        }
    }
    if content.len() <= BATCH_CONTENT_LIMIT {
        let mut buffer = [0; BATCH_CONTENT_LIMIT];
        let mut writer = BatchWriter::new(&mut buffer).expect("there is room for the count");
        for entry in &batch {
            writer.push(|writer| writer.bytes(entry)).expect("what came in one batch fits one");
        }
        assert_eq!(writer.finish().as_deref(), Some(content));
        assert_eq!(pack_batches(batch.iter().map(<[u8]>::len).collect::<Vec<_>>()).count(), 1);
    }
});
