//! Damaged addresses and links: nothing panics, and what is still readable means the same when it is written again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod support;

use core::fmt::{Debug, Display};

use smp_proto::address::{Host, ServerAddress, ServerBuf, ServerUri};
use smp_proto::agent::link_data::{FixedLinkData, UserLinkData};
use smp_proto::agent::{ConnectionLink, ConnectionRequest, RatchetParameters};
use smp_proto::name::Name;
use smp_proto::short_link::ShortLink;
use smp_proto::uri::{QueueInfo, QueueUri};
use smp_proto::wire::{Decode, Encode, Error};
use support::{bytes, encoded, for_each_case, text};

/// Unpredictable enough, and the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::try_from(limit).unwrap()).try_into().unwrap()
    }

    /// Cuts, doubles, swaps and overwrites parts of a text, with a liking for what has a meaning in links.
    fn damage(&mut self, text: &str) -> String {
        const PIECES: [&str; 24] = [
            "/",
            "#",
            "?",
            "&",
            "=",
            ":",
            "@",
            ",",
            ";",
            "%",
            "%3D",
            "%253D",
            "%00",
            "+",
            " ",
            "\n",
            "\0",
            "[",
            "]",
            ".onion",
            "::",
            "\u{e9}",
            "999999999999999999999",
            "&v=1",
        ];
        let mut characters = text.chars().collect::<Vec<_>>();
        for _ in 0..=self.below(3) {
            let (at, other) = (self.below(characters.len() + 1), self.below(characters.len() + 1));
            let range = at.min(other)..at.max(other).min(at.min(other) + 40);
            match self.below(4) {
                0 => drop(characters.drain(range)),
                1 => {
                    let part = characters[range].to_vec();
                    characters.splice(at..at, part);
                }
                2 => drop(characters.splice(at..at, PIECES[self.below(PIECES.len())].chars())),
                _ => {
                    let end = (at + 1).min(characters.len());
                    characters.splice(at..end, PIECES[self.below(PIECES.len())].chars());
                }
            }
        }
        characters.into_iter().collect()
    }
}

/// Reads a text; what could be read must read the same again once it is written. Says whether it could.
fn text_is_stable<T: Display + Debug + PartialEq>(text: &str, parse: impl Fn(&str) -> Result<T, Error>) -> bool {
    let Ok(value) = parse(text) else { return false };
    let written = value.to_string();
    assert_eq!(parse(&written).as_ref(), Ok(&value), "{text} was written as {written}");
    true
}

/// Whether the network itself writes an address in a way that reads back as another.
fn is_ambiguous(server: &ServerAddress<'_>) -> bool {
    !server.port.is_default() && server.hosts.iter().any(|host| matches!(host, Host::Ipv6(_)))
}

fn ambiguous_request(text: &str) -> bool {
    ConnectionRequest::parse(text).is_ok_and(|request| request.queues().any(|queue| is_ambiguous(&queue.server())))
}

#[test]
fn damaged_text_means_the_same_when_written_again() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut read, mut refused) = (0, 0);
    for_each_case("addresses.json", |case| {
        let Some(original) = case["text"].as_str() else { return };
        for _ in 0..100 {
            let damaged = random.damage(original);
            let outcome = match text(&case["op"]) {
                "server" | "server_no_password" => {
                    let parsed = ServerUri::parse(&damaged);
                    if parsed.as_ref().is_ok_and(|uri| is_ambiguous(&uri.address())) {
                        continue;
                    }
                    parsed.iter().for_each(|uri| {
                        let again = ServerUri::parse(&uri.to_string()).unwrap();
                        assert_eq!(again.server(), uri.server(), "{damaged}");
                        assert_eq!(again.to_string(), uri.to_string());
                    });
                    parsed.is_ok()
                }
                "queue_uri" | "queue_uri_encode" => {
                    if QueueUri::parse(&damaged).is_ok_and(|uri| is_ambiguous(&uri.server())) {
                        continue;
                    }
                    text_is_stable(&damaged, QueueUri::parse)
                }
                "connection_request" | "connection_request_encode" | "connection_link" => {
                    !ambiguous_request(&damaged) && text_is_stable(&damaged, ConnectionLink::parse)
                }
                "short_link" | "short_link_encode" => text_is_stable(&damaged, ShortLink::parse),
                "e2e_params_uri" => text_is_stable(&damaged, RatchetParameters::parse),
                "name" => {
                    let parsed = Name::parse(&damaged);
                    parsed.iter().for_each(|name| assert_eq!(Name::parse(&name.to_string()), Ok(*name)));
                    parsed.is_ok()
                }
                op => panic!("unknown operation {op}"),
            };
            if outcome { read += 1 } else { refused += 1 }
        }
    });
    assert!(read > 1000 && refused > 1000, "{read} texts were readable, {refused} were not");
}

/// Reads bytes; what could be read must have one encoding, which can be read.
///
/// It need not be the value that was read: some versions have no letter for the mode of a queue.
fn is_stable<T: Encode + for<'a> Decode<'a>>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        let written = encoded(&value);
        assert_eq!(encoded(&T::from_bytes(&written).unwrap()), written, "{}", hex::encode(bytes));
    }
}

#[test]
fn flipped_bits_are_refused_or_have_one_encoding() {
    for_each_case("addresses.json", |case| {
        let Some(binary) = case["binary"].as_str() else { return };
        let mut damaged = hex::decode(binary).unwrap();
        // All that is behind it is one key.
        for index in 0..damaged.len().min(280) {
            for bit in 0..8 {
                damaged[index] ^= 1 << bit;
                match text(&case["op"]) {
                    "server" => is_stable::<ServerBuf>(&damaged),
                    "queue_uri" | "queue_uri_encode" => is_stable::<QueueUri>(&damaged),
                    "queue_info_encode" | "queue_info_decode" => {
                        if let Ok(info) = QueueInfo::from_bytes(&damaged) {
                            let written = encoded(&info);
                            assert_eq!(encoded(&QueueInfo::from_bytes(&written).unwrap()), written);
                        }
                    }
                    "connection_request" | "connection_request_encode" => is_stable::<ConnectionRequest>(&damaged),
                    "short_link" | "short_link_encode" => is_stable::<ShortLink>(&damaged),
                    "e2e_params_uri" => is_stable::<RatchetParameters>(&damaged),
                    op => panic!("unknown operation {op}"),
                }
                damaged[index] ^= 1 << bit;
            }
        }
    });
}

#[test]
fn damaged_link_data_never_panics() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for_each_case("envelopes.json", |case| {
        if text(&case["op"]) != "link_data" {
            return;
        }
        for part in ["fixed", "user"] {
            let data = bytes(&case[part]["data"]);
            for _ in 0..2000 {
                let mut damaged = data.clone();
                for _ in 0..=random.below(3) {
                    let at = random.below(damaged.len());
                    damaged[at] = random.below(256).try_into().unwrap();
                }
                damaged.truncate(random.below(2 * damaged.len()) + 1);
                if let Ok(fixed) = FixedLinkData::from_bytes(&damaged) {
                    let again = encoded(&fixed);
                    assert_eq!(FixedLinkData::from_bytes(&again), Ok(fixed));
                }
                if let Ok(user) = UserLinkData::from_bytes(&damaged) {
                    let again = encoded(&user);
                    assert_eq!(UserLinkData::from_bytes(&again), Ok(user));
                }
            }
        }
    });
}
