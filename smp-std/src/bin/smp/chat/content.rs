//! What people say, and what they say of themselves, as it goes to the other side.
//!
//! Plain UTF-8 text in all places. A richer format of contents needs changes here and nowhere else: the rest of the program
//! knows names and texts only.

/// The longest name that is shown, in characters.
const NAME_LENGTH: usize = 40;

/// What no message is longer than, in bytes (wire reference of the agent, section 3).
pub(crate) const LONGEST_TEXT: usize = 15_795;

/// What the other side is told of this user.
pub(crate) fn encode_profile(name: &str) -> Vec<u8> {
    name.as_bytes().to_vec()
}

/// The name of the other side; `None` if it gives none.
pub(crate) fn decode_profile(info: &[u8]) -> Option<String> {
    let name = str::from_utf8(info).ok()?.trim();
    let name: String = name.chars().take(NAME_LENGTH).collect();
    (!name.is_empty()).then_some(name)
}

/// A text as the body of a message.
pub(crate) fn encode_text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// The text of a message; `None` if it is something else.
pub(crate) fn decode_text(body: &[u8]) -> Option<&str> {
    str::from_utf8(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_texts_come_back() {
        assert_eq!(decode_profile(&encode_profile("Zoë")).as_deref(), Some("Zoë"));
        assert_eq!(decode_text(&encode_text("grüße\n")), Some("grüße\n"));
    }

    #[test]
    fn what_others_send_need_not_be_a_name_or_a_text() {
        assert_eq!(decode_profile(b""), None);
        assert_eq!(decode_profile(b" \n"), None);
        assert_eq!(decode_profile(b"\xff"), None);
        assert_eq!(decode_profile("é".repeat(1000).as_bytes()).unwrap().chars().count(), NAME_LENGTH);
        assert_eq!(decode_text(b"\xff"), None);
    }
}
