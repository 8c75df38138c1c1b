//! An operator's day: the running program is asked, told, scraped, reloaded and copied.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![cfg(unix)]

#[path = "common/program.rs"]
mod program;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use smp_std::client::{
    Client, CreatedQueue, Event, Events, Options, QueueOptions, ReceiveQueue, Received, SendQueue, ServerUri,
};
use smp_std::relay::store::{AppendMessage, FjallOptions, Store, StoreOptions};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A relay in a folder, killed when dropped.
struct Relay {
    child: Child,
    directory: PathBuf,
    address: ServerUri,
    metrics: u16,
}

impl Relay {
    fn start(directory: &Path) -> Self {
        Self::start_logging(directory, Stdio::null())
    }

    fn start_logging(directory: &Path, log: Stdio) -> Self {
        let (port, metrics) = (free_port(), free_port());
        std::fs::create_dir_all(directory).unwrap();
        let path = directory.join("smp-server.toml");
        if !path.exists() {
            let text = format!(
                "[server]\nlisten = [\"127.0.0.1:{port}\"]\nhosts = [\"127.0.0.1\"]\n\
                 [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n[control]\ndaily_block_quota = 2\n"
            );
            std::fs::write(&path, text).unwrap();
        }
        let mut child = program(directory, &[]).stderr(log).spawn().unwrap();
        let mut lines = program::lines(&mut child);
        let address = lines.find(|line| line.starts_with("smp://")).expect("an address").parse().unwrap();
        assert!(lines.any(|line| line == "ready"));
        Self { child, directory: directory.to_owned(), address, metrics }
    }

    async fn client(&self) -> (Client, Events) {
        Client::connect(&self.address, &Options::default()).await.unwrap()
    }

    async fn queue(&self, client: &Client) -> (ReceiveQueue, String) {
        let created = client.create_queue(&QueueOptions::default()).await.unwrap();
        let sender_id = sender_id(&created);
        (ReceiveQueue::new(self.address.server(), created).unwrap(), sender_id)
    }

    /// What the control socket answers, as the program prints it.
    fn control(&self, words: &[&str]) -> Result<String, String> {
        let output = program(&self.directory, &["control"]).args(words).output().unwrap();
        match output.status.code() {
            Some(0) => Ok(String::from_utf8(output.stdout).unwrap()),
            Some(1) => Err(String::from_utf8(output.stderr).unwrap()),
            _ => panic!("{output:?}"),
        }
    }

