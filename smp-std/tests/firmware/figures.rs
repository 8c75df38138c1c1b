//! What programs cost, counted.

use crate::board::{Board, keep_figures};

/// Runs a program to its end, which must be a good one.
async fn measured(program: &'static str, arguments: &[String]) {
    let board = Board::start_counting(program, arguments);
    let (code, lines) = board.end().await;
    assert_eq!(code, crate::board::DONE, "{lines:?}");
    keep_figures(program, &lines);
}

#[tokio::test]
#[ignore = "needs QEMU and firmware"]
async fn figures_of_cryptography() {
    measured("bench", &[]).await;
}
