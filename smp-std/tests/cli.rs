//! The programs as a person uses them: a relay in one terminal, `smp receive` in another, `smp send` in a third.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![cfg(unix)]

#[path = "common/program.rs"]
mod program;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn smp() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smp"));
    // Senders' keys that no story names a file for.
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = smp().args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || {
        // A program that does not want its input may have ended.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments, b"");
    assert_eq!(code(&output), 0, "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Everything a story needs on disk.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A relay with its store in a folder, killed without mercy when dropped.
struct Relay {
    child: Child,
    port: u16,
    directory: PathBuf,
    address: String,
}

impl Relay {
    fn start(folder: &Folder) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_on(folder.path("relay"), port)
    }

    fn start_on(directory: PathBuf, port: u16) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_smp-server"))
            .args(["--host", "127.0.0.1", "--listen", &format!("127.0.0.1:{port}"), "--port", &port.to_string()])
            .arg("--dir")
            .arg(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = program::lines(&mut child);
        let address = lines.find(|line| line.starts_with("smp://")).expect("an address");
        assert!(lines.any(|line| line == "ready"));
        Self { child, port, directory, address }
    }

    /// kill -9, and start again on the same files.
    fn crash_and_restart(self) -> Self {
        let (directory, port) = (self.directory.clone(), self.port);
        drop(self);
        Self::start_on(directory, port)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `smp receive`.
struct Receiving {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Receiving {
    fn start(arguments: &[&str]) -> Self {
        let mut child = smp().arg("receive").args(arguments).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line in time")
    }

    fn wait(mut self) -> i32 {
        program::end(&mut self.child).code().unwrap_or(-1)
    }

    fn interrupt(self) -> i32 {
        let kill = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        self.wait()
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_text_arrives() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let receiving = Receiving::start(&["--server", &relay.address, "--count", "2"]);
    let uri = receiving.line();
    assert!(uri.starts_with("smp://") && uri.contains("#/?v=1-4&dh="), "{uri}");
    let sender = folder.file("sender.json");
    succeed(&["send", "--save", &sender, &uri, "hello"]);
    assert_eq!(receiving.line(), "hello");
    let output = run(&["send", "--resume", &sender, "-"], "grüße\n".as_bytes());
    assert_eq!(code(&output), 0);
    assert_eq!(receiving.line(), "grüße");
    assert_eq!(receiving.wait(), 0);
    // The queue went with its recipient, who did not keep it.
    let output = run(&["send", "--resume", &sender, "--wait", "0", "too late"], b"");
    assert_eq!(code(&output), 5, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_same_command_sends_again() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let receiving = Receiving::start(&["--server", &relay.address, "--count", "3"]);
    let uri = receiving.line();
    for text in ["one", "two", "three"] {
        succeed(&["send", &uri, text]);
        assert_eq!(receiving.line(), text);
    }
    assert_eq!(receiving.wait(), 0);
}

#[test]
fn senders_that_start_at_once_share_their_keys() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let receiving = Receiving::start(&["--server", &relay.address, "--count", "5"]);
    let uri = &receiving.line();
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || succeed(&["send", uri, &format!("first {number}")]));
        }
    });
    succeed(&["send", uri, "later"]);
    let mut lines: Vec<_> = (0..5).map(|_| receiving.line()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["first 0", "first 1", "first 2", "first 3", "later"]);
    assert_eq!(receiving.wait(), 0);
}

#[test]
fn nothing_is_lost_when_the_relay_is_killed() {
    let folder = Folder::new();
    let mut relay = Relay::start(&folder);
    let (queue, sender) = (folder.file("queue.json"), folder.file("sender.json"));
    let uri = succeed(&["receive", "--server", &relay.address, "--save", &queue, "--count", "0"]);
    let uri = uri.trim_end();
    for number in 0..10 {
        let text = format!("message {number}");
        if number == 0 {
            succeed(&["send", "--save", &sender, uri, &text]);
        } else {
            succeed(&["send", "--resume", &sender, &text]);
        }
        if number % 4 == 3 {
            relay = relay.crash_and_restart();
        }
    }
    relay = relay.crash_and_restart();
    let received = succeed(&["receive", "--resume", &queue, "--count", "4"]);
    let mut lines: Vec<String> = received.lines().skip(1).map(str::to_owned).collect();
    relay = relay.crash_and_restart();
    let received = succeed(&["receive", "--resume", &queue, "--count", "6"]);
    assert_eq!(received.lines().next(), Some(uri), "the same address");
    lines.extend(received.lines().skip(1).map(str::to_owned));
    let expected: Vec<String> = (0..10).map(|number| format!("message {number}")).collect();
    assert_eq!(lines, expected, "each once and in order");
    drop(relay);
}

#[test]
fn a_receiver_goes_on_when_the_relay_comes_back() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let (queue, sender) = (folder.file("queue.json"), folder.file("sender.json"));
    let receiving = Receiving::start(&["--server", &relay.address, "--save", &queue]);
    let uri = receiving.line();
    succeed(&["send", "--save", &sender, &uri, "before"]);
    assert_eq!(receiving.line(), "before");
    let relay = relay.crash_and_restart();
    succeed(&["send", "--resume", &sender, "after"]);
    assert_eq!(receiving.line(), "after");
    assert_eq!(receiving.interrupt(), 0, "Ctrl-C is how it ends");
    drop(relay);
}

