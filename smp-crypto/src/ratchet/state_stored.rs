//! How a ratchet is stored.

use serde::{Deserialize, Serialize};
use smp_proto::version::RatchetVersion;

use super::agreement_keys::StoredPair;
use super::chain::{Chain, ChainKey};
use super::encapsulation::OwnEncapsulation;
use super::header::HeaderKey;
use super::root::RootKey;
use super::stored::exact;
use super::{ASSOCIATED_DATA_LENGTH, Error, Ratchet, stored};
use crate::sntrup761::{CIPHERTEXT_LENGTH, SECRET_KEY_LENGTH};

/// The number of the stored format, its first byte.
const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct StoredRatchet<'a> {
    version: u16,
    max_version: u16,
    associated_data: &'a [u8],
    #[serde(borrow)]
    key: StoredPair<'a>,
    encapsulation: Option<StoredEncapsulation<'a>>,
    large_headers: bool,
    encapsulates: bool,
    sending_encapsulated: bool,
    receiving_encapsulated: bool,
    root: &'a [u8],
    sending: Option<StoredChain<'a>>,
    receiving: Option<StoredChain<'a>>,
    sent: u32,
    received: u32,
    previously_sent: u32,
    next_sending_header_key: &'a [u8],
    next_receiving_header_key: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct StoredEncapsulation<'a> {
    secret: &'a [u8],
    ciphertext: Option<&'a [u8]>,
}

#[derive(Serialize, Deserialize)]
struct StoredChain<'a> {
    key: &'a [u8],
    header_key: &'a [u8],
}

impl<'a> From<&'a Chain> for StoredChain<'a> {
    fn from(chain: &'a Chain) -> Self {
        Self { key: chain.key.as_bytes(), header_key: chain.header_key.as_bytes() }
    }
}

impl StoredChain<'_> {
    const LENGTH: usize = 33 + 33;

    fn read(&self) -> Result<Chain, Error> {
        Ok(Chain {
            key: ChainKey::from_bytes(*exact(self.key)?),
            header_key: HeaderKey::from_bytes(*exact(self.header_key)?),
        })
    }
}

/// # Stored form
///
/// Postcard (<https://postcard.jamesmunns.com/wire-format>), in this order; byte strings have their length first:
///
/// | Field | Type |
/// |---|---|
/// | format, 1 | `u8` |
/// | version, highest version | `u16` each |
/// | associated data | 112 bytes |
/// | ratchet key: secret, public | 56 bytes each |
/// | own encapsulation key, with the ciphertext that is announced | option of 1763 bytes and an option of 1039 bytes |
/// | large headers, encapsulation in the next step, sending chain encapsulated, receiving chain encapsulated | `bool` each |
/// | root key | 32 bytes |
/// | sending chain, receiving chain: chain key, header key | option of twice 32 bytes each |
/// | sent, received, sent in the chain before | `u32` each |
/// | next header key for sending, for receiving | 32 bytes each |
///
/// What follows is ignored: a later release may add fields. One that changes these has another number, and a release that
/// does not know it says [`Error::NewerFormat`].
///
/// The X448 and encapsulation keys of the peer are not kept, and neither are encapsulated secrets: they have done their
/// work when a step is complete.
impl Ratchet {
    /// The longest stored form in bytes.
    pub const MAX_SERIALIZED_LENGTH: usize = 1
        + 2 * 3
        + (1 + ASSOCIATED_DATA_LENGTH)
        + StoredPair::LENGTH
        + (1 + 2 + SECRET_KEY_LENGTH + 1 + 2 + CIPHERTEXT_LENGTH)
        + 4
        + 33
        + 2 * (1 + StoredChain::LENGTH)
        + 3 * 5
        + 2 * 33;

    /// Writes the stored form and gives it. It is as secret as the conversation.
    ///
    /// Fails with [`Error::TooLong`] when `out` is too small; [`Self::MAX_SERIALIZED_LENGTH`] is always enough.
    pub fn to_bytes<'b>(&self, out: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        let mut writer = stored::Writer::new(out);
        writer.write(&FORMAT)?;
        writer.write(&StoredRatchet {
            version: self.version.0,
            max_version: self.max_version.0,
            associated_data: &self.associated_data,
            key: (&self.key).into(),
            encapsulation: self.encapsulation.as_ref().map(|own| StoredEncapsulation {
                secret: own.secret.as_bytes(),
                ciphertext: own.ciphertext.as_ref().map(|ciphertext| &ciphertext[..]),
            }),
            large_headers: self.large_headers,
            encapsulates: self.encapsulates,
            sending_encapsulated: self.sending_encapsulated,
            receiving_encapsulated: self.receiving_encapsulated,
            root: self.root.as_bytes(),
            sending: self.sending.as_ref().map(Into::into),
            receiving: self.receiving.as_ref().map(Into::into),
            sent: self.sent,
            received: self.received,
            previously_sent: self.previously_sent,
            next_sending_header_key: self.next_sending_header_key.as_bytes(),
            next_receiving_header_key: self.next_receiving_header_key.as_bytes(),
        })?;
        writer.finish()
    }

    /// Reads the stored form.
    ///
    /// Fails with [`Error::NewerFormat`] when a later release wrote it, and with [`Error::Stored`] when it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = stored::Reader::new(bytes, FORMAT)?;
        let stored: StoredRatchet<'_> = reader.read()?;
        let version = RatchetVersion(stored.version);
        let max_version = RatchetVersion(stored.max_version).min(RatchetVersion::MAX).max(version);
        if version < RatchetVersion::MIN || version > RatchetVersion::MAX {
            return Err(Error::Stored);
        }
        let mut ratchet = Self {
            version,
            max_version,
            associated_data: *exact(stored.associated_data)?,
            key: stored.key.read()?,
            encapsulation: None,
            large_headers: stored.large_headers,
            encapsulates: stored.encapsulates,
            sending_encapsulated: stored.sending_encapsulated,
            receiving_encapsulated: stored.receiving_encapsulated,
            root: RootKey::from_bytes(*exact(stored.root)?),
            sending: stored.sending.as_ref().map(StoredChain::read).transpose()?,
            receiving: stored.receiving.as_ref().map(StoredChain::read).transpose()?,
            sent: stored.sent,
            received: stored.received,
            previously_sent: stored.previously_sent,
            next_sending_header_key: HeaderKey::from_bytes(*exact(stored.next_sending_header_key)?),
            next_receiving_header_key: HeaderKey::from_bytes(*exact(stored.next_receiving_header_key)?),
        };
        if let Some(own) = &stored.encapsulation {
            let ciphertext = own.ciphertext.map(exact).transpose()?;
            OwnEncapsulation::put(&mut ratchet.encapsulation, exact(own.secret)?, ciphertext);
        }
        Ok(ratchet)
    }
}
