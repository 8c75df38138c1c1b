//! Lines from the other program: what is asked for, checked.

use serde::Deserialize;
use serde_json::{Map, Value};
use smp_agent::policy::server::UserId;
use smp_agent::{Command, ConnectionId, ConnectionOptions, EventId, InvitationId, LinkRequest, MessageId, PostQuantum};

use super::words::from_base64;
use crate::chat::settings::{ServerSetting, server_list};

/// Why a line is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(code: &'static str, message: impl ToString) -> Self {
        Self { code, message: message.to_string() }
    }
}

/// What a line asks for.
#[derive(Debug)]
pub(super) enum Action {
    /// Something of the agent.
    Command(Command),
    /// The same, for an invitation whose user is, or is not, let in without being asked about.
    Invite(Command, Option<bool>),
    /// Relays, which are kept in the settings, too.
    SetServers(Command, UserId, Vec<ServerSetting>),
    Configure(Configure),
    VerificationCode(ConnectionId),
    Connections,
    Connection(ConnectionId),
    Stop,
}

/// What is done without being asked for. What is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Configure {
    /// Events are acknowledged when they were written.
    #[serde(default)]
    pub(super) auto_acknowledge: Option<bool>,
    /// With that, senders of messages are told.
    #[serde(default)]
    pub(super) auto_receipt: Option<bool>,
    /// Whoever uses an invitation is let in.
    #[serde(default)]
    pub(super) auto_allow: Option<bool>,
    /// Whoever asks at an address is accepted.
    #[serde(default)]
    pub(super) auto_accept: Option<bool>,
}

/// The lines as they are written. Everything that may be left out has a default.
#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    SetServers {
        #[serde(default)]
        user: u32,
        servers: Vec<ServerSetting>,
    },
    Invite {
        #[serde(default)]
        user: u32,
        post_quantum: Option<PostQuantumWord>,
        receive_queues: Option<u8>,
        #[serde(default)]
        short: bool,
        user_data: Option<String>,
        user_data_base64: Option<String>,
        entity_id_base64: Option<String>,
        auto_allow: Option<bool>,
    },
    CreateAddress {
        #[serde(default)]
        user: u32,
        #[serde(default)]
        short: bool,
        user_data: Option<String>,
        user_data_base64: Option<String>,
        entity_id_base64: Option<String>,
    },
    PrepareInvitation {
        #[serde(default)]
        user: u32,
        post_quantum: Option<PostQuantumWord>,
        receive_queues: Option<u8>,
        user_data: Option<String>,
        user_data_base64: Option<String>,
        entity_id_base64: Option<String>,
        auto_allow: Option<bool>,
    },
    PrepareAddress {
        #[serde(default)]
        user: u32,
        user_data: Option<String>,
        user_data_base64: Option<String>,
        entity_id_base64: Option<String>,
    },
    SetLink {
        connection: String,
        user_data: Option<String>,
        user_data_base64: Option<String>,
    },
    DeleteLink {
        connection: String,
    },
    ReadLink {
        #[serde(default)]
        user: u32,
        link: String,
    },
    Join {
        #[serde(default)]
        user: u32,
        link: String,
        info: Option<String>,
        info_base64: Option<String>,
        post_quantum: Option<PostQuantumWord>,
        receive_queues: Option<u8>,
    },
    Allow {
        connection: String,
        info: Option<String>,
        info_base64: Option<String>,
    },
    Accept {
        invitation: String,
        info: Option<String>,
        info_base64: Option<String>,
        post_quantum: Option<PostQuantumWord>,
        receive_queues: Option<u8>,
    },
    Reject {
        invitation: String,
    },
    Send {
        connection: String,
        text: Option<String>,
        body_base64: Option<String>,
        #[serde(default = "yes")]
        notify: bool,
    },
    Acknowledge {
        event_id: u64,
        #[serde(default)]
        receipt: bool,
        receipt_base64: Option<String>,
    },
    Switch {
        connection: String,
    },
    AbortSwitch {
        connection: String,
    },
    Resynchronize {
        connection: String,
        #[serde(default)]
        force: bool,
    },
    AddReceiveQueue {
        connection: String,
    },
    SubscribeAll {},
    Subscribe {
        connection: String,
    },
    Suspend {
        connection: String,
    },
    Delete {
        connection: String,
        #[serde(default)]
        deliver_first: bool,
    },
    ForgetMessage {
        connection: String,
        message: u64,
    },
    NetworkChanged {
        online: bool,
    },
    Configure(Configure),
    VerificationCode {
        connection: String,
    },
    Connections {},
    Connection {
        connection: String,
    },
    Stop {},
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PostQuantumWord {
    Off,
    On,
    InLink,
}

