//! Times, codes and lists for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use smp_agent::event::DeliveryProblem;
use smp_agent::policy::integrity::Integrity;

use super::super::book::{Delivery, Entry};
use super::super::terminal::block;

/// A moment, in seconds since the Unix epoch, as the clock on the wall shows it: the hour today, the day before that.
pub(super) fn time(seconds: i64, now: i64, zone: &TimeZone) -> String {
    let local = |seconds| Timestamp::from_second(seconds).map(|moment| moment.to_zoned(zone.clone()));
    let (Ok(moment), Ok(now)) = (local(seconds), local(now)) else { return "?".to_owned() };
    if moment.date() == now.date() {
        moment.strftime("%H:%M").to_string()
    } else {
        moment.strftime("%Y-%m-%d %H:%M").to_string()
    }
}

pub(super) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// A message as it is shown: when, who, what became of it, what.
pub(super) fn message(entry: &Entry, name: &str, now: i64, zone: &TimeZone) -> String {
    let time = time(entry.time, now, zone);
    let text = match &entry.text {
        Some(text) => block(text, "      | "),
        None => "(not a text)".to_owned(),
    };
    match entry.delivery {
        Delivery::Incoming => format!("{time} {name}: {text}"),
        delivery => format!("{time} {name}: {} {text}", delivery.mark()),
    }
}

/// What is wrong with a message's place after those before it, if anything is.
pub(super) fn integrity(integrity: &Integrity) -> Option<String> {
    match integrity {
        Integrity::Ok => None,
        Integrity::Skipped { first, last } => {
            let count = last.saturating_sub(*first).saturating_add(1);
            Some(format!("{count} before this one did not arrive"))
        }
        Integrity::Duplicate | Integrity::BadId { .. } => Some("it has the number of an earlier one".to_owned()),
        Integrity::BadHash => Some("those before it are not the ones that were sent".to_owned()),
    }
}

pub(super) fn problem(problem: &DeliveryProblem) -> String {
    match problem {
        DeliveryProblem::Failed(failure) => failure.to_string(),
        DeliveryProblem::Expired => "it waited too long".to_owned(),
        DeliveryProblem::TooLarge => "it is too long".to_owned(),
        _ => "it was given up".to_owned(),
    }
}

/// A code to compare: the number that the bytes are, in groups of five digits, as the other applications of the network
/// show it.
pub(super) fn security_code(code: &[u8; 32]) -> String {
    // Decimal digits, the lowest first.
    let mut digits: Vec<u8> = vec![0];
    for byte in code {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            let value = u32::from(*digit) * 256 + carry;
            *digit = (value % 10) as u8;
            carry = value / 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    let digits: Vec<char> = digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect();
    let groups: Vec<String> = digits.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_local() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(time(0, 3600, &zone), "02:00");
        assert_eq!(time(0, 86_400 * 3, &zone), "1970-01-01 02:00");
        // The relay's word may be anything.
        assert_eq!(time(i64::MAX, 0, &zone), "?");
    }

    #[test]
    fn messages_have_their_marks() {
        let zone = TimeZone::UTC;
        let mut entry = Entry { time: 60, delivery: Delivery::Incoming, text: Some("a\nb\x1b[m".into()) };
        assert_eq!(message(&entry, "bob", 60, &zone), "00:01 bob: a\n      | b\u{fffd}[m");
        entry.delivery = Delivery::Received;
        entry.text = None;
        assert_eq!(message(&entry, "you", 60, &zone), "00:01 you: ✓✓ (not a text)");
    }

    #[test]
    fn codes_are_numbers_in_groups() {
        assert_eq!(security_code(&[0; 32]), "0");
        let mut code = [0; 32];
        code[30..].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(security_code(&code), "65535");
        code[28] = 1;
        assert_eq!(security_code(&code), "16842 751");
        // 2^256 - 1
        let all = "11579 20892 37316 19542 35709 85008 68790 78532 69984 66564 05640 39457 58400 79131 29639 935";
        assert_eq!(security_code(&[0xff; 32]), all);
    }

    #[test]
    fn only_what_is_wrong_is_said() {
        assert_eq!(integrity(&Integrity::Ok), None);
        assert_eq!(integrity(&Integrity::Skipped { first: 3, last: 4 }).unwrap(), "2 before this one did not arrive");
        assert!(integrity(&Integrity::Skipped { first: i64::MIN, last: i64::MAX }).is_some());
    }
}
