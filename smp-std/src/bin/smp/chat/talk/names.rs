//! What a command is typed like, and what its arguments are.

/// A typed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed<'a> {
    Nothing,
    /// A text for who is written to.
    Text(&'a str),
    /// A text for somebody named.
    TextTo(&'a str, &'a str),
    /// A command and the rest of the line.
    Command(&'a str, &'a str),
}

/// Takes a line apart.
pub(super) fn parse(line: &str) -> Typed<'_> {
    let trimmed = line.trim();
    if trimmed.is_empty() {
        return Typed::Nothing;
    }
    // A text that begins with a slash is written with two.
    if trimmed.starts_with("//") {
        return Typed::Text(trimmed.get(1..).unwrap_or_default());
    }
    if let Some(command) = trimmed.strip_prefix('/') {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        return Typed::Command(name, rest.trim());
    }
    if let Some((name, text)) = trimmed.strip_prefix('@').and_then(|rest| rest.split_once(char::is_whitespace)) {
        return Typed::TextTo(name, text.trim());
    }
    Typed::Text(line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        for (line, typed) in [
            ("", Typed::Nothing),
            ("  ", Typed::Nothing),
            ("hello there ", Typed::Text("hello there")),
            ("//etc is a folder", Typed::Text("/etc is a folder")),
            ("/quit", Typed::Command("quit", "")),
            (" /to  bob ", Typed::Command("to", "bob")),
            ("/rename bob  robert b", Typed::Command("rename", "bob  robert b")),
            ("@bob hello  there", Typed::TextTo("bob", "hello  there")),
            ("@bob", Typed::Text("@bob")),
        ] {
            assert_eq!(parse(line), typed, "{line:?}");
        }
    }
}
