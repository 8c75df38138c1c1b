//! A new configuration for a relay that runs.

use std::sync::Arc;

use parking_lot::RwLockUpgradableReadGuard;

use super::config::Config;
use super::names::Resolver;
use super::session::Greeter;
use super::{Relay, RelayError};
use crate::identity::Identity;

impl Relay {
    /// Replaces the configuration, and the leaf certificate with its key, without ending any connection. Returns the names
    /// of the changed options that only the next start applies; they keep their values until then. Fails without any
    /// effect when the identity cannot be used or is another one: clients would no longer recognise the relay.
    pub fn reload(&self, config: Config, identity: &Identity) -> Result<Vec<&'static str>, RelayError> {
        // Others go on reading it until all files are read: that takes time.
        let current = self.config.upgradable_read();
        let (config, later) = current.reloaded(config);
        if *identity.fingerprint() != self.fingerprint {
            return Err(RelayError::Identity("the identity certificate is another one".to_owned()));
        }
        let greeter = Greeter::new(identity, &config)?;
        let resolver = match config.names != current.names {
            true => Some(Resolver::new(&config.names).map_err(|error| RelayError::Resolver(error.to_string()))?),
            false => None,
        };
        let site = match self.web() {
            Some(web) => Some((web, web.certificate(&config).map_err(RelayError::Web)?)),
            None => None,
        };
        // From here on nothing fails.
        if let Some(resolver) = resolver {
            *self.resolver.write() = resolver;
        }
        self.admission.set_limits(&config.limits);
        self.proxy.set_limits(&config.proxy);
        *self.greeter.write() = Arc::new(greeter);
        if let Some((web, certificate)) = site {
            web.show(&config, certificate);
        }
        *RwLockUpgradableReadGuard::upgrade(current) = Arc::new(config);
        Ok(later)
    }
}
