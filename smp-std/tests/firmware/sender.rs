//! Alarms, numbered, from a board whose flash keeps what was not accepted yet.

use crate::board::{Board, DONE, POWER_CUT};
use crate::recipient::Recipient;
use crate::relay::Relay;

/// A recipient, and the flash of a board that writes to it.
pub(crate) struct Story {
    pub(crate) relay: Relay,
    pub(crate) recipient: Recipient,
    flash: tempfile::TempDir,
}

impl Story {
    pub(crate) async fn new() -> Self {
        let relay = Relay::start();
        let recipient = Recipient::new(&relay).await;
        Self { relay, recipient, flash: tempfile::tempdir().unwrap() }
    }

    /// The program's arguments, and some more.
    pub(crate) fn arguments(&self, more: &[&str]) -> Vec<String> {
        let flash = format!("flash={}", self.flash.path().join("flash").display());
        let queue = format!("queue={}", self.recipient.address());
        [flash, queue].into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
    }
}

/// The number in front of an alarm's text.
fn number(text: &str) -> u64 {
    text.split(':').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn alarms_arrive_in_their_order() {
    let mut story = Story::new().await;
    let mut board = Board::start("sender", &story.arguments(&["alarms=3"]));
    board.event("connected").await;
    board.event("secured").await;
    let (code, _) = board.end().await;
    assert_eq!(code, DONE);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(number(&story.recipient.next().await));
    }
    assert!(numbers.is_sorted_by(|one, other| one < other), "{numbers:?}");
    // Another start, the same queue, the same keys, another number.
    let board = Board::start("sender", &story.arguments(&["alarms=1"]));
    assert_eq!(board.end().await.0, DONE);
    assert!(number(&story.recipient.next().await) > numbers[2]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn alarms_go_through_a_proxy() {
    let mut story = Story::new().await;
    let proxy = Relay::start();
    let address = format!("proxy={}", proxy.uri());
    let board = Board::start("sender", &story.arguments(&["alarms=2", &address]));
    let (code, lines) = board.end().await;
    assert_eq!(code, DONE, "{lines:?}");
    assert!(lines.contains(&"event secured".to_owned()), "{lines:?}");
    for _ in 0..2 {
        story.recipient.next().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn alarms_wait_for_a_relay_that_is_down() {
    let mut story = Story::new().await;
    story.relay.kill();
    let mut board = Board::start("sender", &story.arguments(&["alarms=2"]));
    let first = board.event("kept").await;
    let second = board.event("kept").await;
    board.event("failed").await;
    story.relay.start_again();
    assert_eq!(board.end().await.0, DONE);
    assert_eq!([story.recipient.next().await, story.recipient.next().await], [first, second]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn a_sender_gives_nothing_to_another_relay_at_the_same_address() {
    let story = Story::new().await;
    let arguments = story.arguments(&["alarms=1"]);
    let impostor = story.relay.impostor();
    let mut board = Board::start("sender", &arguments);
    assert_eq!(board.event("failed").await, "certificate");
    board.event("tcp-connected").await;
    board.event("failed").await;
    assert!(!board.had("connected") && !board.had("secured") && !board.had("accepted"));
    drop(impostor);
}

/// How many bytes are written to flash before the power goes: while the flash is formatted, while the keys are kept, and
/// in the middle of alarms.
const CUTS: [u32; 16] = [0, 1, 3, 17, 64, 150, 333, 512, 700, 900, 1_100, 1_300, 1_500, 1_700, 1_900, 2_100];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and firmware"]
async fn a_power_cut_loses_no_alarm_and_repeats_no_number() {
    let mut story = Story::new().await;
    // What each start has put into flash.
    let mut kept: Vec<u64> = Vec::new();
    let mut cuts = 0;
    for cut in CUTS {
        let cut = format!("cut={cut}");
        let board = Board::start("sender", &story.arguments(&["alarms=3", "every=20", &cut]));
        let (code, lines) = board.end().await;
        assert!(code == POWER_CUT || code == DONE, "{lines:?}");
        cuts += u32::from(code == POWER_CUT);
        kept.extend(lines.iter().filter_map(|line| Some(number(line.strip_prefix("event kept ")?))));
    }
    assert!(cuts > 8, "only {cuts} of {} cuts hit a write", CUTS.len());
    // With power that stays everything is sent.
    let mut board = Board::start("sender", &story.arguments(&["alarms=1", "accepted=1000"]));
    let last = number(&board.event("kept").await);
    kept.push(last);
    assert!(kept.is_sorted_by(|one, other| one < other), "repeated: {kept:?}");
    let mut arrived: Vec<u64> = Vec::new();
    while arrived.last() != Some(&last) {
        arrived.push(number(&story.recipient.next().await));
    }
    // An alarm whose acceptance could not be written down any more arrives twice, one right after the other.
    arrived.dedup();
    assert!(arrived.is_sorted_by(|one, other| one < other), "{arrived:?}");
    let lost: Vec<&u64> = kept.iter().filter(|number| !arrived.contains(number)).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}
