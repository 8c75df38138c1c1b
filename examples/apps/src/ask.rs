//! A question on a terminal: how a device without a screen is given the link of its queue.

use embedded_io_async::{Read, Write};
use heapless::String;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskError<E> {
    /// The terminal failed.
    Terminal(E),
    /// The terminal was closed.
    Closed,
}

impl<E> From<E> for AskError<E> {
    fn from(error: E) -> Self {
        Self::Terminal(error)
    }
}

/// Asks until there is an answer that is accepted: a line of at most `N` bytes of printable ASCII. Spaces around it do not
/// count. Nothing of what is typed is repeated on the terminal, so that a link does not stay in its history.
pub async fn ask<const N: usize, T: Read + Write>(
    terminal: &mut T,
    question: &str,
    accept: impl Fn(&str) -> bool,
) -> Result<String<N>, AskError<T::Error>> {
    loop {
        terminal.write_all(question.as_bytes()).await?;
        terminal.write_all(b"\r\n> ").await?;
        terminal.flush().await?;
        let answer = match line::<N, T>(terminal).await? {
            Some(line) => line.trim().try_into().ok().filter(|answer: &String<N>| accept(answer)),
            None => None,
        };
        terminal.write_all(if answer.is_some() { b"\r\naccepted\r\n" } else { b"\r\nnot accepted\r\n" }).await?;
        terminal.flush().await?;
        if let Some(answer) = answer {
            return Ok(answer);
        }
    }
}

/// The next line that is not empty; nothing if it is too long or holds something else than printable ASCII.
async fn line<const N: usize, T: Read>(terminal: &mut T) -> Result<Option<String<N>>, AskError<T::Error>> {
    let mut line = String::new();
    let mut good = true;
    let mut byte = [0];
    loop {
        if terminal.read(&mut byte).await? == 0 {
            return Err(AskError::Closed);
        }
        match byte {
            // Terminals end lines with either, or both.
            [b'\r' | b'\n'] if line.is_empty() && good => {}
            [b'\r' | b'\n'] => return Ok(good.then_some(line)),
            // Backspace, as terminals send it.
            [0x08 | 0x7f] => {
                line.pop();
            }
            [byte @ b' '..=b'~'] => good &= line.push(char::from(byte)).is_ok(),
            _ => good = false,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use embassy_futures::block_on;
    use embedded_io_async::ErrorType;

    use super::*;

    /// What is typed, and what was written.
    struct Script<'a>(&'a [u8], Vec<u8>);

    impl ErrorType for Script<'_> {
        type Error = core::convert::Infallible;
    }

    impl Read for Script<'_> {
        async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
            self.0.read(buffer).await
        }
    }

    impl Write for Script<'_> {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        async fn flush(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }

    fn typed(bytes: &[u8]) -> Result<String<8>, AskError<core::convert::Infallible>> {
        block_on(ask(&mut Script(bytes, Vec::new()), "which?", |answer| answer.starts_with("smp:")))
    }

    #[test]
    fn a_line_is_the_answer() {
        assert_eq!(typed(b"smp://x\r\n").unwrap(), "smp://x");
        assert_eq!(typed(b"\r\n\n  smp:1 \n").unwrap(), "smp:1");
        assert_eq!(typed(b"smp:12\x7f\x083\r").unwrap(), "smp:3");
    }

    #[test]
    fn it_asks_until_an_answer_is_accepted() {
        let mut terminal =
            Script(b"http:\nsmp:12345\nsmp:\xc3\xa4\n\x7f\n\tsmp:1\nsmp:right\nsmp:4567\nsmp:8\n", Vec::new());
        let accept = |answer: &str| answer.starts_with("smp:");
        let answer: String<8> = block_on(ask(&mut terminal, "which?", accept)).unwrap();
        assert_eq!(answer, "smp:4567");
        assert_eq!(terminal.0, b"smp:8\n", "nothing beyond the line is read");
        let written = std::string::String::from_utf8(terminal.1).unwrap();
        assert!(!written.contains("4567"), "{written}");
        assert_eq!(written.matches("which?\r\n> ").count(), 6, "{written}");
        assert_eq!(written.matches("not accepted").count(), 5, "{written}");
    }

    #[test]
    fn a_closed_terminal_is_told() {
        assert_eq!(typed(b"smp:"), Err(AskError::Closed));
    }
}
