//! From bytes to commands that may be executed: the pipeline of the wire reference, section 6.5, up to step 6.
//!
//! All entries of a block pass through here before any is executed, so that none of them sees what another one changes.

#[cfg(test)]
mod reads;
#[cfg(test)]
mod timing;
mod verification;

use std::sync::Arc;

use parking_lot::Mutex;
use smp_crypto::authorization::{Agreements, Decoy};
use smp_crypto::key::{Verify, X25519SecretKey};
use smp_crypto::session::{SessionContext, SessionService};
use smp_proto::id::{EntityId, SessionId};
use smp_proto::smp::Command;
use smp_proto::smp::error::{CommandError, SmpError};
use smp_proto::transport::transmission::{Authorization, Transmission};
use smp_proto::version::SmpVersion;
use smp_proto::wire::Reader;

use super::connection::turns::{Turn, Work};
use super::reply::{Body, Reply, ShortBytes};
use super::stats::Stats;
use super::store::{LookedUp, QueueRecord, Side, Store, StoreError};

/// A command with everything that is needed to execute it.
#[derive(Debug)]
pub(super) struct Authorized<'a> {
    pub(super) correlation: ShortBytes,
    pub(super) entity: ShortBytes,
    pub(super) command: Command<'a>,
    /// The queue as it was when the command was authorized; none for NEW and PING.
    pub(super) record: Option<Arc<QueueRecord>>,
}

/// What the session key of a connection and the keys of its client agree on. Nothing until a message was sent or
/// acknowledged: an idle connection has no use for it.
pub(super) type Kept = Mutex<Option<Box<Agreements>>>;

/// What a connection agreed on, as far as authorization goes.
pub(super) struct Terms<'s> {
    pub(super) version: SmpVersion,
    pub(super) session_id: SessionId<'s>,
    /// The relay's session key, which authenticators are made for; none below version 7.
    pub(super) session_key: Option<&'s X25519SecretKey>,
    /// What stands in for the keys that entities do not have.
    pub(super) decoy: &'s Decoy,
    /// What it and the client's keys agree on; none for commands through a proxy, which are of many clients.
    pub(super) agreements: Option<&'s Kept>,
    /// The commands come through a proxy, which only some may.
    pub(super) is_forwarded: bool,
    /// Where refusals are counted.
    pub(super) stats: &'s Stats,
    /// The service the client is.
    pub(super) service: Option<&'s SessionService>,
}

impl<'s> Terms<'s> {
    /// Of commands that come in a session itself.
    pub(super) fn of(context: &'s SessionContext, decoy: &'s Decoy, agreements: &'s Kept, stats: &'s Stats) -> Self {
        Self {
            version: context.version(),
            session_id: context.session_id(),
            session_key: context.own_secret_key(),
            decoy,
            agreements: Some(agreements),
            is_forwarded: false,
            stats,
            service: context.service(),
        }
    }
}

