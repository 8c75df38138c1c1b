//! Writes a transport block with two transmissions the way a client does, and reads it the way a relay does. Nothing
//! allocates but the printing.
//!
//! ```text
//! cargo run -p smp-proto --example one_block
//! ```

use std::error::Error;

use smp_proto::id::{CorrelationId, EntityId, QueueId, SessionId};
use smp_proto::smp::Command;
use smp_proto::smp::sender::Send;
use smp_proto::transport::block::PLAIN_CONTENT_START;
use smp_proto::transport::transmission::encode_unauthorized;
use smp_proto::transport::{BLOCK_LENGTH, Batch, BatchWriter, Transmission};
use smp_proto::version::SmpVersion;
use smp_proto::wire::{Reader, pad_in_place, unpad};

fn main() -> Result<(), Box<dyn Error>> {
    let version = SmpVersion::AUTHENTICATORS;
    let session = SessionId::new(&[1; 32])?;
    let queue = QueueId::from_array(&[2; 24]);
    let commands = [
        (CorrelationId::from_array(&[3; 24]), EntityId::EMPTY, Command::Ping),
        (CorrelationId::from_array(&[4; 24]), queue.into(), Command::Send(Send { notify: true, body: b"Hello" })),
    ];

    let mut block = [0; BLOCK_LENGTH];
    let mut batch = BatchWriter::new(&mut block[PLAIN_CONTENT_START..])?;
    for (correlation_id, entity_id, command) in &commands {
        batch.push(|writer| {
            encode_unauthorized(writer, version, session, *correlation_id, *entity_id, |writer| {
                command.encode(writer, version)
            })
        })?;
    }
    let length = batch.finish().map_or(0, |content| content.len());
    pad_in_place(&mut block, length)?;
    println!("{length} bytes of content in a block of {}", block.len());

    for transmission in &Batch::decode(unpad(&block)?)? {
        let transmission = Transmission::decode(transmission, version, session).map_err(|error| error.to_string())?;
        let command = Command::decode(&mut Reader::new(transmission.command), version)
            .map_err(|error| format!("not a command: {error:?}"))?;
        println!("{:?}: {command:?}", transmission.entity_id);
    }
    Ok(())
}
