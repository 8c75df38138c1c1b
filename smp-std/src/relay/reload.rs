//! A new configuration for a relay that runs.

use std::sync::Arc;

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
        let mut current = self.config.write();
        let (config, later) = current.reloaded(config);
        if *identity.fingerprint() != self.fingerprint {
            return Err(RelayError::Identity("the identity certificate is another one".to_owned()));
        }
        let greeter = Greeter::new(identity, &config)?;
        if config.names != current.names {
            let resolver = Resolver::new(&config.names).map_err(|error| RelayError::Resolver(error.to_string()))?;
            *self.resolver.write() = resolver;
        }
        let site = match self.web() {
            Some(web) => Some((web, web.certificate(&config).map_err(RelayError::Web)?)),
            None => None,
        };
        self.admission.set_limits(&config.limits);
        self.proxy.set_limits(&config.proxy);
        *self.greeter.write() = Arc::new(greeter);
        if let Some((web, certificate)) = site {
            web.show(&config, certificate);
        }
        *current = Arc::new(config);
        Ok(later)
    }
}
