//! Data of short links: encrypted so that the relay cannot read it, signed so that it cannot change it (wire reference,
//! section 13.2; of the agent, section 9).
//!
//! A link carries the hash of the fixed data as its key. From it come the key of the encryption and, for contact links,
//! the id under which the relay has the data. The fixed data names the root key, which signs both parts; the user data
//! of contact links may also be signed by one of the owners it lists, whom the root key or an earlier owner signed.
//!
//! Who makes a link fills two buffers with [`place`] and [`seal`]; who follows one gives what the relay had to [`read`].
//!
//! ```
//! use smp_crypto::hash::sender_id;
//! use smp_crypto::key::{Ed25519SecretKey, X25519SecretKey};
//! use smp_crypto::secret_box::Nonce;
//! use smp_crypto::short_link::{self, FIXED_LENGTH, LinkKey, USER_LENGTH};
//! use smp_proto::address::{Host, Port, ServerBuf};
//! use smp_proto::agent::ConnectionRequest;
//! use smp_proto::agent::link_data::{ContactData, FixedLinkData, UserData, UserLinkData};
//! use smp_proto::id::{CorrelationId, QueueId};
//! use smp_proto::short_link::{LinkForm, LinkKind, ShortLink};
//! use smp_proto::uri::{QueueAddress, QueueMode, QueueUri};
//! use smp_proto::version::VersionRange;
//! use smp_proto::wire::List;
//! # use rand_core::SeedableRng;
//! # let mut random = rand_chacha::ChaCha20Rng::seed_from_u64(1); // outside examples, the system's source
//!
//! // The queue, whose sender id follows from the correlation id of the NEW that will create it.
//! let server = ServerBuf::new(Host::Domain("smp.example.com"), Port::DEFAULT, &[7; 32])?;
//! let sender_id = sender_id(CorrelationId::from_array(&[2; 24])); // random in earnest, and never used twice
//! let queue = QueueAddress {
//!     server: server.address(),
//!     sender_id: QueueId::from_array(&sender_id),
//!     dh_key: X25519SecretKey::generate(&mut random).public_key(),
//!     mode: Some(QueueMode::Contact),
//! };
//! let queue = QueueUri::new(VersionRange::CLIENT, &queue)?;
//!
//! // Both parts of the data, and the link.
//! let root = Ed25519SecretKey::generate(&mut random);
//! let connection_request = ConnectionRequest::contact(VersionRange::AGENT, queue);
//! let (agent_versions, root_key) = (VersionRange::AGENT, root.public_key());
//! let fixed_data = FixedLinkData { agent_versions, root_key, connection_request, entity_id: None };
//! let (owners, relays) = (List::new(&[])?, List::new(&[])?);
//! let contact = ContactData { direct: true, owners, relays, user_data: UserData(b"who I am") };
//! let user_data = UserLinkData::Contact { agent_versions, contact };
//!
//! let (mut fixed, mut user) = ([0; FIXED_LENGTH], [0; USER_LENGTH]);
//! let placed = short_link::place(&fixed_data, &mut fixed)?;
//! let (link_key, length) = (LinkKey::of(placed), placed.len());
//! let (link_id, key) = link_key.contact_keys()?;
//! short_link::seal(&key, &Nonce::generate(&mut random), &root, &mut fixed, length)?;
//! let length = short_link::place(&user_data, &mut user)?.len();
//! short_link::seal(&key, &Nonce::generate(&mut random), &root, &mut user, length)?;
//! let link = ShortLink::contact(LinkForm::Https, LinkKind::Contact, server, &link_key.0)?;
//!
//! // Somebody else has the link, asks its relay for the data under the same id, and gets it with the sender id.
//! assert_eq!(LinkKey(link.key().expect("32 bytes")).contact_keys()?.0, link_id);
//! let (fixed, user) = short_link::read(&link, QueueId::from_array(&sender_id), &mut fixed, &mut user)?;
//! assert_eq!(fixed.connection_request.queue().sender_id().as_bytes(), sender_id);
//! assert_eq!(user.user_data().0, b"who I am");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;

pub use error::LinkError;
use smp_proto::{
    address::ServerAddress,
    agent::{
        ConnectionRequest,
        link_data::{
            FIXED_DATA_PADDED_LENGTH, FixedLinkData, OwnerAuthorization, Signed, USER_DATA_PADDED_LENGTH, UserLinkData,
        },
    },
    id::{ID_LENGTH, QueueId},
    key::Ed25519PublicKey,
    short_link::{LinkKind, ShortLink},
    wire::{self, Decode, Encode, List, Writer},
};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    Error, hash,
    kdf::hkdf,
    key::{ED25519_SIGNATURE_LENGTH, Ed25519SecretKey, Verify, secret_debug},
    secret_box::{BoxKey, NONCE_LENGTH, Nonce, TAG_LENGTH},
};

