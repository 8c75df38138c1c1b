//! Calls to the host that runs the emulator: Arm's semihosting interface (document 100863), the operations this board
//! needs. Under `-icount` a call costs the guest the instructions around it only.

#![expect(unsafe_code, reason = "calls to the emulator's host")]

use core::arch::asm;

const OPEN: usize = 0x01;
const WRITE: usize = 0x05;
const READ: usize = 0x06;
const SEEK: usize = 0x0a;
const LENGTH: usize = 0x0c;
const COMMAND_LINE: usize = 0x15;
const EXIT_EXTENDED: usize = 0x20;
const APPLICATION_EXIT: usize = 0x2_0026;

/// How a file is opened; the values are C's `fopen` modes in the interface's numbering.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// "rb".
    Read = 1,
    /// "r+b".
    Update = 3,
    /// "w": for the console.
    Write = 4,
    /// "w+b".
    Create = 7,
}

/// A file of the host. Never closed: the emulator closes all when it ends.
#[derive(Clone, Copy)]
pub(crate) struct File(usize);

/// The host refused or cut an operation short.
#[derive(Debug)]
pub(crate) struct Refused;

/// One call.
///
/// # Safety
///
/// `block` is what the interface demands of `operation`: the pointers and lengths in it describe memory that lives and,
/// where the host writes, is exclusively the caller's for the duration of the call.
unsafe fn call(operation: usize, block: *const usize) -> usize {
    let result;
    // SAFETY: the breakpoint hands over to the emulator, which reads and writes only what the caller vouched for. The
    // compiler is told that memory may change (no `nomem`) and that r0 does.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => result, in("r1") block, options(nostack)) };
    result
}

impl File {
    /// Opens the file whose name, with its closing zero byte, is `name`.
    pub(crate) fn open(name: &[u8], mode: Mode) -> Option<Self> {
        let (0, length) = (*name.last()?, name.len() - 1) else { return None };
        let block = [name.as_ptr() as usize, mode as usize, length];
        // SAFETY: name, mode, length without the zero; the name outlives the call.
        let handle = unsafe { call(OPEN, block.as_ptr()) };
        (handle != usize::MAX).then_some(Self(handle))
    }

    /// Fills `bytes` from where the file stands.
    pub(crate) fn read(self, bytes: &mut [u8]) -> Result<(), Refused> {
        let block = [self.0, bytes.as_mut_ptr() as usize, bytes.len()];
        // SAFETY: handle, memory, length; the memory is borrowed exclusively for the call.
        match unsafe { call(READ, block.as_ptr()) } {
            0 => Ok(()),
            _ => Err(Refused),
        }
    }

    /// Writes all of `bytes` where the file stands.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Refused> {
        let block = [self.0, bytes.as_ptr() as usize, bytes.len()];
        // SAFETY: handle, memory, length; the host only reads the memory.
        match unsafe { call(WRITE, block.as_ptr()) } {
            0 => Ok(()),
            _ => Err(Refused),
        }
    }

    /// Moves to `position`, in bytes from the file's start.
    pub(crate) fn seek(self, position: usize) -> Result<(), Refused> {
        let block = [self.0, position];
        // SAFETY: handle, position; no memory.
        match unsafe { call(SEEK, block.as_ptr()) } {
            0 => Ok(()),
            _ => Err(Refused),
        }
    }

    /// The file's length in bytes.
    pub(crate) fn length(self) -> Option<usize> {
        let block = [self.0];
        // SAFETY: handle; no memory.
        let length = unsafe { call(LENGTH, block.as_ptr()) };
        (length != usize::MAX).then_some(length)
    }
}

/// Copies the command line into `bytes`: the program's name, then its arguments, between spaces. `None` if it does not
/// fit.
pub(crate) fn command_line(bytes: &mut [u8]) -> Option<&str> {
    let mut block = [bytes.as_mut_ptr() as usize, bytes.len()];
    // SAFETY: memory and its length, borrowed exclusively for the call; the host writes the length back into the block,
    // which is why it is mutable.
    if unsafe { call(COMMAND_LINE, block.as_mut_ptr()) } != 0 {
        return None;
    }
    let line = bytes.get(..block[1])?;
    core::str::from_utf8(line.strip_suffix(&[0]).unwrap_or(line)).ok()
}

/// Ends the emulator; its process's exit code is `code`.
pub fn exit(code: u32) -> ! {
    let block = [APPLICATION_EXIT, code as usize];
    loop {
        // SAFETY: reason and code; no memory.
        unsafe { call(EXIT_EXTENDED, block.as_ptr()) };
    }
}
