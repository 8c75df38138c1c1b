//! People: the interactive session, through pipes and through a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc;

use serde_json::json;

use super::program;
use super::programs::{Bot, PATIENCE, Relay, lines, run, smp_chat, succeed, user};

/// A person at a keyboard; lines go through pipes.
struct Person {
    child: Child,
    keyboard: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Person {
    fn start(data: &Path) -> Self {
        let mut child = smp_chat(data, &[]).stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let keyboard = child.stdin.take();
        Self { child, keyboard, lines }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.keyboard.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The first line that contains this.
    fn sees(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{part:?} does not appear"));
            if line.contains(part) {
                return line;
            }
        }
    }

    fn quits(mut self) {
        self.type_line("/quit");
        assert!(program::end(&mut self.child).success());
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_people_meet_and_talk() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = Relay::start_two();
    let alices = user(folder.path(), "Alice", &[&first]);
    let bobs = user(folder.path(), "Bob", &[&second]);
    let link = succeed(&alices, &["invite"]);
    assert_eq!(link.lines().count(), 1, "the link, and no drawing where there is no terminal");
    succeed(&bobs, &["connect", link.trim_end()]);
    let (mut alice, mut bob) = (Person::start(&alices), Person::start(&bobs));
    alice.sees("Bob uses your invitation");
    alice.sees("Bob is connected");
    bob.sees("Alice is connected");
    bob.type_line("hello Alice");
    assert!(alice.sees("Bob: hello Alice").contains(':'));
    bob.sees("✓ Alice: hello Alice");
    bob.sees("✓✓ Alice: hello Alice");
    alice.type_line("@bob hello Bob");
    bob.sees("Alice: hello Bob");
    alice.type_line("/verify Bob");
    alice.sees("compare with Bob");
    let code = alice.sees(" ");
    bob.type_line("/verify Alice");
    bob.sees("compare with Alice");
    assert_eq!(bob.sees(" "), code);
    alice.quits();
    bob.type_line("are you there?");
    bob.sees("✓ Alice: are you there?");
    let mut alice = Person::start(&alices);
    alice.sees("Bob: are you there?");
    alice.type_line("/history Bob");
    for text in ["Bob: hello Alice", "you: ✓✓ hello Bob", "Bob: are you there?"] {
        alice.sees(text);
    }
    alice.quits();
    bob.quits();
}

#[test]
fn who_waits_is_told_when_both_sides_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start();
    let alices = user(folder.path(), "Alice", &[&relay]);
    let bobs = user(folder.path(), "Bob", &[&relay]);
    let mut invite = smp_chat(&alices, &["invite", "bob", "--wait"]).stderr(Stdio::inherit()).spawn().unwrap();
    let link = lines(invite.stdout.take().unwrap()).recv_timeout(PATIENCE).unwrap();
    assert!(invite.try_wait().unwrap().is_none(), "nobody has used it");
    succeed(&bobs, &["connect", &link, "--wait"]);
    assert!(program::end(&mut invite).success());
    for (data, name) in [(&alices, "bob (connected)"), (&bobs, "Alice (connected)")] {
        let person = Person::start(data);
        person.sees(name);
        person.quits();
    }
    // It can be used once.
    let carols = user(folder.path(), "Carol", &[&relay]);
    let late = run(&carols, &["connect", &link, "--wait"]);
    assert_eq!(late.status.code(), Some(5), "{late:?}");
}

#[test]
fn a_session_makes_invitations_and_an_address_and_changes_relays() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = Relay::start_two();
    let alices = user(folder.path(), "Alice", &[&first, &second]);
    let bobs = user(folder.path(), "Bob", &[&first]);
    let carols = user(folder.path(), "Carol", &[&second]);
    let [mut alice, mut bob, mut carol] = [&alices, &bobs, &carols].map(|data| Person::start(data));
    alice.type_line("/invite Robert");
    alice.sees("link of Robert:");
    let link = alice.sees("");
    assert!(link.starts_with("https://") || link.starts_with("simplex:"), "{link}");
    bob.type_line(&format!("/connect {link}"));
    bob.sees("connecting, as contact for now");
    alice.sees("Robert uses your invitation");
    alice.sees("Robert is connected");
    bob.sees("Alice is connected");

