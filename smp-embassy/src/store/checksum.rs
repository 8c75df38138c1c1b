//! The checksums of items in `sequential-storage` 8, which the scan of a store needs to know, and of the pages' headers.

/// CRC-32C, with the start value and the exceptions of `sequential-storage`.
pub(crate) fn crc32(parts: &[&[u8]]) -> u32 {
    adapt(!parts.iter().fold(CRC32_START, |crc, part| crc32_more(crc, part)))
}

/// Where the checksum of more bytes than are in memory at once begins.
pub(crate) const CRC32_START: u32 = 0xEEEE_EEEE;

/// The checksum of more bytes than are in memory at once, before [`adapt`].
pub(crate) fn crc32_more(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 })
    })
}

/// 0 means a deleted item, and the first byte shows that the checksum was written.
pub(crate) const fn adapt(crc: u32) -> u32 {
    match crc {
        0 => 1,
        crc if crc & 0xFF == 0 || crc & 0xFF == 0xFF => crc ^ 1,
        crc => crc,
    }
}

/// CRC-16F/4.2 of an item's length.
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    let crc = bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x1A2E } else { 0 })
    });
    if crc == 0 { 0xFFFE } else { !crc }
}
