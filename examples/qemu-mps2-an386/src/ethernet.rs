//! Driver of the board's Ethernet controller, an SMSC LAN9118, for embassy-net.
//!
//! The controller keeps frames in FIFOs of its own, so that the processor's memory holds one received frame and one to
//! be sent, 1,514 bytes each (3 KiB in all), for as long as embassy-net works on them.

#![expect(unsafe_code, reason = "the registers of the Ethernet controller, at their addresses")]

use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::AtomicWaker;
use static_cell::ConstStaticCell;

use crate::interrupts::Interrupt;
use crate::registers::Register;

/// The longest frame, without its checksum.
const FRAME: usize = 1514;

const fn register(offset: usize) -> Register {
    // SAFETY: called with offsets of the controller's registers only (datasheet, table 5-1); reads with side effects
    // (the FIFOs) touch no memory.
    unsafe { Register::new(0x4020_0000 + offset) }
}

const RX_DATA: Register = register(0x00);
const TX_DATA: Register = register(0x20);
const RX_STATUS: Register = register(0x40);
const TX_STATUS: Register = register(0x48);
const IRQ_CFG: Register = register(0x54);
const INT_STS: Register = register(0x58);
const INT_EN: Register = register(0x5c);
const BYTE_TEST: Register = register(0x64);
const FIFO_INT: Register = register(0x68);
const RX_CFG: Register = register(0x6c);
const TX_CFG: Register = register(0x70);
const HW_CFG: Register = register(0x74);
const RX_DP_CTRL: Register = register(0x78);
const RX_FIFO_INF: Register = register(0x7c);
const TX_FIFO_INF: Register = register(0x80);
const MAC_CSR_CMD: Register = register(0xa4);
const MAC_CSR_DATA: Register = register(0xa8);

/// What BYTE_TEST reads when the controller is there and its byte order is ours.
const BYTE_TEST_VALUE: u32 = 0x8765_4321;
/// HW_CFG: soft reset, and the bit the datasheet wants set.
const SOFT_RESET: u32 = 1;
const MUST_BE_ONE: u32 = 1 << 20;
/// HW_CFG: 5 KiB of the FIFOs for frames to send.
const TX_FIFO_SIZE: u32 = 5 << 16;
/// IRQ_CFG: enabled, active high, push-pull.
const IRQ_CFG_VALUE: u32 = 1 << 8 | 1 << 4 | 1;
/// INT_STS and INT_EN: a frame was received.
const RX_STATUS_LEVEL: u32 = 1 << 3;
/// TX_CFG: transmitter on.
const TX_ON: u32 = 1 << 1;
/// TX status FIFO and TX data FIFO: dump.
const TX_DUMP: u32 = 1 << 15 | 1 << 14;
/// RX_CFG: dump.
const RX_DUMP: u32 = 1 << 15;
/// RX_DP_CTRL: drop the frame at the FIFO's head; busy while it does.
const FAST_FORWARD: u32 = 1 << 31;
/// Status of a received frame: it has an error.
const ERROR: u32 = 1 << 15;
/// MAC_CSR_CMD: busy, read.
const MAC_BUSY: u32 = 1 << 31;
const MAC_READ: u32 = 1 << 30;
/// Registers of the MAC behind MAC_CSR_CMD.
const MAC_CONTROL: u32 = 1;
const MAC_ADDRESS_HIGH: u32 = 2;
const MAC_ADDRESS_LOW: u32 = 3;
/// MAC_CONTROL: full duplex, transmitter on, receiver on.
const MAC_ON: u32 = 1 << 20 | 1 << 3 | 1 << 2;
/// Registers are looked at this often before the controller is given up.
const PATIENCE: u32 = 100_000;

static WAKER: AtomicWaker = AtomicWaker::new();

/// Interrupt of the controller: frames wait. They stay there until the network stack takes them; the interrupt is
/// masked until it looked.
pub(crate) extern "C" fn on_interrupt() {
    INT_EN.write(0);
    WAKER.wake();
}

/// The network interface.
pub struct Ethernet {
    address: [u8; 6],
    received: &'static mut [u8; FRAME + WORD],
    sent: &'static mut [u8; FRAME + WORD],
}

const WORD: usize = 4;

