//! Events of the agent as JSON objects.

use serde_json::{Map, Value, json};
use smp_agent::event::Links;
use smp_agent::policy::integrity::Integrity;
use smp_agent::{ConnectionId, Event, EventKind, MessageId};

use super::words::{block, connection_error, failure, problem, put_bytes, put_content, server, servers, word};

/// The line for an event.
pub(super) fn event(event: &Event) -> Value {
    let mut object = Map::new();
    let name = kind(&event.kind, &mut object);
    object.insert("event".to_owned(), name.into());
    if let Some(id) = event.id {
        object.insert("event_id".to_owned(), id.0.into());
    }
    if let Some(connection) = event.kind.connection() {
        object.insert("connection".to_owned(), connection.to_string().into());
    }
    Value::Object(object)
}

/// Puts what an event says into the object, but for the connection it is about; gives its name.
fn kind(kind: &EventKind, object: &mut Map<String, Value>) -> &'static str {
    let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    match kind {
        EventKind::LinkReady { links: Links { full, short }, .. } => {
            put("link", full.as_str().into());
            put("short_link", short.as_deref().into());
            "link_ready"
        }
        EventKind::LinkPrepared { links: Links { full, short }, .. } => {
            put("link", full.as_str().into());
            put("short_link", short.as_deref().into());
            "link_prepared"
        }
        EventKind::LinkDeleted { .. } => "link_deleted",
        EventKind::LinkRead { full, invitation, user_data, entity_id, relays, direct, .. } => {
            put("link", full.as_str().into());
            put("invitation", (*invitation).into());
            put("relays", relays.clone().into());
            put("direct", (*direct).into());
            put_content(object, "user_data", user_data);
            if let Some(entity_id) = entity_id {
                put_content(object, "entity_id", entity_id);
            }
            "link_read"
        }
        EventKind::Joined { can_send, .. } => {
            put("can_send", (*can_send).into());
            "joined"
        }
        EventKind::Confirmation { info, servers: relays, post_quantum, .. } => {
            put("servers", servers(relays).into());
            put("post_quantum", (*post_quantum).into());
            put_content(object, "info", info);
            "confirmation"
        }
        EventKind::Request { invitation, info, servers: relays, post_quantum, .. } => {
            put("invitation", invitation.to_string().into());
            put("servers", servers(relays).into());
            put("post_quantum", (*post_quantum).into());
            put_content(object, "info", info);
            "request"
        }
        EventKind::Info { info, .. } => {
            put_content(object, "info", info);
            "info"
        }
        EventKind::Connected { post_quantum, version, .. } => {
            put("post_quantum", (*post_quantum).into());
            put("agent_version", (*version).into());
            "connected"
        }
        EventKind::Message { message, .. } => {
            put("message", message.id.0.into());
            put("sender_number", message.sender_number.into());
            put("relay_time", message.relay_time.into());
            put("integrity", integrity(message.integrity));
            put("post_quantum", message.post_quantum.into());
            put_bytes(object, "text", "body_base64", &message.body.0);
            "message"
        }
        EventKind::Sent { message, proxied, .. } => {
            put("message", message.0.into());
            put("proxied", (*proxied).into());
            "sent"
        }
        EventKind::NotSent { messages, problem: why, .. } => {
            put("messages", messages.iter().map(|MessageId(number)| Value::from(*number)).collect());
            put("problem", problem(why));
            "not_sent"
        }
        EventKind::Waiting { message, failure: why, .. } => {
            put("message", message.0.into());
            put("failure", failure(why));
            "waiting"
        }
        EventKind::Receipt { message, intact, .. } => {
            put("message", message.0.into());
            put("intact", (*intact).into());
            "receipt"
        }
        EventKind::Switch { receiving, phase, servers: relays, .. } => {
            put("receiving", (*receiving).into());
            put("phase", word(phase).into());
            put("servers", servers(relays).into());
            "switch"
        }
        EventKind::Ratchet { state, .. } => {
            put("state", word(state).into());
            "ratchet"
        }
        EventKind::Continued { .. } => "continued",
        EventKind::Redundancy { receiving, sending, .. } => {
            put("receiving", servers(receiving).into());
            put("sending", servers(sending).into());
            "redundancy"
        }
        EventKind::Up { server: relay, connections } => {
            put("server", server(relay).into());
            put("connections", names(connections));
            "up"
        }
        EventKind::Down { server: relay, connections } => {
            put("server", server(relay).into());
            put("connections", names(connections));
            "down"
        }
        EventKind::SubscriptionEnded { .. } => "subscription_ended",
        EventKind::QueueDeleted { server: relay, .. } => {
            put("server", server(relay).into());
            "queue_deleted"
        }
        EventKind::QueueBlocked { receiving, server: relay, blocked, .. } => {
            put("receiving", (*receiving).into());
            put("server", server(relay).into());
            put("blocked", block(blocked));
            "queue_blocked"
        }
        EventKind::Deleted { failures, .. } => {
            let failures =
                failures.iter().map(|(relay, why)| json!({ "server": server(relay), "failure": failure(why) }));
            put("failures", failures.collect());
            "deleted"
        }
        EventKind::Failed { error, .. } => {
            put("error", connection_error(error));
            "failed"
        }
        // A test finds the names of all of them in the agent's source.
        _ => "unknown",
    }
}

fn names(connections: &[ConnectionId]) -> Value {
    connections.iter().map(|connection| Value::from(connection.to_string())).collect()
}

fn integrity(integrity: Integrity) -> Value {
    let code = word(&integrity);
    match integrity {
        Integrity::BadId { number } => json!({ "code": code, "number": number }),
        Integrity::Skipped { first, last } => json!({ "code": code, "first": first, "last": last }),
        Integrity::Ok | Integrity::Duplicate | Integrity::BadHash => json!({ "code": code }),
    }
}

#[cfg(test)]
pub(super) mod tests;
