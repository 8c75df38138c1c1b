//! The control socket: what operators ask of a relay that runs, and tell it to do.
//!
//! Lines of text. The relay says in its first line what it is; then every command, a line, is answered with any number of
//! lines and a last one that begins with `ok` or `error`, as no other does. People type with `smp-server control`,
//! programs read lines. Reaching the socket is the authorization: only its owner can.

mod answer;
mod backup;
mod command;
mod moderation;
mod socket;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use self::answer::Answer;
use self::command::Command;
use super::Relay;

pub use backup::{BackupError, backup};
pub use socket::{SOCKET_NAME, connect};

/// What the relay says first.
pub const BANNER: &str = "SMP relay control, \"help\" lists the commands";

/// Bytes of a command, at most. A short link has at most some hundred.
const LINE_BYTES: u64 = 4 << 10;

/// Operators at one time.
const CONNECTIONS: usize = 8;

/// Time until the next command.
const IDLE_TIME: Duration = Duration::from_secs(600);

/// Time for an answer to be read.
const WRITE_TIME: Duration = Duration::from_secs(30);

impl Relay {
    /// Opens the control socket in `directory`.
    pub(super) fn open_control(directory: &std::path::Path) -> std::io::Result<UnixListener> {
        socket::listen(directory)
    }

    /// Answers at the control socket until the relay stops.
    pub(super) async fn serve_control(self: Arc<Self>, listener: UnixListener, directory: PathBuf) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = self.stopping.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            // Beyond that they are closed at once.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let relay = Arc::clone(&self);
            self.tasks.spawn(async move {
                let stopping = relay.stopping.clone();
                tokio::select! {
                    () = stopping.cancelled() => {}
                    // However it ends: the operator connects again.
                    _ = relay.converse(stream) => {}
                }
                drop(place);
            });
        }
        socket::remove(&directory);
    }

    async fn converse(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let (input, mut output) = tokio::io::split(stream);
        let mut input = BufReader::new(input);
        say(&mut output, format!("{BANNER}\n")).await?;
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut input).take(LINE_BYTES);
            match tokio::time::timeout(IDLE_TIME, limited.read_until(b'\n', &mut line)).await {
                Err(_) => return say(&mut output, "error: no command for too long\n".to_owned()).await,
                Ok(read) => read?,
            };
            if !line.ends_with(b"\n") {
                // The end, or a line that is too long.
                return match line.len() as u64 >= LINE_BYTES {
                    true => say(&mut output, "error: the line is too long\n".to_owned()).await,
                    false => Ok(()),
                };
            }
            let command = match std::str::from_utf8(&line) {
                Ok(line) => Command::parse(line),
                Err(_) => Err("not text"),
            };
            let answer = match command {
                Ok(Command::Nothing) => continue,
                Ok(Command::Quit) => return say(&mut output, "ok\n".to_owned()).await,
                // Carried out to its end whether the operator waits or not.
                Ok(command) => {
                    let relay = Arc::clone(&self);
                    let carried_out = self.tasks.spawn(async move { relay.carry_out(command).await });
                    carried_out.await.unwrap_or_else(|_| Answer::failed("the command was not carried out"))
                }
                Err(problem) => Answer::failed(problem),
            };
            say(&mut output, answer.to_text()).await?;
        }
    }
}

async fn say(output: &mut (impl AsyncWrite + Unpin), text: String) -> std::io::Result<()> {
    let written = tokio::time::timeout(WRITE_TIME, output.write_all(text.as_bytes())).await;
    written.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}
