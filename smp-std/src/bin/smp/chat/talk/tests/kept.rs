//! What is kept of messages.

use super::super::super::book::Draft;
use super::*;

/// The program is killed between the agent's commit and its own. What the agent has is in the history, and nothing else.
#[tokio::test]
async fn what_was_sent_is_in_the_history_wherever_the_program_was_killed() {
    let sent = |message| EventKind::Sent { connection: BOB, message: MessageId(message), proxied: false };
    for (cut, taken) in [(0, false), (1, false), (1, true), (2, true)] {
        let records = Arc::new(Mutex::new(MemoryStorage::default()));
        let mut first = Scene::new(Disk { records: Arc::clone(&records), commits: None }, settings(), vec![].into());
        first.event(1, info(BOB, "Bob")).await;
        first.event(2, connected(BOB)).await;
        let commits = Some(Arc::new(Mutex::new(cut)));
        let disk = Disk { records: Arc::clone(&records), commits };
        let script: Script = match taken {
            true => vec![Ok(Reply::Message(MessageId(4)))],
            false => vec![Err(Rejection::Stopped("killed".into()))],
        }
        .into();
        let mut second = Scene::new(disk, settings(), script);
        let result = second.talk.line("@Bob one").await;
        assert_eq!(result.is_ok(), cut == 2);
        assert_eq!(second.log.take().len(), usize::from(cut > 0), "nothing is sent that could not be written");

        let disk = Disk { records: Arc::clone(&records), commits: None };
        let mut third = Scene::new(disk.clone(), settings(), vec![Ok(Reply::Message(MessageId(5)))].into());
        third.talk.greet().unwrap();
        assert_eq!(third.printed().contains("about to send: one"), cut == 1);
        third.line("@Bob two").await;
        if taken {
            assert_eq!(third.event(3, sent(4)).await, "✓ Bob: one", "{cut}");
        }
        assert_eq!(third.event(4, sent(5)).await, "✓ Bob: two");
        let expected: Vec<_> = ["one", "two"].into_iter().skip(usize::from(!taken)).collect();
        let expected: Vec<_> = expected.into_iter().map(|text| (Some(text.to_owned()), Delivery::Sent)).collect();
        assert_eq!(third.history(BOB), expected, "cut at {cut}, {taken}");
        // Nothing is left over.
        assert!(third.talk.book.drafts(BOB).unwrap().is_empty());
        assert_eq!(third.event(5, sent(9)).await, "", "sent by another program");
    }
}

#[tokio::test]
async fn what_is_refused_or_sent_by_another_program_leaves_no_draft() {
    let disk = Disk::default();
    let refused = Err(Rejection::Refused(Refusal::Prohibited));
    let mut scene = Scene::new(disk.clone(), settings(), vec![Ok(Reply::Done), refused].into());
    scene.event(1, info(BOB, "Bob")).await;
    assert!(scene.line("@Bob one").await.starts_with('!'));
    assert!(scene.talk.book.drafts(BOB).unwrap().is_empty());
    let mut batch = Batch::default();
    batch.drafts(BOB, &[Draft { time: 1, text: "x".into(), before: None }]);
    scene.talk.book.commit(batch).unwrap();
    Book::new(disk).forget_drafts().unwrap();
    assert!(scene.talk.book.drafts(BOB).unwrap().is_empty());
}

/// Whatever the other side sends can be kept: else the program would end each time it is told of it.
#[tokio::test]
async fn the_longest_messages_are_kept_whatever_is_in_them() {
    let mut scene = Scene::start(vec![].into());
    scene.event(1, info(BOB, "Bob")).await;
    for (number, part) in (1..).zip(["\0", "\u{1b}", "\"", "\n", "\u{7f}", "é", "\u{202e}", "\u{10ffff}", "a"]) {
        let text = part.repeat(15_795 / part.len());
        scene.event(number + 1, message(BOB, number, &text)).await;
        let (last, _) = scene.history(BOB).pop().unwrap();
        assert_eq!(last.unwrap().chars().count(), text.chars().count(), "{part:?}");
    }
    // And what is typed, or is too long to be sent at all.
    let results = [Ok(Reply::Message(MessageId(100))), Err(Rejection::Refused(Refusal::TooLarge))];
    let mut scene = Scene::start([vec![Ok(Reply::Done)], results.into()].concat().into());
    scene.event(1, info(BOB, "Bob")).await;
    scene.line(&format!("@Bob a{}", "\u{1}".repeat(15_000))).await;
    assert!(scene.line(&format!("@Bob {}", "x".repeat(1 << 20))).await.starts_with("! too long"));
    let draft = Draft { time: 1, text: "\"".repeat(15_000), before: None };
    let mut batch = Batch::default();
    batch.drafts(BOB, &vec![draft; 9]);
    scene.talk.book.commit(batch).unwrap();
    assert!(!scene.talk.book.drafts(BOB).unwrap().is_empty());
}
