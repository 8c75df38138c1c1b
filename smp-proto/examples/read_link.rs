//! Reads a relay's address or a queue's link and shows what it says.
//!
//! ```text
//! cargo run -p smp-proto --example read_link -- 'smp://…'
//! ```

use std::process::ExitCode;

use smp_proto::address::{ServerAddress, ServerUri};
use smp_proto::uri::QueueUri;
use smp_proto::wire::Base64;

fn main() -> ExitCode {
    let Some(text) = std::env::args().nth(1) else {
        eprintln!("Name an address (smp://FINGERPRINT@HOST) or a link to a queue (smp://…#…).");
        return ExitCode::FAILURE;
    };
    if let Ok(queue) = QueueUri::parse(&text) {
        println!("A queue for envelopes of version {}", queue.versions());
        println!("  sender id   {}", Base64(queue.sender_id().as_bytes()));
        println!("  DH key      {}", Base64(&queue.dh_key().to_spki()));
        println!("  secured by  {}", if queue.sender_can_secure() { "its sender" } else { "its recipient" });
        show_server(&queue.server());
    } else if let Ok(server) = ServerUri::parse(&text) {
        println!("A server of the protocol {}", server.scheme().as_str());
        println!("  password    {}", if server.password().is_some() { "yes" } else { "no" });
        show_server(&server.address());
    } else {
        eprintln!("This is neither the address of a server nor a link to a queue.");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn show_server(server: &ServerAddress<'_>) {
    println!("  identity    {}", Base64(server.key_hash.as_bytes()));
    for host in server.hosts.iter() {
        println!("  host        {host}");
    }
    if !server.port.is_default() {
        println!("  port        {}", server.port);
    }
}
