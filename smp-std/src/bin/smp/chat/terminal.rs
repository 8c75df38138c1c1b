//! What may be written to a terminal: texts of others cannot move the cursor, change colours, or pretend to be other lines.

/// A text of somebody else on one line. What is no printable character becomes U+FFFD, ends of lines become `⏎`.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\r' => {}
            '\n' => line.push('⏎'),
            '\t' => line.push(' '),
            character => line.push(printable(character)),
        }
    }
    line
}

/// A text of somebody else after what stands in front of it. Its further lines begin with `continued`, so that none of
/// them looks like the beginning of another message.
pub(crate) fn block(text: &str, continued: &str) -> String {
    let text = text.trim_end_matches(['\n', '\r']);
    let mut block = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\r' => {}
            '\n' => {
                block.push('\n');
                block.push_str(continued);
            }
            '\t' => block.push_str("    "),
            character => block.push(printable(character)),
        }
    }
    block
}

/// The beginning of a text, on one line.
pub(crate) fn beginning(text: &str) -> String {
    const LENGTH: usize = 24;
    let line = one_line(text);
    let mut short: String = line.chars().take(LENGTH).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

fn printable(character: char) -> char {
    let harmful = character.is_control()
        || matches!(
            character,
            // Ends of lines and paragraphs, and what turns the direction of the text around it or cannot be seen.
            '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        );
    if harmful { char::REPLACEMENT_CHARACTER } else { character }
}

/// A name that can be typed after a command: no spaces, nothing that a terminal would not show as it is.
pub(crate) fn handle(name: &str) -> String {
    const LENGTH: usize = 32;
    let mut handle = String::new();
    for character in name.trim().chars().take(LENGTH) {
        let fits = character.is_alphanumeric() || matches!(character, '-' | '_' | '.');
        handle.push(if fits { character } else { '_' });
    }
    handle
}

/// How many columns the terminal on standard output has; `None` if it is no terminal.
pub(crate) fn columns() -> Option<usize> {
    use std::io::IsTerminal as _;
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(&out).map(|size| usize::from(size.ws_col)).unwrap_or_default();
    // Terminals that do not know their size say 0.
    Some(if columns == 0 { 80 } else { columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_told_nothing_by_others() {
        for text in ["\x1b[2J", "\x07", "\u{9b}31m", "\x08\x08", "\x1b]0;title\x07", "a\u{202e}b", "\u{2028}", "\x7f"] {
            for shown in [one_line(text), block(text, "  ")] {
                assert!(shown.contains('\u{fffd}'), "{text:?}");
                assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}' || c == '\u{2028}'), "{text:?}");
            }
        }
        // Every character of the first planes: no control character is left, and nothing else is changed without need.
        for character in (0..=0x1_ffff).filter_map(char::from_u32) {
            let shown = one_line(&character.to_string());
            assert!(!shown.chars().any(char::is_control), "{character:?}");
            assert_eq!(shown.contains('\u{fffd}'), printable(character) == '\u{fffd}' && !"\r\n\t".contains(character));
        }
    }

    #[test]
    fn a_message_cannot_pretend_to_be_two() {
        assert_eq!(block("one\n12:00 bob: two\r\n\n", "      | "), "one\n      | 12:00 bob: two");
        assert_eq!(one_line("one\r\ntwo\tthree"), "one⏎two three");
    }

    #[test]
    fn ordinary_texts_stay_as_they_are() {
        for text in ["hello", "grüße", "日本語", "👩‍👩‍👧", "a  b"] {
            assert_eq!(one_line(text), text);
            assert_eq!(block(text, "| "), text);
        }
    }

    #[test]
    fn names_become_something_to_type() {
        assert_eq!(handle("  Anna Maria "), "Anna_Maria");
        assert_eq!(handle("/quit\x1b[2J"), "_quit__2J");
        assert_eq!(handle("Zoë-7.b"), "Zoë-7.b");
        assert_eq!(handle(&"x".repeat(100)).len(), 32);
        assert_eq!(beginning("short"), "short");
        assert_eq!(beginning(&"long ".repeat(9)), "long long long long long…");
    }
}
