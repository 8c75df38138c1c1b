use super::super::backend::double::{self, Script};
use super::super::settings::tests::settings;
use super::*;
use smp_agent::storage::MemoryStorage;
use smp_agent::{EventId, MessageId};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/chat-json.md");

/// What the program writes when it reads these lines, and then hears these events.
async fn session(automatic: Automatic, script: Script, lines: &[&str], told: Vec<Event>) -> (Vec<Value>, Vec<Command>) {
    let (commands, log) = double::commands(script);
    let mut written = Vec::new();
    let write = async |line: &Value| {
        written.push(line.clone());
        Ok(())
    };
    let mut session = Session::new(commands, Book::new(MemoryStorage::default()), settings(), automatic, write);
    let (sender, mut input) = mpsc::channel(100);
    for line in lines {
        sender.send(Input::Line((*line).to_owned())).await.unwrap();
    }
    let mut events = double::events(told, sender);
    session.run(&mut input, &mut events).await.unwrap();
    drop(session);
    (written, log.take())
}

fn kept(id: u64, kind: EventKind) -> Event {
    Event { id: Some(EventId(id)), kind }
}

#[tokio::test]
async fn the_first_line_says_which_version_this_is() {
    let (written, _) = session(Automatic::NOTHING, Script::default(), &[], vec![]).await;
    assert_eq!(written.len(), 1);
    assert_eq!((&written[0]["event"], &written[0]["version"]), (&"hello".into(), &1.into()));
}

#[tokio::test]
async fn answers_are_told_apart_by_their_id() {
    let script: Script = vec![
        Ok(Reply::Connection(ConnectionId::from_bytes([1; 12]))),
        Ok(Reply::Message(MessageId(4))),
        Err(Rejection::Refused(Refusal::NoConnection)),
    ]
    .into();
    let lines = [
        r#"{"id":"a","command":"invite"}"#,
        r#"{"id":2,"command":"send","connection":"AQEBAQEBAQEBAQEB","text":"hi"}"#,
        r#"{"id":3,"command":"switch","connection":"AQEBAQEBAQEBAQEB"}"#,
        "nonsense",
        "",
        r#"{"id":4,"command":"configure","auto_allow":true}"#,
        r#"{"id":5,"command":"stop"}"#,
        r#"{"id":6,"command":"invite"}"#,
    ];
    let (written, commands) = session(Automatic::NOTHING, script, &lines, vec![]).await;
    assert_eq!(
        written[1..4],
        [
            json!({"id": "a", "reply": "connection", "connection": "AQEBAQEBAQEBAQEB"}),
            json!({"id": 2, "reply": "message", "message": 4}),
            json!({"id": 3, "error": {
                "code": "refused", "reason": "no_connection", "message": "there is no such connection"
            }}),
        ]
    );
    assert_eq!(written[4]["error"]["code"], "bad_line");
    assert_eq!(written[5..], [json!({"id": 4, "reply": "done"}), json!({"id": 5, "reply": "done"})]);
    assert_eq!(commands.len(), 3, "and nothing after stop");
}

fn confirmation(connection: ConnectionId) -> EventKind {
    EventKind::Confirmation { connection, info: Default::default(), servers: vec![], post_quantum: true }
}

#[tokio::test]
async fn nothing_happens_by_itself_when_it_shall_not() {
    let events = event::tests::examples();
    let events: Vec<Event> = (1..).zip(events).map(|(id, kind)| kept(id, kind)).collect();
    let count = events.len();
    let (written, commands) = session(Automatic::NOTHING, Script::default(), &[], events).await;
    assert_eq!(written.len(), count + 1);
    assert!(commands.is_empty());
}

#[tokio::test]
async fn peers_are_let_in_and_events_acknowledged_by_themselves() {
    let all = Automatic { acknowledge: true, receipt: true, allow: true, accept: true };
    let message = event::tests::examples().remove(9);
    let request = event::tests::examples().remove(6);
    let connection = ConnectionId::from_bytes([1; 12]);
    let told = vec![kept(1, confirmation(connection)), kept(2, request), kept(3, message)];
    let (written, commands) = session(all, Script::default(), &[], told).await;
    assert!(matches!(&commands[0], Command::Allow { info, .. } if info == b"Alice"));
    assert!(matches!(&commands[1], Command::Acknowledge { event: EventId(1), receipt: None }));
    assert!(matches!(&commands[2], Command::Accept { .. }));
    assert!(matches!(&commands[3], Command::Acknowledge { event: EventId(2), receipt: None }));
    assert!(matches!(&commands[4], Command::Acknowledge { event: EventId(3), receipt: Some(_) }));
    assert_eq!(commands.len(), 5);
    assert_eq!(written[2], json!({"reply": "done", "automatic": "allow", "event_id": 1}));
    assert_eq!(written[4]["automatic"], "accept");
}

#[tokio::test]
async fn an_invitation_may_be_looked_at_first() {
    let connection = ConnectionId::from_bytes([1; 12]);
    let all = Automatic { acknowledge: false, receipt: true, allow: true, accept: true };
    let script: Script = vec![Ok(Reply::Connection(connection))].into();
    let line = r#"{"command":"invite","auto_allow":false}"#;
    let other = ConnectionId::from_bytes([2; 12]);
    let told = vec![kept(1, confirmation(connection)), kept(2, confirmation(other))];
    let (_, commands) = session(all, script, &[line], told).await;
    assert!(
        matches!(&commands[..], [Command::Invite { .. }, Command::Allow { connection, .. }] if *connection == other)
    );
}

/// The description names everything there is.
#[test]
fn everything_is_described() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let commands = request::tests::variants("command.rs", "Command");
    let events = request::tests::variants("event.rs", "EventKind");
    let own = ["configure", "verification_code", "connections", "connection", "stop"].map(str::to_owned);
    for name in commands.iter().chain(&events).chain(&own) {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
    for (file, name) in [
        ("error.rs", "Refusal"),
        ("error.rs", "ConnectionError"),
        ("error.rs", "LinkProblem"),
        ("request.rs", "Reason"),
        ("request.rs", "Reporter"),
        ("request.rs", "BlockingReason"),
        ("summary.rs", "ConnectionState"),
        ("event.rs", "SwitchPhase"),
        ("event.rs", "RatchetSync"),
        ("event.rs", "DeliveryProblem"),
        ("policy/integrity.rs", "Integrity"),
    ] {
        for word in request::tests::variants(file, name) {
            assert!(document.contains(&format!("`{word}`")), "{name}: {word}");
        }
    }
    // Each example is a line that this program takes or writes.
    let mut examples = 0;
    for line in document.lines().filter(|line| line.starts_with("{\"")) {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        if object.get("command").is_some() {
            request::read(line, b"").1.unwrap_or_else(|problem| panic!("{line}: {problem:?}"));
        } else {
            assert!(["event", "reply", "error"].iter().any(|name| object.get(name).is_some()), "{line}");
        }
        examples += 1;
    }
    assert!(examples > 30);
}
