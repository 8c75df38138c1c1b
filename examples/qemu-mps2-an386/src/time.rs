//! The clock: embassy's time driver on two of the board's timers (Arm's CMSDK timers, 32 bits, counting down at 25 MHz),
//! and the counter of instructions.
//!
//! TIMER0 runs freely, its wraps counted by an interrupt; TIMER1 is the alarm.

#![expect(unsafe_code, reason = "the registers of the timers, at their addresses")]

use core::cell::{Cell, RefCell};
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::{Driver, TICK_HZ};
use embassy_time_queue_utils::Queue;

use crate::interrupts::Interrupt;
use crate::registers::Register;

/// The timers' rate in Hz.
const RATE: u32 = 25_000_000;

/// The timers' counts in a tick of embassy's clock.
const COUNTS: u32 = RATE / TICK_HZ as u32;

/// TIMER0 wraps after this many of embassy's ticks, a power of two, so that no 64-bit division is needed: 134 s.
const WRAP_SHIFT: u32 = 27;

/// TIMER0's period in counts.
const PERIOD: u32 = COUNTS << WRAP_SHIFT;

/// The alarm rings at least this often, in ticks: 10 ms. A board does not need this. QEMU does: its network for users
/// without privileges looks at its sockets only when something in the emulator moves, else once in a second.
const LONGEST_SLEEP: u64 = TICK_HZ / 100;

/// Instructions per count with QEMU's `-icount shift=0`, which takes one nanosecond for each.
const INSTRUCTIONS: u64 = 1_000_000_000 / RATE as u64;

struct Timer {
    control: Register,
    value: Register,
    reload: Register,
    interrupt: Register,
}

const ENABLE: u32 = 1;
const INTERRUPT_ENABLE: u32 = 1 << 3;

impl Timer {
    const fn at(address: usize) -> Self {
        // SAFETY: called with the addresses of the two timers only, whose registers are laid out like this (Cortex-M
        // System Design Kit, APB timer).
        unsafe {
            Self {
                control: Register::new(address),
                value: Register::new(address + 0x4),
                reload: Register::new(address + 0x8),
                interrupt: Register::new(address + 0xc),
            }
        }
    }

    /// Starts anew with `counts` to go, then again and again.
    fn start(&self, counts: u32) {
        self.control.write(0);
        self.interrupt.write(1);
        self.reload.write(counts - 1);
        self.value.write(counts - 1);
        self.control.write(ENABLE | INTERRUPT_ENABLE);
    }
}

static FREE: Timer = Timer::at(0x4000_0000);
static ALARM: Timer = Timer::at(0x4000_1000);

struct Clock {
    /// How often TIMER0 wrapped.
    wraps: Cell<u32>,
    /// Counts spent asleep.
    asleep: Cell<u64>,
    queue: RefCell<Queue>,
}

struct Shared(Mutex<Clock>);

embassy_time_driver::time_driver_impl!(static CLOCK: Shared = Shared(Mutex::new(Clock {
    wraps: Cell::new(0),
    asleep: Cell::new(0),
    queue: RefCell::new(Queue::new()),
})));

/// Starts both timers. Before this the clock stands at its wrap.
pub(crate) fn start() {
    FREE.start(PERIOD);
    Interrupt::Timer0.enable();
    Interrupt::Timer1.enable();
    critical_section::with(|section| CLOCK.0.borrow(section).alarm());
}

impl Clock {
    /// Wraps, and counts since the last. The interrupt comes when the timer reaches 0, one count before it starts anew:
    /// that is where a wrap begins.
    fn read(&self) -> (u32, u32) {
        let left = FREE.value.read();
        if FREE.interrupt.read() & 1 == 0 {
            // At 0 already, but the interrupt is still to come: the last count of the old wrap.
            return (self.wraps.get(), PERIOD - left.max(1));
        }
        // A wrap that is not counted yet. What was read may be of before it.
        let left = FREE.value.read();
        (self.wraps.get().wrapping_add(1), if left == 0 { 0 } else { PERIOD - left })
    }

    /// Since the start, in embassy's ticks.
    fn ticks(&self) -> u64 {
        let (wraps, counts) = self.read();
        (u64::from(wraps) << WRAP_SHIFT) + u64::from(counts / COUNTS)
    }

    /// Since the start, in counts.
    fn counts(&self) -> u64 {
        let (wraps, counts) = self.read();
        u64::from(wraps) * u64::from(PERIOD) + u64::from(counts)
    }

    /// Wakes who is due and sets the alarm for the next.
    fn alarm(&self) {
        let now = self.ticks();
        let next = self.queue.borrow_mut().next_expiration(now);
        // Due since: the shortest alarm comes as soon as interrupts are unmasked.
        let ticks = next.saturating_sub(now).clamp(1, LONGEST_SLEEP);
        ALARM.start(ticks as u32 * COUNTS);
    }
}

impl Driver for Shared {
    fn now(&self) -> u64 {
        critical_section::with(|section| self.0.borrow(section).ticks())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            let clock = self.0.borrow(section);
            if clock.queue.borrow_mut().schedule_wake(at, waker) {
                clock.alarm();
            }
        });
    }
}

/// Runs `sleep` and leaves its time out of [`instructions`].
pub(crate) fn asleep(section: CriticalSection<'_>, sleep: impl FnOnce()) {
    let clock = CLOCK.0.borrow(section);
    let before = clock.counts();
    sleep();
    clock.asleep.set(clock.asleep.get() + (clock.counts() - before));
}

/// Instructions executed since the start, those of sleep not counted, in steps of 40. Means something with QEMU's
/// `-icount shift=0` only; without, it is time awake in nanoseconds.
pub fn instructions() -> u64 {
    critical_section::with(|section| {
        let clock = CLOCK.0.borrow(section);
        (clock.counts() - clock.asleep.get()) * INSTRUCTIONS
    })
}

/// Interrupt of TIMER0.
pub(crate) extern "C" fn on_wrap() {
    critical_section::with(|section| {
        // Until it starts anew, a count later, 0 means the end of a wrap or the beginning, as the interrupt's bit says.
        while FREE.value.read() == 0 {}
        FREE.interrupt.write(1);
        let clock = CLOCK.0.borrow(section);
        clock.wraps.set(clock.wraps.get().wrapping_add(1));
    });
}

/// Interrupt of TIMER1.
pub(crate) extern "C" fn on_alarm() {
    critical_section::with(|section| CLOCK.0.borrow(section).alarm());
}
