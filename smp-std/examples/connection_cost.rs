//! What a connection costs a server: memory while it is idle, processor time for its handshake.
//!
//! `cargo run --release --example connection_cost [CONNECTIONS [ed25519|ed448]]` (Linux; each connection takes a file
//! descriptor in each of two processes, see `ulimit -n`). The clients run in a process of their own.
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use smp_crypto::key::X448SecretKey;
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::net::{BLOCK_SIZE, ClientAlpn, ClientTls, Listener, connect_tcp};
use std::time::Duration;

const TIME_OUT: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match arguments.as_slice() {
        [client, port, count, fingerprint] if client == "client" => {
            let fingerprint: Vec<u8> = fingerprint.split('.').map(|byte| byte.parse().unwrap()).collect();
            runtime.block_on(clients(port.parse().unwrap(), count.parse().unwrap(), fingerprint.try_into().unwrap()));
        }
        _ => {
            let count = arguments.first().map_or(1000, |count| count.parse().unwrap());
            let ed448 = arguments.get(1).is_some_and(|name| name == "ed448");
            runtime.block_on(server(count, if ed448 { KeyAlgorithm::Ed448 } else { KeyAlgorithm::Ed25519 }));
            agreements();
        }
    }
}

async fn server(count: usize, algorithm: KeyAlgorithm) {
    let directory = std::env::temp_dir().join(format!("connection-cost-{}", std::process::id()));
    let identity = Identity::create(&directory, algorithm, "localhost").unwrap();
    std::fs::remove_dir_all(directory).unwrap();
    let tls = identity.tls().unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_address().unwrap().port().to_string();
    let fingerprint = identity.fingerprint().map(|byte| byte.to_string()).join(".");
    let mut clients = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["client", &port, &count.to_string(), &fingerprint])
        .spawn()
        .unwrap();
    let (mut memory, mut time) = (0, Duration::ZERO);
    // The first hundred bring the allocator and the runtime to their working size.
    let warm = count.min(100);
    for number in 0..count {
        if number == warm {
            (memory, time) = (resident(), processor_time());
        }
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = tls.accept(socket, TIME_OUT).await.unwrap();
        tokio::spawn(async move {
            while stream.block_ready().await.is_ok() {
                let mut block = Box::new([0; BLOCK_SIZE]);
                stream.read_block(&mut block).await.unwrap();
                stream.write_block(&block).await.unwrap();
            }
        });
    }
    let time = (processor_time() - time) / u32::try_from(count - warm).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let per_connection = resident().saturating_sub(memory) / (count - warm);
    println!(
        "{count} idle connections, each after one block in either direction: {per_connection} bytes resident each"
    );
    println!(
        "{algorithm:?} certificate, X448 agreement: {time:?} of processor time per connection (handshake, two blocks)"
    );
    clients.kill().unwrap();
    clients.wait().unwrap();
}

async fn clients(port: u16, count: usize, fingerprint: [u8; 32]) {
    let tls = ClientTls::new(ClientAlpn::Smp);
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = connect_tcp("127.0.0.1", port, TIME_OUT).await.unwrap();
        let mut stream = tls.connect(socket, &fingerprint, TIME_OUT).await.unwrap();
        let mut block = [7; BLOCK_SIZE];
        stream.write_block(&block).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_block(&mut block).await.unwrap();
        streams.push(stream);
    }
    std::future::pending::<()>().await;
}

/// The two key agreements of a handshake side: a new key and one agreement.
fn agreements() {
    const ROUNDS: u32 = 1000;
    let peer = X448SecretKey::from_bytes(&[9; 56]).public_key();
    let start = processor_time();
    for round in 0..ROUNDS {
        let secret = X448SecretKey::from_bytes(&[round as u8; 56]);
        std::hint::black_box((secret.public_key(), secret.diffie_hellman(&peer).unwrap()));
    }
    println!("X448: {:?} of processor time per side of a handshake", (processor_time() - start) / ROUNDS);
    let x25519 = rustls::crypto::ring::kx_group::X25519;
    let peer = x25519.start().unwrap().pub_key().to_vec();
    let start = processor_time();
    for _ in 0..ROUNDS {
        std::hint::black_box(x25519.start().unwrap().complete(&peer).unwrap());
    }
    println!("X25519: {:?} of processor time per side of a handshake", (processor_time() - start) / ROUNDS);
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Processor time of this process so far.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
