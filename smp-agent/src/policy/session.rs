//! Which connections to a server are shared (wire reference of the agent, section 22).

use alloc::sync::Arc;
use core::fmt;

use serde::{Deserialize, Serialize};
use smp_crypto::hash::sha256;
use smp_proto::wire::base64_url_encode;

use super::server::{Server, UserId};

/// What has a connection to a server of its own.
///
/// The first three modes make the same connections; they differ in what a SOCKS proxy is told to keep apart
/// ([`SessionKey::isolation`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SessionMode {
    /// Each user; the SOCKS proxy keeps users apart.
    User,
    /// Each user; the SOCKS proxy keeps users and runs of the application apart.
    #[default]
    Session,
    /// Each user; the SOCKS proxy keeps users, runs of the application and servers apart.
    Server,
    /// Each connection of each user: the server cannot see that two of them are of one user.
    Entity,
}

/// Whose connection to which server: commands with equal keys share one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    user: UserId,
    server: Server,
    entity: Option<Arc<[u8]>>,
}

impl SessionKey {
    /// The key for a command. `entity` is what the command is about: the id of the connection (not that of a queue), the
    /// id of a link, the digest of a part of a file. It counts in the mode [`SessionMode::Entity`] only.
    #[must_use]
    pub fn new(mode: SessionMode, user: UserId, server: &Server, entity: &[u8]) -> Self {
        let entity = (mode == SessionMode::Entity).then(|| Arc::from(entity));
        Self { user, server: server.clone(), entity }
    }

    /// Whose connection it is.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// What the connection is for alone.
    #[must_use]
    pub fn entity(&self) -> Option<&[u8]> {
        self.entity.as_deref()
    }

    /// The user name for the SOCKS proxy; the password is empty. Tor leads connections with different names over different
    /// circuits. `started` is when the application started, or its network settings changed last, in milliseconds of any
    /// clock that does not repeat itself.
    ///
    /// In the mode [`SessionMode::User`] everybody has the same few names: let nobody else use the proxy then.
    #[must_use]
    pub fn isolation(&self, mode: SessionMode, started: u64) -> IsolationName {
        let user = alloc::format!("{}", self.user.0);
        let session = alloc::format!(":{started}");
        let server = alloc::format!("@{}", self.server);
        let (slash, entity): (&[u8], &[u8]) = self.entity.as_ref().map_or((b"", b""), |entity| (b"/", entity));
        let parts = [user.as_bytes(), session.as_bytes(), server.as_bytes(), slash, entity];
        let count = match mode {
            SessionMode::User => 1,
            SessionMode::Session => 2,
            SessionMode::Server => 3,
            SessionMode::Entity => 5,
        };
        IsolationName::of(&sha256(parts.get(..count).unwrap_or(&parts)))
    }
}

/// Shows what it consists of, and names nobody.
impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entity = self.entity.as_ref().map(|entity| entity.len());
        f.debug_struct("SessionKey").field("user", &self.user).field("entity", &entity).finish_non_exhaustive()
    }
}

/// A user name for a SOCKS proxy that keeps connections apart: 44 characters of base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IsolationName([u8; 44]);

impl IsolationName {
    fn of(hash: &[u8; 32]) -> Self {
        let mut name = [0; 44];
        // A hash takes exactly so many characters, with the padding.
        let _ = base64_url_encode(hash, true, &mut name);
        // The alphabet for URLs differs in two characters.
        for byte in &mut name {
            *byte = match *byte {
                b'-' => b'+',
                b'_' => b'/',
                other => other,
            };
        }
        Self(name)
    }

    /// The characters.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 44] {
        &self.0
    }
}

impl fmt::Debug for IsolationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IsolationName(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::format;

    const MODES: [SessionMode; 4] = [SessionMode::User, SessionMode::Session, SessionMode::Server, SessionMode::Entity];

    fn server(hosts: &str) -> Server {
        Server::parse(&format!("smp://LcJU@{hosts}")).unwrap()
    }

    #[test]
    fn entities_have_connections_of_their_own_in_one_mode() {
        let (one, other) = (server("a.example"), server("b.example"));
        for mode in MODES {
            let key = |user, server, entity: &[u8]| SessionKey::new(mode, UserId(user), server, entity);
            let first = key(1, &one, b"first");
            assert_eq!(first, key(1, &one, b"first"));
            assert_ne!(first, key(2, &one, b"first"));
            assert_ne!(first, key(1, &other, b"first"));
            assert_eq!(first == key(1, &one, b"second"), mode != SessionMode::Entity);
            assert_eq!(first.entity(), (mode == SessionMode::Entity).then_some(&b"first"[..]));
            assert_eq!((first.user(), first.server()), (UserId(1), &one));
        }
    }

    #[test]
    fn names_tell_apart_what_the_mode_says() {
        let (one, other) = (server("a.example"), server("b.example"));
        for (mode, different) in MODES.into_iter().zip([2, 4, 8, 16]) {
            let mut names = BTreeSet::new();
            for user in [1, 2] {
                for started in [10, 11] {
                    for server in [&one, &other] {
                        for entity in [b"first", b"other"] {
                            let key = SessionKey::new(mode, UserId(user), server, entity);
                            names.insert(*key.isolation(mode, started).as_bytes());
                        }
                    }
                }
            }
            assert_eq!(names.len(), different, "{mode:?}");
        }
    }

    /// SHA-256 of the texts `7`, `7:1700000000000` and so on, taken with another program.
    #[test]
    fn names_are_hashes_of_a_text() {
        let server = server("a.example,b.onion:443");
        let expected = [
            "eQJpm+Qsio5G+7tFAXJlF+hrIsVqGJ92JabaSQgbJFE=",
            "I2TwP5fqOx637ux02nNsnK9TG/xa7zZfyVOQd+ralms=",
            "n2Td3YvEC5PATzpeT+VRsE42NBIV83itr8b1mwaZ0+g=",
            "+lCjFKCD9PSzNwEi9/Kfgy3+EebvRZxSOoIWl6qx3w0=",
        ];
        for (mode, expected) in MODES.into_iter().zip(expected) {
            let key = SessionKey::new(mode, UserId(7), &server, b"\x00id\xff");
            let name = key.isolation(mode, 1_700_000_000_000);
            assert_eq!(core::str::from_utf8(name.as_bytes()), Ok(expected));
        }
    }

    #[test]
    fn debugging_names_nobody() {
        let key = SessionKey::new(SessionMode::Entity, UserId(7), &server("a.example"), b"entity");
        let shown = format!("{key:?} {:?}", key.isolation(SessionMode::Entity, 1));
        assert!(!shown.contains("example") && !shown.contains("entity\"") && !shown.contains("101"), "{shown}");
    }
}
