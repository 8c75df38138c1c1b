//! Firmware in QEMU, its lines read as they come.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Exit code of a program that did what it was asked to.
pub(crate) const DONE: i32 = 0;

/// Exit code of a program whose power was cut.
pub(crate) const POWER_CUT: i32 = 3;

/// An emulated board that runs a program. Its power is cut when it is dropped.
pub(crate) struct Board {
    program: &'static str,
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    /// What it has printed so far, as far as somebody read it.
    seen: Vec<String>,
}

impl Board {
    /// Starts a program with arguments of the form `name=value`, in real time.
    pub(crate) fn start(program: &'static str, arguments: &[String]) -> Self {
        Self::start_with(program, arguments, &[])
    }

    /// The same, one emulated nanosecond for each instruction, so that they can be counted.
    pub(crate) fn start_counting(program: &'static str, arguments: &[String]) -> Self {
        Self::start_with(program, arguments, &["-icount", "shift=0"])
    }

    fn start_with(program: &'static str, arguments: &[String], options: &[&str]) -> Self {
        let directory = std::env::var_os("SMP_FIRMWARE").expect("SMP_FIRMWARE names the folder of the executables");
        let mut child = Command::new("qemu-system-arm")
            .args(["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none", "-nic", "user"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(options)
            .arg("-kernel")
            .arg(PathBuf::from(directory).join(program))
            .args(["-append", &arguments.join(" ")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("qemu-system-arm");
        let (sender, lines) = mpsc::unbounded_channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { program, child, lines, seen: Vec::new() }
    }

    /// The next line; `None` at the end.
    async fn line(&mut self) -> Option<String> {
        let Ok(line) = timeout(PATIENCE, self.lines.recv()).await else {
            panic!("{} says nothing any more. It said:\n{}", self.program, self.seen.join("\n"))
        };
        self.seen.extend(line.clone());
        line
    }

    /// Waits for an event and gives its details.
    pub(crate) async fn event(&mut self, name: &str) -> String {
        loop {
            let Some(line) = self.line().await else {
                panic!("{} ended before the event {name}. It said:\n{}", self.program, self.seen.join("\n"))
            };
            let Some(event) = line.strip_prefix("event ") else { continue };
            let (found, details) = event.split_once(' ').unwrap_or((event, ""));
            if found == name {
                return details.to_owned();
            }
        }
    }

    /// Whether an event came, among what was read.
    pub(crate) fn had(&self, name: &str) -> bool {
        let names = |line: &String| line.strip_prefix("event ").and_then(|event| event.split(' ').next()) == Some(name);
        self.seen.iter().any(names)
    }

    /// Waits for the program to end by itself; gives its exit code and what it printed.
    pub(crate) async fn end(mut self) -> (i32, Vec<String>) {
        while self.line().await.is_some() {}
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (code, std::mem::take(&mut self.seen))
    }

    /// Cuts the power.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            while let Ok(line) = self.lines.try_recv() {
                self.seen.push(line);
            }
            eprintln!("{} said:\n{}", self.program, self.seen.join("\n"));
        }
    }
}

/// Hands what a program printed to whoever wants its figures (`cargo xtask size`).
pub(crate) fn keep_figures(program: &str, lines: &[String]) {
    let Some(folder) = std::env::var_os("SMP_FIRMWARE_FIGURES") else { return };
    let path = PathBuf::from(folder).join(program);
    let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
    writeln!(file, "{}", lines.join("\n")).unwrap();
}
