//! Verifies the authorization of a transmission, in the time that the supplied kind of authorization takes, whatever the
//! outcome and its reason.

use smp_crypto::authorization::{verify, verify_again};
use smp_proto::key::AuthorizationKey;
use smp_proto::smp::error::SmpError;
use smp_proto::transport::transmission::{Authorization, Transmission};

use super::{Kept, Terms};
use crate::relay::connection::turns::{Turn, Work};
use crate::relay::store::{QueueMode, QueueRecord, RecipientKeys};

impl Terms<'_> {
    /// SKEY and LKEY: the sender's new key proves itself; where it is not allowed, the time of a proof is spent all the
    /// same.
    pub(super) fn verify_new_key(
        &self,
        transmission: &Transmission<'_>,
        record: Option<&QueueRecord>,
        key: &AuthorizationKey,
    ) -> Result<(), SmpError<'static>> {
        let allowed = record.is_some_and(|record| {
            record.mode == QueueMode::Messaging && record.sender_key.is_none_or(|known| known == *key)
        });
        self.verify(transmission, Some(key).filter(|_| allowed), None)
    }

    /// Verifies by the key of an entity, if there is one; with `agreements` in less time for a key that has authorized a
    /// message or an acknowledgement on this connection before.
    pub(super) fn verify(
        &self,
        transmission: &Transmission<'_>,
        key: Option<&AuthorizationKey>,
        agreements: Option<&Kept>,
    ) -> Result<(), SmpError<'static>> {
        granted(self.verifies(transmission, key, agreements)?)
    }

    /// The same by the keys of a queue, any of which may be the right one: all that are of the supplied kind are tried, also
    /// after one fits. Each takes its part of a turn, which the first has already.
    pub(super) async fn verify_by_any(
        &self,
        transmission: &Transmission<'_>,
        turn: &mut Turn,
        keys: Option<&RecipientKeys>,
        agreements: Option<&Kept>,
    ) -> Result<(), SmpError<'static>> {
        let authorization = &transmission.authorization;
        let mut keys = keys.into_iter().flat_map(RecipientKeys::iter).filter(|key| is_kind_of(key, authorization));
        let mut verified = self.verifies(transmission, keys.next(), agreements)?;
        for key in keys {
            turn.spend(Work::verifying(authorization)).await;
            verified |= self.verifies(transmission, Some(key), agreements)?;
        }
        granted(verified)
    }

    fn verifies(
        &self,
        transmission: &Transmission<'_>,
        key: Option<&AuthorizationKey>,
        agreements: Option<&Kept>,
    ) -> Result<bool, SmpError<'static>> {
        let session_id = self.session_id.as_bytes();
        let length = [u8::try_from(session_id.len()).map_err(|_| SmpError::Block)?];
        // A service signature binds the authorization to the service.
        let service = self.service.filter(|_| transmission.service_signature.is_some());
        let fingerprint = service.map_or(&[][..], |service| service.fingerprint());
        let authorized = [fingerprint, &length, session_id, transmission.authorized_tail()];
        let (authorization, correlation_id) = (&transmission.authorization, transmission.correlation_id);
        #[cfg(test)]
        super::reads::note_verification();
        Ok(match (agreements, self.session_key) {
            (Some(agreements), Some(session_key)) => {
                let mut agreements = agreements.lock();
                let agreements = agreements.get_or_insert_default();
                verify_again(authorization, correlation_id, &authorized, key, session_key, self.decoy, agreements)
            }
            (_, session_key) => verify(authorization, correlation_id, &authorized, key, session_key, self.decoy),
        })
    }
}

/// Whether a key is of the kind that makes such authorizations.
fn is_kind_of(key: &AuthorizationKey, authorization: &Authorization<'_>) -> bool {
    matches!(
        (key, authorization),
        (AuthorizationKey::Ed25519(_), Authorization::Ed25519(_))
            | (AuthorizationKey::Ed448(_), Authorization::Ed448(_))
            | (AuthorizationKey::X25519(_), Authorization::Authenticator(_))
    )
}

