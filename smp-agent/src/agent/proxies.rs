//! Which proxy each session with a relay goes through.

use alloc::collections::BTreeMap;

use crate::policy::server::Server;
use crate::policy::session::SessionKey;

/// How many sessions are remembered. Peers name relays, as many as they like; whoever has been forgotten gets a proxy
/// anew.
const KEPT: usize = 4096;

/// The proxies that were chosen last, so that a relay is not seen to be used through many of them.
#[derive(Default)]
pub(super) struct Proxies {
    /// Each with the number of its last use.
    chosen: BTreeMap<SessionKey, (u64, Server)>,
    uses: u64,
}

impl Proxies {
    /// The proxy of a session, which is used now.
    pub(super) fn of(&mut self, session: &SessionKey) -> Option<&Server> {
        let (used, proxy) = self.chosen.get_mut(session)?;
        self.uses = self.uses.wrapping_add(1);
        *used = self.uses;
        Some(proxy)
    }

    /// Remembers a choice; when there are too many, the one that was used longest ago is forgotten.
    pub(super) fn keep(&mut self, session: SessionKey, proxy: Server) {
        if self.chosen.len() >= KEPT && !self.chosen.contains_key(&session) {
            let oldest = self.chosen.iter().min_by_key(|(_, (used, _))| *used).map(|(session, _)| session.clone());
            if let Some(oldest) = oldest {
                self.chosen.remove(&oldest);
            }
        }
        self.uses = self.uses.wrapping_add(1);
        self.chosen.insert(session, (self.uses, proxy));
    }

    /// Another one may do better.
    pub(super) fn forget(&mut self, session: &SessionKey) {
        self.chosen.remove(session);
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::policy::server::{ConfiguredServer, UserId};
    use crate::policy::session::SessionMode;

    fn server(host: &str) -> Server {
        let hash = "-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=";
        ConfiguredServer::parse(&format!("smp://{hash}@{host}")).unwrap().server
    }

    fn session(number: usize) -> SessionKey {
        SessionKey::new(SessionMode::Session, UserId(1), &server(&format!("{number}.example")), b"")
    }

    #[test]
    fn the_longest_unused_makes_room() {
        let mut proxies = Proxies::default();
        for number in 0..KEPT {
            proxies.keep(session(number), server("proxy.example"));
        }
        assert!(proxies.of(&session(0)).is_some());
        for number in KEPT..KEPT + 10 {
            proxies.keep(session(number), server("proxy.example"));
        }
        assert_eq!(proxies.chosen.len(), KEPT);
        assert!(proxies.of(&session(0)).is_some());
        assert!((1..=10).all(|number| proxies.of(&session(number)).is_none()));
        assert!((11..KEPT + 10).all(|number| proxies.of(&session(number)).is_some()));
    }

    #[test]
    fn the_last_choice_counts_until_it_is_forgotten() {
        let mut proxies = Proxies::default();
        proxies.keep(session(1), server("one.example"));
        proxies.keep(session(1), server("two.example"));
        assert_eq!(proxies.of(&session(1)), Some(&server("two.example")));
        proxies.forget(&session(1));
        assert_eq!(proxies.of(&session(1)), None);
    }
}
