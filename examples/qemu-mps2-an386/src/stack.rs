//! How much of the stack was used: it is filled with a pattern, and what was overwritten since is counted.

#![expect(unsafe_code, reason = "measuring how much of the stack was used")]

use core::ptr;

const PATTERN: u32 = 0xc0de_5a5a;

/// Left unpainted below the stack pointer, for what [`paint`] itself and an interrupt during it put there.
const MARGIN: usize = 256;

/// A fault with the stack pointer less than this above the lowest address is put down to an overflow.
pub(crate) const GUARD: usize = 128;

unsafe extern "C" {
    // Symbols of the linker script; only their addresses mean something.
    static _stack_end: u32;
    static _stack_start: u32;
}

pub(crate) fn lowest() -> *mut u32 {
    (&raw const _stack_end).cast_mut()
}

fn highest() -> *mut u32 {
    (&raw const _stack_start).cast_mut()
}

/// The stack's size in bytes.
pub fn size() -> usize {
    highest() as usize - lowest() as usize
}

/// Bytes of the stack in use now.
#[inline(always)]
pub fn depth() -> usize {
    highest() as usize - cortex_m::register::msp::read() as usize
}

/// Paints what of the stack is not in use.
#[inline(never)]
pub fn paint() {
    let end = (cortex_m::register::msp::read() as usize).saturating_sub(MARGIN);
    let mut word = lowest();
    while (word as usize) < end {
        // SAFETY: between the stack's lowest address and MARGIN bytes below the stack pointer nothing is in use:
        // frames are above, an interrupt takes less than MARGIN. Volatile, as Rust does not know of this memory.
        unsafe {
            word.write_volatile(PATTERN);
            word = word.add(1);
        }
    }
}

/// The most bytes of the stack that were in use at one time since [`paint`].
pub fn peak() -> usize {
    let mut word = lowest();
    // SAFETY: reads within the stack's bounds, as the loop's first condition keeps it.
    while word < highest() && unsafe { ptr::read_volatile(word) } == PATTERN {
        // SAFETY: still within the stack or one past its end.
        word = unsafe { word.add(1) };
    }
    highest() as usize - word as usize
}