/// Length of the encrypted fixed data in bytes.
pub const FIXED_LENGTH: usize = NONCE_LENGTH + TAG_LENGTH + FIXED_DATA_PADDED_LENGTH;
/// Length of the encrypted user data in bytes.
pub const USER_LENGTH: usize = NONCE_LENGTH + TAG_LENGTH + USER_DATA_PADDED_LENGTH;

/// Where the data starts in the buffer for [`seal`]: behind nonce, tag, length and signature.
pub const DATA_START: usize = NONCE_LENGTH + TAG_LENGTH + 2 + 1 + ED25519_SIGNATURE_LENGTH;

/// The key in a link: SHA3-256 of the fixed data. Whoever has it can read the link's data, so it does not print.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LinkKey(pub [u8; 32]);

secret_debug!(LinkKey);

impl PartialEq for LinkKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for LinkKey {}

impl LinkKey {
    /// The key of the link with this fixed data.
    #[must_use]
    pub fn of(fixed_data: &[u8]) -> Self {
        Self(hash::sha3_256(&[fixed_data]))
    }

    /// The id of a contact link's data, and the key it is encrypted with.
    pub fn contact_keys(&self) -> Result<([u8; ID_LENGTH], BoxKey), Error> {
        let mut output = Zeroizing::new([0; ID_LENGTH + 32]);
        hkdf(&[], &self.0, b"SimpleXContactLink", output.as_mut())?;
        let (id, key) = output.split_first_chunk().ok_or(Error::Length)?;
        Ok((*id, BoxKey::new(key.first_chunk().ok_or(Error::Length)?)))
    }

    /// The key an invitation link's data is encrypted with. Its id comes from the relay.
    pub fn invitation_key(&self) -> Result<BoxKey, Error> {
        let mut output = Zeroizing::new([0; 32]);
        hkdf(&[], &self.0, b"SimpleXInvLink", output.as_mut())?;
        Ok(BoxKey::new(&output))
    }
}

/// Writes data where [`seal`] takes it from, and gives it: the key of the link is [`LinkKey::of`] the fixed data.
///
/// Fails with [`Error::Length`] when it does not fit: 1941 bytes of fixed data do, and 13,717 of user data.
pub fn place<'b>(data: &impl Encode, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
    let place = buffer.get_mut(DATA_START..).ok_or(Error::Length)?;
    data.to_slice(place).map_err(|_| Error::Length)
}

/// Signs and encrypts data that stands in the buffer from [`DATA_START`] on, `length` bytes. The buffer, of
/// [`FIXED_LENGTH`] or [`USER_LENGTH`] bytes, then holds what the relay gets.
///
/// Fails with [`Error::Length`] when the data does not fit.
pub fn seal(
    key: &BoxKey,
    nonce: &Nonce,
    signer: &Ed25519SecretKey,
    buffer: &mut [u8],
    length: usize,
) -> Result<(), Error> {
    let end = DATA_START.checked_add(length).ok_or(Error::Length)?;
    let signature = signer.sign(buffer.get(DATA_START..end).ok_or(Error::Length)?);
    let (head, sealed) = buffer.split_first_chunk_mut::<NONCE_LENGTH>().ok_or(Error::Length)?;
    *head = nonce.0;
    let signed = sealed.get_mut(TAG_LENGTH.saturating_add(2)..).ok_or(Error::Length)?;
    Writer::new(signed).short(&signature).map_err(|_| Error::Length)?;
    key.seal_padded(nonce, sealed, length.saturating_add(1 + ED25519_SIGNATURE_LENGTH))
}

/// Reads what a relay had for a link: decrypts both parts where they stand and verifies everything.
///
/// `sender_id` is the one the relay gave with the data. The queue of the connection request then has the address of
/// the relay in the link, which may know more hosts than it had when the data was made. [Restore](ShortLink::restore) a
/// shortened link before.
///
/// Fails with [`LinkError::Format`] on what cannot be read, and otherwise with the first fault in the order of
/// [`LinkError`]'s variants, where each owner is looked at before the next. It takes some 28 KiB of stack where addresses
/// have 64 bits.
pub fn read<'b>(
    link: &ShortLink,
    sender_id: QueueId<'_>,
    fixed: &'b mut [u8],
    user: &'b mut [u8],
) -> Result<(FixedLinkData<'b>, UserLinkData<'b>), LinkError> {
    let link_key = LinkKey(link.key().ok_or(LinkError::Hash)?);
    let key = match link.kind() {
        LinkKind::Invitation => link_key.invitation_key()?,
        _ => link_key.contact_keys()?.1,
    };
    let (fixed, user) = (open(&key, fixed)?, open(&key, user)?);
    let mut fixed_data = FixedLinkData::from_bytes(fixed.data)?;
    let user_data = verify_parts(link.kind(), &link_key, &fixed, &fixed_data, &user)?;
    verify_address(&mut fixed_data.connection_request, &link.server(), sender_id)?;
    Ok((fixed_data, user_data))
}

