//! A network interface of the program's own, at one end of a TAP device; the other end is the computer's.

use std::error::Error;

use embassy_executor::Spawner;
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_net_tuntap::TunTapDevice;
use getrandom::SysRng;
use getrandom::rand_core::TryRng;
use static_cell::StaticCell;

/// One for a relay, one for names, two to spare.
const SOCKETS: usize = 4;

/// Where the program is in its network.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The program's address and its network's.
    pub(crate) address: Ipv4Cidr,
    /// The way to other networks, and the server that knows names: the computer.
    pub(crate) gateway: Option<Ipv4Address>,
}

/// Opens a TAP device and takes its place in the network.
pub(crate) fn start(spawner: Spawner, tap: &str, place: &Place) -> Result<Stack<'static>, Box<dyn Error>> {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    // The driver panics on names that do not fit.
    if tap.is_empty() || tap.len() > 15 {
        return Err("names of network devices have 1 to 15 bytes".into());
    }
    let device = TunTapDevice::new(tap).map_err(|error| format!("{tap}: {error}"))?;
    let dns_servers = place.gateway.into_iter().collect();
    let config = Config::ipv4_static(StaticConfigV4 { address: place.address, gateway: place.gateway, dns_servers });
    let seed = SysRng.try_next_u64()?;
    let (stack, runner) = embassy_net::new(device, config, RESOURCES.init(StackResources::new()), seed);
    spawner.spawn(run(runner)?);
    Ok(stack)
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, TunTapDevice>) -> ! {
    runner.run().await
}
