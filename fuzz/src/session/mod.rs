//! The session layer in all its states, of the relay (`relay_side.rs`) and of smp-std's client (`client_side.rs`): behind a
//! TLS handshake that succeeds, the other side says hello as it should, changed, or not at all, and then sends blocks of
//! any kind: well made, made for somebody else, cut off, out of turn.
//!
//! Neither side panics or waits for ever, and both end when the other is gone.

mod client_side;
mod relay_side;

use smp_proto::transport::BLOCK_LENGTH;
use smp_proto::version::{SmpVersion, VersionRange};
use smp_proto::wire::{pad, unpad_range};

use crate::input::Input;

/// Blocks that one input sends, at most.
const STEPS: usize = 24;

/// Plays an input.
pub fn play(data: &[u8]) {
    let mut input = Input(data);
    match input.below(2) {
        0 => relay_side::play(&mut input),
        _ => client_side::play(&mut input),
    }
}

/// A range of versions, all of them most of the time.
fn versions(input: &mut Input<'_>) -> VersionRange<SmpVersion> {
    let [low, high] = [input.byte(), input.byte()].map(u16::from);
    let count = SmpVersion::MAX.0 - SmpVersion::MIN.0 + 1;
    let (low, high) = (SmpVersion::MIN.0 + low % count, SmpVersion::MAX.0 - high % count);
    VersionRange::new(SmpVersion(low.min(high)), SmpVersion(low.max(high))).unwrap_or(VersionRange::SMP)
}

/// A hello as it is, with a few bits of its content changed, or another in its place. Says whether it is as it was.
fn alter(block: &mut [u8; BLOCK_LENGTH], input: &mut Input<'_>) -> bool {
    let before = *block;
    match input.below(4) {
        0 | 1 => {}
        2 => {
            let content = unpad_range(block).map_or(0..0, |range| range);
            input.change(&mut block[content]);
        }
        _ => {
            let content = input.long();
            let _ = pad(&content, block.as_mut_slice());
        }
    }
    before == *block
}

/// A block of any bytes.
fn noise(input: &mut Input<'_>) -> Box<[u8; BLOCK_LENGTH]> {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let bytes = input.long();
    match input.below(2) {
        // With the length in front that some states expect.
        0 => _ = pad(&bytes, block.as_mut_slice()),
        _ => block.iter_mut().zip(bytes.iter().cycle()).for_each(|(to, from)| *to = *from),
    }
    block
}
