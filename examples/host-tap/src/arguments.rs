//! The command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use embassy_net::Ipv4Cidr;

use crate::network::Place;

/// How the program is used.
pub(crate) const USAGE: &str = "\
usage: host-tap APPLICATION --tap DEVICE --address ADDRESS/LENGTH [--gateway ADDRESS] --flash FILE ...

  host-tap alarm ... [--queue LINK]      sends a numbered alarm each time Enter is pressed, to the queue with this link;
                                         the link is kept in the flash and needed only once
  host-tap lamp ...                      tells when the lamp that blinks while a message waits is switched; Enter is its
                                         button. The first time it shows a key for `smp notifier`, and asks for what that
                                         prints

  --tap DEVICE                  a TAP device that this user may open
  --address ADDRESS/LENGTH      the program's own address in the network of that device
  --gateway ADDRESS             the way to other networks, and the server that knows names
  --flash FILE                  what the device must not forget; made if there is none";

/// What to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Application {
    Alarm { queue: Option<String> },
    Lamp,
}

/// A command line that makes sense.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) application: Application,
    pub(crate) tap: String,
    pub(crate) place: Place,
    pub(crate) flash: PathBuf,
}

impl Arguments {
    /// Reads what follows the program's name; otherwise says what is wrong.
    pub(crate) fn read(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let application = words.next().ok_or("no application")?;
        let (mut tap, mut address, mut gateway, mut flash, mut queue) = Default::default();
        while let Some(option) = words.next() {
            let place: &mut Option<String> = match option.as_str() {
                "--tap" => &mut tap,
                "--address" => &mut address,
                "--gateway" => &mut gateway,
                "--flash" => &mut flash,
                "--queue" => &mut queue,
                _ => return Err(format!("unknown option {option}")),
            };
            *place = Some(words.next().ok_or(format!("nothing behind {option}"))?);
        }
        let application = match (application.as_str(), queue) {
            ("alarm", queue) => Application::Alarm { queue },
            ("lamp", None) => Application::Lamp,
            ("lamp", Some(_)) => return Err("a lamp needs no link".into()),
            _ => return Err(format!("unknown application {application}")),
        };
        let gateway: Option<Ipv4Addr> = match gateway {
            Some(gateway) => Some(gateway.parse().map_err(|_| "the gateway is no IPv4 address")?),
            None => None,
        };
        Ok(Self {
            application,
            tap: tap.ok_or("no --tap")?,
            place: Place {
                address: network(&address.ok_or("no --address")?).ok_or("no address like 192.0.2.2/24")?,
                gateway,
            },
            flash: flash.ok_or("no --flash")?.into(),
        })
    }
}

fn network(text: &str) -> Option<Ipv4Cidr> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (Ipv4Addr, u8) = (address.parse().ok()?, length.parse().ok()?);
    (length <= 32).then(|| Ipv4Cidr::new(address, length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail")]

    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        Arguments::read(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn command_lines_are_read() {
        let line = "alarm --tap tap0 --address 192.0.2.2/24 --flash f --queue smp://x --gateway 192.0.2.1";
        let arguments = read(line).unwrap();
        assert_eq!(arguments.application, Application::Alarm { queue: Some("smp://x".into()) });
        assert_eq!(arguments.place.address, Ipv4Cidr::new(Ipv4Addr::new(192, 0, 2, 2), 24));
        assert_eq!(arguments.place.gateway, Some(Ipv4Addr::new(192, 0, 2, 1)));
        let arguments = read("lamp --tap tap0 --address 192.0.2.2/24 --flash f").unwrap();
        assert_eq!(arguments.application, Application::Lamp);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for line in [
            "",
            "alarm",
            "bell --tap tap0 --address 192.0.2.2/24 --flash f",
            "lamp --tap tap0 --address 192.0.2.2/24 --flash f --queue x",
            "lamp --tap tap0 --address 192.0.2.2/33 --flash f",
            "lamp --tap tap0 --address 192.0.2.2 --flash f",
            "lamp --tap tap0 --address 192.0.2.2/24 --flash",
            "lamp --tap tap0 --address 192.0.2.2/24 --flash f --gateway x",
            "lamp --tap tap0 --address 192.0.2.2/24 --flash f --colour red",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
