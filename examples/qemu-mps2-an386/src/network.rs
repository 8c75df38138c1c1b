//! The network: embassy-net over the board's Ethernet, with the fixed address that QEMU's network for users without
//! privileges expects.

use embassy_executor::Spawner;
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use rand_core::TryRng;
use static_cell::ConstStaticCell;

use crate::ethernet::Ethernet;
use crate::random::{HostRandom, NoRandomness};

/// The board's address, with the length of its network's prefix.
pub const ADDRESS: Ipv4Cidr = Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, 15), 24);

/// The router, which is the host: its loopback interface answers here.
pub const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

/// The resolver of names.
pub const RESOLVER: Ipv4Address = Ipv4Address::new(10, 0, 2, 3);

/// Sockets: one for the relay, one for the resolver.
pub const SOCKETS: usize = 2;

/// Starts the network and the task that runs it.
pub fn start(spawner: Spawner, ethernet: Ethernet, random: &mut HostRandom) -> Result<Stack<'static>, NoRandomness> {
    static RESOURCES: ConstStaticCell<StackResources<SOCKETS>> = ConstStaticCell::new(StackResources::new());
    let mut config = StaticConfigV4 { address: ADDRESS, gateway: Some(HOST), dns_servers: Default::default() };
    // There is room for more than one.
    let _ = config.dns_servers.push(RESOLVER);
    let seed = random.try_next_u64()?;
    let (stack, runner) = embassy_net::new(ethernet, Config::ipv4_static(config), RESOURCES.take(), seed);
    // The only task of this function, which runs once: RESOURCES were taken.
    if let Ok(task) = run(runner) {
        spawner.spawn(task);
    }
    Ok(stack)
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, Ethernet>) -> ! {
    runner.run().await
}
