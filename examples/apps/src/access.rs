//! How a device gets the right to hear that messages wait: it shows a key, the owner of the queue lets that key in with
//! `smp notifier`, and the device is told what that prints.

use heapless::{String, Vec};
use rand_core::TryCryptoRng;
#[cfg(feature = "ed25519-keys")]
use smp_crypto::key::Ed25519SecretKey;
use smp_crypto::key::{SharedSecret, X25519SecretKey};
use smp_embassy::random::{self, RandomError};
use smp_embassy::store::{NotifierKey, NotifierState};
use smp_embassy::{CommandKey, NotifierQueue};
use smp_proto::address::{Scheme, ServerUri};
use smp_proto::id::ID_LENGTH;
use smp_proto::key::X25519PublicKey;
use smp_proto::wire::{Encode, base64_url_decode, base64_url_encode};
use zeroize::Zeroizing;

/// Room for the longest line of `smp notifier` that is taken, in bytes. Addresses of relays with one name, or one and an
/// onion name, have about 150.
pub const ACCESS_LENGTH: usize = 512;

/// Length of a public key as it is shown: base64url of 44 bytes.
pub const SHOWN_KEY_LENGTH: usize = 60;

/// The device's half of an access that is not complete yet: a key that nobody has let in. Wiped when dropped.
pub struct AccessRequest(Zeroizing<[u8; 32]>);

impl AccessRequest {
    /// A new key.
    pub fn new<R: TryCryptoRng + ?Sized>(random: &mut R) -> Result<Self, RandomError> {
        random::array(random).map(|key| Self(Zeroizing::new(key)))
    }

    /// The public half, for `smp notifier`: base64url of its DER form.
    #[must_use]
    pub fn key(&self) -> String<SHOWN_KEY_LENGTH> {
        let der = X25519SecretKey::from_bytes(&self.0).public_key().to_spki();
        let mut text = [0; SHOWN_KEY_LENGTH];
        const { assert!(X25519PublicKey::SPKI_LENGTH.div_ceil(3) * 4 == SHOWN_KEY_LENGTH) };
        base64_url_encode(&der, true, &mut text).unwrap_or_default().try_into().unwrap_or_default()
    }

    /// Completes the access with the line that `smp notifier` prints: the relay's address, and behind `#` the device's name
    /// for the queue. Nothing if it is not such a line.
    #[must_use]
    pub fn complete(&self, line: &str) -> Option<NotifierState> {
        let (server, id) = line.split_once('#')?;
        let server = ServerUri::parse_without_password(Scheme::Smp, server).ok()?;
        // Nobody could tell whether a relay without it is the right one.
        server.address().fingerprint()?;
        let mut buffer = [0; ID_LENGTH];
        let notifier_id = base64_url_decode(id.as_bytes(), &mut buffer).ok()?.try_into().ok()?;
        let mut address = Vec::new();
        address.resize(address.capacity(), 0).ok()?;
        let length = server.address().to_slice(&mut address).ok()?.len();
        address.truncate(length);
        Some(NotifierState {
            server: address,
            notifier_id,
            authorization: NotifierKey::X25519(*self.0),
            metadata: None,
        })
    }
}

/// The queue as the notifier client takes it. Nothing when its key is of a kind that this firmware does without.
#[must_use]
pub fn notifier_queue(state: &NotifierState) -> Option<NotifierQueue> {
    let key = match &state.authorization {
        #[cfg(feature = "ed25519-keys")]
        NotifierKey::Ed25519(seed) => CommandKey::Ed25519(Ed25519SecretKey::from_bytes(seed)),
        NotifierKey::X25519(secret) => CommandKey::X25519(X25519SecretKey::from_bytes(secret)),
        #[cfg(not(feature = "ed25519-keys"))]
        NotifierKey::Ed25519(_) => return None,
    };
    let queue = NotifierQueue::new(state.notifier_id, key);
    Some(match state.metadata {
        Some(secret) => queue.with_metadata_secret(&SharedSecret::from_bytes(secret)),
        None => queue,
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::convert::Infallible;

    use rand_core::{TryCryptoRng, TryRng};
    use smp_proto::address::ServerAddress;
    use smp_proto::key::AuthorizationKey;
    use smp_proto::wire::Decode;

    use super::*;

    /// Not random at all.
    struct Counting(u8);

    impl TryRng for Counting {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(4)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(4)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            for byte in bytes {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
            Ok(())
        }
    }

    impl TryCryptoRng for Counting {}

    const SERVER: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=@relay.example:5223";

    #[test]
    fn the_shown_key_is_the_one_that_authorizes() {
        let request = AccessRequest::new(&mut Counting(0)).unwrap();
        let shown = request.key();
        assert_eq!(shown.len(), SHOWN_KEY_LENGTH);
        let mut der = [0; 45];
        let shown = AuthorizationKey::from_spki(base64_url_decode(shown.as_bytes(), &mut der).unwrap()).unwrap();
        let state = request.complete(&std::format!("{SERVER}#{}", "A".repeat(32))).unwrap();
        let NotifierKey::X25519(secret) = &state.authorization else { panic!("another kind of key") };
        assert_eq!(CommandKey::X25519(X25519SecretKey::from_bytes(secret)).public_key(), shown);
        assert_eq!(state.notifier_id, [0; 24]);
        let server = ServerAddress::from_bytes(&state.server).unwrap();
        let expected: ServerUri = SERVER.parse().unwrap();
        assert_eq!(server, expected.address());
        assert!(state.metadata.is_none());
        let _ = notifier_queue(&state);
    }

    #[test]
    fn other_lines_are_refused() {
        let request = AccessRequest::new(&mut Counting(0)).unwrap();
        let id = "A".repeat(32);
        for line in [
            std::string::String::from(SERVER),
            std::format!("{SERVER}#"),
            std::format!("{SERVER}#{id}A"),
            std::format!("{SERVER}#{}", &id[4..]),
            std::format!("{SERVER}#{id}#"),
            std::format!("{SERVER}/x#{id}"),
            std::format!("smp://AAAA@relay.example#{id}"),
            std::format!("{}#{id}", SERVER.replace("smp:", "xftp:")),
            std::format!("{}#{id}", SERVER.replace("=@", "=:password@")),
        ] {
            assert!(request.complete(&line).is_none(), "{line}");
        }
    }
}