impl Terms<'_> {
    /// Reads one entry of a batch and authorizes it, or says what to answer. Others have a turn when it is over: before, or
    /// between keys of the queue.
    pub(super) async fn authorize<'a>(
        &self,
        store: &Store,
        turn: &mut Turn,
        entry: &'a [u8],
    ) -> Result<Authorized<'a>, Reply> {
        let decoded = Transmission::decode(entry, self.version, self.session_id);
        turn.spend(decoded.as_ref().map_or(Work::Command, |it| Work::verifying(&it.authorization))).await;
        let transmission = decoded
            .map_err(|error| Reply::response(error.correlation_id().as_bytes(), &[], Body::Error(error.error())))?;
        self.check(store, turn, &transmission).await.map_err(|error| {
            Reply::response(
                transmission.correlation_id.as_bytes(),
                transmission.entity_id.as_bytes(),
                Body::Error(error),
            )
        })
    }

    async fn check<'a>(
        &self,
        store: &Store,
        turn: &mut Turn,
        transmission: &Transmission<'a>,
    ) -> Result<Authorized<'a>, SmpError<'static>> {
        let command =
            Command::decode(&mut Reader::new(transmission.command), self.version).map_err(SmpError::Command)?;
        command
            .check_credentials(transmission.authorization.is_some(), transmission.entity_id)
            .map_err(SmpError::Command)?;
        if self.is_forwarded && !command.may_be_forwarded() {
            return Err(SmpError::Command(CommandError::Prohibited));
        }
        self.check_service(transmission, &command)?;
        let mut looked_up = None;
        let record = self.authorize_entity(store, turn, transmission, &command, &mut looked_up).await;
        let record = record.inspect_err(|error| {
            if let (SmpError::Auth, Some(looked_up)) = (error, &looked_up) {
                store.look_up_opposite(looked_up);
            }
            self.stats.refused(&command, error);
        })?;
        Ok(Authorized {
            correlation: ShortBytes::from_slice(transmission.correlation_id.as_bytes()),
            entity: ShortBytes::from_slice(transmission.entity_id.as_bytes()),
            command,
            record,
        })
    }

    /// In the session of a service, only its own commands are allowed, and those that associate queues with it are signed
    /// by it too (wire reference, section 6.4).
    fn check_service(&self, transmission: &Transmission<'_>, command: &Command<'_>) -> Result<(), SmpError<'static>> {
        let Some(service) = self.service else {
            return if transmission.service_signature.is_some() { Err(SmpError::Service) } else { Ok(()) };
        };
        if command.party().is_some_and(|party| party != service.role()) {
            return Err(SmpError::Command(CommandError::Prohibited));
        }
        let signed = matches!(command, Command::New(_) | Command::Subscribe | Command::SubscribeNotifications);
        match transmission.service_signature {
            Some(signature) if signed && self.is_signed_by(service, transmission, signature)? => Ok(()),
            None if !signed => Ok(()),
            _ => Err(SmpError::Service),
        }
    }

    /// SUBS and NSUBS: the service itself is the entity, and authorizes by its key of the session.
    fn authorize_service(&self, transmission: &Transmission<'_>) -> Result<(), SmpError<'static>> {
        let (Some(service), Authorization::Ed25519(signature)) = (self.service, transmission.authorization) else {
            return Err(SmpError::Service);
        };
        // Whichever service is meant, the same work is done.
        let signed = self.is_signed_by(service, transmission, signature)?;
        let meant = transmission.entity_id.as_bytes() == service.id().as_bytes();
        if signed && meant { Ok(()) } else { Err(SmpError::Service) }
    }

    fn is_signed_by(
        &self,
        service: &SessionService,
        transmission: &Transmission<'_>,
        signature: &[u8],
    ) -> Result<bool, SmpError<'static>> {
        let session_id = self.session_id.as_bytes();
        let length = [u8::try_from(session_id.len()).map_err(|_| SmpError::Block)?];
        let signed = [&length[..], session_id, transmission.authorized_tail()];
        #[cfg(test)]
        reads::note_verification();
        Ok(service.key().verify_parts(&signed, signature).is_ok())
    }

    async fn authorize_entity(
        &self,
        store: &Store,
        turn: &mut Turn,
        transmission: &Transmission<'_>,
        command: &Command<'_>,
        looked_up: &mut Option<LookedUp>,
    ) -> Result<Option<Arc<QueueRecord>>, SmpError<'static>> {
        let mut look_up = |side| look_up(store, side, transmission.entity_id, looked_up);
        match command {
            Command::Ping
            | Command::ResolveName(_)
            | Command::ProxySession(_)
            | Command::ProxyForward(_)
            | Command::RelayForward(_) => Ok(None),
            Command::New(new) => {
                self.verify(transmission, Some(&new.recipient_key), None)?;
                Ok(None)
            }
            Command::Subscribe
            | Command::Secure(_)
            | Command::Get
            | Command::Acknowledge(_)
            | Command::Suspend
            | Command::Delete
            | Command::EnableNotifications(_)
            | Command::DisableNotifications
            | Command::SetRecipientKeys(_)
            | Command::SetLink(_)
            | Command::DeleteLink
            | Command::QueueInfo => {
                let record = look_up(None)?;
                let keys = record.as_ref().map(|record| &record.recipient_keys);
                let frequent = matches!(command, Command::Acknowledge(_));
                self.verify_by_any(transmission, turn, keys, self.agreements.filter(|_| frequent)).await?;
                unblocked(record, matches!(command, Command::Suspend | Command::Delete))
            }
            Command::SecureBySender(key) => {
                let record = look_up(Some(Side::Sender))?;
                self.verify_new_key(transmission, record.as_deref(), key)?;
                unblocked(record, false)
            }
            Command::Send(_) => {
                let record = look_up(Some(Side::Sender))?;
                let key = record.as_ref().and_then(|record| record.sender_key);
                let open = record.is_some() && key.is_none();
                if transmission.authorization.is_some() || !open {
                    self.verify(transmission, key.as_ref(), self.agreements)?;
                }
                Ok(record)
            }
            Command::SubscribeService(_) | Command::SubscribeNotifierService(_) => {
                self.authorize_service(transmission)?;
                Ok(None)
            }
            Command::SubscribeNotifications => {
                let record = look_up(Some(Side::Notifier))?;
                let key = record.as_ref().and_then(|record| record.notifier.as_ref()).map(|notifier| &notifier.key);
                self.verify(transmission, key, None)?;
                // Blocked queues have their notifier all the same.
                Ok(record)
            }
            Command::SecureByLink(key) => {
                let record = look_up(Some(Side::Link))?;
                self.verify_new_key(transmission, record.as_deref(), key)?;
                unblocked(record, false)
            }
            Command::GetLink => {
                let record = look_up(Some(Side::Link))?;
                // No signature is involved, so there is none to spend time on either.
                let record = record.filter(|record| record.is_open_to_all()).ok_or(SmpError::Auth)?;
                unblocked(Some(record), false)
            }
        }
    }
}

/// Reads the record of an entity by its id on a side, the recipient's where none is given; ids of another length name
/// nothing.
fn look_up(
    store: &Store,
    side: Option<Side>,
    entity: EntityId<'_>,
    looked_up: &mut Option<LookedUp>,
) -> Result<Option<Arc<QueueRecord>>, SmpError<'static>> {
    let Some(id) = entity.to_array() else { return Ok(None) };
    let found = match side {
        None => store.queue_by_recipient(&id),
        Some(side) => store.queue_by_side(side, &id),
    };
    let found = found.map_err(|error| store_error(&error))?;
    *looked_up = Some(LookedUp { side, id, found: found.is_some() });
    Ok(found)
}

/// A blocked queue refuses most commands (wire reference, section 7.3).
fn unblocked(
    record: Option<Arc<QueueRecord>>,
    also_blocked: bool,
) -> Result<Option<Arc<QueueRecord>>, SmpError<'static>> {
    if !also_blocked && let Some(blocked) = record.as_ref().and_then(|record| record.status.blocked()) {
        return Err(SmpError::Blocked(blocked));
    }
    Ok(record)
}

/// What a client is told when the store fails: not why, which is the operator's business and stands in the log.
pub(super) fn store_error(error: &StoreError) -> SmpError<'static> {
    tracing::error!(%error, "the store failed");
    SmpError::Internal
}
