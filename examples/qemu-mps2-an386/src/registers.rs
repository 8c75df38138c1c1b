//! Access to the registers of peripherals.

#![expect(unsafe_code, reason = "reading and writing registers of peripherals")]

/// A 32-bit register of a peripheral at a fixed address.
#[derive(Clone, Copy)]
pub(crate) struct Register(usize);

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    ///
    /// `address` is that of a peripheral's register, 4-byte aligned, always mapped on this board, and no access to it
    /// can touch memory that Rust knows of.
    pub(crate) const unsafe fn new(address: usize) -> Self {
        Self(address)
    }

    /// Reads it.
    pub(crate) fn read(self) -> u32 {
        // SAFETY: `new` demanded an address that may be read at any time.
        unsafe { core::ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    /// Writes it.
    pub(crate) fn write(self, value: u32) {
        // SAFETY: `new` demanded an address that may be written at any time, without touching memory of the program.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) }
    }
}