#[test]
fn a_sender_waits_for_the_relay() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let queue = folder.file("queue.json");
    let uri = succeed(&["receive", "--server", &relay.address, "--save", &queue, "--count", "0"]);
    let (directory, port) = (relay.directory.clone(), relay.port);
    drop(relay);
    let output = run(&["send", uri.trim_end(), "text", "--wait", "0"], b"");
    assert_eq!(code(&output), 3);
    let sending = smp().args(["send", uri.trim_end(), "patience", "--wait", "60"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let relay = Relay::start_on(directory, port);
    assert_eq!(code(&sending.wait_with_output().unwrap()), 0);
    let received = succeed(&["receive", "--resume", &queue, "--count", "1"]);
    assert_eq!(received.lines().nth(1), Some("patience"));
    drop(relay);
}

#[test]
fn a_receiver_that_is_killed_loses_nothing() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let (queue, sender) = (folder.file("queue.json"), folder.file("sender.json"));
    let uri = succeed(&["receive", "--server", &relay.address, "--save", &queue, "--count", "0"]);
    succeed(&["send", "--save", &sender, uri.trim_end(), "0"]);
    for number in 1..30 {
        succeed(&["send", "--resume", &sender, &number.to_string()]);
    }
    let mut numbers: Vec<u32> = Vec::new();
    let begun = Instant::now();
    while numbers.last() != Some(&29) {
        assert!(begun.elapsed() < PATIENCE, "only {numbers:?}");
        let mut receiving = Receiving::start(&["--resume", &queue]);
        receiving.line();
        let deadline = Duration::from_millis(150 + u64::from(std::process::id() % 50));
        while let Ok(line) = receiving.lines.recv_timeout(deadline) {
            numbers.push(line.parse().unwrap());
            if numbers.len().is_multiple_of(7) {
                break;
            }
        }
        receiving.child.kill().unwrap();
        // What was written before the end counts.
        while let Ok(line) = receiving.lines.recv_timeout(PATIENCE) {
            numbers.push(line.parse().unwrap());
        }
    }
    // A message may be printed twice only when the program was killed right after it was printed.
    numbers.dedup();
    assert_eq!(numbers, (0..30).collect::<Vec<u32>>());
}

#[test]
fn long_texts_and_binary_data_arrive_as_they_were() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let (queue, sender) = (folder.file("queue.json"), folder.file("sender.json"));
    let uri = succeed(&["receive", "--server", &relay.address, "--save", &queue, "--count", "0"]);
    let text: String = (0..20_000).map(|number| format!("{number},")).collect();
    let output = run(&["send", "--save", &sender, uri.trim_end(), "-"], text.as_bytes());
    assert_eq!(code(&output), 0);
    let received = succeed(&["receive", "--resume", &queue, "--count", "1"]);
    assert_eq!(received.lines().nth(1), Some(&*text));
    let binary: Vec<u8> = (0..=255).collect();
    let output = run(&["send", "--resume", &sender], &binary);
    assert_eq!(code(&output), 0);
    let received = succeed(&["receive", "--resume", &queue, "--count", "1", "--json"]);
    let line: serde_json::Value = serde_json::from_str(received.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&line["part"], &line["last"]), (&0.into(), &true.into()));
    let mut buffer = [0; 400];
    let base64 = line["base64"].as_str().unwrap();
    assert_eq!(smp_proto::wire::base64_url_decode(base64.as_bytes(), &mut buffer).unwrap(), binary);
    let output = run(&["send", "--resume", &sender], &vec![b'x'; (1 << 20) + 1]);
    assert_eq!(code(&output), 2, "more than the limit");
}

