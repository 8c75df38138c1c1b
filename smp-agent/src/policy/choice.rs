//! Which server comes next (wire reference of the agent, section 21).
//!
//! Two servers that one party can watch together tell it more than either of them: a server is preferred whose operator
//! runs none of those already used, and then one that has no host in common with them. Among equals, chance decides.
//!
//! ```
//! use smp_agent::policy::choice::{self, Tried};
//! use smp_agent::policy::server::{ConfiguredServer, OperatorId, Role, ServerList};
//! # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! # let mut random = ChaCha20Rng::seed_from_u64(1); // outside examples, the system's source
//!
//! let hash = "-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=";
//! let configured = |host: &str, operator| -> Result<_, smp_proto::wire::Error> {
//!     let server = ConfiguredServer::parse(&format!("smp://{hash}@{host}"))?;
//!     Ok(ConfiguredServer { operator: Some(OperatorId(operator)), ..server })
//! };
//! let servers = ServerList::from(vec![configured("a.example", 1)?, configured("b.example", 1)?, configured("c.example", 2)?]);
//!
//! let storage = choice::next(&servers, Role::Storage, &[], &mut random).expect("there are servers");
//! let used = [storage.server.clone()];
//! let proxy = choice::next(&servers, Role::Proxy, &used, &mut random).expect("there are servers");
//! assert_ne!(proxy.operator, storage.operator);
//! # Ok::<(), smp_proto::wire::Error>(())
//! ```

use alloc::vec::Vec;

use rand_core::Rng;
use serde::{Deserialize, Serialize};

use super::server::{ConfiguredServer, OperatorId, Role, Server, ServerList};

/// The servers tried so far for one purpose.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tried(Vec<Server>);

impl Tried {
    /// None so far.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }
}

impl From<Vec<Server>> for Tried {
    fn from(servers: Vec<Server>) -> Self {
        Self(servers)
    }
}

impl From<Tried> for Vec<Server> {
    fn from(tried: Tried) -> Self {
        tried.0
    }
}

/// Chooses a server for a role. `used` are the servers that it should differ from: where the peer has its queue, the
/// queues the connection has already, or, when a proxy is chosen, the destination.
///
/// Gives `None` only if the list is empty: where nothing better can be had, it gives a server that is used, and if no
/// server is enabled for the role, one that is not. Operators of used servers are known for servers in the list only.
#[must_use]
pub fn next<'l>(
    servers: &'l ServerList,
    role: Role,
    used: &[Server],
    random: &mut dyn Rng,
) -> Option<&'l ConfiguredServer> {
    next_untried(servers, role, used, &mut Tried::none(), random)
}

/// Chooses a server as [`next`] does, for an attempt that follows failed ones: another one than those tried, until there
/// is none; then all count as untried again. What is chosen is added to `tried`.
#[must_use]
pub fn next_untried<'l>(
    servers: &'l ServerList,
    role: Role,
    used: &[Server],
    tried: &mut Tried,
    random: &mut dyn Rng,
) -> Option<&'l ConfiguredServer> {
    let operators = operators(servers, used);
    let candidates = servers.for_role(role);
    let candidates = prefer(candidates, |candidate| !operators.contains(&candidate.operator));
    if candidates
        .iter()
        .all(|candidate| shares_host(&candidate.server, used) || shares_host(&candidate.server, &tried.0))
    {
        tried.0.clear();
    }
    let candidates = prefer(candidates, |candidate| {
        !shares_host(&candidate.server, used) && !shares_host(&candidate.server, &tried.0)
    });
    let chosen = pick(&candidates, random)?;
    tried.0.push(chosen.server.clone());
    Some(chosen)
}

/// Chooses up to `count` servers at once for a role, none of which shares a host with another: for receive queues that
/// stand in for each other. There are fewer if the list has no more.
///
/// They are of as many operators as possible, first of such that run no used server; once all operators had their turn,
/// it begins again. Among the servers of an operator, those without a used host come first.
#[must_use]
pub fn several<'l>(
    servers: &'l ServerList,
    role: Role,
    count: usize,
    used: &[Server],
    random: &mut dyn Rng,
) -> Vec<&'l ConfiguredServer> {
    let used_operators = operators(servers, used);
    let mut candidates = servers.for_role(role);
    let mut chosen: Vec<&ConfiguredServer> = Vec::new();
    while chosen.len() < count {
        let rank = |candidate: &ConfiguredServer| {
            let turns = chosen.iter().filter(|one| one.operator == candidate.operator).count();
            (turns, used_operators.contains(&candidate.operator), shares_host(&candidate.server, used))
        };
        let Some(best) = candidates.iter().map(|candidate| rank(candidate)).min() else { break };
        let equals: Vec<_> = candidates.iter().copied().filter(|candidate| rank(candidate) == best).collect();
        let Some(next) = pick(&equals, random) else { break };
        candidates.retain(|candidate| !candidate.server.shares_host(&next.server));
        chosen.push(next);
    }
    chosen
}

/// The operators of configured servers that share a host with one of these.
fn operators(servers: &ServerList, used: &[Server]) -> Vec<Option<OperatorId>> {
    servers.iter().filter(|own| shares_host(&own.server, used)).map(|own| own.operator).collect()
}

fn shares_host(server: &Server, others: &[Server]) -> bool {
    others.iter().any(|other| server.shares_host(other))
}

/// Those that are preferred, or all if none is.
fn prefer(all: Vec<&ConfiguredServer>, preferred: impl Fn(&ConfiguredServer) -> bool) -> Vec<&ConfiguredServer> {
    if all.iter().any(|server| preferred(server)) {
        all.into_iter().filter(|server| preferred(server)).collect()
    } else {
        all
    }
}

/// One of these. The probabilities differ by less than one in 2^32 for each server.
fn pick<'l>(servers: &[&'l ConfiguredServer], random: &mut dyn Rng) -> Option<&'l ConfiguredServer> {
    // The high half of the product of a number below 2^32 with the length is below the length.
    let length = u64::try_from(servers.len()).ok()?;
    let index = u64::from(random.next_u32()).checked_mul(length)? >> 32;
    servers.get(usize::try_from(index).ok()?).copied()
}

#[cfg(test)]
mod tests;
