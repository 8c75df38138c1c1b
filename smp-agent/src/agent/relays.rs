//! Which relay, which way.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use smp_proto::address::ServerAddress;

use super::Agent;
use super::work::{Attempt, Work};
use crate::id::ConnectionId;
use crate::policy::choice::{self, Tried};
use crate::policy::routing::{self, Next, Way};
use crate::policy::server::{Role, Server, ServerList, ServerPassword, UserId};
use crate::policy::session::SessionKey;
use crate::request::{Failure, Operation, Reason, Reporter, ServerAccess};
use crate::storage::Storage;
use crate::time::{MINUTE, Time};

/// How long a proxy that has failed comes after others, in milliseconds.
const PROXY_FAILING: u64 = 10 * MINUTE;

impl<S: Storage, R: CryptoRng> Agent<S, R> {
    /// The session in which something for a connection is done.
    pub(super) fn session(&self, user: UserId, server: &Server, connection: ConnectionId) -> SessionKey {
        SessionKey::new(self.configuration.session_mode, user, server, connection.as_bytes())
    }

    /// The session in which a link is read: relays cannot tell from it who connects afterwards.
    pub(super) fn link_session(&self, user: UserId, server: &Server, link_id: &[u8]) -> SessionKey {
        SessionKey::new(self.configuration.session_mode, user, server, link_id)
    }

    /// Relays for new receive queues: of different operators, and other ones than those in use.
    pub(super) fn choose_servers(&mut self, user: UserId, count: usize, used: &[Server]) -> Vec<Server> {
        let Some(servers) = self.users.get(&user) else { return Vec::new() };
        if count <= 1 {
            let chosen = choice::next(servers, Role::Storage, used, &mut self.random);
            return chosen.map(|chosen| chosen.server.clone()).into_iter().collect();
        }
        let chosen = choice::several(servers, Role::Storage, count, used, &mut self.random);
        chosen.into_iter().map(|chosen| chosen.server.clone()).collect()
    }

    /// A relay for a queue that could not be created at those that were tried.
    pub(super) fn choose_other_server(
        &mut self,
        user: UserId,
        used: &[Server],
        tried: &mut Vec<Server>,
    ) -> Option<Server> {
        let servers = self.users.get(&user)?;
        let mut all = Tried::from(core::mem::take(tried));
        let chosen = choice::next_untried(servers, Role::Storage, used, &mut all, &mut self.random);
        let chosen = chosen.map(|chosen| chosen.server.clone());
        *tried = all.into();
        chosen
    }

    /// What a relay asks of its users.
    pub(super) fn password(&self, user: UserId, server: &Server) -> Option<ServerPassword> {
        let configured = self.users.get(&user)?.get(server)?;
        configured.password.clone()
    }

    /// Whether there is a way to a relay that the routing allows: directly, or through a proxy that is another relay.
    pub(super) fn has_way_to(&self, user: UserId, server: &Server) -> bool {
        let Some(servers) = self.users.get(&user) else { return false };
        let (address, network) = (server.address(), &self.configuration.network);
        self.configuration.routing.way(&address, servers, network) == Way::Direct
            || self.configuration.routing.permits_direct(&address, network)
            || servers.for_role(Role::Proxy).iter().any(|proxy| !proxy.server.shares_host(server))
    }

    /// An attempt of a sender's: through a proxy where the policy wants it.
    ///
    /// `None` when it wants one, has none, and a direct connection is not allowed; the work is then tried again later.
    pub(super) fn sending(&mut self, work: &Work, session: SessionKey, operation: Operation) -> Option<Attempt> {
        let user = session.user();
        let nobody = ServerList::default();
        let servers = self.users.get(&user).unwrap_or(&nobody);
        let address: ServerAddress<'_> = session.server().address();
        let way = self.configuration.routing.way(&address, servers, &self.configuration.network);
        let direct = self.direct.remove(work);
        if way == Way::Direct || direct {
            return Some(Attempt::direct(session, operation));
        }
        match self.proxy(&session) {
            Some(proxy) => Some(Attempt { session, proxy: Some(proxy), operation, message: None }),
            None if self.configuration.routing.permits_direct(&address, &self.configuration.network) => {
                Some(Attempt::direct(session, operation))
            }
            None => {
                self.retry(work);
                None
            }
        }
    }

    /// The proxy for a session: the one it had, or one of another operator than the relay's; one that has not failed
    /// lately where there is one.
    ///
    /// The operator counts for more: a relay can make others' proxies fail, and must not get its own operator's chosen so.
    fn proxy(&mut self, session: &SessionKey) -> Option<ServerAccess> {
        let servers = self.users.get(&session.user())?;
        let relay = session.server();
        let now = self.now;
        let failing = self
            .failing_proxies
            .iter()
            .filter(|((_, to), until)| **until > now && to.as_ref().is_none_or(|to| to == relay));
        let mut failing: Vec<(Time, Server)> = failing.map(|((proxy, _), until)| (*until, proxy.clone())).collect();
        failing.sort_by(|one, other| other.cmp(one));
        let mut failing: Vec<Server> = failing.into_iter().map(|(_, proxy)| proxy).collect();
        let usable = |proxy: &&Server| servers.get(proxy).is_some() && !failing.contains(*proxy);
        let known = self.proxies.of(session).filter(usable);
        let proxy = match known {
            Some(proxy) => proxy.clone(),
            None => {
                let used = [relay.clone()];
                let chosen = loop {
                    let mut tried = Tried::from(failing.clone());
                    let chosen = choice::next_untried(servers, Role::Proxy, &used, &mut tried, &mut self.random);
                    let chosen = chosen?.server.clone();
                    if !failing.iter().any(|proxy| proxy.shares_host(&chosen)) {
                        break chosen;
                    }
                    // None is left that did not fail: the one whose failure is longest ago counts again.
                    failing.pop();
                };
                // A relay is no proxy for itself.
                if chosen.shares_host(relay) {
                    return None;
                }
                self.proxies.keep(session.clone(), chosen.clone());
                chosen
            }
        };
        let password = self.password(session.user(), &proxy);
        Some(ServerAccess { server: proxy, password })
    }

    /// What became of a request through a proxy says whether others are preferred for a while.
    pub(super) fn judge_proxy(&mut self, proxy: &Server, session: &SessionKey, failure: Option<&Failure>) {
        let to_relay = (proxy.clone(), Some(session.server().clone()));
        let now = self.now;
        match failure.map(|failure| failure.by) {
            // The relay itself has answered.
            None | Some(Reporter::Relay) => {
                self.failing_proxies.remove(&to_relay);
                self.failing_proxies.remove(&(proxy.clone(), None));
            }
            Some(by) => {
                self.failing_proxies.retain(|_, until| *until > now);
                let what = if by == Reporter::Proxy { (proxy.clone(), None) } else { to_relay };
                self.failing_proxies.insert(what, now.after(PROXY_FAILING));
            }
        }
    }

    /// Whether something that failed on its way through a proxy goes directly next time, at once.
    pub(super) fn goes_directly(&mut self, work: &Work, session: &SessionKey, failure: &Failure) -> bool {
        if failure.by == Reporter::Relay {
            return false;
        }
        let kind = match failure.reason {
            Reason::NoSession => routing::Failure::NoSession,
            _ if failure.is_of_host() => routing::Failure::Host,
            _ => routing::Failure::Other,
        };
        let address = session.server().address();
        let next = self.configuration.routing.after(kind, true, &address, &self.configuration.network);
        if next == Next::Direct {
            self.direct.insert(work.clone());
            return true;
        }
        false
    }
}
