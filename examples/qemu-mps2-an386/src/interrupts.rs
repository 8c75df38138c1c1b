//! The vector table of the board's interrupts.

#![expect(unsafe_code, reason = "the vector table, and unmasking interrupts")]

/// Interrupt numbers (Arm application note AN386, table 4-1).
#[derive(Clone, Copy)]
#[repr(u16)]
pub(crate) enum Interrupt {
    Timer0 = 8,
    Timer1 = 9,
    Ethernet = 13,
}

// SAFETY: the numbers are the board's, below the 16 of the table.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

impl Interrupt {
    /// Lets it happen.
    pub(crate) fn enable(self) {
        // SAFETY: the handlers are in the table below, and what they share with the rest of the program is in critical
        // sections that do not rely on interrupts being masked one by one.
        unsafe { cortex_m::peripheral::NVIC::unmask(self) };
    }
}

unsafe extern "C" {
    // cortex-m-rt's, from its linker script.
    fn DefaultHandler();
}

/// An entry of the table.
type Vector = unsafe extern "C" fn();

/// The processor jumps through this table; its name and place are what cortex-m-rt's linker script looks for.
// SAFETY: the section is the one for it; the symbol is no other's.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [Vector; 16] = {
    let mut vectors = [DefaultHandler as Vector; 16];
    vectors[Interrupt::Timer0 as usize] = crate::time::on_wrap;
    vectors[Interrupt::Timer1 as usize] = crate::time::on_alarm;
    vectors[Interrupt::Ethernet as usize] = crate::ethernet::on_interrupt;
    vectors
};