#[test]
fn a_full_queue_is_waited_for() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let (queue, sender) = (folder.file("queue.json"), folder.file("sender.json"));
    let uri = succeed(&["receive", "--server", &relay.address, "--save", &queue, "--count", "0"]);
    let text = vec![b'a'; 1 << 20];
    assert_eq!(code(&run(&["send", "--save", &sender, uri.trim_end()], &text)), 0);
    let output = run(&["send", "--resume", &sender, "--wait", "1"], &text);
    assert_eq!(code(&output), 6, "{}", String::from_utf8_lossy(&output.stderr));
    // The next text gets through once the recipient has fetched what was there.
    let sending = smp().args(["send", "--resume", &sender, "--wait", "60", "the end"]).spawn().unwrap();
    let received = succeed(&["receive", "--resume", &queue, "--count", "2"]);
    assert_eq!(code(&sending.wait_with_output().unwrap()), 0);
    let lines: Vec<&str> = received.lines().skip(1).collect();
    assert_eq!(lines[0].len(), text.len());
    assert!(lines[1].len() < text.len(), "the rest of the text was refused");
    assert_eq!(lines.last(), Some(&"the end"));
}

#[test]
fn what_goes_wrong_has_a_code_and_words() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let address = relay.address.clone();
    let (queue, sender) = (folder.file("queue.json"), folder.file("sender.json"));
    let expect = |arguments: &[&str], expected: i32, words: &str| {
        let output = run(arguments, b"");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code(&output), expected, "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    };
    let other = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=";
    let wrong = format!("{other}@{}", address.split_once('@').unwrap().1);
    expect(&["ping", &wrong], 4, "intercepting");
    expect(&["receive", "--server", &wrong, "--save", &queue], 4, "check the address");
    assert!(!Path::new(&queue).exists());
    let closed = format!("{other}@127.0.0.1:1");
    expect(&["info", &closed], 3, "refused");
    expect(&["send", "--resume", &sender, "text"], 7, "sender.json");
    File::create(&sender).unwrap();
    expect(&["send", "--resume", &sender, "text"], 7, "not a state file");
    expect(&["send", "--save", &sender, &address, "text"], 2, "first line");
    expect(&["send", "text"], 2, "quotes");
    expect(&["receive", "--server", &address, "--count", "0"], 2, "--save");
    let uri = succeed(&["receive", "--server", &address, "--save", &queue, "--count", "0"]);
    expect(&["receive", "--server", &address, "--save", &queue], 7, "--resume");
    succeed(&["send", uri.trim_end(), "first", "--once"]);
    expect(&["send", uri.trim_end(), "second", "--wait", "0"], 5, "another sender");
}

#[test]
fn two_programs_cannot_receive_from_one_queue() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let queue = folder.file("queue.json");
    let sender = folder.file("sender.json");
    let first = Receiving::start(&["--server", &relay.address, "--save", &queue]);
    let uri = first.line();
    succeed(&["send", "--save", &sender, &uri, "one"]);
    assert_eq!(first.line(), "one");
    // What was printed is kept right behind; a program that reads the file earlier prints it once more.
    let begun = Instant::now();
    while !std::fs::read_to_string(&queue).unwrap().contains(r#""last_message": ""#) {
        assert!(begun.elapsed() < PATIENCE, "the state is not kept");
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = Receiving::start(&["--resume", &queue]);
    second.line();
    assert_eq!(first.wait(), 1, "the first one is told and ends");
    succeed(&["send", "--resume", &sender, "two"]);
    assert_eq!(second.line(), "two");
}