    alice.type_line("/address");
    alice.sees("link of address:");
    let address = alice.sees("");
    carol.type_line(&format!("/connect {address} Ally"));
    alice.sees("Carol asks at address: /accept Carol or /reject Carol");
    alice.type_line("/reject Carol");
    bob.type_line(&format!("/connect {address} again"));
    alice.sees("Bob asks at address");
    alice.type_line("/accept Bob");
    alice.sees("Bob is connected");
    bob.sees("again is connected");
    alice.type_line("@Bob twice");
    bob.sees("again: twice");
    alice.type_line("/address");
    alice.sees("link of address:");
    assert_eq!(alice.sees(""), address, "there is one");
    alice.type_line("/contacts");
    for line in ["Bob (connected)", "Robert (connected)", "address (your address)"] {
        alice.sees(line);
    }

    alice.type_line("/switch Robert");
    alice.sees("Robert: your relay is being changed");
    alice.sees("Robert: your relay was changed");
    bob.sees("Alice: the other side's relay was changed");
    bob.type_line("@Alice still there?");
    alice.sees("Robert: still there?");
    alice.type_line("/delete Bob");
    alice.sees("Bob is forgotten");
    for person in [alice, bob, carol] {
        person.quits();
    }
}

/// A terminal that is no piece of hardware: what the program writes to it, and what is typed.
struct Terminal {
    child: Child,
    master: File,
    screen: mpsc::Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Terminal {
    fn start(data: &Path) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let open = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let child =
            smp_chat(data, &[]).env("TERM", "xterm").stdin(open()).stdout(open()).stderr(open()).spawn().unwrap();
        let master = File::from(master);
        let mut output = master.try_clone().unwrap();
        let (sender, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = output.read(&mut buffer) {
                if length == 0 || sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, master, screen, seen: Vec::new() }
    }

    fn type_keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// The rest of this line and the next one, without what surrounds it.
    fn next_line(&mut self) -> String {
        self.sees("\n");
        loop {
            let text = String::from_utf8_lossy(&self.seen);
            if let Some((line, _)) = text.split_once('\n') {
                return line.trim().to_owned();
            }
            let more = self.screen.recv_timeout(PATIENCE).expect("a line in time");
            self.seen.extend(more);
        }
    }

    fn sees(&mut self, part: &str) {
        loop {
            let text = String::from_utf8_lossy(&self.seen);
            if let Some(position) = text.find(part) {
                let rest = text[position + part.len()..].as_bytes().to_vec();
                self.seen = rest;
                return;
            }
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(_) => panic!("{part:?} does not appear: {text:?}"),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_line_that_is_typed_stays_when_a_message_comes() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start();
    let alices = user(folder.path(), "Alice", &[&relay]);
    let bobs = user(folder.path(), "bob", &[&relay]);
    succeed(&alices, &["invite", "bob"]);
    let mut alice = Terminal::start(&alices);
    alice.sees("bob (invited");
    alice.type_keys("/link bob\r");
    alice.sees("link of bob:");
    let link = alice.next_line();
    let mut bob = Bot::start(&bobs, &[]);
    let connection = bob.ask(json!({ "command": "join", "link": link }))["connection"].clone();
    alice.sees("bob is connected");
    bob.event("connected");
    alice.type_keys("/to bob\r");
    alice.sees("bob> ");
    alice.type_keys("half a li");
    alice.sees("half a li");
    bob.ask(json!({ "command": "send", "connection": connection, "text": "colours\u{1b}[31m and \u{7}bells" }));
    alice.sees("bob: colours\u{fffd}[31m and \u{fffd}bells");
    alice.sees("half a li");
    alice.type_keys("ne\r");
    assert_eq!(bob.event("message")["text"], "half a line");
    alice.type_keys("/quit\r");
    assert!(program::end(&mut alice.child).success());
}
