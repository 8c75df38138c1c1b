//! RSLV (wire reference of version 20, section 3).

use std::sync::Arc;

use smp_proto::smp::error::{NameError, SmpError};
use smp_proto::smp::names::Domain;
use tokio_util::task::AbortOnDropHandle;

use super::Answer;
use crate::relay::Relay;
use crate::relay::names::{NameFailure, Resolver};
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

    /// The answer to RSLV. The name is looked up in a task of its own, as long as somebody waits for it: others who ask for
    /// it wait for the same answer, and must not depend on a connection that waits for its client.
    pub(in crate::relay) fn answer_name(self: &Arc<Self>, domain: String) -> Answer {
        let counters = &self.stats.names;
        counters.requests.one();
        let Some(resolver) = self.resolver.read().clone() else {
            counters.disabled.one();
            return Answer::Now(Body::Error(SmpError::Name(NameError::NoResolver)));
        };
        let looking = self.tasks.spawn(Arc::clone(self).resolve_name(resolver, domain));
        let looking = AbortOnDropHandle::new(looking);
        Answer::Later(Box::pin(async move { looking.await.unwrap_or(Body::Error(SmpError::Internal)).into() }))
    }

    /// Takes as long as the resolver may.
    async fn resolve_name(self: Arc<Self>, resolver: Arc<Resolver>, domain: String) -> Body {
        let counters = &self.stats.names;
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
