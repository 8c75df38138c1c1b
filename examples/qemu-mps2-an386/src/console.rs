//! Lines on the emulator's console, made for programs that read them:
//!
//! ```text
//! event <name> [details]
//! measure <operation> <instructions>
//! stack <bytes>
//! ```

use core::cell::Cell;
use core::fmt;

use critical_section::Mutex;

use crate::semihosting::{File, Mode};

static CONSOLE: Mutex<Cell<Option<File>>> = Mutex::new(Cell::new(None));

/// Writes the parts one after the other.
fn write(parts: &[&str]) {
    let file = critical_section::with(|section| {
        let console = CONSOLE.borrow(section);
        let file = console.get().or_else(|| File::open(b":tt\0", Mode::Write));
        console.set(file);
        file
    });
    for part in parts.iter().filter(|part| !part.is_empty()) {
        // A host that takes no output is no reason to stop.
        let _ = file.map(|file| file.write(part.as_bytes()));
    }
}

/// `event <name> [details]`: something happened that a story waits for.
pub fn event(name: &str, details: &str) {
    write(&["event ", name, if details.is_empty() { "" } else { " " }, details, "\n"]);
}

/// `event <name> <value>`, for values that know how to print themselves.
pub fn event_shown(name: &str, value: &impl fmt::Display) {
    struct Console;
    impl fmt::Write for Console {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            write(&[text]);
            Ok(())
        }
    }
    write(&["event ", name, " "]);
    let _ = fmt::Write::write_fmt(&mut Console, format_args!("{value}\n"));
}

/// `event <name> <number>`.
pub fn event_number(name: &str, number: u64) {
    event(name, decimal(number, &mut [0; 20]));
}

/// `measure <operation> <instructions>`.
pub fn measure(operation: &str, instructions: u64) {
    write(&["measure ", operation, " ", decimal(instructions, &mut [0; 20]), "\n"]);
}

/// `event stack-of <operation> <bytes>`.
pub fn stack_of(operation: &str, bytes: usize) {
    write(&["event stack-of ", operation, " ", decimal(bytes as u64, &mut [0; 20]), "\n"]);
}

/// `stack <bytes>`: the most that was in use since the stack was painted.
pub fn stack() {
    write(&["stack ", decimal(crate::stack::peak() as u64, &mut [0; 20]), "\n"]);
}

/// The decimal digits of a number, without what `core::fmt` would bring along.
pub(crate) fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &str {
    let mut first = digits.len();
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        first = index;
        if number == 0 {
            break;
        }
    }
    core::str::from_utf8(digits.get(first..).unwrap_or_default()).unwrap_or_default()
}
