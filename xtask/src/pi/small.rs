//! The relay with the memory of a small machine: under a full load, beyond its own limits, and with too little memory.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::group::Group;
use super::relay::{Folder, Programs, Relay};
use crate::process::Failure;

/// The configuration that operators of small machines are given.
const CONFIGURATION: &str = "examples/deploy/small.toml";

/// Memory that does not suffice for the load.
const TOO_LITTLE: u64 = 48;

struct Size {
    mib: u64,
    connections: u64,
    queues: u64,
    rate: u64,
    seconds: u64,
}

impl Size {
    fn of(arguments: &[String]) -> Result<Self, Failure> {
        let mut size = Self { mib: 512, connections: 2_000, queues: 200_000, rate: 50, seconds: 60 };
        let mut words = arguments.iter();
        while let Some(name) = words.next() {
            let place = match name.as_str() {
                "--mib" => &mut size.mib,
                "--connections" => &mut size.connections,
                "--queues" => &mut size.queues,
                "--rate" => &mut size.rate,
                "--seconds" => &mut size.seconds,
                _ => return Err(Failure::new(format!("`cargo xtask pi small` knows no {name:?}"))),
            };
            *place = words
                .next()
                .and_then(|value| value.parse().ok())
                .filter(|value| *value > 0)
                .ok_or_else(|| Failure::new(format!("{name} takes a number, such as `--mib 512`")))?;
        }
        Ok(size)
    }
}

/// `cargo xtask pi small`: the relay in 512 MB, or in what the arguments say.
pub(super) fn run(programs: &Programs, root: &Path, arguments: &[String]) -> Result<(), Failure> {
    let size = Size::of(arguments)?;
    full(programs, root, &size)?;
    beyond(programs, root, &size)?;
    starved(programs, &size)
}

/// A folder for a relay with the configuration for small machines, and the configuration's limit of connections.
fn prepare(root: &Path, folder: &Folder) -> Result<u64, Failure> {
    let text = fs::read_to_string(root.join(CONFIGURATION)).map_err(|error| Failure::because(CONFIGURATION, error))?;
    let directory = folder.path("relay");
    fs::create_dir_all(&directory)
        .and_then(|()| fs::write(directory.join("smp-server.toml"), &text))
        .map_err(|error| Failure::because(&directory.display().to_string(), error))?;
    let limit = text.lines().find_map(|line| line.strip_prefix("connections = ")?.parse().ok());
    limit.ok_or_else(|| Failure::new(format!("{CONFIGURATION} limits no connections")))
}

/// All connections and queues that are asked for, with messages going through.
fn full(programs: &Programs, root: &Path, size: &Size) -> Result<(), Failure> {
    println!("\n{} connections, {} queues, {} MiB", size.connections, size.queues, size.mib);
    let folder = Folder::new()?;
    prepare(root, &folder)?;
    let group = Group::new("full", size.mib << 20)?;
    let mut relay = Relay::start(programs, &folder.path("relay"), Some(&group))?;
    let words = [
        ("--connections", size.connections.div_ceil(2)),
        ("--queues", size.queues),
        ("--rate", size.rate),
        ("--duration", size.seconds),
        ("--server-pid", relay.id().into()),
    ];
    let words: Vec<String> = words.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]).collect();
    let words: Vec<&str> = ["bench", &relay.address].into_iter().chain(words.iter().map(String::as_str)).collect();
    print!("{}", programs.smp(&words)?);
    report(&mut relay, &group, &folder);
    let start = Instant::now();
    let relay = relay.again(programs, &folder.path("relay"), Some(&group))?;
    println!("killed and started again in {:.1} s", start.elapsed().as_secs_f64());
    drop(relay);
    Ok(())
}

