//! The handshake, both sides. The first byte says whose hello is altered, the second whether the input replaces its
//! content or is a list of changes: two bytes of position, one of bits.
//!
//! Whatever happens, a client ends up with the security that the version promises, or with no session.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_crypto::session::{Block, ClientStep, ServerStep, SessionError};
use smp_fuzz::choice;
use smp_fuzz::party::{NOW, RELAY};
use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::version::SmpVersion;
use smp_proto::wire::{pad, unpad_range};

fuzz_target!(|data: &[u8]| {
    let Some((altered, data)) = choice(data, 2) else { return };
    let Some((replace, data)) = choice(data, 2) else { return };
    let alter = |block: &mut Block| match replace {
        0 => change(data, block),
        _ => pad(data, block).unwrap_or_default(),
    };

    RELAY.meet(|server, client| {
        let mut block = [0; BLOCK_LENGTH];
        server.hello(&mut block).expect("the hello fits a block");
        if altered == 0 {
            alter(&mut block);
        }
        let mut session = match client.receive(&mut block) {
            Err(_) if altered == 0 => return,
            Err(error) => panic!("an unaltered hello is refused: {error}"),
            Ok(ClientStep::Service(_)) => panic!("this client is no service"),
            Ok(ClientStep::Session(session)) => session,
        };
        let version = session.context.version();
        assert_eq!(version >= SmpVersion::AUTHENTICATORS, session.context.peer_key().is_some());
        assert_eq!(version >= SmpVersion::BLOCK_ENCRYPTION, session.is_encrypted());

        if altered == 1 {
            alter(&mut block);
        }
        let mut served = match server.receive(&block, &[], NOW) {
            Ok(ServerStep::Session(served)) => served,
            Ok(_) => return assert_eq!(altered, 1, "this client is no service"),
            Err(SessionError::Version) if altered == 0 => return,
            Err(error) => return assert_eq!(altered, 1, "an unaltered hello is refused: {error}"),
        };
        if altered == 0 {
            let mut block = [0; BLOCK_LENGTH];
            session.sealer.seal(&mut block, 0).expect("nothing fits");
            assert!(served.opener.open(&mut block).is_ok(), "the two do not understand each other");
        }
    });
});

/// Flips bits at positions inside the content, where changes are read.
fn change(data: &[u8], block: &mut Block) {
    let content = unpad_range(block).map_or(0, |range| range.end);
    for [high, low, bits] in data.as_chunks::<3>().0 {
        let position = usize::from(u16::from_be_bytes([*high, *low])) % content.max(1);
        block[position] ^= bits;
    }
}