/// Verifies that a connection request leads to the queue its link data is kept with, on a relay with this address, and
/// puts the address there. [`LinkError::Address`] otherwise.
pub fn verify_address(
    request: &mut ConnectionRequest,
    server: &ServerAddress<'_>,
    sender_id: QueueId<'_>,
) -> Result<(), LinkError> {
    let queue = request.queue();
    let first = server.hosts.iter().next();
    if queue.sender_id() != sender_id || !queue.server().hosts.iter().any(|host| Some(host) == first) {
        return Err(LinkError::Address);
    }
    Ok(request.set_server(server)?)
}

/// Decrypts what a relay had, where it stands. [`verify`] it before use.
pub fn open<'b>(key: &BoxKey, buffer: &'b mut [u8]) -> Result<Signed<'b>, Error> {
    let (nonce, sealed) = buffer.split_first_chunk_mut::<NONCE_LENGTH>().ok_or(Error::Decrypt)?;
    Ok(Signed::from_bytes(key.open_content(&Nonce(*nonce), sealed)?)?)
}

/// Verifies both parts of a link's data against the link, and reads them. [`verify_address`] comes next.
///
/// Owners are verified in the order of the list. A list as long as the data allows, about 120, where each one is signed
/// by the one before, costs some 7,000 verifications.
pub fn verify<'a>(
    kind: LinkKind,
    link_key: &LinkKey,
    fixed: &Signed<'a>,
    user: &Signed<'a>,
) -> Result<(FixedLinkData<'a>, UserLinkData<'a>), LinkError> {
    let fixed_data = FixedLinkData::from_bytes(fixed.data)?;
    let user_data = verify_parts(kind, link_key, fixed, &fixed_data, user)?;
    Ok((fixed_data, user_data))
}

/// Everything of [`verify`] but reading the fixed data, which is too large to be passed on.
#[inline(never)]
fn verify_parts<'a>(
    kind: LinkKind,
    link_key: &LinkKey,
    fixed: &Signed<'_>,
    fixed_data: &FixedLinkData<'_>,
    user: &Signed<'a>,
) -> Result<UserLinkData<'a>, LinkError> {
    let user_data = UserLinkData::from_bytes(user.data)?;
    let invitation = kind == LinkKind::Invitation;
    if fixed_data.connection_request.is_invitation() != invitation
        || matches!(user_data, UserLinkData::Invitation { .. }) != invitation
    {
        return Err(LinkError::Format(wire::Error::Invalid));
    }

    if LinkKey::of(fixed.data) != *link_key {
        return Err(LinkError::Hash);
    }
    let root_key = &fixed_data.root_key;
    root_key.verify(fixed.data, fixed.signature).map_err(|_| LinkError::FixedSignature)?;
    let signed_by = |key: &Ed25519PublicKey| key.verify(user.data, user.signature).is_ok();
    // The root key signs most; owners are asked when it did not.
    let by_root = signed_by(root_key);
    let by_owner = match &user_data {
        UserLinkData::Invitation { .. } => false,
        UserLinkData::Contact { contact, .. } => {
            verify_owners(root_key, &contact.owners)?;
            !by_root && contact.owners.iter().any(|owner| signed_by(&owner.owner_key))
        }
    };
    if !by_root && !by_owner {
        return Err(LinkError::UserSignature);
    }
    Ok(user_data)
}

/// Verifies that the user data of an address may be signed with `signer`: that its owners are in order, and that the
/// signer is the root key or one of them. To be called before such data is sealed.
pub fn verify_signer(
    root_key: &Ed25519PublicKey,
    owners: &List<'_, OwnerAuthorization<'_>>,
    signer: &Ed25519PublicKey,
) -> Result<(), LinkError> {
    if signer != root_key && !owners.iter().any(|owner| owner.owner_key == *signer) {
        return Err(LinkError::NoOwner);
    }
    verify_owners(root_key, owners)
}

