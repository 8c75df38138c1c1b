//! Texts of messages, written without `core::fmt`, which costs more flash than all applications together.

use heapless::String;

/// The length of a text in bytes at most. What does not fit is cut off.
pub const TEXT_LENGTH: usize = 120;

/// The text of a message.
pub type Text = String<TEXT_LENGTH>;

/// Appends as many whole characters as there is room for.
pub(crate) fn append(text: &mut Text, more: &str) {
    for character in more.chars() {
        if text.push(character).is_err() {
            return;
        }
    }
}

/// Appends a number in decimal.
pub(crate) fn append_number(text: &mut Text, number: u64) {
    append_digits(text, number, 1);
}

/// Appends a value that is counted in steps of 1 / 10^`decimals`: 215 with one decimal is "21.5".
pub(crate) fn append_value(text: &mut Text, value: i32, decimals: u8) {
    if value < 0 {
        append(text, "-");
    }
    // More than nine decimals cannot be told apart in 32 bits.
    let decimals = decimals.min(9);
    let unit = 10_u64.saturating_pow(u32::from(decimals));
    let value = u64::from(value.unsigned_abs());
    append_number(text, value.checked_div(unit).unwrap_or_default());
    if decimals > 0 {
        append(text, ".");
        append_digits(text, value.checked_rem(unit).unwrap_or_default(), decimals);
    }
}

/// Appends a number in decimal, with zeros in front up to so many digits.
fn append_digits(text: &mut Text, mut number: u64, least: u8) {
    let mut digits = [0_u8; MAX_DIGITS];
    let mut length = 0;
    for place in digits.iter_mut().rev() {
        if number == 0 && length >= usize::from(least) {
            break;
        }
        // Below ten.
        *place = b'0'.saturating_add((number % 10) as u8);
        number /= 10;
        length = length.saturating_add(1);
    }
    for digit in digits.iter().filter(|digit| **digit != 0) {
        let _ = text.push(char::from(*digit));
    }
}

/// Digits of the largest number.
const MAX_DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u64) -> Text {
        let mut text = Text::new();
        append_number(&mut text, number);
        text
    }

    fn value(value: i32, decimals: u8) -> Text {
        let mut text = Text::new();
        append_value(&mut text, value, decimals);
        text
    }

    #[test]
    fn numbers_are_decimal() {
        for (given, expected) in
            [(0, "0"), (9, "9"), (10, "10"), (1_002_003, "1002003"), (u64::MAX, "18446744073709551615")]
        {
            assert_eq!(number(given), expected);
        }
    }

    #[test]
    fn values_have_their_decimals() {
        assert_eq!(value(215, 1), "21.5");
        assert_eq!(value(-5, 1), "-0.5");
        assert_eq!(value(7, 0), "7");
        assert_eq!(value(7, 3), "0.007");
        assert_eq!(value(i32::MIN, 9), "-2.147483648");
        assert_eq!(value(1_000_000_000, 200), "1.000000000");
    }

    #[test]
    fn what_does_not_fit_is_cut_between_characters() {
        let mut text = Text::new();
        for _ in 0..TEXT_LENGTH - 1 {
            append(&mut text, "x");
        }
        append(&mut text, "ä");
        assert_eq!(text.len(), TEXT_LENGTH - 1);
        append(&mut text, "yz");
        assert!(text.ends_with("xy"));
        assert_eq!(text.len(), TEXT_LENGTH);
    }
}
