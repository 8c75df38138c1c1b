//! What the relay writes to the disk for each message: SD cards wear out by it.

use super::relay::{Folder, Programs, Relay};
use crate::process::Failure;

/// Load, and the words of `smp bench` that make it.
const LOADS: [(&str, &[&str]); 5] = [
    ("one after the other", &["--connections", "1"]),
    ("small messages, one after the other", &["--connections", "1", "--size", "16"]),
    ("10 in a second on 20 queues", &["--connections", "20", "--rate", "10"]),
    ("200 in a second on 100 queues", &["--connections", "100", "--rate", "200"]),
    ("as many as 100 queues take", &["--connections", "100"]),
];

/// `cargo xtask pi wear [SECONDS]`: each load on a relay of its own, on the disk of `TMPDIR`.
pub(super) fn run(programs: &Programs, arguments: &[String]) -> Result<(), Failure> {
    let seconds = match arguments {
        [] => "20",
        [seconds] => seconds,
        _ => return Err(Failure::new("cargo xtask pi wear [SECONDS]")),
    };
    println!("{:<38} {:>8} {:>18} {:>12}", "load", "msg/s", "bytes per message", "per body byte");
    for (load, words) in LOADS {
        let folder = Folder::new()?;
        let relay = Relay::start(programs, &folder.path("relay"), None)?;
        let id = relay.id().to_string();
        let fixed = ["bench", &relay.address, "--server-pid", &id, "--duration", seconds, "--json"];
        let words: Vec<&str> = fixed.iter().chain(words).copied().collect();
        let result: serde_json::Value = serde_json::from_str(&programs.smp(&words)?)
            .map_err(|error| Failure::because("the results of `smp bench`", error))?;
        let number = |name: &str| result[name].as_f64().unwrap_or(f64::NAN);
        let written = number("server_bytes_written_per_message");
        println!(
            "{load:<38} {:>8.1} {written:>18.0} {:>12.2}",
            number("messages_per_second"),
            written / number("size")
        );
    }
    println!(
        "Real clients pad every message to 16,000 bytes and more; the small ones show what comes with each message."
    );
    Ok(())
}
