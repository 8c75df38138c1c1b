//! Runs the tasks and sleeps when there is nothing to do.
//!
//! embassy's own loop sleeps with `wfe`, which the emulator does not stop for. This one uses `wfi`, so that a waiting
//! board costs the host nothing, and adds up the time asleep: what is left is instructions executed.

#![expect(unsafe_code, reason = "the symbol that wakes the executor, and polling it from the only place that does")]

use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};
use static_cell::StaticCell;

use crate::time;

/// Set when a task became ready to run.
static READY: AtomicBool = AtomicBool::new(false);

/// The executor calls this when a task is woken, from wherever.
// SAFETY: the name is the one embassy-executor leaves to be defined when none of its own loops is chosen; the signature
// is the one it declares.
#[unsafe(export_name = "__pender")]
fn pender(_context: *mut ()) {
    READY.store(true, Ordering::Release);
}

/// Spawns the program's tasks with `spawn`, then runs them for ever.
pub fn run(spawn: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    let executor = EXECUTOR.init_with(|| raw::Executor::new(core::ptr::null_mut()));
    let executor: &'static raw::Executor = executor;
    spawn(executor.spawner());
    loop {
        // SAFETY: called from this loop only, never from within itself or an interrupt.
        unsafe { executor.poll() };
        // With interrupts masked nothing can become ready between the look and the sleep; a pending interrupt still
        // ends the sleep, and runs once they are unmasked.
        critical_section::with(|section| {
            if !READY.swap(false, Ordering::Acquire) {
                time::asleep(section, cortex_m::asm::wfi);
            }
        });
    }
}
