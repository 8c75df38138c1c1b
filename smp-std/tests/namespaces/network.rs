//! Networks that exist for the time of a story.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Who is in a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Sender,
    Proxy,
    First,
    Second,
}

const PLACES: [Place; 4] = [Place::Sender, Place::Proxy, Place::First, Place::Second];

/// Where a relay finds the sender if it should not.
pub(crate) const SENDER_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// Where the sender finds the proxy.
const PROXY_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// Where the first and the second relay see the proxy.
pub(crate) const PROXY_ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1)];

impl Place {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Proxy => "proxy",
            Self::First => "first",
            Self::Second => "second",
        }
    }

    /// The address others have for it. All are set aside for documentation, so nobody's network has them.
    pub(crate) const fn address(self) -> Ipv4Addr {
        match self {
            Self::Sender => SENDER_ADDRESS,
            Self::Proxy => PROXY_ADDRESS,
            Self::First => Ipv4Addr::new(192, 0, 2, 2),
            Self::Second => Ipv4Addr::new(198, 51, 100, 2),
        }
    }
}

/// Four networks and a folder, gone when dropped.
pub(crate) struct Network {
    prefix: String,
    folder: tempfile::TempDir,
}

impl Network {
    /// `None`, with a line on standard error that no test harness hides, where there can be none.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("smp-{}-{number}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let network = Self { prefix, folder };
        match network.set_up() {
            Ok(()) => Some(network),
            Err(why) => {
                let _ = writeln!(
                    std::io::stderr(),
                    "SKIPPED: a story of tests/namespaces needs root, and network namespaces made with the ip program of \
                     iproute2: {why}"
                );
                None
            }
        }
    }

    fn set_up(&self) -> Result<(), String> {
        for place in PLACES {
            // Only this may fail for want of rights; after it a failure is one of the test.
            ip(&["netns", "add", &self.namespace(place)])?;
        }
        for place in PLACES {
            self.ip(place, &["link", "set", "lo", "up"]);
        }
        self.link(Place::Sender, PROXY_ADDRESS);
        self.link(Place::First, PROXY_ADDRESSES[0]);
        self.link(Place::Second, PROXY_ADDRESSES[1]);
        let off = ["sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"];
        assert!(self.command(Place::Proxy, off[0]).args(&off[1..]).status().unwrap().success());
        Ok(())
    }

    /// A cable from a place to the proxy.
    fn link(&self, place: Place, proxy: Ipv4Addr) {
        let (name, there) = (place.name(), self.namespace(Place::Proxy));
        let here = self.namespace(place);
        ip(&["link", "add", "name", "proxy", "netns", &here, "type", "veth", "peer", "name", name, "netns", &there])
            .unwrap();
        for (place, device, address) in [(place, "proxy", place.address()), (Place::Proxy, name, proxy)] {
            self.ip(place, &["address", "add", &format!("{address}/24"), "dev", device]);
            self.ip(place, &["link", "set", device, "up"]);
        }
    }

    fn namespace(&self, place: Place) -> String {
        format!("{}-{}", self.prefix, place.name())
    }

    fn ip(&self, place: Place, arguments: &[&str]) {
        ip(&[&["-n", &self.namespace(place)], arguments].concat()).unwrap();
    }

    /// A program in a place. `ip` becomes the program, so that its process id is the program's.
    pub(crate) fn command(&self, place: Place, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(place), program]);
        command.env("XDG_STATE_HOME", self.folder.path());
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for place in PLACES {
            let _ = ip(&["netns", "delete", &self.namespace(place)]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
