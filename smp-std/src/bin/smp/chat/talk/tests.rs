mod kept;

use std::sync::Arc;

use parking_lot::Mutex;
use smp_agent::event::{Content, DeliveryProblem, Links as LinkTexts, ReceivedMessage};
use smp_agent::policy::integrity::Integrity;
use smp_agent::storage::{Change, MAX_VALUE_LENGTH, MemoryStorage, Record};
use smp_agent::{Event, EventId, EventKind, Refusal};

use super::super::backend::double::{self, Answers, Log, Script};
use super::super::book::Delivery;
use super::super::settings::tests::settings;
use super::*;

const BOB: ConnectionId = ConnectionId::from_bytes([1; 12]);
const CAROL: ConnectionId = ConnectionId::from_bytes([2; 12]);

/// A disk that two runs of the program share, and that may fail.
#[derive(Clone, Default)]
struct Disk {
    records: Arc<Mutex<MemoryStorage>>,
    /// How many commits succeed; `None` for all.
    commits: Option<Arc<Mutex<usize>>>,
}

impl Storage for Disk {
    type Error = std::io::Error;

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Self::Error> {
        Ok(self.records.lock().get(key).unwrap())
    }

    fn scan(&mut self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, Self::Error> {
        Ok(self.records.lock().scan(prefix, after, limit).unwrap())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), Self::Error> {
        // As the real one.
        let long = |change: &Change| matches!(change, Change::Put { value, .. } if value.len() > MAX_VALUE_LENGTH);
        if changes.iter().any(long) {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        if let Some(left) = &self.commits {
            let mut left = left.lock();
            *left = left.checked_sub(1).ok_or(std::io::ErrorKind::StorageFull)?;
        }
        self.records.lock().commit(changes).unwrap();
        Ok(())
    }
}

type Printed = Arc<Mutex<Vec<String>>>;

struct Scene {
    talk: Talk<Answers, Disk, Box<dyn FnMut(String)>>,
    log: Log,
    printed: Printed,
}

impl Scene {
    fn new(disk: Disk, settings: Settings, script: Script) -> Self {
        let (commands, log) = double::commands(script);
        let printed = Printed::default();
        let print = {
            let printed = Arc::clone(&printed);
            Box::new(move |text: String| printed.lock().push(text)) as Box<dyn FnMut(String)>
        };
        let links = Links::Here { columns: None };
        Self { talk: Talk::new(commands, Book::new(disk), settings, links, print), log, printed }
    }

    fn start(script: Script) -> Self {
        Self::new(Disk::default(), settings(), script)
    }

    async fn event(&mut self, id: u64, kind: EventKind) -> String {
        self.talk.event(Event { id: Some(EventId(id)), kind }).await.unwrap();
        self.printed()
    }

    async fn line(&mut self, line: &str) -> String {
        self.talk.line(line).await.unwrap();
        self.printed()
    }

    /// What was printed since the last time.
    fn printed(&self) -> String {
        std::mem::take(&mut *self.printed.lock()).join("\n")
    }

    fn history(&mut self, connection: ConnectionId) -> Vec<(Option<String>, Delivery)> {
        let entries = self.talk.book.history(connection, 100).unwrap();
        entries.into_iter().map(|(_, entry)| (entry.text, entry.delivery)).collect()
    }
}

fn connection(connection: ConnectionId) -> Result<Reply, Rejection> {
    Ok(Reply::Connection(connection))
}

fn connected(connection: ConnectionId) -> EventKind {
    EventKind::Connected { connection, post_quantum: true, version: 7 }
}

fn info(connection: ConnectionId, name: &str) -> EventKind {
    EventKind::Info { connection, info: Content(name.into()) }
}

fn message(connection: ConnectionId, number: u64, text: &str) -> EventKind {
    let body = Content(text.into());
    let (id, integrity) = (MessageId(number), Integrity::Ok);
    let message = ReceivedMessage { id, sender_number: 2, relay_time: 60, integrity, post_quantum: true, body };
    EventKind::Message { connection, message }
}

#[tokio::test]
async fn an_invitation_becomes_a_conversation() {
    let mut scene = Scene::start(vec![connection(BOB)].into());
    scene.line("/invite").await;
    assert!(matches!(&scene.log.take()[..], [Command::Invite { link: Some(link), .. }] if link.user_data == b"Alice"));
    let links = LinkTexts { full: "full".into(), short: Some("short".into()) };
    let printed = scene.event(1, EventKind::LinkReady { connection: BOB, links }).await;
    assert_eq!(printed, "link of invited:\nshort");
    assert!(scene.line("/link invited").await.contains("short"));
    let info = Content(b"Bob".to_vec());
    let kind = EventKind::Confirmation { connection: BOB, info, servers: vec![], post_quantum: true };
    assert!(scene.event(2, kind).await.contains("Bob uses your invitation"));
    scene.log.take();
    scene.event(3, connected(BOB)).await;
    assert!(matches!(&scene.log.take()[..], [Command::Acknowledge { event: EventId(3), receipt: None }]));
    assert_eq!(scene.talk.prompt().unwrap(), "Bob> ");
    assert!(scene.line("/link").await.contains("no link"), "it was used");
    scene.log.take();
    scene.line("hello").await;
    assert!(matches!(&scene.log.take()[..], [Command::Send { body, .. }] if body == b"hello"));
}

#[tokio::test]
async fn a_prepared_link_is_shown_once_and_told_to_be_usable_or_void() {
    for void in [false, true] {
        let mut scene = Scene::start(vec![connection(BOB)].into());
        let options = InviteOptions { prepared: true, ..InviteOptions::default() };
        scene.talk.invite(options, "bob").await.unwrap();
        assert!(matches!(&scene.log.take()[..], [Command::PrepareInvitation { .. }]));
        let links = LinkTexts { full: "full".into(), short: None };
        let printed = scene.event(1, EventKind::LinkPrepared { connection: BOB, links }).await;
        assert!(printed.contains("full") && printed.contains("leads nowhere before"));
        if void {
            let failure = smp_agent::Failure::of_relay(smp_agent::request::Reason::NotAuthorized);
            let error = smp_agent::ConnectionError::PreparedLink(failure);
            assert!(scene.event(2, EventKind::Failed { connection: BOB, error }).await.contains("nowhere"));
            assert!(scene.line("/link bob").await.contains("no link"));
        } else {
            let links = LinkTexts { full: "full".into(), short: Some("short".into()) };
            let printed = scene.event(2, EventKind::LinkReady { connection: BOB, links }).await;
            assert_eq!(printed, "bob: the link can be used now");
            assert!(scene.line("/link bob").await.contains("full"));
        }
    }
}

#[tokio::test]
async fn ticks_show_how_far_a_message_is() {
    let mut scene = Scene::start(vec![connection(BOB), Ok(Reply::Done), Ok(Reply::Message(MessageId(4)))].into());
    scene.line("/connect LINK bob").await;
    scene.event(1, connected(BOB)).await;
    scene.talk.prompt().unwrap();
    scene.line("hello").await;
    assert_eq!(scene.history(BOB), [(Some("hello".into()), Delivery::Waiting)]);
    let sent = EventKind::Sent { connection: BOB, message: MessageId(4), proxied: false };
    assert_eq!(scene.event(2, sent.clone()).await, "✓ bob: hello");
    let receipt = EventKind::Receipt { connection: BOB, message: MessageId(4), intact: true };
    assert_eq!(scene.event(3, receipt).await, "✓✓ bob: hello");
    // The relay's answer may be late.
    assert_eq!(scene.event(4, sent).await, "");
    assert_eq!(scene.history(BOB), [(Some("hello".into()), Delivery::Received)]);
    let problem = DeliveryProblem::Expired;
    let not_sent = EventKind::NotSent { connection: BOB, messages: vec![MessageId(4), MessageId(5)], problem };
    assert_eq!(scene.event(5, not_sent).await, "✗ bob: hello: it waited too long");
}

#[tokio::test]
async fn who_is_asked_about_waits_for_an_answer() {
    let mut careful = settings();
    careful.auto_allow = false;
    let mut scene = Scene::new(Disk::default(), careful, vec![].into());
    let confirmation = EventKind::Confirmation {
        connection: BOB,
        info: Content(b"Bob\x1b[2J".to_vec()),
        servers: vec![],
        post_quantum: true,
    };
    let printed = scene.event(1, confirmation).await;
    assert!(printed.contains("/accept Bob__2J") && !printed.contains('\x1b'), "{printed:?}");
    assert_eq!(scene.log.take().len(), 1, "the acknowledgement only");
    assert!(scene.line("/contacts").await.contains("asks to be let in"));
    scene.line("/accept bob__2j").await;
    assert!(matches!(&scene.log.take()[..], [Command::Allow { info, .. }] if info == b"Alice"));
}

#[tokio::test]
async fn requests_are_accepted_or_rejected_by_name() {
    let answers: Script = vec![connection(CAROL), Ok(Reply::Done), Ok(Reply::Done), connection(BOB)].into();
    let mut scene = Scene::start(answers);
    scene.line("/address").await;
    let request = |number| EventKind::Request {
        connection: CAROL,
        invitation: InvitationId::from_bytes([number; 12]),
        info: Content(b"Bob".to_vec()),
        servers: vec![],
        post_quantum: false,
    };
    assert!(scene.event(1, request(1)).await.contains("Bob asks at address: /accept Bob or /reject Bob"));
    assert!(scene.event(2, request(2)).await.contains("/accept Bob_2"));
    scene.log.take();
    scene.line("/accept Bob").await;
    assert!(matches!(&scene.log.take()[..], [Command::Accept { invitation, .. }] if invitation.as_bytes() == &[1; 12]));
    scene.line("/reject Bob_2").await;
    assert!(matches!(&scene.log.take()[..], [Command::Reject { invitation }] if invitation.as_bytes() == &[2; 12]));
    let contacts = scene.line("/contacts").await;
    assert!(contacts.contains("Bob (connecting)") && !contacts.contains("asks at"), "{contacts}");
}

#[tokio::test]
async fn names_are_never_the_same_twice() {
    let mut scene = Scene::start(vec![].into());
    scene.event(1, info(BOB, "Bob")).await;
    scene.event(2, info(CAROL, "bob")).await;
    scene.event(3, info(CAROL, "bob")).await;
    let contacts = scene.line("/contacts").await;
    assert!(contacts.contains("Bob (") && contacts.contains("bob_2 ("), "{contacts}");
    assert!(scene.line("/rename bob_2 BOB").await.contains("somebody else"));
    scene.line("/rename bob_2 carol").await;
    scene.event(4, info(CAROL, "mallory")).await;
    assert!(scene.line("/contacts").await.contains("carol ("), "the user's choice stays");
}

#[tokio::test]
async fn messages_of_others_are_shown_and_nothing_more() {
    let mut scene = Scene::start(vec![].into());
    scene.event(1, info(BOB, "Bob")).await;
    let printed = scene.event(2, message(BOB, 1, "one\x1b]0;x\x07\n12:00 you: ✓ two")).await;
    assert!(!printed.contains('\x1b') && !printed.contains('\x07'));
    assert!(printed.contains("\n      | 12:00 you"), "{printed}");
    let acknowledged = scene.log.take();
    assert!(matches!(&acknowledged[1], Command::Acknowledge { receipt: Some(_), .. }));
    scene.line("/set receipts off").await;
    scene.event(3, message(BOB, 2, "two")).await;
    assert!(matches!(&scene.log.take()[..], [Command::Acknowledge { receipt: None, .. }]));
    let history = scene.line("/history Bob 1").await;
    assert!(history.ends_with("Bob: two"), "{history}");
}

#[tokio::test]
async fn what_is_refused_is_said() {
    let mut scene = Scene::start(vec![Err(Rejection::Refused(Refusal::Link))].into());
    assert!(scene.line("/connect nonsense").await.contains("not a link"));
    assert!(scene.line("/contacts").await.contains("nobody yet"));
    assert!(scene.line("hello").await.contains("nobody to write to"));
    for line in
        ["/to nobody", "/verify", "/switch x", "@x hello", "/accept x", "/reject x", "/nothing", "/rename a b c"]
    {
        assert!(scene.line(line).await.starts_with('!'), "{line}");
    }
    assert!(scene.log.take().len() == 1);
    assert_eq!(scene.talk.line("/quit").await.unwrap(), Flow::Quit);
}

#[tokio::test]
async fn a_request_that_cannot_be_accepted_now_stays() {
    let no_server = || Err(Rejection::Refused(Refusal::NoServer));
    let mut scene = Scene::start(vec![Ok(Reply::Done), no_server(), connection(BOB)].into());
    let (invitation, info) = (InvitationId::from_bytes([1; 12]), Content(b"Bob".to_vec()));
    let request = EventKind::Request { connection: CAROL, invitation, info, servers: vec![], post_quantum: false };
    scene.event(1, request).await;
    assert!(scene.line("/accept Bob").await.starts_with('!'));
    assert!(scene.line("/contacts").await.contains("Bob (asks at your address)"));
    scene.line("/accept Bob").await;
    assert!(scene.line("/contacts").await.contains("Bob (connecting)"));
    // Done before a crash: then it is over.
    let gone = vec![Ok(Reply::Done), Err(Rejection::Refused(Refusal::NoInvitation))];
    let mut scene = Scene::start(gone.into());
    let info = Content(b"Bob".to_vec());
    let request = EventKind::Request { connection: CAROL, invitation, info, servers: vec![], post_quantum: false };
    scene.event(1, request).await;
    scene.line("/accept Bob").await;
    assert!(!scene.line("/contacts").await.contains("asks"));
}

/// A line that was begun with nobody in front of it goes to nobody, whoever comes meanwhile.
#[tokio::test]
async fn a_line_goes_to_who_was_in_front_of_it() {
    let mut scene = Scene::start(vec![].into());
    assert_eq!(scene.talk.prompt().unwrap(), "> ");
    scene.event(1, info(BOB, "Bob")).await;
    scene.event(2, connected(BOB)).await;
    scene.log.take();
    assert!(scene.line("what was typed before").await.contains("nobody to write to"));
    assert!(scene.log.take().is_empty());
    assert_eq!(scene.talk.prompt().unwrap(), "Bob> ");
    scene.event(3, info(CAROL, "Carol")).await;
    scene.event(4, connected(CAROL)).await;
    assert_eq!(scene.talk.prompt().unwrap(), "Bob> ");
    scene.log.take();
    scene.line("for Bob").await;
    assert!(matches!(&scene.log.take()[..], [Command::Send { connection: BOB, .. }]));
}

/// Events that were on their way when a conversation was deleted bring it back, until the agent says that it is gone.
#[tokio::test]
async fn a_conversation_is_deleted_at_the_latest_when_the_agent_says_so() {
    let disk = Disk::default();
    let mut scene = Scene::new(disk.clone(), settings(), vec![].into());
    scene.event(1, info(BOB, "Bob")).await;
    scene.line("/delete Bob").await;
    scene.event(2, message(BOB, 1, "late")).await;
    scene.event(3, connected(BOB)).await;
    scene.event(4, EventKind::Deleted { connection: BOB, failures: vec![] }).await;
    assert_eq!(disk.records.lock().len(), 1, "the number of the last event");
    assert_eq!(scene.talk.prompt().unwrap(), "> ");
}

#[tokio::test]
async fn a_deleted_conversation_leaves_nothing() {
    let disk = Disk::default();
    let mut scene = Scene::new(disk.clone(), settings(), vec![].into());
    scene.event(1, info(BOB, "Bob")).await;
    scene.event(2, message(BOB, 1, "secret")).await;
    scene.log.take();
    scene.line("/delete Bob").await;
    assert!(matches!(&scene.log.take()[..], [Command::Delete { .. }]));
    scene.event(3, EventKind::Deleted { connection: BOB, failures: vec![] }).await;
    assert_eq!(disk.records.lock().len(), 1, "the number of the last event");
}

/// The program is cut off at each of its commits. The agent repeats what was not acknowledged.
#[tokio::test]
async fn history_holds_each_message_once_whatever_happens() {
    let story: Vec<Event> = [
        info(BOB, "Bob"),
        connected(BOB),
        message(BOB, 1, "one"),
        message(BOB, 2, "two"),
        EventKind::Sent { connection: BOB, message: MessageId(7), proxied: false },
        message(BOB, 3, "three"),
    ]
    .into_iter()
    .zip(1..)
    .map(|(kind, id)| Event { id: Some(EventId(id)), kind })
    .collect();
    let mut shown = Vec::new();
    for cut in 0..=story.len() {
        for acknowledged_too_late in [false, true] {
            let records = Arc::new(Mutex::new(MemoryStorage::default()));
            let commits = Some(Arc::new(Mutex::new(cut)));
            let disk = Disk { records: Arc::clone(&records), commits };
            let mut first = Scene::new(disk, settings(), vec![].into());
            let mut open = story.clone();
            let mut texts = Vec::new();
            for event in &story {
                let result = first.talk.event(event.clone()).await;
                texts.push(first.printed());
                if result.is_err() {
                    break;
                }
                // The last acknowledgement did not reach the agent's disk.
                if !(acknowledged_too_late && event.id == Some(EventId(cut as u64))) {
                    open.remove(0);
                }
            }
            let mut second = Scene::new(Disk { records, commits: None }, settings(), vec![].into());
            for event in open {
                second.talk.event(event).await.unwrap();
                texts.push(second.printed());
            }
            let expected = ["one", "two", "three"].map(|text| (Some(text.to_owned()), Delivery::Incoming));
            assert_eq!(second.history(BOB), expected, "cut at {cut}");
            let texts = texts.join("\n");
            for text in ["one", "two", "three"] {
                assert_eq!(texts.matches(&format!("Bob: {text}")).count(), 1, "{cut}: {texts}");
            }
            shown.push(texts);
        }
    }
    assert_eq!(shown.len(), 14);
}
