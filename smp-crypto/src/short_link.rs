//! Data of short links: encrypted so that the relay cannot read it, signed so that it cannot change it (wire reference,
//! section 13.2).
//!
//! A link carries the hash of the fixed data as its key. From it come the key of the encryption and, for contact links,
//! the id under which the relay has the data. The fixed data names the root key, which signs both parts; the user data
//! of contact links may also be signed by one of the owners it lists, whom the root key or an earlier owner signed.

use smp_proto::{
    id::ID_LENGTH,
    key::Ed25519PublicKey,
    version::{SmpVersion, VersionRange},
    wire::{self, Decode, List, Reader, ShortString, Writer},
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
pub const FIXED_LENGTH: usize = NONCE_LENGTH + TAG_LENGTH + 2_008;
/// Length of the encrypted user data in bytes.
pub const USER_LENGTH: usize = NONCE_LENGTH + TAG_LENGTH + 13_784;

/// Where the data starts in the buffer for [`seal`]: behind nonce, tag, length and signature.
pub const DATA_START: usize = NONCE_LENGTH + TAG_LENGTH + 2 + 1 + ED25519_SIGNATURE_LENGTH;

/// Why link data was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkError {
    /// The data belongs to another link.
    Hash,
    /// The root key did not sign the fixed data.
    FixedSignature,
    /// Neither the root key nor an owner signed the user data.
    UserSignature,
    /// An owner has the root key.
    RootOwner,
    /// Two owners have the same id or the same key.
    DuplicateOwner,
    /// Neither the root key nor an earlier owner signed an owner.
    OwnerSignature,
    /// The data is not what belongs there.
    Format(wire::Error),
}

impl From<wire::Error> for LinkError {
    fn from(error: wire::Error) -> Self {
        Self::Format(error)
    }
}

impl core::fmt::Display for LinkError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Hash => "the data belongs to another link",
            Self::FixedSignature => "the fixed data is not signed by its root key",
            Self::UserSignature => "the user data is not signed by the root key or an owner",
            Self::RootOwner => "an owner of the link has its root key",
            Self::DuplicateOwner => "two owners of the link have the same id or key",
            Self::OwnerSignature => "an owner of the link is not signed by the root key or an earlier owner",
            Self::Format(error) => return write!(f, "the link data is malformed: {error}"),
        })
    }
}

impl core::error::Error for LinkError {}

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

/// What a link is for, which decides how its data is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// A link that is used once.
    Invitation,
    /// A contact address, and everything else that many may use: channels, groups, relays.
    Contact,
}

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

/// Data and the signature in front of it, decrypted and not verified yet.
#[derive(Clone, Copy)]
pub struct SignedData<'a> {
    signature: &'a [u8; ED25519_SIGNATURE_LENGTH],
    data: &'a [u8],
}

impl core::fmt::Debug for SignedData<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SignedData({} bytes)", self.data.len())
    }
}

impl<'a> Decode<'a> for SignedData<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, wire::Error> {
        let signature = reader.short()?.try_into().map_err(|_| wire::Error::Invalid)?;
        Ok(Self { signature, data: reader.rest() })
    }
}

/// Decrypts what a relay had, where it stands.
pub fn open<'b>(key: &BoxKey, buffer: &'b mut [u8]) -> Result<SignedData<'b>, Error> {
    let (nonce, sealed) = buffer.split_first_chunk_mut::<NONCE_LENGTH>().ok_or(Error::Decrypt)?;
    Ok(SignedData::from_bytes(key.open_content(&Nonce(*nonce), sealed)?)?)
}

/// Link data that was verified.
#[derive(Clone, Copy)]
pub struct VerifiedLink<'a> {
    /// The encoded fixed data.
    pub fixed: &'a [u8],
    /// The encoded user data.
    pub user: &'a [u8],
    /// The key that owns the link.
    pub root_key: Ed25519PublicKey,
}

impl core::fmt::Debug for VerifiedLink<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "VerifiedLink({} and {} bytes)", self.fixed.len(), self.user.len())
    }
}

/// Verifies both parts of a link's data against the link.
///
/// Owners are verified in the order of the list. A list as long as the data allows, about 120, where each one is signed
/// by the one before, costs some 7,000 verifications.
pub fn verify<'a>(
    kind: LinkKind,
    link_key: &LinkKey,
    fixed: &SignedData<'a>,
    user: &SignedData<'a>,
) -> Result<VerifiedLink<'a>, LinkError> {
    let mut reader = Reader::new(fixed.data);
    read_versions(&mut reader)?;
    let root_key: Ed25519PublicKey = reader.value()?;
    let owners = decode_owners(kind, user.data)?;

    if LinkKey::of(fixed.data) != *link_key {
        return Err(LinkError::Hash);
    }
    root_key.verify(fixed.data, fixed.signature).map_err(|_| LinkError::FixedSignature)?;
    verify_owners(&root_key, &owners)?;
    let signed_by = |key: &Ed25519PublicKey| key.verify(user.data, user.signature).is_ok();
    if !signed_by(&root_key) && !owners.iter().any(|owner| signed_by(&owner.key)) {
        return Err(LinkError::UserSignature);
    }
    Ok(VerifiedLink { fixed: fixed.data, user: user.data, root_key })
}

/// Someone who may change the user data of a link.
#[derive(Clone, Copy)]
struct Owner<'a> {
    id: &'a [u8],
    key: Ed25519PublicKey,
    signature: &'a [u8],
}

impl<'a> Decode<'a> for Owner<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, wire::Error> {
        // What follows the signature inside the wrapper is left to later versions.
        let mut inner = Reader::new(reader.value::<ShortString<'a>>()?.as_bytes());
        Ok(Self { id: inner.short()?, key: inner.value()?, signature: inner.short()? })
    }
}

/// The owners in the user data; invitations have none.
fn decode_owners(kind: LinkKind, user_data: &[u8]) -> Result<List<'_, Owner<'_>>, wire::Error> {
    let mut reader = Reader::new(user_data);
    match kind {
        LinkKind::Invitation => {
            reader.expect(b"I")?;
            read_versions(&mut reader)?;
            Ok(List::new(&[])?)
        }
        LinkKind::Contact => {
            reader.expect(b"C")?;
            read_versions(&mut reader)?;
            reader.value::<bool>()?;
            reader.value()
        }
    }
}

/// Versions of the agent protocol, which do not matter here beyond being a range.
fn read_versions(reader: &mut Reader<'_>) -> Result<(), wire::Error> {
    reader.value::<VersionRange<SmpVersion>>().map(|_| ())
}

fn verify_owners(root_key: &Ed25519PublicKey, owners: &List<'_, Owner<'_>>) -> Result<(), LinkError> {
    for (index, owner) in owners.iter().enumerate() {
        let earlier = || owners.iter().take(index);
        if owner.key == *root_key {
            return Err(LinkError::RootOwner);
        }
        if earlier().any(|other| other.id == owner.id || other.key == owner.key) {
            return Err(LinkError::DuplicateOwner);
        }
        let spki = owner.key.to_spki();
        let signed_by = |key: &Ed25519PublicKey| key.verify_parts(&[owner.id, &spki], owner.signature).is_ok();
        if !signed_by(root_key) && !earlier().any(|other| signed_by(&other.key)) {
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
