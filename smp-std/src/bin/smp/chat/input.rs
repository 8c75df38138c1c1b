//! Lines from standard input, when it is no terminal or another program writes there.

use std::io::{BufRead, Read as _};

use tokio::sync::mpsc;

/// The longest line in bytes. The largest message takes a fiftieth of it.
pub(crate) const LINE_LENGTH: u64 = 1 << 20;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Line(String),
    /// A line that is longer than [`LINE_LENGTH`], or no UTF-8. It was skipped.
    Unreadable,
}

/// Reads lines on a thread of its own, a few in advance. The channel closes at the end of the input.
pub(crate) fn lines(mut input: impl BufRead + Send + 'static) -> mpsc::Receiver<Input> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        while let Some(line) = line(&mut input) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next line; `None` at the end, or when nothing can be read any more.
fn line(input: &mut impl BufRead) -> Option<Input> {
    let mut bytes = Vec::new();
    input.by_ref().take(LINE_LENGTH).read_until(b'\n', &mut bytes).ok()?;
    if bytes.is_empty() {
        return None;
    }
    if bytes.pop_if(|byte| *byte == b'\n').is_none() && bytes.len() as u64 == LINE_LENGTH {
        input.skip_until(b'\n').ok()?;
        return Some(Input::Unreadable);
    }
    let _ = bytes.pop_if(|byte| *byte == b'\r');
    Some(String::from_utf8(bytes).map_or(Input::Unreadable, Input::Line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut input: &[u8]) -> Vec<Input> {
        std::iter::from_fn(|| line(&mut input)).collect()
    }

    fn text(line: &str) -> Input {
        Input::Line(line.into())
    }

    #[test]
    fn lines_end_in_all_ways() {
        assert_eq!(read(b"a\nb\r\n\nc"), [text("a"), text("b"), text(""), text("c")]);
        assert_eq!(read(b""), []);
    }

    #[test]
    fn what_is_no_line_is_skipped() {
        assert_eq!(read(b"\xff\na\n"), [Input::Unreadable, text("a")]);
        let longest = "x".repeat(LINE_LENGTH as usize - 1);
        for (length, is_read) in [(longest.len(), true), (longest.len() + 1, false), (longest.len() * 3, false)] {
            let lines = read(format!("{}\nb\n", "x".repeat(length)).as_bytes());
            assert_eq!(lines.len(), 2);
            assert_eq!(lines[0] == Input::Unreadable, !is_read, "{length}");
            assert_eq!(lines[1], text("b"));
        }
    }
}
