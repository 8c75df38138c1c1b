//! A proxy in league with an impostor: it passes on whatever is at the relay's address, without looking at the identity.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use smp_proto::address::ServerUri;
use smp_proto::id::SessionId;
use smp_proto::smp::BrokerMessage;
use smp_proto::smp::proxy::ProxyKey;
use smp_proto::transport::ServerHello;
use smp_proto::wire::{Decode, Reader, unpad};
use smp_std::client::{Options, open};
use smp_std::net::{BLOCK_SIZE, TlsStream};
use tokio::net::TcpListener;

use crate::network::{Network, Place};
use crate::scripted::{Asked, Peer, accept, identity, versions};

const PORT: u16 = 5224;
/// Names the impostor for the program below.
const IMPOSTOR: &str = "SMP_TEST_IMPOSTOR";

/// The hostile proxy in the proxy's place.
pub(crate) struct HostileProxy {
    child: Child,
    pub(crate) address: String,
    output: BufReader<std::process::ChildStdout>,
}

impl HostileProxy {
    pub(crate) fn start(network: &Network, impostor: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = network
            .command(Place::Proxy, program.to_str().unwrap())
            .args(["--exact", "hostile::act_as_hostile_proxy", "--ignored", "--nocapture"])
            .env(IMPOSTOR, impostor)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let address = output.by_ref_lines().find(|line| line.starts_with("smp://")).expect("an address");
        Self { child, address, output }
    }

    /// What clients asked of it, in order.
    pub(crate) fn asked(mut self) -> Vec<String> {
        self.kill();
        self.output.by_ref_lines().filter_map(|line| line.strip_prefix("asked ").map(str::to_owned)).collect()
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for HostileProxy {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines of an output, without taking it.
trait Lines {
    fn by_ref_lines(&mut self) -> impl Iterator<Item = String>;
}

impl<R: BufRead> Lines for R {
    fn by_ref_lines(&mut self) -> impl Iterator<Item = String> {
        self.lines().map(Result::unwrap)
    }
}

/// Not a test: the program that [`HostileProxy`] runs in its network.
#[tokio::test]
#[ignore = "part of another story"]
async fn act_as_hostile_proxy() {
    let Ok(impostor) = std::env::var(IMPOSTOR) else { return };
    let impostor: ServerUri = impostor.parse().unwrap();
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await.unwrap();
    println!("\n{}", identity().address(&Place::Proxy.address().to_string(), PORT));
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let Some(stream) = accept(socket).await else { continue };
        let mut peer = Peer::greet(stream, versions(6, 20)).await;
        // Held open as long as the client stays.
        let mut sessions = Vec::new();
        loop {
            let commands = peer.asked().await;
            if commands.is_empty() {
                break;
            }
            for asked in commands {
                println!("asked {}", String::from_utf8_lossy(&asked.command[..4]));
                if asked.command.starts_with(b"PRXY") {
                    sessions.push(introduce(&mut peer, &asked, &impostor).await);
                } else {
                    peer.answer(&asked, BrokerMessage::Pong).await;
                }
            }
        }
    }
}

/// Passes on what the impostor shows of itself.
async fn introduce(peer: &mut Peer<tokio::net::TcpStream>, asked: &Asked, impostor: &ServerUri) -> TlsStream {
    let address = impostor.address();
    let mut stream = open(&address, &address.fingerprint().unwrap(), &Options::interactive()).await.unwrap().stream;
    let mut block = Box::new([0; BLOCK_SIZE]);
    stream.read_block(&mut block).await.unwrap();
    let hello = ServerHello::decode(&mut Reader::new(unpad(&*block).unwrap())).unwrap();
    let authentication = hello.authentication.unwrap();
    let key = ProxyKey {
        session_id: SessionId::new(hello.session_id.as_bytes()).unwrap(),
        versions: versions(8, 17),
        chain: authentication.chain,
        signed_key: authentication.signed_key,
    };
    peer.answer(asked, BrokerMessage::ProxyKey(key)).await;
    stream
}
