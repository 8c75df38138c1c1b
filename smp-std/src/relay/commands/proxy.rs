//! PRXY and PFWD (wire reference, sections 12.1 and 12.2).

use std::sync::Arc;

use smp_proto::id::CorrelationId;
use smp_proto::smp::error::SmpError;
use smp_proto::smp::proxy::{ForwardedTransmission, ProxyForward, ProxySession};
use subtle::ConstantTimeEq;

use super::Answer;
use crate::relay::Relay;
use crate::relay::proxy::{Client, Failure, Upstream};
use crate::relay::reply::Body;
use crate::relay::stats::{Counter, ProxyCounters};

/// Counts a request, among those of all relays and those of the operator's own.
fn count(all: &ProxyCounters, ours: &ProxyCounters, own: bool, counter: fn(&ProxyCounters) -> &Counter) {
    counter(all).one();
    if own {
        counter(ours).one();
    }
}

impl Relay {
    /// A session with another relay.
    pub(in crate::relay) fn proxy_session(self: &Arc<Self>, client: &Client, request: &ProxySession<'_>) -> Answer {
        let config = self.config();
        let password_given = config.queues.password.as_ref().is_none_or(|password| {
            let given = request.password.as_ref().map(|password| password.as_bytes()).unwrap_or_default();
            password.as_bytes().ct_eq(given).into()
        });
        if !config.proxy.enabled || !password_given {
            return Answer::Now(Body::NotForwarded(Failure::BasicAuth));
        }
        let own = config.proxy.is_own(&request.server);
        let session = self.connect_upstream(client, &request.server);
        let relay = Arc::clone(self);
        Answer::Later(Box::pin(async move {
            let result = session.get().await;
            relay.count_session(own, &result);
            match result {
                Ok(upstream) => Body::ProxyKey(Arc::clone(upstream.key())).into(),
                Err(failure) => Body::NotForwarded(failure).into(),
            }
        }))
    }

    fn count_session(&self, own: bool, result: &Result<Arc<Upstream>, Failure>) {
        let count = |counter| count(&self.stats.proxy_sessions, &self.stats.proxy_sessions_own, own, counter);
        count(|counters| &counters.requests);
        count(match result {
            Ok(_) => |counters| &counters.successes,
            Err(failure) if failure.is_connection() => |counters| &counters.connect_errors,
            Err(failure) if failure.is_version() => |counters| &counters.version_errors,
            Err(_) => |counters| &counters.other_errors,
        });
    }

    /// A command for another relay.
    pub(in crate::relay) fn proxy_forward(
        self: &Arc<Self>,
        client: &Client,
        correlation: &[u8],
        session_id: &[u8],
        forward: &ProxyForward<'_>,
    ) -> Result<Answer, SmpError<'static>> {
        let (all, ours) = (&self.stats.proxy_forwards, &self.stats.proxy_forwards_own);
        let Some(upstream) = self.proxy.find(session_id) else {
            count(all, ours, false, |counters| &counters.requests);
            count(all, ours, false, |counters| &counters.connect_errors);
            return Ok(Answer::Now(Body::NotForwarded(Failure::NoSession)));
        };
        let own = upstream.is_own();
        count(all, ours, own, |counters| &counters.requests);
        let correlation_id = CorrelationId::new(correlation).map_err(|_| SmpError::Block)?;
        let transmission = ForwardedTransmission { correlation_id, forward: *forward };
        let response = match upstream.forward(self, client, &transmission) {
            Ok(response) => response,
            Err(failure) => {
                count(all, ours, own, |counters| &counters.other_errors);
                return Ok(Answer::Now(Body::NotForwarded(failure)));
            }
        };
        let relay = Arc::clone(self);
        Ok(Answer::Later(Box::pin(async move {
            let result = response.await;
            count(
                &relay.stats.proxy_forwards,
                &relay.stats.proxy_forwards_own,
                own,
                match &result {
                    // An answer is an answer, whatever it says.
                    Ok(_) | Err(Failure::Protocol(_)) => |counters| &counters.successes,
                    Err(_) => |counters| &counters.other_errors,
                },
            );
            match result {
                Ok(answer) => Body::ProxyResponse(Box::new(answer)).into(),
                Err(failure) => Body::NotForwarded(failure).into(),
            }
        })))
    }
}