fn verify_owners(root_key: &Ed25519PublicKey, owners: &List<'_, OwnerAuthorization<'_>>) -> Result<(), LinkError> {
    for (index, owner) in owners.iter().enumerate() {
        let earlier = || owners.iter().take(index);
        if owner.owner_key == *root_key {
            return Err(LinkError::RootOwner);
        }
        if earlier().any(|other| other.owner_id == owner.owner_id || other.owner_key == owner.owner_key) {
            return Err(LinkError::DuplicateOwner);
        }
        let mut buffer = [0; 300];
        let signed = owner.signed_bytes(&mut buffer)?;
        let signed_by = |key: &Ed25519PublicKey| key.verify(signed, owner.signature).is_ok();
        if !signed_by(root_key) && !earlier().any(|other| signed_by(&other.owner_key)) {
            return Err(LinkError::OwnerSignature);
        }
    }
    Ok(())
}

/// Signs a new owner of a link: with the root key, or with the key of an owner who stands earlier in the list.
#[must_use]
pub fn sign_owner(owner_id: &[u8], owner_key: &Ed25519PublicKey, signer: &Ed25519SecretKey) -> [u8; 64] {
    signer.sign_parts(&[owner_id, &owner_key.to_spki()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{bytes, numbers, random};

    /// Whether two prepared keys are the same.
    fn same(one: &BoxKey, other: &BoxKey) -> bool {
        let seal = |key: &BoxKey| key.seal_in_place(&Nonce([0; 24]), &mut [0; 32]);
        seal(one) == seal(other)
    }

    /// The values of the wire reference, Appendix A.
    #[test]
    fn appendix_a_vectors() {
        let link_key = LinkKey(numbers(0));
        let (id, key) = link_key.contact_keys().unwrap();
        assert_eq!(id, bytes("3232adb6fd5d0e30ab33495f6d24543458eae3aab2b1b535"));
        let expected = bytes("efcfdbca49d0a09566bb06c017e29d74861ce710afa58587a698fd4b85179d4a");
        assert!(same(&key, &BoxKey::new(&expected)));
        let expected = bytes("7f3160cc1a195495e752e2204b71508fca7c0e7bcca32935bf1f4af2ac05b787");
        assert!(same(&link_key.invitation_key().unwrap(), &BoxKey::new(&expected)));
    }

    /// The values of the agent's wire reference, section 27.
    #[test]
    fn agent_vectors() {
        let link_key = LinkKey(*b"0123456789abcdef0123456789abcdef");
        let (id, key) = link_key.contact_keys().unwrap();
        assert_eq!(id, bytes("7bb6cac6ddda05661de73a9974926c4d3d30f3dd36e0e365"));
        let expected = bytes("92f91f61f480698b6edcbc6277359f463f5810065e47253f72657bb8847e0ebe");
        assert!(same(&key, &BoxKey::new(&expected)));
        let expected = bytes("7414e908a26d11b2e23016afa771e45d62bcdd72a14237958069e33f9c2c2319");
        assert!(same(&link_key.invitation_key().unwrap(), &BoxKey::new(&expected)));
    }

    #[test]
    fn sealed_data_opens_with_its_key_only() {
        let random = &mut random(1);
        let signer = Ed25519SecretKey::generate(random);
        let key = BoxKey::new(&[1; 32]);
        let mut buffer = [0; FIXED_LENGTH];
        buffer[DATA_START..DATA_START + 4].copy_from_slice(b"data");
        let nonce = Nonce::generate(random);
        seal(&key, &nonce, &signer, &mut buffer, 4).unwrap();
        assert_eq!(buffer[..24], nonce.0);
        let opened = { open(&key, &mut { buffer }).map(|signed| (signed.data.len(), *signed.signature)) };
        assert_eq!(opened, Ok((4, signer.sign(b"data"))));
        assert_eq!(open(&BoxKey::new(&[2; 32]), &mut { buffer }), Err(Error::Decrypt));
        for position in (0..FIXED_LENGTH).step_by(13) {
            let mut changed = buffer;
            changed[position] ^= 1;
            assert_eq!(open(&key, &mut changed), Err(Error::Decrypt));
            assert_eq!(open(&key, &mut { buffer }[..position]), Err(Error::Decrypt));
        }
        let fits = FIXED_LENGTH - DATA_START;
        assert_eq!(seal(&key, &nonce, &signer, &mut buffer, fits), Ok(()));
        assert_eq!(seal(&key, &nonce, &signer, &mut buffer, fits + 1), Err(Error::Length));
        assert_eq!(seal(&key, &nonce, &signer, &mut [0; 10], 0), Err(Error::Length));
    }
}
