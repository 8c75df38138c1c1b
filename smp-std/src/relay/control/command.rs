//! What an operator says.

use std::path::PathBuf;

use smp_crypto::short_link::LinkKey;
use smp_proto::short_link::{LinkKind, ShortLink};
use smp_proto::smp::error::Blocked;
use smp_proto::wire::{Reader, base64_url_decode};

use crate::relay::store::Id;

/// What `help` answers.
pub(super) const HELP: &str = "\
help                                    these lines
stats                                   counters since the start and today, as CSV
clients                                 connections, as CSV; nothing in it identifies a user
sockets                                 connections accepted, refused and open, as CSV
queue ID|LINK                           status of a queue
block ID|LINK reason=spam|content [notice=JSON]
                                        refuse a queue's messages; notice={} or {\"ttl\":SECONDS} for its users
unblock ID|LINK                         undo it
delete ID|LINK                          delete a queue with its messages
save                                    save the sums of the day now
config                                  the configuration in effect, without secrets
backup DIR [without-identity]           copy the relay to an empty or new directory
reload                                  read smp-server.toml and the certificates again
log LEVEL                               error, warn, info, debug or trace, or what RUST_LOG takes
quit                                    end this connection
ID is the sender's, link's or recipient's id of a queue, LINK a short link.";

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Help,
    Stats,
    Clients,
    Sockets,
    Queue(Target),
    Block(Target, Blocked),
    Unblock(Target),
    Delete(Target),
    Save,
    Config,
    Backup { folder: PathBuf, with_identity: bool },
    Reload,
    Log(String),
    Quit,
}

/// Names a queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An id of any of its sides.
    Id(Id),
    /// The id of its link data.
    Link(Id),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target(..)")
    }
}

impl Target {
    /// The id given, or that of the link given.
    pub(super) const fn id(&self) -> &Id {
        match self {
            Self::Id(id) | Self::Link(id) => id,
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains(':') {
            let link = ShortLink::parse(text).map_err(|_| "not a short link")?;
            let id = match link.kind() {
                LinkKind::Invitation => link.id().and_then(|id| id.as_bytes().try_into().ok()),
                _ => link.key().and_then(|key| LinkKey(key).contact_keys().ok()).map(|(id, _)| id),
            };
            return id.map(Self::Link).ok_or("a short link without a usable id");
        }
        let mut bytes = [0; 32];
        let id = base64_url_decode(text.as_bytes(), &mut bytes).ok().and_then(|id| id.try_into().ok());
        id.map(Self::Id).ok_or("not an id of 24 bytes in base64url")
    }
}

impl Command {
    /// Reads a line.
    pub(super) fn parse(line: &str) -> Result<Self, &'static str> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let words: Vec<&str> = rest.split_whitespace().collect();
        let target = || match words.as_slice() {
            [target] => Target::parse(target),
            _ => Err("expected one ID or LINK"),
        };
        let alone = |command| if words.is_empty() { Ok(command) } else { Err("this command takes no arguments") };
        match word {
            "" => Ok(Self::Nothing),
            "help" => alone(Self::Help),
            "stats" => alone(Self::Stats),
            "clients" => alone(Self::Clients),
            "sockets" => alone(Self::Sockets),
            "save" => alone(Self::Save),
            "config" => alone(Self::Config),
            "reload" => alone(Self::Reload),
            "quit" | "exit" => alone(Self::Quit),
            "queue" | "status" => target().map(Self::Queue),
            "unblock" => target().map(Self::Unblock),
            "delete" => target().map(Self::Delete),
            "block" => {
                let (target, reason) =
                    rest.split_once(char::is_whitespace).ok_or("expected ID|LINK reason=spam|content")?;
                Ok(Self::Block(Target::parse(target)?, parse_reason(reason.trim())?))
            }
            "backup" => {
                let (folder, with_identity) = match rest.strip_suffix("without-identity") {
                    Some(folder) if folder.ends_with(char::is_whitespace) => (folder.trim_end(), false),
                    _ => (rest, true),
                };
                let folder = PathBuf::from(folder);
                if folder.is_absolute() {
                    Ok(Self::Backup { folder, with_identity })
                } else {
                    Err("expected an absolute path")
                }
            }
            "log" if !rest.is_empty() => Ok(Self::Log(rest.to_owned())),
            "log" => Err("expected a level"),
            _ => Err("unknown command; help lists them"),
        }
    }
}

/// `reason=spam`, then a notice behind a comma, as the reference has it, or behind a space.
fn parse_reason(text: &str) -> Result<Blocked, &'static str> {
    let text = match text.split_once(char::is_whitespace) {
        Some((reason, notice)) => format!("{reason},{}", notice.trim_start()),
        None => text.to_owned(),
    };
    Blocked::decode_info(&mut Reader::new(text.as_bytes()))
        .map_err(|_| "expected reason=spam or reason=content, then nothing, notice={} or notice={\"ttl\":SECONDS}")
}

#[cfg(test)]
mod tests {
    use smp_proto::smp::error::{BlockingReason, Notice};

    use super::*;

    const ID: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

    #[test]
    fn commands_are_read() {
        let id = Target::Id([1; 24]);
        for (line, command) in [
            ("", Command::Nothing),
            ("  help \r", Command::Help),
            ("queue AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB", Command::Queue(id)),
            ("status AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB", Command::Queue(id)),
            ("log smp_std=debug,info", Command::Log("smp_std=debug,info".to_owned())),
            ("backup /srv/a b", Command::Backup { folder: "/srv/a b".into(), with_identity: true }),
            ("backup /srv/a without-identity", Command::Backup { folder: "/srv/a".into(), with_identity: false }),
        ] {
            assert_eq!(Command::parse(line).unwrap(), command, "{line}");
        }
        for line in ["halp", "help me", "queue", "queue AQEB", "queue a b", "backup relative", "log", "queue https://x"]
        {
            assert!(Command::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn reasons_are_read_as_the_reference_and_people_write_them() {
        let blocked = |line: &str| match Command::parse(&format!("block {ID} {line}")) {
            Ok(Command::Block(_, blocked)) => Some(blocked),
            _ => None,
        };
        let spam = |notice| Some(Blocked { reason: BlockingReason::Spam, notice });
        assert_eq!(blocked("reason=spam"), spam(None));
        assert_eq!(blocked("reason=spam,notice={\"ttl\":60}"), spam(Some(Notice { ttl: Some(60) })));
        assert_eq!(blocked("reason=spam notice={}"), spam(Some(Notice { ttl: None })));
        for line in ["", "reason=", "reason=other", "spam", "reason=spam notice", "reason=spam,notice={"] {
            assert_eq!(blocked(line), None, "{line}");
        }
    }

    #[test]
    fn a_short_link_names_the_queue_with_its_data() {
        let link = "https://smp.example.com/a#a56Hf12GxkwGlhhPTVbrY73y07cLSRCiUrRcGZkwje8";
        let Ok(Command::Queue(Target::Link(id))) = Command::parse(&format!("queue {link}")) else { panic!("{link}") };
        let key = ShortLink::parse(link).unwrap().key().unwrap();
        assert_eq!(id, LinkKey(key).contact_keys().unwrap().0);
        let link = format!("simplex:/i#{ID}/a56Hf12GxkwGlhhPTVbrY73y07cLSRCiUrRcGZkwje8?h=smp.example.com");
        assert_eq!(Command::parse(&format!("queue {link}")), Ok(Command::Queue(Target::Link([1; 24]))));
    }
}
