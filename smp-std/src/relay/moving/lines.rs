//! Lines of a file, one at a time and never longer than a bound.

use std::io::{self, BufRead};

/// The longest line that is read whole. The longest the reference writes is a queue with 255 keys and link data, about
/// 50 KB.
pub const LONGEST_LINE: usize = 256 << 10;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: u64,
    /// What is in it, without its end; only the first [`LONGEST_LINE`] bytes of a longer one.
    pub bytes: &'a [u8],
    /// It is longer than [`LONGEST_LINE`].
    pub too_long: bool,
    /// It ends with a line feed, as every line does that was written whole.
    pub complete: bool,
}

/// Reads lines.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `reader`.
    pub const fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), number: 0 }
    }

    /// The next line, if there is one.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let mut too_long = false;
        let mut complete = false;
        let mut empty = true;
        while !complete {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            empty = false;
            let end = available.iter().position(|byte| *byte == b'\n');
            complete = end.is_some();
            let content = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            let room = LONGEST_LINE.saturating_sub(self.buffer.len());
            too_long |= content.len() > room;
            self.buffer.extend(content.iter().take(room));
            let consumed = content.len().saturating_add(usize::from(complete));
            self.reader.consume(consumed);
        }
        if empty {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        Ok(Some(Line { number: self.number, bytes: &self.buffer, too_long, complete }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], capacity: usize) -> Vec<(u64, Vec<u8>, bool, bool)> {
        let mut lines = Lines::new(io::BufReader::with_capacity(capacity, text));
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push((line.number, line.bytes.to_vec(), line.too_long, line.complete));
        }
        all
    }

    #[test]
    fn lines_are_numbered_and_know_how_they_end() {
        for capacity in [1, 2, 7, 1000] {
            let lines = all(b"one\n\nthree", capacity);
            let expected =
                [(1, b"one".to_vec(), false, true), (2, Vec::new(), false, true), (3, b"three".to_vec(), false, false)];
            assert_eq!(lines, expected);
        }
        assert_eq!(all(b"", 8), []);
        assert_eq!(all(b"\n", 8).len(), 1);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut text = vec![b'x'; LONGEST_LINE];
        text.push(b'\n');
        text.extend(vec![b'y'; LONGEST_LINE * 3]);
        text.extend(b"\nz\n");
        let lines = all(&text, 4096);
        assert_eq!(
            lines.iter().map(|line| (line.1.len(), line.2)).collect::<Vec<_>>(),
            [(LONGEST_LINE, false), (LONGEST_LINE, true), (1, false)]
        );
        assert_eq!(lines[2].0, 3);
    }
}
