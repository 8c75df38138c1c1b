//! The firmware's configuration: the emulator's command line, `name=value` words between spaces.
//!
//! A product reads the same from flash, from a serial port or from a code it scans.

use static_cell::ConstStaticCell;

use crate::semihosting;

/// The longest command line, in bytes.
pub const MAX_LENGTH: usize = 2048;

/// What the command line said.
#[derive(Clone, Copy)]
pub struct Arguments(&'static str);

impl Arguments {
    /// Asks the emulator. `None` if the line is longer than [`MAX_LENGTH`] or not text.
    pub(crate) fn read() -> Option<Self> {
        static LINE: ConstStaticCell<[u8; MAX_LENGTH]> = ConstStaticCell::new([0; MAX_LENGTH]);
        semihosting::command_line(LINE.try_take()?).map(Self)
    }

    /// The value of the first word that begins with `name=`.
    pub fn get(self, name: &str) -> Option<&'static str> {
        self.all(name).next()
    }

    /// The values of all words that begin with `name=`, in their order.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'static str> {
        self.0.split(' ').filter_map(move |word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// The number given for `name`, or `otherwise` when there is none or it is not a number.
    pub fn number(self, name: &str, otherwise: u32) -> u32 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    }
}
