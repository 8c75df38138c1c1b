//! Programs that a test starts: no wait for them is without an end.
#![allow(dead_code, reason = "each story uses its own part")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The lines that a program writes to its standard output, to its end. When none comes for long it is killed.
pub(crate) fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let (output, id) = (BufReader::new(child.stdout.take().unwrap()), child.id());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    std::iter::from_fn(move || match lines.recv_timeout(PATIENCE) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
            panic!("a program says nothing");
        }
    })
}

/// Waits for the end of a program. One that does not end is killed.
pub(crate) fn end(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("a program does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
