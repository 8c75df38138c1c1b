//! Lines of the reference's logs: what is read is written in a form that reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_std::relay::moving::journal::JournalState;
use smp_std::relay::moving::messages::{LoggedMessage, LoggedNotification, journal_line, parse_journal_line};
use smp_std::relay::moving::store_log::StoreLogLine;

fuzz_target!(|data: &[u8]| {
    let Some((choice, line)) = smp_fuzz::choice(data, 5) else { return };
    match choice {
        0 => again(line, StoreLogLine::parse, StoreLogLine::to_line),
        1 => again(line, LoggedMessage::parse, LoggedMessage::to_line),
        2 => again(line, LoggedNotification::parse, LoggedNotification::to_line),
        3 => again(line, parse_journal_line, journal_line),
        _ => again(line, JournalState::parse, JournalState::to_string),
    }
});

fn again<T: PartialEq + std::fmt::Debug, E: std::fmt::Debug + PartialEq>(
    line: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, E>,
    write: impl Fn(&T) -> String,
) {
    let Ok(value) = parse(line) else { return };
    let written = write(&value);
    assert!(!written.contains('\n'), "a line is one line");
    let _ = format!("{value:?}");
    let read = parse(written.as_bytes()).unwrap_or_else(|error| panic!("{written:?} cannot be read: {error:?}"));
    assert_eq!(write(&read), written, "{written:?} reads as something else");
}
