//! Connects to a port of the host and sends back what comes from there, until the host closes: does the board work, and
//! how long does what take. Arguments: `port=7777`.

#![no_std]
#![no_main]

use board::{Board, console, executor, exit, network, time};
use embassy_executor::Spawner;
use embassy_net::tcp::TcpSocket;
use embedded_io_async::Write;
use static_cell::ConstStaticCell;

#[cortex_m_rt::entry]
fn main() -> ! {
    let board = board::start();
    executor::run(|spawner| {
        if let Ok(task) = echo(spawner, board) {
            spawner.spawn(task);
        }
    })
}

#[embassy_executor::task]
async fn echo(spawner: Spawner, board: Board) {
    let Board { arguments, mut random, ethernet } = board;
    let code = match network::start(spawner, ethernet, &mut random) {
        Ok(network) => converse(network, arguments.number("port", 7777) as u16).await,
        Err(_) => 1,
    };
    console::stack();
    exit(code)
}

async fn converse(network: embassy_net::Stack<'static>, port: u16) -> u32 {
    static RECEIVED: ConstStaticCell<[u8; 2048]> = ConstStaticCell::new([0; 2048]);
    static SENT: ConstStaticCell<[u8; 2048]> = ConstStaticCell::new([0; 2048]);
    static BUFFER: ConstStaticCell<[u8; 1024]> = ConstStaticCell::new([0; 1024]);
    let buffer = BUFFER.take();
    console::event("started", "");
    let before = time::instructions();
    let mut socket = TcpSocket::new(network, RECEIVED.take(), SENT.take());
    if socket.connect((network::HOST, port)).await.is_err() {
        console::event("refused", "");
        return 1;
    }
    console::event("connected", "");
    console::measure("connect", time::instructions() - before);
    let (before, mut total) = (time::instructions(), 0);
    while let Ok(length @ 1..) = socket.read(buffer).await {
        total += length as u64;
        if socket.write_all(buffer.get(..length).unwrap_or_default()).await.is_err() {
            break;
        }
    }
    console::event_number("echoed", total);
    console::measure("echo", time::instructions() - before);
    0
}