/// Reads a line: what it is called by its sender, if it could be read that far, and what it asks for. `profile` stands in
/// for information that the line does not give.
pub(super) fn read(line: &str, profile: &[u8]) -> (Option<Value>, Result<Action, Problem>) {
    let mut object: Map<String, Value> = match serde_json::from_str(line) {
        Ok(object) => object,
        // The error's place, and none of the line's content.
        Err(error) => {
            let message = format!("not a JSON object (column {})", error.column());
            return (None, Err(Problem::new("bad_line", message)));
        }
    };
    let id = object.remove("id");
    if matches!(id, Some(Value::Object(_) | Value::Array(_))) {
        return (None, Err(Problem::new("bad_line", "the id is neither a text nor a number")));
    }
    let action = serde_json::from_value::<Line>(Value::Object(object))
        .map_err(|error| Problem::new("bad_command", error))
        .and_then(|line| action(line, profile));
    (id, action)
}

fn action(line: Line, profile: &[u8]) -> Result<Action, Problem> {
    let info = |text: Option<String>, base64: Option<String>| {
        Ok(bytes("info", text, base64)?.unwrap_or_else(|| profile.to_vec()))
    };
    let command = match line {
        Line::SetServers { user, servers } => {
            let list = server_list(&servers).map_err(|error| Problem::new("bad_value", error.message()))?;
            let user = UserId(user);
            return Ok(Action::SetServers(Command::SetServers { user, servers: list }, user, servers));
        }
        Line::Invite {
            user,
            post_quantum,
            receive_queues,
            short,
            user_data,
            user_data_base64,
            entity_id_base64,
            auto_allow,
        } => {
            let link = link(short, bytes("user_data", user_data, user_data_base64)?, entity_id_base64, profile)?;
            let options = options(post_quantum, receive_queues);
            return Ok(Action::Invite(Command::Invite { user: UserId(user), options, link }, auto_allow));
        }
        Line::CreateAddress { user, short, user_data, user_data_base64, entity_id_base64 } => {
            let link = link(short, bytes("user_data", user_data, user_data_base64)?, entity_id_base64, profile)?;
            Command::CreateAddress { user: UserId(user), link }
        }
        Line::PrepareInvitation {
            user,
            post_quantum,
            receive_queues,
            user_data,
            user_data_base64,
            entity_id_base64,
            auto_allow,
        } => {
            let link = link_request(bytes("user_data", user_data, user_data_base64)?, entity_id_base64, profile)?;
            let options = options(post_quantum, receive_queues);
            let command = Command::PrepareInvitation { user: UserId(user), options, link };
            return Ok(Action::Invite(command, auto_allow));
        }
        Line::PrepareAddress { user, user_data, user_data_base64, entity_id_base64 } => {
            let link = link_request(bytes("user_data", user_data, user_data_base64)?, entity_id_base64, profile)?;
            Command::PrepareAddress { user: UserId(user), link }
        }
        Line::SetLink { connection: id, user_data, user_data_base64 } => {
            let user_data = bytes("user_data", user_data, user_data_base64)?.unwrap_or_else(|| profile.to_vec());
            Command::SetLink { connection: connection(&id)?, user_data }
        }
        Line::DeleteLink { connection: id } => Command::DeleteLink { connection: connection(&id)? },
        Line::ReadLink { user, link } => Command::ReadLink { user: UserId(user), link },
        Line::Join { user, link, info: text, info_base64, post_quantum, receive_queues } => {
            let options = options(post_quantum, receive_queues);
            Command::Join { user: UserId(user), link, info: info(text, info_base64)?, options }
        }
        Line::Allow { connection: id, info: text, info_base64 } => {
            Command::Allow { connection: connection(&id)?, info: info(text, info_base64)? }
        }
        Line::Accept { invitation: id, info: text, info_base64, post_quantum, receive_queues } => {
            let options = options(post_quantum, receive_queues);
            Command::Accept { invitation: invitation(&id)?, info: info(text, info_base64)?, options }
        }
        Line::Reject { invitation: id } => Command::Reject { invitation: invitation(&id)? },
        Line::Send { connection: id, text, body_base64, notify } => {
            let body = bytes("text", text, body_base64)?
                .ok_or_else(|| Problem::new("bad_value", "a message has text or body_base64"))?;
            Command::Send { connection: connection(&id)?, body, notify }
        }
        Line::Acknowledge { event_id, receipt, receipt_base64 } => {
            let receipt = bytes("receipt", receipt.then(String::new), receipt_base64)?;
            Command::Acknowledge { event: EventId(event_id), receipt }
        }
        Line::Switch { connection: id } => Command::Switch { connection: connection(&id)? },
        Line::AbortSwitch { connection: id } => Command::AbortSwitch { connection: connection(&id)? },
        Line::Resynchronize { connection: id, force } => Command::Resynchronize { connection: connection(&id)?, force },
        Line::AddReceiveQueue { connection: id } => Command::AddReceiveQueue { connection: connection(&id)? },
        Line::SubscribeAll {} => Command::SubscribeAll,
        Line::Subscribe { connection: id } => Command::Subscribe { connection: connection(&id)? },
        Line::Suspend { connection: id } => Command::Suspend { connection: connection(&id)? },
        Line::Delete { connection: id, deliver_first } => {
            Command::Delete { connection: connection(&id)?, deliver_first }
        }
        Line::ForgetMessage { connection: id, message } => {
            Command::ForgetMessage { connection: connection(&id)?, message: MessageId(message) }
        }
        Line::NetworkChanged { online } => Command::NetworkChanged { online },
        Line::Configure(configure) => return Ok(Action::Configure(configure)),
        Line::VerificationCode { connection: id } => return Ok(Action::VerificationCode(connection(&id)?)),
        Line::Connections {} => return Ok(Action::Connections),
        Line::Connection { connection: id } => return Ok(Action::Connection(connection(&id)?)),
        Line::Stop {} => return Ok(Action::Stop),
    };
    Ok(Action::Command(command))
}

