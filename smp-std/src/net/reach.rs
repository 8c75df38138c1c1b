//! Which addresses belong to everybody's internet, and which lead into this machine or the network around it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet. Whoever connects on behalf of strangers must not let them reach
/// into this machine or its neighbourhood.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether a name may belong to the public internet as far as its form tells: it has several labels, the last of them is none
/// that is kept for use at home (RFC 6761, 6762, 8375, ...), and it is no other way to write an IPv4 address, such as
/// `127.1` and `0x7f.1`, which many resolvers take.
pub(super) fn is_public_name(name: &str) -> bool {
    const LOCAL: [&str; 9] =
        ["arpa", "corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost"];
    let name = name.strip_suffix('.').unwrap_or(name);
    let Some((_, last)) = name.rsplit_once('.') else { return false };
    last.starts_with(char::is_alphabetic) && !LOCAL.iter().any(|local| last.eq_ignore_ascii_case(local))
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // "This network", loopback.
        (0 | 127, ..) => true,
        // Shared by the customers of a provider (RFC 6598), benchmarks (RFC 2544), protocol assignments (RFC 6890), the
        // relays of 6to4 (RFC 7526).
        (100, 64..=127, _) | (198, 18 | 19, _) | (192, 0, 0) | (192, 88, 99) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        _ => false,
    };
    !special && !address.is_private() && !address.is_link_local()
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = embedded_v4(address) {
        return is_public_v4(inner);
    }
    let [first, second, ..] = address.segments();
    // Only 2000::/3 is given to the internet. Of it: Teredo, which wraps other addresses, and the other special purposes
    // of 2001::/23; documentation.
    (0x2000..=0x3fff).contains(&first) && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
}

/// The IPv4 address that an IPv6 address stands for.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at = |start: usize| {
        let bytes: [u8; 4] = octets.get(start..start.saturating_add(4))?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    };
    match address.segments() {
        // Mapped.
        [0, 0, 0, 0, 0, 0xffff, ..] => at(12),
        // Translated by NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => at(12),
        // 6to4.
        [0x2002, ..] => at(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbourhood_is_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.8",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fdff::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:a00:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "100::1",
            "4000::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn the_internet_is_public() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.1",
            "192.1.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn names_that_are_local_by_their_form_are_told() {
        for name in [
            "localhost",
            "LocalHost.",
            "a.localhost",
            "router",
            "printer.local",
            "db.internal",
            "nas.home.arpa",
            "x.LAN",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0x7f000001",
            "1.2.3.4.",
            "",
            ".",
            "a.",
            "a..",
        ] {
            assert!(!is_public_name(name), "{name}");
        }
        for name in ["smp.example.org", "example.org.", "1.2.example", "xn--e1afmkfd.xn--p1ai", "localhost.example"] {
            assert!(is_public_name(name), "{name}");
        }
    }
}
