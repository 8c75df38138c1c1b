//! Small values in JSON: names of choices, bytes, relays, failures.

use std::fmt::Debug;

use serde_json::{Map, Value, json};
use smp_agent::event::{Content, DeliveryProblem};
use smp_agent::policy::server::Server;
use smp_agent::request::{Blocked, Reason};
use smp_agent::{ConnectionError, ConnectionSummary, Failure, Refusal};
use smp_proto::wire::{Base64, base64_url_decode};

/// The name of a choice: that of the variant, in small letters with `_` between words.
pub(super) fn word(choice: &impl Debug) -> String {
    let name = format!("{choice:?}");
    let mut word = String::with_capacity(name.len() + 4);
    for character in name.chars().take_while(char::is_ascii_alphanumeric) {
        if character.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(character.to_ascii_lowercase());
    }
    word
}

/// Bytes as base64url with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    Base64(bytes).to_string()
}

/// Reads base64 of either alphabet, with padding or without.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.replace('+', "-").replace('/', "_");
    let mut bytes = vec![0; text.len()];
    let length = base64_url_decode(text.as_bytes(), &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

/// Puts bytes into an object: as text under one name if they are text, as base64 under the other one if not.
pub(super) fn put_bytes(object: &mut Map<String, Value>, text: &str, binary: &str, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(content) => object.insert(text.to_owned(), content.into()),
        Err(_) => object.insert(binary.to_owned(), base64(bytes).into()),
    };
}

pub(super) fn put_content(object: &mut Map<String, Value>, name: &str, content: &Content) {
    put_bytes(object, name, &format!("{name}_base64"), &content.0);
}

pub(super) fn server(server: &Server) -> String {
    let address = server.address();
    let hosts: Vec<String> = address.hosts.iter().map(|host| host.to_string()).collect();
    let port = if address.port.is_default() { String::new() } else { format!(":{}", address.port) };
    format!("smp://{}@{}{port}", Base64(address.key_hash.as_bytes()), hosts.join(","))
}

pub(super) fn servers(list: &[Server]) -> Vec<String> {
    list.iter().map(server).collect()
}

pub(super) fn failure(failure: &Failure) -> Value {
    let mut object = json!({
        "by": word(&failure.by),
        "reason": word(&failure.reason),
        "temporary": failure.is_temporary(),
        "message": failure.to_string(),
    });
    if let Reason::Blocked(blocked) = &failure.reason {
        object["blocked"] = block(blocked);
    }
    object
}

/// What an operator says of a queue it blocked.
pub(super) fn block(blocked: &Blocked) -> Value {
    let mut object = json!({ "reason": word(&blocked.reason) });
    if let Some(notice) = blocked.notice {
        object["notice"] = json!({ "ttl": notice.ttl });
    }
    object
}

pub(super) fn problem(problem: &DeliveryProblem) -> Value {
    match problem {
        DeliveryProblem::Failed(reason) => json!({ "code": word(problem), "failure": failure(reason) }),
        _ => json!({ "code": word(problem) }),
    }
}

pub(super) fn connection_error(error: &ConnectionError) -> Value {
    let mut object = json!({ "code": word(error), "message": error.to_string() });
    match error {
        ConnectionError::Relay(reason) | ConnectionError::PreparedLink(reason) => object["failure"] = failure(reason),
        ConnectionError::Link(problem) => object["problem"] = word(problem).into(),
        _ => {}
    }
    object
}

/// The answer to `connection`.
pub(super) fn summary(summary: &ConnectionSummary) -> Value {
    json!({
        "reply": "connection_state",
        "user": summary.user.0,
        "state": word(&summary.state),
        "agent_version": summary.version.0,
        "post_quantum": summary.post_quantum,
        "ratchet": word(&summary.ratchet),
        "receiving": servers(&summary.receiving),
        "sending": servers(&summary.sending),
        "waiting": summary.waiting,
    })
}

pub(super) fn refusal(refusal: &Refusal) -> Value {
    let mut object = json!({ "code": "refused", "reason": word(refusal), "message": refusal.to_string() });
    if let Refusal::Ratchet(state) = refusal {
        object["ratchet"] = word(state).into();
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use smp_agent::error::LinkProblem;
    use smp_agent::event::RatchetSync;
    use smp_agent::request::{BlockingReason, Notice, Reporter};

    #[test]
    fn words_are_names_of_variants() {
        assert_eq!(word(&Refusal::TooManyQueues), "too_many_queues");
        assert_eq!(word(&Refusal::Ratchet(RatchetSync::Required)), "ratchet");
        assert_eq!(word(&Reporter::ProxyAboutRelay), "proxy_about_relay");
        assert_eq!(word(&ConnectionError::Link(LinkProblem::UserSignature)), "link");
    }

    #[test]
    fn base64_of_any_kind_is_read() {
        for text in ["-_-_", "+/+/"] {
            assert_eq!(from_base64(text).unwrap(), [0xfb, 0xff, 0xbf]);
        }
        assert_eq!(from_base64("AQ==").unwrap(), [1]);
        assert_eq!(from_base64("AQ").unwrap(), [1]);
        assert!(from_base64("").unwrap().is_empty());
        for wrong in ["A", "A=", "AQ=", "?", "AQ==AQ=="] {
            assert!(from_base64(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn relays_are_shown_without_passwords() {
        const TEXT: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@a.example,b.onion:5224";
        assert_eq!(server(&Server::parse(TEXT).unwrap()), TEXT);
        let default = TEXT.trim_end_matches(":5224");
        assert_eq!(server(&Server::parse(default).unwrap()), default);
    }

    #[test]
    fn failures_say_what_to_do() {
        let error = connection_error(&ConnectionError::Relay(Failure { by: Reporter::Proxy, reason: Reason::Timeout }));
        assert_eq!(error["code"], "relay");
        assert_eq!(error["failure"]["by"], "proxy");
        assert_eq!(error["failure"]["temporary"], true);
        let blocked = Blocked { reason: BlockingReason::Content, notice: Some(Notice { ttl: Some(60) }) };
        let blocked = failure(&Failure::of_relay(Reason::Blocked(blocked)));
        assert_eq!(blocked["reason"], "blocked");
        assert_eq!(blocked["blocked"], json!({ "reason": "content", "notice": { "ttl": 60 } }));
        let error = connection_error(&ConnectionError::Link(LinkProblem::Hash));
        assert_eq!((&error["code"], &error["problem"]), (&"link".into(), &"hash".into()));
        assert_eq!(refusal(&Refusal::Ratchet(RatchetSync::Started))["ratchet"], "started");
        assert_eq!(problem(&DeliveryProblem::Expired)["code"], "expired");
    }
}
