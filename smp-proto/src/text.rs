//! Takes texts apart at ASCII characters.
//!
//! The searches of `str` are for any pattern in texts of any length, and large: on small devices the addresses are read
//! that people bring onto them, and little else.

/// Splits a text before the first byte for which `stop` is true. `stop` looks for ASCII characters, or for any but some.
pub(crate) fn split_where(text: &str, stop: impl FnMut(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(stop).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Splits a text around the first of these ASCII characters.
pub(crate) fn split_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let (before, rest) = split_where(text, |byte| byte == separator);
    Some((before, rest.get(1..)?))
}

/// Reads a decimal number of one digit or more, leading zeros allowed, and nothing else.
pub(crate) fn decimal(digits: &str) -> Option<u32> {
    number(digits, 10)
}

/// The same in any base up to 36.
pub(crate) fn number(digits: &str, base: u32) -> Option<u32> {
    let digit = |number: u32, byte: u8| number.checked_mul(base)?.checked_add(char::from(byte).to_digit(base)?);
    if digits.is_empty() { None } else { digits.bytes().try_fold(0, digit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_split_at_the_first_place() {
        assert_eq!(split_where("ab:c:d", |byte| byte == b':'), ("ab", ":c:d"));
        assert_eq!(split_where("ab", |byte| byte == b':'), ("ab", ""));
        assert_eq!(split_where("1\u{e9}", |byte| !byte.is_ascii_digit()), ("1", "\u{e9}"));
        assert_eq!(split_once("ab:c:d", b':'), Some(("ab", "c:d")));
        assert_eq!(split_once("\u{e9}:", b':'), Some(("\u{e9}", "")));
        assert_eq!(split_once("ab", b':'), None);
    }

    #[test]
    fn numbers_have_digits_only() {
        assert_eq!(decimal("0042"), Some(42));
        assert_eq!(decimal("4294967295"), Some(u32::MAX));
        assert_eq!(number("fFfF", 16), Some(0xffff));
        for text in ["", "+1", "-1", "1 ", "a", "4294967296", "\u{661}"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
