//! Buffers of one block, passed on from connection to connection.

use smp_proto::transport::BLOCK_LENGTH;

/// Blocks that are not in use, for the next one who needs one.
pub(super) struct Blocks {
    free: parking_lot::Mutex<Vec<Box<[u8; BLOCK_LENGTH]>>>,
}

impl Blocks {
    /// Kept at most; more than are in use at one time on a small machine.
    const KEPT: usize = 32;

    pub(super) fn new() -> Self {
        Self { free: parking_lot::Mutex::default() }
    }

    pub(super) fn take(&self) -> Box<[u8; BLOCK_LENGTH]> {
        self.free.lock().pop().unwrap_or_else(|| Box::new([0; BLOCK_LENGTH]))
    }

    pub(super) fn give(&self, block: Box<[u8; BLOCK_LENGTH]>) {
        let mut free = self.free.lock();
        if free.len() < Self::KEPT {
            free.push(block);
        }
    }
}
