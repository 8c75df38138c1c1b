//! What a relay remembers of the keys that its client has used.

use smp_proto::{
    id::CorrelationId,
    key::{AuthorizationKey, X25519PublicKey},
    transport::Authorization,
};
use subtle::ConstantTimeEq;

use super::{DUMMY_X25519, Decoy, agree, any, seal_hash, verify, x25519};
use crate::{hash, key::X25519SecretKey, secret_box::BoxKey};

/// How many keys [`Agreements`] holds.
const KEPT: usize = 4;

/// What was agreed between a relay's session key and the keys of its client that have authorized something, as many as
/// fit; the oldest makes room. 264 bytes, wiped when dropped.
///
/// Only a key that verified is kept, so the time of a command tells who sends it nothing that it does not know: everybody
/// else finds all entities, with keys and without, to cost one agreement. For that, these are of one client: what comes
/// through a proxy is sent by many, and each could see by the time which entities others use.
#[derive(Default)]
pub struct Agreements {
    kept: [Option<(X25519PublicKey, BoxKey)>; KEPT],
    /// Where the next one goes.
    next: usize,
}

impl core::fmt::Debug for Agreements {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Agreements(..)")
    }
}

impl Agreements {
    fn find(&self, key: &X25519PublicKey) -> Option<&BoxKey> {
        self.kept.iter().flatten().find(|(kept, _)| kept == key).map(|(_, agreed)| agreed)
    }

    fn keep(&mut self, key: X25519PublicKey, agreed: BoxKey) {
        if let Some(place) = self.kept.get_mut(self.next) {
            *place = Some((key, agreed));
        }
        self.next = self.next.wrapping_add(1) % KEPT;
    }
}

/// Like [`verify`], for a relay that remembers what its session key and the keys of its client agree on: an authenticator
/// by one of them then costs a hash, and no agreement. Any other authorization is verified as always.
///
/// `agreements` are those of this connection and this `session_key`. A connection on which other clients' commands come
/// forwarded has none for these.
#[must_use]
pub fn verify_again<'k>(
    authorization: &Authorization<'_>,
    correlation_id: CorrelationId<'_>,
    authorized: &[&[u8]],
    keys: impl IntoIterator<Item = &'k AuthorizationKey>,
    session_key: &X25519SecretKey,
    decoy: &Decoy,
    agreements: &mut Agreements,
) -> bool {
    let Authorization::Authenticator(authenticator) = authorization else {
        return verify(authorization, correlation_id, authorized, keys, Some(session_key), decoy);
    };
    let hash = hash::sha512(authorized);
    let mut fitting = None;
    let keys = keys.into_iter().filter_map(x25519);
    let fits = any(keys, &DUMMY_X25519, |key| {
        if let Some(agreed) = agreements.find(key) {
            return seal_hash(agreed, correlation_id, &hash).ct_eq(*authenticator).into();
        }
        let (agreed, contributory) = agree(session_key, key);
        let fits = seal_hash(&agreed, correlation_id, &hash).ct_eq(*authenticator) & contributory;
        if fits.into() {
            fitting = Some((*key, agreed));
        }
        fits.into()
    });
    if let Some((key, agreed)) = fitting {
        agreements.keep(key, agreed);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        authorization::{authenticator, authorize},
        key::AuthorizationSecretKey,
        test::random,
    };

    fn id(bytes: &[u8]) -> CorrelationId<'_> {
        CorrelationId::new(bytes).unwrap()
    }

    /// With what was agreed before every verdict is the same, however often a key is used and whichever others came between.
    #[test]
    fn agreements_change_no_verdict() {
        let random = &mut random(7);
        let server = X25519SecretKey::generate(random);
        let mut agreements = Agreements::default();
        let keys = [(); 2 * KEPT].map(|()| AuthorizationSecretKey::generate_x25519(random));
        let mut verify = |made: &Authorization<'_>, signed: &[u8], keys: &[AuthorizationKey]| {
            let again = verify_again(made, id(b"id"), &[signed], keys, &server, &Decoy::TEST, &mut agreements);
            assert_eq!(again, verify(made, id(b"id"), &[signed], keys, Some(&server), &Decoy::TEST));
            again
        };
        for step in [1, 1, 3, 0] {
            for (number, key) in keys.iter().enumerate() {
                let key = keys.get(number * step % keys.len()).unwrap_or(key);
                let made = authorize(key, Some(&server.public_key()), id(b"id"), b"signed").unwrap();
                let made = made.as_authorization();
                let own = key.public_key();
                let others = keys.each_ref().map(AuthorizationSecretKey::public_key);
                assert!(verify(&made, b"signed", &[own]));
                assert!(verify(&made, b"signed", &others));
                assert!(!verify(&made, b"Signed", &[own]));
                assert!(!verify(&made, b"signed", &[]));
                assert!(!verify(&made, b"signed", &[others[(number * step + 1) % others.len()]]));
                assert!(!verify(&Authorization::None, b"signed", &[own]));
            }
        }
        for key in [AuthorizationSecretKey::generate_ed25519(random), AuthorizationSecretKey::generate_x25519(random)] {
            let made = authorize(&key, Some(&server.public_key()), id(b"id"), b"signed").unwrap();
            assert!(verify(&made.as_authorization(), b"signed", &[key.public_key()]));
        }
        let weak = AuthorizationKey::X25519(X25519PublicKey([0; 32]));
        let forged = authenticator(&BoxKey::new(&[0; 32]), id(b"id"), b"signed");
        for _ in 0..2 {
            assert!(!verify(&Authorization::Authenticator(&forged), b"signed", &[weak]));
        }
    }

    /// Whoever has not authorized anything finds no key kept, whatever it tries and whatever is there.
    #[test]
    fn only_keys_that_verified_are_kept() {
        let random = &mut random(8);
        let server = X25519SecretKey::generate(random);
        let [key, other] = [(); 2].map(|()| AuthorizationSecretKey::generate_x25519(random));
        let made = authorize(&key, Some(&server.public_key()), id(b"id"), b"signed").unwrap();
        let made = made.as_authorization();
        let mut agreements = Agreements::default();
        let others = [other.public_key()];
        for (signed, keys) in [(&b"signed"[..], &others[..]), (b"signed", &[]), (b"Signed", &[key.public_key()])] {
            assert!(!verify_again(&made, id(b"id"), &[signed], keys, &server, &Decoy::TEST, &mut agreements));
            assert_eq!(agreements.kept.iter().flatten().count(), 0);
        }
        let both = [other.public_key(), key.public_key()];
        for _ in 0..3 {
            assert!(verify_again(&made, id(b"id"), &[b"signed"], &both, &server, &Decoy::TEST, &mut agreements));
            assert_eq!(agreements.kept.iter().flatten().count(), 1);
        }
        let AuthorizationKey::X25519(key) = key.public_key() else { panic!("generated as one") };
        assert!(agreements.find(&key).is_some());
        assert_eq!(std::format!("{agreements:?}"), "Agreements(..)");
    }
}
