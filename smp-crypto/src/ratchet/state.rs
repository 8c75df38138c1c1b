//! The state of a conversation, and how it begins (wire reference of the ratchet, sections 6 and 7).

use core::fmt;

use smp_proto::key::X448PublicKey;
use smp_proto::version::RatchetVersion;
use zeroize::ZeroizeOnDrop;

use super::chain::Chain;
use super::encapsulation::{OwnEncapsulation, OwnParts};
use super::header::HeaderKey;
use super::key_pair::KeyPair;
use super::root::RootKey;
use super::x3dh::Agreed;
use super::{ASSOCIATED_DATA_LENGTH, Error};
use crate::hash::sha256;
use crate::sntrup761::SharedSecret;

/// One party's side of a conversation.
///
/// Made by [`Initiator::accept`](super::Initiator::accept), [`Joiner::ratchet`](super::Joiner::ratchet) or
/// [`Resynchronization`](super::Resynchronization); changed by [`Ratchet::encrypt`], [`Ratchet::prepare`] and
/// [`Ratchet::decrypt`], and only when they succeed. Save it after each: a state that is used twice gives two messages the
/// same key.
pub struct Ratchet {
    pub(super) version: RatchetVersion,
    pub(super) max_version: RatchetVersion,
    pub(super) associated_data: [u8; ASSOCIATED_DATA_LENGTH],
    pub(super) key: KeyPair,
    pub(super) encapsulation: Option<OwnEncapsulation>,
    /// Headers have room for encapsulation. This is never taken back.
    pub(super) large_headers: bool,
    /// The next step of the ratchet shall use encapsulation.
    pub(super) encapsulates: bool,
    pub(super) sending_encapsulated: bool,
    pub(super) receiving_encapsulated: bool,
    pub(super) root: RootKey,
    pub(super) sending: Option<Chain>,
    pub(super) receiving: Option<Chain>,
    /// Messages sent in the sending chain.
    pub(super) sent: u32,
    /// Messages received, or skipped, in the receiving chain.
    pub(super) received: u32,
    /// Messages sent in the sending chain before this one.
    pub(super) previously_sent: u32,
    pub(super) next_sending_header_key: HeaderKey,
    pub(super) next_receiving_header_key: HeaderKey,
}

impl ZeroizeOnDrop for Ratchet {}

/// Shows versions, and what of encapsulation a user may see. Nothing else: counts would tell how much was said.
impl fmt::Debug for Ratchet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ratchet")
            .field("version", &self.version)
            .field("can_send", &self.can_send())
            .field("sends_encapsulated", &self.sending_encapsulated)
            .field("receives_encapsulated", &self.receiving_encapsulated)
            .finish_non_exhaustive()
    }
}

impl Ratchet {
    /// The state of the party that sends first. `key` is new: none of those that agreed.
    pub(super) fn sending(
        (version, max_version): (RatchetVersion, RatchetVersion),
        agreed: Agreed,
        peer: &X448PublicKey,
        key: KeyPair,
        encapsulation: Option<OwnParts<'_>>,
        encapsulated: Option<&SharedSecret>,
    ) -> Result<Self, Error> {
        let step = agreed.root.step(&key.secret.diffie_hellman(peer)?, encapsulated)?;
        let proposes = encapsulation.is_some();
        let mut ratchet = Self {
            version,
            max_version,
            associated_data: agreed.associated_data,
            key,
            encapsulation: None,
            large_headers: proposes,
            encapsulates: proposes,
            sending_encapsulated: encapsulated.is_some(),
            receiving_encapsulated: false,
            root: step.root,
            sending: Some(Chain { key: step.chain, header_key: agreed.header_key }),
            receiving: None,
            sent: 0,
            received: 0,
            previously_sent: 0,
            next_sending_header_key: step.next_header_key,
            next_receiving_header_key: agreed.next_header_key,
        };
        ratchet.set_encapsulation(encapsulation);
        Ok(ratchet)
    }

    /// The state of the party that receives first.
    pub(super) fn receiving(
        (version, max_version): (RatchetVersion, RatchetVersion),
        agreed: Agreed,
        key: KeyPair,
        encapsulation: Option<OwnParts<'_>>,
        support: bool,
    ) -> Self {
        let mut ratchet = Self {
            version,
            max_version,
            associated_data: agreed.associated_data,
            key,
            encapsulation: None,
            large_headers: support,
            encapsulates: support,
            sending_encapsulated: false,
            receiving_encapsulated: false,
            root: agreed.root,
            sending: None,
            receiving: None,
            sent: 0,
            received: 0,
            previously_sent: 0,
            next_sending_header_key: agreed.next_header_key,
            next_receiving_header_key: agreed.header_key,
        };
        ratchet.set_encapsulation(encapsulation);
        ratchet
    }

    fn set_encapsulation(&mut self, own: Option<OwnParts<'_>>) {
        if let Some(own) = own {
            OwnEncapsulation::put(&mut self.encapsulation, own.secret.as_bytes(), own.ciphertext);
        }
    }

    /// The version in use. It goes up when the peer announces a higher one, and never down.
    #[must_use]
    pub const fn version(&self) -> RatchetVersion {
        self.version
    }

    /// Whether messages can be sent: always for the party that sends first, after the first received message for the
    /// other.
    #[must_use]
    pub const fn can_send(&self) -> bool {
        self.sending.is_some()
    }

    /// Whether the keys of what is sent now come from an encapsulated secret, too. To be asked after encrypting.
    #[must_use]
    pub const fn sends_encapsulated(&self) -> bool {
        self.sending_encapsulated
    }

    /// Whether the keys of what was received last come from an encapsulated secret, too.
    #[must_use]
    pub const fn receives_encapsulated(&self) -> bool {
        self.receiving_encapsulated
    }

    /// What users compare to verify the connection: the same for both, SHA-256 of both parties' first keys.
    #[must_use]
    pub fn verification_code(&self) -> [u8; 32] {
        sha256(&[&self.associated_data])
    }
}
