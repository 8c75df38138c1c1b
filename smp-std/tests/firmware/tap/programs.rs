//! Programs, their lines read as they come. They are killed when dropped.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};

use super::{HOST, World};
use crate::board::PATIENCE;

/// A running program.
pub(super) struct Program {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::Receiver<String>,
}

impl Program {
    pub(super) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, stdin, lines }
    }

    pub(super) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    pub(super) fn wait_for(&self, wanted: &str) {
        while self.line() != wanted {}
    }

    pub(super) fn enter(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
        self.stdin.flush().unwrap();
    }

    pub(super) fn press_enter(&mut self) {
        self.enter("");
    }

    /// The exit code of a program that ends by itself.
    pub(super) fn code(mut self) -> i32 {
        // Its output ends with it.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Without mercy: nothing can be written any more.
    pub(super) fn kill(self) {}
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A relay on the computer's end of the cable.
pub(super) struct Relay {
    _program: Program,
    pub(super) address: String,
}

impl Relay {
    pub(super) fn start(world: &World) -> Self {
        let mut command = world.command(env!("CARGO_BIN_EXE_smp-server"));
        command.args(["--dir", &world.file("relay"), "--host", HOST, "--listen", &format!("{HOST}:5223")]);
        let program = Program::start(command);
        let address = loop {
            let line = program.line();
            if line.starts_with("smp://") {
                break line;
            }
        };
        program.wait_for("ready");
        Self { _program: program, address }
    }
}