#[test]
fn a_notifier_is_let_in_and_taken_away() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let queue = folder.file("queue");
    succeed(&["receive", "--server", &relay.address, "--save", &queue, "--count", "0"]);
    let key = "MCowBQYDK2VuAyEAPczoNHJA2y1_oVECI0rKexDkpp6dLAjWC_Jz2grsoig=";
    let access = succeed(&["notifier", "--resume", &queue, key]);
    let (server, id) = access.trim_end().split_once('#').unwrap();
    assert_eq!(server, relay.address);
    assert_eq!(id.len(), 32);
    assert_ne!(succeed(&["notifier", "--resume", &queue, key]), access, "each has a name of its own");
    assert_eq!(succeed(&["notifier", "--resume", &queue, "--remove"]), "");
    assert_eq!(code(&run(&["notifier", "--resume", &folder.file("none"), key], b"")), 7);
}

#[test]
fn a_relay_can_be_looked_at() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let pings = succeed(&["ping", &relay.address, "--count", "3", "--interval", "0"]);
    assert_eq!(pings.lines().filter(|line| line.starts_with("answer")).count(), 3);
    let pings = succeed(&["ping", &relay.address, "--count", "3", "--interval", "0", "--json"]);
    let pings: serde_json::Value = serde_json::from_str(&pings).unwrap();
    assert_eq!((&pings["sent"], &pings["received"]), (&3.into(), &3.into()));
    let info: serde_json::Value = serde_json::from_str(&succeed(&["info", &relay.address, "--json"])).unwrap();
    assert_eq!(info["chain"].as_array().unwrap().len(), 2);
    assert_eq!(info["chain"][1]["is_identity"], true);
    assert_eq!(info["key_exchange"], "X448");
    assert_eq!(info["alpn"], "smp/1");
    assert!(succeed(&["info", &relay.address]).contains("encrypted inside TLS"));
}

#[test]
fn a_relay_can_be_measured() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let pid = relay.child.id().to_string();
    let base = ["bench", &relay.address, "--server-pid", &pid, "--json", "--duration", "1"];
    let bench = |more: &[&str]| -> serde_json::Value {
        let arguments: Vec<&str> = base.iter().chain(more).copied().collect();
        serde_json::from_str(&succeed(&arguments)).unwrap()
    };
    let result = bench(&["--connections", "2", "--queues", "4", "--size", "100", "--window", "2"]);
    assert!(result["messages_per_second"].as_f64().unwrap() > 1.0, "{result}");
    let count = |name: &str| result[name]["count"].as_u64().unwrap();
    assert_eq!(count("send_to_ok"), count("delivery_to_acknowledged"), "{result}");
    assert!(result["send_to_ok"]["p50"].as_f64() <= result["send_to_ok"]["max"].as_f64());
    let result = bench(&["--rate", "20"]);
    let sent = result["send_to_delivery"]["count"].as_u64().unwrap();
    assert!((10..=25).contains(&sent), "{sent} messages in a second at a rate of 20");
    let result = bench(&["--idle", "--connections", "20", "--queues", "5"]);
    assert_eq!((&result["alive"], &result["subscribed"]), (&20.into(), &5.into()));
}

/// A script that takes the exit code for an answer must not send once more because nobody could be told.
#[cfg(target_os = "linux")]
#[test]
fn what_nobody_can_be_told_changes_no_exit_code() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let receiving = Receiving::start(&["--server", &relay.address, "--count", "1"]);
    let uri = receiving.line();
    let quietly = |arguments: &[&str]| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        smp().args(arguments).stderr(full).status().unwrap().code()
    };
    assert_eq!(quietly(&["send", "--once", &uri, "sent"]), Some(0));
    assert_eq!(receiving.line(), "sent");
    assert_eq!(quietly(&["receive", "--resume", &folder.file("none")]), Some(7));
}

#[test]
fn ctrl_c_before_the_end_is_told() {
    let folder = Folder::new();
    let relay = Relay::start(&folder);
    let receiving = Receiving::start(&["--server", &relay.address, "--count", "1"]);
    receiving.line();
    assert_eq!(receiving.interrupt(), 130);
}

#[test]
fn every_command_has_help() {
    let mut help = String::new();
    for arguments in [&["--help"][..], &["help", "receive"], &["help", "send"], &["help", "bench"]] {
        let output = run(arguments, b"");
        assert_eq!(code(&output), 0);
        output.stdout.as_slice().read_to_string(&mut help).unwrap();
    }
    for word in ["EXAMPLES", "EXIT CODES", "--resume", "--server-pid", "acknowledged"] {
        assert!(help.contains(word), "{word}");
    }
}
