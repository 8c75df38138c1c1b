//! RSLV (wire reference of version 20, section 3).

use std::sync::Arc;

use smp_proto::smp::error::{NameError, SmpError};
use smp_proto::smp::names::Domain;

use crate::relay::Relay;
use crate::relay::names::NameFailure;
use crate::relay::reply::Body;

impl Relay {
    /// Asks at the start whether the resolver works, for the operator's log.
    pub(in crate::relay) async fn greet_resolver(self: Arc<Self>) {
        let Some(resolver) = self.resolver.read().clone() else { return };
        match resolver.is_healthy().await {
            true => tracing::info!("the name resolver answers"),
            false => tracing::warn!("the name resolver does not answer; clients asking for names are told so"),
        }
    }

    /// The answer to RSLV. Takes as long as the resolver may.
    pub(in crate::relay) async fn resolve_name(self: Arc<Self>, domain: String) -> Body {
        let counters = &self.stats.names;
        counters.requests.one();
        let Some(resolver) = self.resolver.read().clone() else {
            counters.disabled.one();
            return Body::Error(SmpError::Name(NameError::NoResolver));
        };
        match resolver.resolve(&domain).await {
            Ok(record) => {
                counters.successes.one();
                Body::Name(record)
            }
            Err(NameFailure::NotFound) => {
                counters.not_found.one();
                Body::Error(SmpError::Name(NameError::NotFound))
            }
            Err(NameFailure::Resolver(failure)) => {
                counters.resolver_errors.one();
                Body::ResolverFailed(failure)
            }
        }
    }
}

/// The name as it is looked up.
pub(in crate::relay) fn lower_case(domain: &Domain<'_>) -> String {
    domain.to_string()
}
