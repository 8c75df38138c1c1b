//! Ethernet.

use embassy_net::{DhcpConfig, Runner, Stack, StackResources};
use embassy_stm32::Peri;
use embassy_stm32::eth::{Ethernet, GenericPhy, PacketQueue, Sma};
use embassy_stm32::peripherals::{ETH, ETH_SMA, PA1, PA2, PA7, PB15, PC1, PC4, PC5, PG11, PG13};
use static_cell::StaticCell;

use crate::board::Interrupts;

pub(crate) type Device = Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>;

/// Packets in each direction. Four of 1.5 KiB are about a quarter of a block.
const PACKETS: usize = 4;

/// One for a relay, two for DHCP and DNS, one to spare.
const SOCKETS: usize = 4;

/// The pins that the board's physical layer is wired to.
pub(crate) struct Parts {
    pub(crate) mac: Peri<'static, ETH>,
    pub(crate) ref_clk: Peri<'static, PA1>,
    pub(crate) crs: Peri<'static, PA7>,
    pub(crate) rx_d0: Peri<'static, PC4>,
    pub(crate) rx_d1: Peri<'static, PC5>,
    pub(crate) tx_d0: Peri<'static, PG13>,
    pub(crate) tx_d1: Peri<'static, PB15>,
    pub(crate) tx_en: Peri<'static, PG11>,
    pub(crate) management: Peri<'static, ETH_SMA>,
    pub(crate) mdio: Peri<'static, PA2>,
    pub(crate) mdc: Peri<'static, PC1>,
}

pub(crate) fn device(parts: Parts, address: [u8; 6]) -> Device {
    static QUEUE: StaticCell<PacketQueue<PACKETS, PACKETS>> = StaticCell::new();
    Ethernet::new(
        QUEUE.init(PacketQueue::new()),
        parts.mac,
        Interrupts,
        parts.ref_clk,
        parts.crs,
        parts.rx_d0,
        parts.rx_d1,
        parts.tx_d0,
        parts.tx_d1,
        parts.tx_en,
        address,
        parts.management,
        parts.mdio,
        parts.mdc,
    )
}

/// Takes the device's place in the local network: DHCP, and names by the servers that it tells.
pub(crate) fn stack(device: Device, seed: u64) -> (Stack<'static>, Runner<'static, Device>) {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let config = embassy_net::Config::dhcpv4(DhcpConfig::default());
    embassy_net::new(device, config, RESOURCES.init(StackResources::new()), seed)
}

#[embassy_executor::task]
pub(crate) async fn run(mut runner: Runner<'static, Device>) -> ! {
    runner.run().await
}

/// The device's address in its Ethernet: made from the processor's unique identifier (FNV-1a), marked as given locally. The
/// board has no address of its own.
pub(crate) fn hardware_address(unique: &[u8]) -> [u8; 6] {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in unique {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let [_, _, _, a, b, c, d, e] = hash.to_be_bytes();
    [0x02, a, b, c, d, e]
}
