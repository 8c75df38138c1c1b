//! Two bots talk JSON over two relays.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::programs::{Bot, PATIENCE, Relay, smp_chat, succeed, user};

/// Connects two bots; gives the connection of each.
fn connect(alice: &mut Bot, bob: &mut Bot, invite: serde_json::Value) -> (String, String) {
    let answer = alice.ask(invite);
    let of_alice = answer["connection"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let ready = alice.event("link_ready");
    let link = ready["short_link"].as_str().or(ready["link"].as_str()).unwrap();
    let answer = bob.ask(json!({ "command": "join", "link": link }));
    let of_bob = answer["connection"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    assert_eq!(alice.event("confirmation")["info"], "bob");
    assert_eq!(alice.event("connected")["connection"], *of_alice);
    assert_eq!(bob.event("connected")["connection"], *of_bob);
    (of_alice, of_bob)
}

#[test]
fn two_bots_talk_over_two_relays_and_go_on_after_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let [mut first, second] = Relay::start_two();
    let alices = user(folder.path(), "alice", &[&first]);
    let bobs = user(folder.path(), "bob", &[&second]);
    let (mut alice, mut bob) = (Bot::start(&alices, &[]), Bot::start(&bobs, &[]));
    let (of_alice, of_bob) = connect(&mut alice, &mut bob, json!({ "command": "invite" }));

    let sent = alice.ask(json!({ "command": "send", "connection": of_alice, "text": "grüße" }))["message"].clone();
    let message = bob.event("message");
    assert_eq!((&message["text"], &message["integrity"]["code"]), (&json!("grüße"), &json!("ok")));
    assert_eq!(alice.event("sent")["message"], sent);
    assert_eq!(alice.event("receipt")["message"], sent);
    let binary = json!({ "command": "send", "connection": of_bob, "body_base64": "/wAB" });
    assert_eq!(bob.ask(binary)["reply"], "message");
    assert_eq!(alice.event("message")["body_base64"], "_wAB");

    // Both sides see the same code.
    let code = |bot: &mut Bot, connection: &str| {
        bot.ask(json!({ "command": "verification_code", "connection": connection }))["code_base64"].clone()
    };
    let codes = (code(&mut alice, &of_alice), code(&mut bob, &of_bob));
    assert!(codes.0.is_string() && codes.0 == codes.1, "{codes:?}");

    // What is sent while the other side is not there waits at its relay; also when that is killed meanwhile.
    alice.end();
    for text in ["one", "two", "three"] {
        bob.ask(json!({ "command": "send", "connection": of_bob, "text": text }));
    }
    for _ in 0..3 {
        bob.event("sent");
    }
    first.kill();
    first.start_again();
    let mut alice = Bot::start(&alices, &[]);
    for text in ["one", "two", "three"] {
        let message = alice.event("message");
        assert_eq!((&message["text"], &message["integrity"]["code"]), (&json!(text), &json!("ok")));
    }
    alice.ask(json!({ "command": "send", "connection": of_alice, "text": "back" }));
    assert_eq!(bob.event("message")["text"], "back");
    alice.end();
    bob.end();
}

#[test]
fn a_bot_that_is_killed_before_it_acknowledged_hears_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start();
    let alices = user(folder.path(), "alice", &[&relay]);
    let bobs = user(folder.path(), "bob", &[&relay]);
    let (mut alice, mut bob) = (Bot::start(&alices, &[]), Bot::start(&bobs, &[]));
    let (of_alice, _) = connect(&mut alice, &mut bob, json!({ "command": "invite", "post_quantum": "off" }));
    assert_eq!(bob.ask(json!({ "command": "configure", "auto_acknowledge": false }))["reply"], "done");
    for text in ["one", "two"] {
        alice.ask(json!({ "command": "send", "connection": of_alice, "text": text }));
    }
    let first = bob.event("message");
    assert_eq!(first["text"], "one");
    bob.kill();
    let mut bob = Bot::start(&bobs, &["--manual"]);
    let again = bob.event("message");
    assert_eq!(again, first, "with the same number");
    let acknowledge = json!({ "command": "acknowledge", "event_id": again["event_id"], "receipt": true });
    assert_eq!(bob.ask(acknowledge.clone())["reply"], "done");
    assert_eq!(bob.ask(acknowledge)["error"]["reason"], "no_event");
    assert_eq!(bob.event("message")["text"], "two", "the relay sends it only then");
    assert_eq!(alice.event("receipt")["intact"], true);
    bob.end();
}

#[test]
fn who_uses_an_invitation_may_be_let_in_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start();
    let alices = user(folder.path(), "alice", &[&relay]);
    let bobs = user(folder.path(), "bob", &[&relay]);
    let (mut alice, mut bob) = (Bot::start(&alices, &[]), Bot::start(&bobs, &[]));
    let connection = alice.ask(json!({ "command": "invite", "auto_allow": false }))["connection"].clone();
    let link = alice.event("link_ready")["link"].clone();
    assert_eq!(bob.ask(json!({ "command": "join", "link": link, "info": "Robert" }))["reply"], "connection");
    assert_eq!(alice.event("confirmation")["info"], "Robert");
    assert_eq!(alice.ask(json!({ "command": "connection", "connection": connection }))["state"], "to_be_allowed");
    assert!(!alice.has_passed(|line| line["event"] == "connected"));
    assert_eq!(alice.ask(json!({ "command": "allow", "connection": connection }))["reply"], "done");
    assert_eq!(bob.event("info")["info"], "alice");
    alice.event("connected");
    bob.event("connected");
    assert_eq!(alice.ask(json!({ "command": "connections" }))["connections"], json!([connection]));
    alice.write("nonsense");
    assert_eq!(alice.wait(|line| line.get("error").is_some())["error"]["code"], "bad_line");
    assert_eq!(alice.ask(json!({ "command": "stop" }))["reply"], "done");
    alice.end();
}

/// Nobody reads what the program writes: it waits, and can be stopped all the same.
#[test]
fn a_program_whose_lines_nobody_reads_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    succeed(&data, &["init", "--server", "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@localhost:5223"]);
    let mut child = smp_chat(&data, &["--json"]).stdin(Stdio::piped()).spawn().unwrap();
    // The first character of its first line: it listens for signals by now.
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    // More than a pipe holds comes back, but no more than two hold goes in.
    let line = json!({ "command": "connections", "id": "x".repeat(1000) }).to_string();
    for _ in 0..100 {
        writeln!(child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not stop");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
}