fn granted(verified: bool) -> Result<(), SmpError<'static>> {
    if verified { Ok(()) } else { Err(SmpError::Auth) }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use smp_crypto::key::AuthorizationSecretKey;

    use super::super::reads::take_verifications;
    use super::super::timing::population::Kind;
    use super::super::timing::session::TestSession;
    use super::super::timing::{Signed, Stranger, Wanted};
    use super::*;
    use crate::relay::store::{Id, SharedSecret, Store, StoreOptions};

    /// As many as RKEY may set.
    const KEYS: usize = 16;
    const OTHERS: [Id; 2] = [[2; 24], [3; 24]];

    /// Queues of these recipients, each with these keys.
    fn store_with(queues: &[(Id, &[AuthorizationKey])]) -> Store {
        let store = Store::memory(StoreOptions::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (id, keys) in queues {
            let mut record = QueueRecord::new(*id, *id, keys[0], SharedSecret::new([1; 32]));
            record.recipient_keys = RecipientKeys::from_slice(keys).unwrap();
            record.mode = QueueMode::Contact;
            runtime.block_on(async { store.create_queue(record.into()).await.unwrap().await.unwrap() });
        }
        store
    }

    /// Whether it was let in, and how many keys were tried in each turn.
    fn ask(session: &TestSession, store: &Store, transmission: &[u8]) -> (bool, Vec<usize>) {
        let (terms, mut turn, mut turns) = (session.terms(), Turn::default(), Vec::new());
        let mut authorizing = pin!(terms.authorize(store, &mut turn, transmission));
        take_verifications();
        loop {
            let polled = authorizing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            turns.push(take_verifications());
            if let Poll::Ready(authorized) = polled {
                return (authorized.is_ok(), turns);
            }
        }
    }

    /// An owner may register many keys that take long, and then ask again and again, whether in vain or not: others have
    /// their turns meanwhile. Who asks about other queues, or about none, has one key tried for it.
    #[test]
    fn each_key_of_a_queue_takes_its_part_of_a_turn() {
        let session = TestSession::of_client();
        let random = &mut StdRng::seed_from_u64(4);
        let mut stranger = Stranger::new();
        for kind in Kind::ALL {
            let mut own: Vec<AuthorizationSecretKey> = (0..KEYS).map(|_| kind.generate(random)).collect();
            let keys: Vec<_> = own.iter().map(AuthorizationSecretKey::public_key).collect();
            let other = Kind::ALL.into_iter().find(|other| *other != kind).unwrap().generate(random).public_key();
            let mixed = [vec![other; 3], keys[..1].to_vec()].concat();
            let store = store_with(&[([1; 24], &keys), (OTHERS[0], &mixed), (OTHERS[1], &[other])]);
            let many = if kind == Kind::Ed448 { vec![1; KEYS] } else { vec![8; KEYS / 8] };
            let (last, first) = (own.pop().unwrap(), own.swap_remove(0));
            let mut owners = [first, last].map(|key| Stranger::with_key(kind, key));
            for wanted in [Wanted::Get, Wanted::Acknowledge] {
                let refused = stranger.transmission(&session, Some(kind), &[1; 24], wanted, Signed::No);
                assert_eq!(ask(&session, &store, &refused), (false, many.clone()), "{kind:?}");
                for owner in &mut owners {
                    let allowed = owner.transmission(&session, Some(kind), &[1; 24], wanted, Signed::No);
                    assert_eq!(ask(&session, &store, &allowed), (true, many.clone()), "{kind:?}");
                }
                for id in [OTHERS[0], OTHERS[1], [9; 24]] {
                    let refused = stranger.transmission(&session, Some(kind), &id, wanted, Signed::No);
                    assert_eq!(ask(&session, &store, &refused), (false, vec![1]), "{kind:?}");
                }
            }
        }
    }
}