impl Ethernet {
    /// Resets and starts the controller. `None` if it does not answer.
    pub(crate) fn start() -> Option<Self> {
        static RECEIVED: ConstStaticCell<[u8; FRAME + WORD]> = ConstStaticCell::new([0; FRAME + WORD]);
        static SENT: ConstStaticCell<[u8; FRAME + WORD]> = ConstStaticCell::new([0; FRAME + WORD]);
        wait(|| BYTE_TEST.read() == BYTE_TEST_VALUE)?;
        HW_CFG.write(SOFT_RESET);
        wait(|| HW_CFG.read() & SOFT_RESET == 0)?;
        HW_CFG.write(MUST_BE_ONE | TX_FIFO_SIZE);
        INT_EN.write(0);
        INT_STS.write(u32::MAX);
        // Every received frame counts: the level above which RX_STATUS_LEVEL is raised is 0.
        FIFO_INT.write(0);
        IRQ_CFG.write(IRQ_CFG_VALUE);
        RX_CFG.write(RX_DUMP);
        wait(|| RX_CFG.read() & RX_DUMP == 0)?;
        TX_CFG.write(TX_DUMP);
        TX_CFG.write(TX_ON);
        let low = mac_read(MAC_ADDRESS_LOW)?.to_le_bytes();
        let high = mac_read(MAC_ADDRESS_HIGH)?.to_le_bytes();
        mac_write(MAC_CONTROL, MAC_ON)?;
        Interrupt::Ethernet.enable();
        let address = [low[0], low[1], low[2], low[3], high[0], high[1]];
        Some(Self { address, received: RECEIVED.try_take()?, sent: SENT.try_take()? })
    }
}

/// Looks until `done`, for a bounded time.
fn wait(mut done: impl FnMut() -> bool) -> Option<()> {
    (0..PATIENCE).any(|_| done()).then_some(())
}

fn mac_read(register: u32) -> Option<u32> {
    MAC_CSR_CMD.write(MAC_BUSY | MAC_READ | register);
    wait(|| MAC_CSR_CMD.read() & MAC_BUSY == 0)?;
    Some(MAC_CSR_DATA.read())
}

fn mac_write(register: u32, value: u32) -> Option<()> {
    MAC_CSR_DATA.write(value);
    MAC_CSR_CMD.write(MAC_BUSY | register);
    wait(|| MAC_CSR_CMD.read() & MAC_BUSY == 0)
}

/// Whether the controller has room for the longest frame and its two command words. It forgets what it reports of sent
/// frames: there is nobody to tell.
fn may_send() -> bool {
    while TX_FIFO_INF.read() >> 16 & 0xff != 0 {
        TX_STATUS.read();
    }
    TX_FIFO_INF.read() & 0xffff >= (FRAME + 3 * WORD) as u32
}

/// The length of the frame that waits, its checksum not counted; broken frames and frames that are too long are dropped.
fn waiting() -> Option<usize> {
    while RX_FIFO_INF.read() >> 16 & 0xff != 0 {
        let status = RX_STATUS.read();
        let length = (status >> 16 & 0x3fff) as usize;
        if status & ERROR == 0 && (14 + WORD..=FRAME + WORD).contains(&length) {
            return Some(length - WORD);
        }
        // The controller forwards frames of four words and more; the few of shorter ones are read.
        if length >= 4 * WORD {
            RX_DP_CTRL.write(FAST_FORWARD);
            let _ = wait(|| RX_DP_CTRL.read() & FAST_FORWARD == 0);
        } else {
            (0..length.div_ceil(WORD)).for_each(|_| _ = RX_DATA.read());
        }
    }
    None
}

impl Driver for Ethernet {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = ToSend<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, ToSend<'_>)> {
        WAKER.register(context.waker());
        if may_send()
            && let Some(length) = waiting()
        {
            return Some((Received { frame: self.received, length }, ToSend { frame: self.sent }));
        }
        // Nothing waits: the next frame interrupts. One that came since the look has its bit set and interrupts at once,
        // as the bit was cleared before the look or is set by it.
        INT_STS.write(RX_STATUS_LEVEL);
        if RX_FIFO_INF.read() >> 16 & 0xff != 0 {
            WAKER.wake();
        }
        INT_EN.write(RX_STATUS_LEVEL);
        None
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<ToSend<'_>> {
        if may_send() {
            return Some(ToSend { frame: self.sent });
        }
        // The FIFO empties at the speed of the wire.
        context.waker().wake_by_ref();
        None
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

/// A frame that waits in the controller.
pub struct Received<'a> {
    frame: &'a mut [u8; FRAME + WORD],
    length: usize,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, take: F) -> R {
        // The checksum is read, as it is in the FIFO, into the room behind the frame or, its last bytes, nowhere.
        let words = (self.length + WORD).div_ceil(WORD);
        let mut chunks = self.frame.chunks_exact_mut(WORD);
        for _ in 0..words {
            let word = RX_DATA.read();
            if let Some(chunk) = chunks.next() {
                chunk.copy_from_slice(&word.to_le_bytes());
            }
        }
        take(self.frame.get_mut(..self.length).unwrap_or_default())
    }
}

/// Room for a frame in the controller.
pub struct ToSend<'a> {
    frame: &'a mut [u8; FRAME + WORD],
}

impl TxToken for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let length = length.min(FRAME);
        let frame = self.frame.get_mut(..length).unwrap_or_default();
        let result = fill(frame);
        // One buffer: first and last segment, its length; then the length of the frame.
        TX_DATA.write(1 << 13 | 1 << 12 | length as u32);
        TX_DATA.write(length as u32);
        for chunk in self.frame.chunks_exact(WORD).take(length.div_ceil(WORD)) {
            TX_DATA.write(u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
        }
        result
    }
}
