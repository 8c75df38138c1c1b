use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smp_proto::address::{Host, Password, Scheme, ServerAddress, ServerUri};
use smp_proto::wire::Error;
use zeroize::Zeroizing;

use super::{Bytes, OperatorId, Server};

/// What a server asks from those who want to create queues or to send through it. Clones share it, and it is wiped with
/// the last one; printing it with `Debug` hides it.
#[derive(Clone)]
pub struct ServerPassword(Arc<Zeroizing<Vec<u8>>>);

impl ServerPassword {
    /// Checks the characters, as [`Password::new`] does.
    ///
    /// # Errors
    /// The password is empty, too long, or has characters that no address can have.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        Password::new(bytes).map(|password| Self::from(&password))
    }

    /// The password itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&Password> for ServerPassword {
    fn from(password: &Password) -> Self {
        Self(Arc::new(Zeroizing::new(password.as_bytes().to_vec())))
    }
}

impl fmt::Debug for ServerPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Serialize for ServerPassword {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServerPassword {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes("the password of a server", Self::new))
    }
}

/// What a server may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Queues are created on it.
    Storage,
    /// Messages to other servers go through it.
    Proxy,
}

/// A server as a user has configured it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfiguredServer {
    /// Where it is.
    pub server: Server,
    /// What it asks for.
    pub password: Option<ServerPassword>,
    /// Who runs it. All servers without an operator count as those of one operator.
    pub operator: Option<OperatorId>,
    /// Whether it may be chosen. A server that may not is known all the same.
    pub enabled: bool,
    /// Whether queues may be created on it.
    pub storage: bool,
    /// Whether messages to other servers may go through it.
    pub proxy: bool,
}

impl ConfiguredServer {
    /// A server without an operator, enabled for both roles.
    #[must_use]
    pub const fn new(server: Server, password: Option<ServerPassword>) -> Self {
        Self { server, password, operator: None, enabled: true, storage: true, proxy: true }
    }

    /// Reads the text form of an SMP server's address, which may have a password. The server has no operator and is
    /// enabled for both roles.
    ///
    /// # Errors
    /// The text is no such address, or too long to keep.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let uri = ServerUri::parse(text)?;
        if uri.scheme() != Scheme::Smp {
            return Err(Error::Invalid);
        }
        Ok(Self::new(Server::from(uri.server()), uri.password().map(ServerPassword::from)))
    }

    /// Whether the server may be chosen for a role.
    #[must_use]
    pub const fn serves(&self, role: Role) -> bool {
        self.enabled
            && match role {
                Role::Storage => self.storage,
                Role::Proxy => self.proxy,
            }
    }
}

/// The servers of one user, in any order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ServerList(Vec<ConfiguredServer>);

impl From<Vec<ConfiguredServer>> for ServerList {
    fn from(servers: Vec<ConfiguredServer>) -> Self {
        Self(servers)
    }
}

impl ServerList {
    /// All servers, those that are not enabled among them.
    pub fn iter(&self) -> impl Iterator<Item = &ConfiguredServer> + Clone {
        self.0.iter()
    }

    /// How many servers there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no server.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The servers to choose from for a role: those that are enabled for it, and all if there is none.
    #[must_use]
    pub fn for_role(&self, role: Role) -> Vec<&ConfiguredServer> {
        let serving: Vec<_> = self.0.iter().filter(|configured| configured.serves(role)).collect();
        if serving.is_empty() { self.0.iter().collect() } else { serving }
    }

    /// What is configured for this address, if anything is. The fingerprint counts here: a password is for nobody else.
    #[must_use]
    pub fn get(&self, server: &Server) -> Option<&ConfiguredServer> {
        self.0.iter().find(|configured| configured.server == *server)
    }

    /// Whether a configured server is known by this name, also if it is not enabled.
    #[must_use]
    pub fn knows_host(&self, host: &Host<'_>) -> bool {
        self.0.iter().any(|configured| configured.server.has_host(host))
    }

    /// Whether a configured server shares a host with this one, also if it is not enabled.
    #[must_use]
    pub fn knows(&self, server: &ServerAddress<'_>) -> bool {
        server.hosts.iter().any(|host| self.knows_host(&host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    const HASH: &str = "-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=";

    fn text(rest: &str) -> String {
        format!("smp://{HASH}{rest}")
    }

    #[test]
    fn other_protocols_are_refused() {
        assert!(ConfiguredServer::parse(&format!("ntf://{HASH}@a")).is_err());
        assert!(ConfiguredServer::parse(&format!("xftp://{HASH}:password@a")).is_err());
    }

    #[test]
    fn lists_are_stored() {
        let server = Server::parse(&text("@smp.example.com,abc.onion:5223")).unwrap();
        let configured = ConfiguredServer::parse(&text(":p4ssw0rd@smp.example.com,abc.onion:5223")).unwrap();
        assert_eq!(configured.server, server);
        let list = ServerList::from(Vec::from([ConfiguredServer { storage: false, ..configured }]));
        let stored = postcard::to_allocvec(&list).unwrap();
        let list: ServerList = postcard::from_bytes(&stored).unwrap();
        let read = list.get(&server).unwrap();
        assert_eq!(read.password.as_ref().unwrap().as_bytes(), b"p4ssw0rd");
        assert!(read.enabled && read.proxy && !read.storage);
        assert!(postcard::from_bytes::<ServerPassword>(b"\x03a@b").is_err());
    }

    #[test]
    fn debugging_names_nobody() {
        let configured = ConfiguredServer::parse(&text(":p4ssw0rd@smp.example.com")).unwrap();
        let shown = format!("{configured:?}");
        assert!(shown.contains("Server(1 hosts)") && shown.contains("Secret(..)"), "{shown}");
        assert!(!shown.contains("p4ss") && !shown.contains("example"), "{shown}");
    }

    #[test]
    fn lists_fall_back_to_all_and_know_all() {
        let configured = |host: &str, enabled, storage, proxy| ConfiguredServer {
            enabled,
            storage,
            proxy,
            ..ConfiguredServer::parse(&text(host)).unwrap()
        };
        let all = [
            configured("@a", true, true, false),
            configured("@b", true, true, true),
            configured("@c", false, true, true),
        ];
        let list = ServerList::from(all.to_vec());
        let names = |servers: Vec<&ConfiguredServer>| servers.iter().map(|s| s.server.clone()).collect::<Vec<_>>();
        let [a, b, c] = all.each_ref().map(|configured| configured.server.clone());
        assert_eq!(names(list.for_role(Role::Storage)), [a.clone(), b.clone()]);
        assert_eq!(names(list.for_role(Role::Proxy)), core::slice::from_ref(&b));
        let rest = ServerList::from(Vec::from([all[0].clone(), all[2].clone()]));
        assert_eq!(names(rest.for_role(Role::Proxy)), [a, c.clone()], "also those that are not enabled");
        assert!(list.knows(&c.address()));
        assert!(list.knows(&Server::parse(&text("@x.onion,c:1234")).unwrap().address()));
        assert!(!list.knows(&Server::parse(&text("@x.onion")).unwrap().address()));
        assert!(list.get(&b).is_some());
        let stranger = Server::from_bytes(b"\x01\x01b\x00\x04hash").unwrap();
        assert!(stranger.same_server(&b) && list.get(&stranger).is_none());
        assert!(ServerList::default().for_role(Role::Storage).is_empty());
    }
}
