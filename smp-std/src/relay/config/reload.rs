//! Which options of a changed configuration take effect at once.

use super::Config;

impl Config {
    /// What a running relay makes of `new`: its options, except those that only a start can apply, and the names of those
    /// among them that changed.
    pub(crate) fn reloaded(&self, mut new: Self) -> (Self, Vec<&'static str>) {
        let mut later = Vec::new();
        keep(&mut new.server.listen, &self.server.listen, "server.listen", &mut later);
        keep(&mut new.store, &self.store, "[store]", &mut later);
        keep(&mut new.metrics, &self.metrics, "[metrics]", &mut later);
        keep(&mut new.control.socket, &self.control.socket, "control.socket", &mut later);
        keep(&mut new.web.http, &self.web.http, "web.http", &mut later);
        keep(&mut new.web.https, &self.web.https, "web.https", &mut later);
        if new.address_port() == 0 {
            // The system chose it at the start.
            new.server.port = self.server.port;
        }
        (new, later)
    }
}

/// Puts the running value back and notes the name if it changed.
fn keep<T: PartialEq + Clone>(new: &mut T, running: &T, name: &'static str, later: &mut Vec<&'static str>) {
    if new != running {
        new.clone_from(running);
        later.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::config::Engine;

    #[test]
    fn what_needs_a_start_is_kept_and_named() {
        let running = Config::default();
        let mut new = Config::parse("[queues]\nallow_new = false").unwrap();
        let (config, later) = running.reloaded(new.clone());
        assert!(!config.queues.allow_new);
        assert!(later.is_empty());
        new.server.listen = vec!["127.0.0.1:1".parse().unwrap()];
        new.store.engine = Engine::Memory;
        let (config, later) = running.reloaded(new);
        assert_eq!(config.server.listen, running.server.listen);
        assert_eq!(config.store.engine, Engine::Fjall);
        assert_eq!(later, ["server.listen", "[store]"]);
    }
}