fn options(post_quantum: Option<PostQuantumWord>, receive_queues: Option<u8>) -> ConnectionOptions {
    let default = ConnectionOptions::default();
    ConnectionOptions {
        post_quantum: match post_quantum {
            None => default.post_quantum,
            Some(PostQuantumWord::Off) => PostQuantum::Off,
            Some(PostQuantumWord::On) => PostQuantum::On,
            Some(PostQuantumWord::InLink) => PostQuantum::InLink,
        },
        receive_queues: receive_queues.unwrap_or(default.receive_queues),
    }
}

/// What a short link shall hold, if there shall be one.
fn link(
    short: bool,
    user_data: Option<Vec<u8>>,
    entity_id: Option<String>,
    profile: &[u8],
) -> Result<Option<LinkRequest>, Problem> {
    if !short {
        return match (user_data, entity_id) {
            (None, None) => Ok(None),
            _ => Err(Problem::new("bad_value", "user_data and entity_id_base64 are for short links")),
        };
    }
    link_request(user_data, entity_id, profile).map(Some)
}

fn link_request(user_data: Option<Vec<u8>>, entity_id: Option<String>, profile: &[u8]) -> Result<LinkRequest, Problem> {
    let entity_id = bytes("entity_id", None, entity_id)?;
    Ok(LinkRequest { user_data: user_data.unwrap_or_else(|| profile.to_vec()), entity_id })
}

fn bytes(name: &str, text: Option<String>, base64: Option<String>) -> Result<Option<Vec<u8>>, Problem> {
    match (text, base64) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => {
            let bytes = from_base64(&base64);
            bytes.map(Some).ok_or_else(|| Problem::new("bad_value", format_args!("{name}: this is not base64")))
        }
        (Some(_), Some(_)) => Err(Problem::new("bad_value", format_args!("{name}: as text or as base64, not both"))),
    }
}

fn connection(id: &str) -> Result<ConnectionId, Problem> {
    id.parse().map_err(|error| Problem::new("bad_value", format_args!("connection: {error}")))
}

fn invitation(id: &str) -> Result<InvitationId, Problem> {
    id.parse().map_err(|error| Problem::new("bad_value", format_args!("invitation: {error}")))
}

#[cfg(test)]
pub(super) mod tests;
