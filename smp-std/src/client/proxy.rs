//! Private routing: commands to a relay through a proxy, which learns neither the commands nor their answers, so that the
//! relay does not learn the client's address (wire reference, section 12).

mod envelope;
mod failure;

use std::future::Future;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use smp_crypto::certificate::{MAX_CHAIN_LENGTH, validate_server_chain};
use smp_crypto::signed_key::SignedKey;
use smp_proto::address::ServerAddress;
use smp_proto::smp::password::PasswordRef;
use smp_proto::smp::proxy::{ProxyForward, ProxyKey, ProxySession as SessionRequest};
use smp_proto::smp::{BrokerMessage, Command};
use smp_proto::version::{SmpVersion, VersionRange};

use super::carrier::{Answer, Sealed, SenderCommands};
use super::encode::new_correlation_id;
use super::multiplex::Kind;
use super::{Client, ClientError, CommandKey, Id};
use envelope::RelaySession;
pub use failure::ProxyFailure;

/// A session that a proxy has with a relay, and the way to the relay through it. Clones share it.
///
/// The relay is the one its address names, whatever the proxy says: its certificates and the signature of its session
/// key have been checked. See [`SenderCommands`] for what can be sent.
///
/// The proxy may lose the session at any time, for instance when the relay is restarted; commands then fail with
/// [`ProxyFailure::NoSession`] and another session has to be asked for. [`Router`](super::Router) does so by itself.
#[derive(Clone, Debug)]
pub struct ProxySession {
    proxy: Client,
    session: Arc<RelaySession>,
}

impl Client {
    /// `PRXY`: asks this relay, as a proxy, for its session with another relay. The password is that of the proxy. The
    /// highest version that the relay, the proxy and this client know is chosen.
    ///
    /// # Errors
    /// [`ClientError::Identity`] when what the proxy gives for the relay's session key does not belong to the address: the
    /// proxy is hostile, or somebody is between it and the relay. [`ClientError::Proxy`] for what the proxy cannot do;
    /// [`ClientError::NoFingerprint`], [`ClientError::UnusableKey`] for a password with characters none may have; others
    /// of the connection to the proxy.
    pub async fn proxy_session(
        &self,
        relay: &ServerAddress<'_>,
        password: Option<&[u8]>,
    ) -> Result<ProxySession, ClientError> {
        let fingerprint = relay.fingerprint().ok_or(ClientError::NoFingerprint)?;
        if self.session().version < SmpVersion::PRIVATE_ROUTING {
            return Err(ClientError::Proxy(ProxyFailure::TooOld));
        }
        let password = password.map(PasswordRef::new).transpose().map_err(|_| ClientError::UnusableKey)?;
        let command = Command::ProxySession(SessionRequest { server: *relay, password });
        // The proxy may have to connect first.
        let time_out = self.connect_time_out.saturating_add(self.response_time_out());
        let response = self.request(new_correlation_id(), &Id::EMPTY, Kind::Plain, &command, None, time_out).await;
        let response = response.map_err(of_proxy)?;
        let BrokerMessage::ProxyKey(key) = self.decode(&response)? else { return Err(ClientError::Unexpected) };
        let session = accept(&key, &fingerprint, self.versions, now())?;
        Ok(ProxySession { proxy: self.clone(), session: Arc::new(session) })
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// An answer of the proxy itself is not one of the relay.
fn of_proxy(error: ClientError) -> ClientError {
    match error {
        ClientError::Relay(error) => ClientError::Proxy(ProxyFailure::from_answer(&error.get())),
        error => error,
    }
}

/// Checks what a proxy says about its session with the relay of this fingerprint (wire reference, section 12.1, step 4).
fn accept(
    key: &ProxyKey<'_>,
    fingerprint: &[u8; 32],
    known: VersionRange<SmpVersion>,
    now: i64,
) -> Result<RelaySession, ClientError> {
    if key.chain.len() > MAX_CHAIN_LENGTH {
        return Err(ClientError::Identity);
    }
    let chain: Vec<&[u8]> = key.chain.iter().collect();
    let validated = validate_server_chain(&chain, fingerprint, now).map_err(|_| ClientError::Identity)?;
    let relay_key = SignedKey::from_der(key.signed_key.as_bytes())
        .and_then(|signed| signed.verify(&validated.leaf_key))
        .map_err(|_| ClientError::Identity)?;
    let version = known.intersection(&key.versions).map(|common| common.max());
    let version = version
        .filter(|version| *version >= SmpVersion::PRIVATE_ROUTING)
        .ok_or(ClientError::Proxy(ProxyFailure::NoCommonVersion))?;
    if key.session_id.is_empty() {
        return Err(ClientError::Malformed);
    }
    let id = Id::new(key.session_id.as_bytes()).ok_or(ClientError::Malformed)?;
    Ok(RelaySession { id, version, key: relay_key })
}

impl ProxySession {
    /// The version the relay is spoken to in.
    #[must_use]
    pub fn version(&self) -> SmpVersion {
        self.session.version
    }

    /// The connection to the proxy.
    #[must_use]
    pub const fn proxy(&self) -> &Client {
        &self.proxy
    }

    /// Whether the connection to the proxy has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.proxy.is_closed()
    }

    /// Whether both are the same session.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.session, &other.session)
    }

    async fn forward(
        &self,
        entity: &Id,
        command: &Command<'_>,
        key: Option<&CommandKey>,
    ) -> Result<Answer, ClientError> {
        let sealed = self.session.seal(entity, command, key)?;
        let forward = ProxyForward { version: self.session.version, key: sealed.key, encrypted: &sealed.encrypted };
        let command = Command::ProxyForward(forward);
        // Twice, because there are two hops.
        let time_out = self.proxy.response_time_out().saturating_mul(2);
        let request =
            self.proxy.request(sealed.correlation_id, &self.session.id, Kind::Plain, &command, None, time_out);
        let response = request.await.map_err(of_proxy)?;
        let BrokerMessage::ProxyResponse(encrypted) = self.proxy.decode(&response)? else {
            return Err(ClientError::Unexpected);
        };
        let bytes = sealed.opening.open(&mut encrypted.to_vec())?;
        Ok(Answer { bytes, version: self.session.version })
    }
}

impl Sealed for ProxySession {}

impl SenderCommands for ProxySession {
    fn exchange<'a>(
        &'a self,
        entity: &'a Id,
        command: &'a Command<'a>,
        key: Option<&'a CommandKey>,
    ) -> impl Future<Output = Result<Answer, ClientError>> + Send + 'a {
        self.forward(entity, command, key)
    }
}

#[cfg(test)]
mod tests;