fn report(relay: &mut Relay, group: &Group, folder: &Folder) {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    println!(
        "relay: {} MiB resident, {} at most; {} MiB at most with its sockets and cached files; {} MiB on disk; {}",
        mib(relay.figure("status", "VmRSS") << 10),
        mib(relay.figure("status", "VmHWM") << 10),
        group.peak().map_or_else(|| "?".to_owned(), |peak| mib(peak).to_string()),
        mib(bytes_below(&folder.path("relay/store"))),
        if relay.runs() { "running" } else { "ENDED" },
    );
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_below(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// More connections than the relay takes: those are refused, and who is connected notices nothing.
fn beyond(programs: &Programs, root: &Path, size: &Size) -> Result<(), Failure> {
    let folder = Folder::new()?;
    let limit = prepare(root, &folder)?;
    let more = limit.saturating_add(500);
    println!("\n{more} connections to a relay that takes {limit}, {} MiB", size.mib);
    let group = Group::new("beyond", size.mib << 20)?;
    let mut relay = Relay::start(programs, &folder.path("relay"), Some(&group))?;
    let more = more.to_string();
    let output = programs.try_smp(&["bench", &relay.address, "--idle", "--connections", &more, "--duration", "1"])?;
    if output.status.success() {
        return Err(Failure::new("nobody was refused"));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    println!("the last words of who was refused: {}", said.lines().last().unwrap_or_default());
    report(&mut relay, &group, &folder);
    programs.smp(&["ping", "--count", "1", &relay.address])?;
    println!("with room again, it answers");
    Ok(())
}

/// Too little memory, and limits that do not fit it: the kernel kills the relay while messages are sent. Every message that
/// it acknowledged is delivered by the next one.
fn starved(programs: &Programs, size: &Size) -> Result<(), Failure> {
    println!("\n{} connections, the usual limits, {TOO_LITTLE} MiB: too little", size.connections);
    let folder = Folder::new()?;
    let directory = folder.path("relay");
    let group = Group::new("starved", TOO_LITTLE << 20)?;
    let mut relay = Relay::start(programs, &directory, Some(&group))?;
    let (queue, keys) = (folder.word("queue"), folder.word("keys"));
    let link = programs.smp(&["receive", "--server", &relay.address, "--save", &queue, "--count", "0"])?;
    programs.smp(&["send", "--save", &keys, link.trim(), "0"])?;
    let over = AtomicBool::new(false);
    let crowd = ["bench", &relay.address, "--connections", &size.connections.to_string(), "--duration", "300"]
        .map(str::to_owned);
    let acknowledged = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut acknowledged = 1_u32;
            while !over.load(Ordering::Relaxed) && acknowledged < 100 {
                let text = acknowledged.to_string();
                match programs.try_smp(&["send", "--resume", &keys, "--wait", "0", &text]) {
                    Ok(output) if output.status.success() => acknowledged = acknowledged.saturating_add(1),
                    _ => break,
                }
            }
            acknowledged
        });
        let crowd = programs.command("smp", None).args(&crowd).stdout(std::process::Stdio::null()).spawn();
        let start = Instant::now();
        while relay.runs() && start.elapsed() < Duration::from_secs(300) {
            thread::sleep(Duration::from_millis(100));
        }
        over.store(true, Ordering::Relaxed);
        if let Ok(mut crowd) = crowd {
            let _ = crowd.kill();
            let _ = crowd.wait();
        }
        sender.join().unwrap_or(0)
    });
    if relay.runs() {
        return Err(Failure::new("the relay runs on: its memory was enough"));
    }
    println!("{}; the kernel says that it killed {}", relay.end()?, group.killed());
    let relay = relay.again(programs, &directory, None)?;
    let count = acknowledged.to_string();
    let printed = programs.smp(&["receive", "--resume", &queue, "--count", &count])?;
    // The first line is the link; a message whose acknowledgement did not come may stand behind the others.
    let received: Vec<&str> = printed.lines().skip(1).collect();
    let expected: Vec<String> = (0..acknowledged).map(|number| number.to_string()).collect();
    if received != expected {
        return Err(Failure::new(format!("acknowledged were {expected:?}, received {received:?}")));
    }
    println!("started again, it delivers all {count} messages that it had acknowledged, in order");
    drop(relay);
    Ok(())
}
