//! What ends the program besides the program: a panic (exit code 101) and a processor fault (exit code 102). Both say so
//! on the console; a product would reset here.

#![expect(unsafe_code, reason = "what runs first after a fault, in assembly")]

use core::panic::PanicInfo;

use crate::console;
use crate::semihosting::exit;

/// The message is not formatted: that would cost flash in every firmware. The place is enough.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if let Some(place) = info.location() {
        console::event("panicked", place.file());
        console::event_number("line", u64::from(place.line()));
    }
    exit(101)
}

// The stack pointer may be what is broken (an overflow leaves it below RAM): it is set anew before any Rust code runs.
core::arch::global_asm!(
    ".section .HardFault.user, \"ax\"",
    ".global HardFault",
    ".type HardFault, %function",
    ".thumb_func",
    "HardFault:",
    "ldr r0, =_stack_start",
    "mov r1, sp",
    "mov sp, r0",
    "mov r0, r1",
    "bl {fault}",
    ".size HardFault, . - HardFault",
    fault = sym fault,
);

/// Reports a fault. `stack_pointer` is the one it happened with.
extern "C" fn fault(stack_pointer: usize) -> ! {
    let overflow = stack_pointer < crate::stack::lowest() as usize + crate::stack::GUARD;
    console::event(if overflow { "stack-overflow" } else { "fault" }, "");
    exit(102)
}
