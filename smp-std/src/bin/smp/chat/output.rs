//! Lines to standard output for another program, which may leave them unread.

use std::io::{self, Write};

use tokio::sync::{mpsc, oneshot};

use crate::failure::{Failure, OTHER};

/// Writes lines on a thread of its own: while nobody reads them, only who waits for a line waits, and can be told to stop.
#[derive(Clone)]
pub(crate) struct Output(mpsc::Sender<(String, oneshot::Sender<io::Result<()>>)>);

impl Output {
    pub(crate) fn new(mut out: impl Write + Send + 'static) -> Self {
        let (sender, mut lines) = mpsc::channel::<(String, oneshot::Sender<io::Result<()>>)>(1);
        std::thread::spawn(move || {
            while let Some((line, written)) = lines.blocking_recv() {
                let result = out.write_all(line.as_bytes()).and_then(|()| out.flush());
                // Whoever waited may have been told to stop.
                let _ = written.send(result);
            }
        });
        Self(sender)
    }

    /// Returns when the line is written.
    pub(crate) async fn line(&self, mut line: String) -> Result<(), Failure> {
        line.push('\n');
        let (written, result) = oneshot::channel();
        let sent = self.0.send((line, written)).await;
        let result = match sent {
            Ok(()) => result.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        };
        result.map_err(|error| Failure::new(OTHER, format_args!("standard output: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_line_is_written_when_this_returns() {
        let (mut reader, writer) = io::pipe().unwrap();
        let output = Output::new(writer);
        output.line("one".into()).await.unwrap();
        output.line("two".into()).await.unwrap();
        let mut read = [0; 8];
        io::Read::read_exact(&mut reader, &mut read).unwrap();
        assert_eq!(&read, b"one\ntwo\n");
        drop(reader);
        assert!(output.line("three".into()).await.is_err());
    }

    #[tokio::test]
    async fn who_waits_for_a_reader_can_do_something_else() {
        let (_reader, writer) = io::pipe().unwrap();
        let output = Output::new(writer);
        // More than any pipe holds.
        let waiting = tokio::time::timeout(Duration::from_millis(50), output.line("x".repeat(4 << 20)));
        assert!(waiting.await.is_err());
    }
}
