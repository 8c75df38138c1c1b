//! Firmware on an emulated board against the project's own relay on the host.
//!
//! The stories need QEMU and the executables of `examples/qemu-mps2-an386`; `cargo xtask test firmware` sees to both and
//! runs them. Those whose name begins with `figures` print what `cargo xtask size` reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod board;
mod figures;
mod notifier;
mod receiver;
mod recipient;
mod relay;
mod sender;
#[cfg(target_os = "linux")]
mod tap;

use board::{Board, DONE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The arithmetic of firmware is tested on computers, where the compiler makes other code of it. This is what runs on the
/// processor.
#[tokio::test]
#[ignore = "needs QEMU and firmware"]
async fn the_arithmetic_is_right_on_the_board() {
    let (code, lines) = Board::start("bench", &["check=3000".to_owned()]).end().await;
    let checked = ["numbers", "agreements", "signatures"].map(|what| format!("event checked {what}"));
    assert!(checked.iter().all(|line| lines.contains(line)), "{lines:?}");
    assert_eq!(code, DONE);
}

#[tokio::test]
#[ignore = "needs QEMU and firmware"]
async fn a_board_sends_back_what_it_gets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut board = Board::start("echo", &[format!("port={port}")]);
    board.event("started").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    // More than any buffer on the way holds.
    let sent: Vec<u8> = (0..100_000_u32).map(|index| (index % 251) as u8).collect();
    let (mut reading, mut writing) = stream.split();
    let mut echoed = vec![0; sent.len()];
    let (written, read) = tokio::join!(writing.write_all(&sent), reading.read_exact(&mut echoed));
    written.unwrap();
    read.unwrap();
    assert!(echoed == sent);
    drop(stream);
    let (code, lines) = board.end().await;
    assert_eq!(code, DONE);
    assert!(lines.contains(&"event echoed 100000".to_owned()), "{lines:?}");
}