    fn scrape(&self, accept: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics)).unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, name: &str) {
        let killed = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    fn audit_log(&self) -> String {
        std::fs::read_to_string(self.directory.join("audit.log")).unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smp-server"));
    command.args(words).arg("--dir").arg(directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn sender_id(created: &CreatedQueue) -> String {
    smp_proto::wire::Base64(created.sender_id.as_bytes()).to_string()
}

async fn next(events: &mut Events) -> Event {
    tokio::time::timeout(PATIENCE, events.next()).await.expect("an event in time").expect("an event")
}

fn refused(result: Result<(), impl std::fmt::Debug>, word: &str) {
    let error = format!("{:?}", result.unwrap_err());
    assert!(error.contains(word), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_blocked_looked_at_and_unblocked() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start(&folder.path().join("relay"));
    let (recipient, mut events) = relay.client().await;
    let (queue, id) = relay.queue(&recipient).await;
    let (sender, _events) = relay.client().await;
    let mut outgoing = SendQueue::new(&queue.uri().unwrap(), sender.session().version).unwrap();
    outgoing.send(&sender, b"before").await.unwrap();
    assert!(matches!(next(&mut events).await, Event::Message(_)));

    let status = relay.control(&["queue", &id]).unwrap();
    assert!(status.contains("status=active\n") && status.contains("messages=1\n"), "{status}");
    let blocked = relay.control(&["block", &id, "reason=spam"]).unwrap();
    assert!(blocked.starts_with("blocked: reason=spam"), "{blocked}");
    refused(outgoing.send(&sender, b"during").await, "BLOCKED reason=spam");
    assert!(relay.control(&["queue", &id]).unwrap().contains("status=blocked, reason=spam\n"));
    // Once more with another reason changes it and does not count.
    assert!(relay.control(&["block", &id, "reason=content", "notice={\"ttl\":60}"]).is_ok());
    relay.control(&["unblock", &id]).unwrap();
    outgoing.send(&sender, b"after").await.unwrap();
    assert!(relay.control(&["unblock", &id]).unwrap_err().contains("not blocked"));

    // The quota of this relay is two a day.
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(relay.queue(&recipient).await.1);
    }
    relay.control(&["block", &others[0], "reason=spam"]).unwrap();
    assert!(relay.control(&["block", &others[1], "reason=spam"]).unwrap_err().contains("quota"));
    assert!(relay.control(&["delete", &others[1]]).unwrap().contains("deleted with 0 messages"));
    assert!(relay.control(&["queue", &others[1]]).unwrap_err().contains("no such queue"));

    // All of it is in the log, which does not tell the queue.
    let log = relay.audit_log();
    let actions: Vec<&str> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    let begins = [
        "start ok",
        "block ok queue=",
        "block ok queue=",
        "unblock ok queue=",
        "unblock failed queue=",
        "block ok queue=",
        "block failed queue=",
        "delete ok queue=",
    ];
    assert_eq!(actions.len(), begins.len(), "{log}");
    for (action, begin) in actions.iter().zip(begins) {
        assert!(action.starts_with(begin), "{action} is not {begin}");
    }
    assert!(!log.contains(&id) && !log.contains(&id[..8]), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_tell_what_happened_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("relay");
    let relay = Relay::start(&directory);
    {
        let (recipient, mut events) = relay.client().await;
        let (mut queue, _) = relay.queue(&recipient).await;
        let (sender, _events) = relay.client().await;
        let mut outgoing = SendQueue::new(&queue.uri().unwrap(), sender.session().version).unwrap();
        for _ in 0..3 {
            outgoing.send(&sender, b"counted").await.unwrap();
        }
        // The confirmation that secures the queue, and then the messages.
        let Event::Message(delivery) = next(&mut events).await else { panic!("a message") };
        assert!(!matches!(queue.open(&delivery).unwrap(), Received::Message(message) if message.body.is_empty()));
        recipient.acknowledge(queue.credentials(), &delivery.message_id).await.unwrap();

        let answer = relay.scrape("*/*");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        let scrape = prometheus_parse::Scrape::parse(body.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let value = |name: &str, label: Option<(&str, &str)>| {
            let found = scrape.samples.iter().find(|sample| {
                sample.metric == name && label.is_none_or(|(label, value)| sample.labels.get(label) == Some(value))
            });
            match found.unwrap_or_else(|| panic!("no {name}")).value {
                prometheus_parse::Value::Counter(value) | prometheus_parse::Value::Gauge(value) => value,
                ref other => panic!("{name} is {other:?}"),
            }
        };
        let sent = value("smp_messages_sent_total", None);
        assert!(sent >= 3.0, "{sent}");
        assert_eq!(value("smp_messages_received_total", Some(("by", "subscription"))), 1.0);
        assert_eq!(value("smp_messages", None), sent - 1.0);
        assert_eq!(value("smp_messages_unacknowledged", None), 1.0);
        assert!(value("smp_certificate_expiry_timestamp_seconds", Some(("certificate", "server"))) > 1.8e9);
        assert_eq!(value("smp_queues", None), 1.0);
        assert_eq!(value("smp_queues_created_total", None), 1.0);
        assert_eq!(value("smp_queues_secured_total", None), 1.0);
        assert_eq!(value("smp_queues_active", Some(("period", "day"))), 1.0);
        assert_eq!(value("smp_connections", None), 2.0);
        assert_eq!(value("smp_connections_subscribed", None), 1.0);
        assert_eq!(value("smp_subscriptions", Some(("part", "recipient"))), 1.0);
        assert!(value("process_resident_memory_bytes", None) > 1e6);
        assert!(value("smp_store_bytes", None) > 0.0);
        // Every number has its help and its kind.
        let names: std::collections::HashSet<_> = scrape.samples.iter().map(|sample| &sample.metric).collect();
        assert!(names.len() > 40);
        for name in names {
            // A histogram's sum and count go by its name.
            let name = name.trim_end_matches("_sum").trim_end_matches("_count");
            assert!(scrape.docs.contains_key(name), "{name}");
        }
        assert!(relay.scrape("application/openmetrics-text; version=1.0.0").ends_with("# EOF\n"));

        let clients = relay.control(&["clients"]).unwrap();
        assert_eq!(clients.lines().count(), 3, "{clients}");
        assert!(!clients.contains("127.0.0.1"));
    }
    let before = today(&relay, "queues.messages_sent");
    assert!(before >= 3);
    stop(relay);
    assert!(!directory.join("control.sock").exists());
    let relay = Relay::start(&directory);
    assert_eq!(today(&relay, "queues.messages_sent"), before);
    assert!(relay.audit_log().contains(" stop ok\n"));
}

/// A counter's sum of the day. At midnight it would be another day's.
fn today(relay: &Relay, name: &str) -> u64 {
    let stats = relay.control(&["stats"]).unwrap();
    let line = stats.lines().find(|line| line.starts_with(&format!("{name},"))).unwrap_or_else(|| panic!("{stats}"));
    line.rsplit(',').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_takes_effect_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start(&folder.path().join("relay"));
    let (client, _events) = relay.client().await;
    client.create_queue(&QueueOptions::default()).await.unwrap();
    let path = relay.directory.join("smp-server.toml");
    let text = std::fs::read_to_string(&path).unwrap();

    std::fs::write(&path, format!("{text}[queues]\nallow_new = false\n[store]\ncache_mib = 64\n")).unwrap();
    assert_eq!(relay.control(&["reload"]).unwrap(), "waits for the next start: [store]\n");
    let error = client.create_queue(&QueueOptions::default()).await.unwrap_err();
    assert!(format!("{error:?}").contains("AUTH"), "{error:?}");
    let config = relay.control(&["config"]).unwrap();
    assert!(config.contains("allow_new = false") && config.contains("cache_mib = 32"), "{config}");

    // A file that cannot be used changes nothing.
    std::fs::write(&path, format!("{text}[queues]\nallow_mew = true\n")).unwrap();
    assert!(relay.control(&["reload"]).unwrap_err().contains("allow_mew"));
    assert!(client.create_queue(&QueueOptions::default()).await.is_err());

    // The signal does the same; passwords do not show.
    std::fs::write(&path, format!("{text}[queues]\npassword = \"sesame-open\"\n")).unwrap();
    relay.signal("-HUP");
    let deadline = Instant::now() + PATIENCE;
    while !relay.audit_log().contains("reload ok by=signal") {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!relay.control(&["config"]).unwrap().contains("sesame-open"));
    let mut options = QueueOptions::default();
    options.password = Some(b"sesame-open");
    client.create_queue(&options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_has_every_message_acknowledged_before() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start(&folder.path().join("relay"));
    let (recipient, _events) = relay.client().await;
    let (queue, _) = relay.queue(&recipient).await;
    let uri = queue.uri().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, _sender_events) = relay.client().await;
    let sending = tokio::spawn({
        let (stop, sender) = (Arc::clone(&stop), sender.clone());
        async move {
            let mut outgoing = SendQueue::new(&uri, sender.session().version).unwrap();
            let mut sent = Vec::new();
            // The quota of a queue is 128.
            while !stop.load(Ordering::Relaxed) && sent.len() < 120 {
                let number = sent.len();
                outgoing.send(&sender, format!("message {number}").as_bytes()).await.unwrap();
                sent.push(Instant::now());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            sent
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let target = folder.path().join("copy");
    let begun = Instant::now();
    let copied = relay.control(&["backup", target.to_str().unwrap()]).unwrap();
    assert!(copied.starts_with("copied in "), "{copied}");
    stop.store(true, Ordering::Relaxed);
    let sent = sending.await.unwrap();
    let expected = sent.iter().filter(|at| **at < begun).count();
    assert!(expected > 3, "{expected}");
    assert!(relay.control(&["backup", target.to_str().unwrap()]).unwrap_err().contains("empty"));
    drop((recipient, sender));
    drop(relay);

    // The copy is the same relay: same address, and it has the messages in their order.
    let relay = Relay::start(&target);
    let (recipient, mut events) = relay.client().await;
    let mut queue = queue;
    recipient.subscribe(queue.credentials()).await.unwrap();
    let mut received = 0;
    while received < expected {
        let Event::Message(delivery) = next(&mut events).await else { continue };
        if let Received::Message(message) = queue.open(&delivery).unwrap()
            && message.body.starts_with(b"message ")
        {
            assert_eq!(message.body, format!("message {received}").into_bytes());
            received += 1;
        }
        recipient.acknowledge(queue.credentials(), &delivery.message_id).await.unwrap();
    }
}

#[test]
fn a_relay_that_does_not_run_is_copied_too() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("relay");
    let relay = Relay::start(&directory);
    let address = relay.address.to_string();
    relay.signal("-TERM");
    let mut relay = relay;
    assert!(program::end(&mut relay.child).success());
    assert!(relay.control(&["stats"]).unwrap_err().contains("no relay runs"));
    let target = folder.path().join("copy");
    // What the web site has, as after a run with one.
    std::fs::create_dir(directory.join("tls")).unwrap();
    let web = ["uptime", "tls/web.crt", "tls/web.key"];
    web.iter().for_each(|name| std::fs::write(directory.join(name), name).unwrap());
    let section = "[web]\ncertificate = \"tls/web.crt\"\nkey = \"tls/web.key\"\n";
    let mut configuration = std::fs::File::options().append(true).open(directory.join("smp-server.toml")).unwrap();
    configuration.write_all(section.as_bytes()).unwrap();
    let output = program(&directory, &["backup", "--to", target.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    web.iter().for_each(|name| assert_eq!(std::fs::read_to_string(target.join(name)).unwrap(), *name));
    assert!(std::fs::read_to_string(target.join("audit.log")).unwrap().contains(" start ok "));
    let output = program(&target, &["address"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), address);
    let without = folder.path().join("without");
    let mut command = program(&directory, &["backup", "--without-identity", "--to", without.to_str().unwrap()]);
    assert!(command.output().unwrap().status.success());
    assert!(without.join("store").exists() && without.join("uptime").exists());
    assert!(!without.join("server.key").exists() && !without.join("tls").exists());
}

#[test]
fn the_socket_takes_lines_of_bounded_length_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::start(&folder.path().join("relay"));
    let connect = || std::os::unix::net::UnixStream::connect(relay.directory.join("control.sock")).unwrap();
    let converse = |text: &[u8]| {
        let mut stream = connect();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The relay may hang up before it has read all.
        let _ = stream.write_all(text);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    let answer = converse(b"nonsense\r\n\nqueue AQEB\nblock\nsockets\nquit\n");
    let lines: Vec<&str> = answer.lines().collect();
    assert!(lines[0].starts_with("SMP relay control"));
    assert!(lines[1].starts_with("error: unknown command"), "{answer}");
    assert!(lines[2].starts_with("error: not an id") && lines[3].starts_with("error: expected ID|LINK"), "{answer}");
    assert_eq!(lines[4], "name,count");
    assert_eq!(lines[lines.len() - 2..], ["ok", "ok"]);
    assert!(converse(&[b'a'; 100_000]).ends_with("error: the line is too long\n"));
    assert!(converse(b"\xff\xfe\nquit\n").contains("error: not text"));
    // Too many at one time are turned away, until others leave. The relay may not have seen yet that the last one left.
    let deadline = Instant::now() + PATIENCE;
    let mut held = Vec::new();
    while held.len() < 8 {
        let mut stream = connect();
        match stream.read_exact(&mut [0; 17]) {
            Ok(()) => held.push(stream),
            Err(_) => assert!(Instant::now() < deadline),
        }
    }
    assert_eq!(converse(b"quit\n"), "");
    drop(held);
    while !converse(b"quit\n").ends_with("ok\n") {
        assert!(Instant::now() < deadline);
    }
    // Many commands from a pipe, as a script has them; one that fails shows in the exit code.
    let piped = |text: &str| -> Output {
        let mut child = program(&relay.directory, &["control"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = piped("sockets\nsave\n");
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("name,count\n"));
    assert_eq!(piped("sockets\nbogus\nsave\n").status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_the_clock_was_wrong_does_not_expire() {
    const DAY: i64 = 86_400;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("relay");
    let relay = Relay::start(&directory);
    let (mut queues, address) = (Vec::new(), relay.address.clone());
    {
        let (client, _events) = relay.client().await;
        for _ in 0..2 {
            queues.push(client.create_queue(&QueueOptions::default()).await.unwrap());
        }
    }
    stop(relay);
    let clock = directory.join("clock.json");
    let times: serde_json::Value = serde_json::from_slice(&std::fs::read(&clock).unwrap()).unwrap();
    let now = times[0]["from"].as_i64().unwrap();
    assert!(times[0]["seconds"].as_i64().unwrap() < 3_600 && now > 1_790_000_000, "{times}");

    // One message came when the clock was 40 days behind, for an hour; another one really is 80 days old.
    let behind = now - 40 * DAY;
    let store = Store::fjall(&directory.join("store"), &FjallOptions::default(), StoreOptions::default()).unwrap();
    for (queue, time) in queues.iter().zip([behind + 60, now - 80 * DAY]) {
        let recipient_id = queue.recipient.id.as_bytes().try_into().unwrap();
        let message = AppendMessage {
            recipient_id,
            message_id: [7; 24],
            time,
            notification: false,
            notify: None,
            secured: false,
            body: "sealed".into(),
            quota: 10,
            expire: None,
        };
        store.append_message(message).await.unwrap().await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    std::fs::write(&clock, format!("[{{\"from\":{behind},\"seconds\":3600}}]")).unwrap();
    let relay = Relay::start(&directory);
    expired(&relay, 1).await;
    let queue = ReceiveQueue::new(address.server(), queues.remove(0)).unwrap();
    {
        let (client, mut events) = relay.client().await;
        client.subscribe(queue.credentials()).await.unwrap();
        let Event::Message(delivery) = next(&mut events).await else { panic!("a message") };
        assert_eq!(delivery.message_id.as_bytes(), [7; 24]);
    }
    stop(relay);
    let times: serde_json::Value = serde_json::from_slice(&std::fs::read(&clock).unwrap()).unwrap();
    assert_eq!((times[0]["from"].as_i64(), times.as_array().unwrap().len()), (Some(behind), 2), "{times}");

    // Who knows only what the clock says now takes it for 40 days old.
    std::fs::remove_file(&clock).unwrap();
    let relay = Relay::start(&directory);
    expired(&relay, 2).await;
}

/// Waits until so many messages expired on this day.
async fn expired(relay: &Relay, count: u64) {
    let deadline = Instant::now() + PATIENCE;
    while today(relay, "queues.messages_expired") < count {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(today(relay, "queues.messages_expired"), count);
}

fn stop(mut relay: Relay) {
    relay.signal("-TERM");
    program::end(&mut relay.child);
}

/// As when the log's disk is full, or whatever collected the log has gone.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let mut relay = Relay::start_logging(&folder.path().join("relay"), full());
    relay.signal("-HUP");
    let deadline = Instant::now() + PATIENCE;
    while !relay.audit_log().contains(" reload ") {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(relay.audit_log().contains("reload ok by=signal"), "{}", relay.audit_log());
    relay.client().await.0.create_queue(&QueueOptions::default()).await.unwrap();
    relay.signal("-TERM");
    assert!(program::end(&mut relay.child).success());
    let failed = program(&folder.path().join("none"), &["address"]).stderr(full()).status().unwrap();
    assert_eq!(failed.code(), Some(1));
}

#[test]
fn a_directory_has_one_relay_which_waits_for_one_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("relay");
    drop(Relay::start(&directory));
    let ending = std::fs::File::open(directory.join("lock")).unwrap();
    ending.lock().unwrap();
    let starting = std::thread::spawn({
        let directory = directory.clone();
        move || Relay::start(&directory)
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(!starting.is_finished());
    drop(ending);
    let _relay = starting.join().unwrap();
    let second = program(&directory, &[]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("a relay is running in"), "{said}");
}
