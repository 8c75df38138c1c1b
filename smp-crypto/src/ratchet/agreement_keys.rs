//! The keys one party has for the first agreement.

use serde::{Deserialize, Serialize};
use smp_proto::agent::Encapsulation;
use smp_proto::key::X448PublicKey;

use super::key_pair::KeyPair;
use super::new_keys::NewKeys;
use super::{Error, stored};
use crate::hash::sha256;
use crate::key::{X448SecretKey, secret_debug};
use crate::sntrup761::{SECRET_KEY_LENGTH, SecretKey};

/// Two pairs for key agreement, and one for encapsulation where that is proposed or was accepted.
pub(super) struct AgreementKeys {
    pub(super) first: KeyPair,
    pub(super) second: KeyPair,
    proposes: bool,
    /// Nothing when there is no proposal. Not an option: moving that takes its size of stack, and leaves copies.
    encapsulation: SecretKey,
}

secret_debug!(AgreementKeys);

/// How the keys are stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredKeys<'a> {
    first: StoredPair<'a>,
    second: StoredPair<'a>,
    encapsulation: Option<&'a [u8]>,
}

/// How a pair is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredPair<'a> {
    secret: &'a [u8],
    public: &'a [u8],
}

impl<'a> From<&'a KeyPair> for StoredPair<'a> {
    fn from(pair: &'a KeyPair) -> Self {
        Self { secret: pair.secret.as_bytes(), public: &pair.public.0 }
    }
}

impl StoredPair<'_> {
    /// Length of the stored form in bytes.
    pub(super) const LENGTH: usize = 57 + 57;

    pub(super) fn read(&self) -> Result<KeyPair, Error> {
        let secret = X448SecretKey::from_bytes(stored::exact(self.secret)?);
        Ok(KeyPair { secret, public: X448PublicKey(*stored::exact(self.public)?) })
    }
}

impl StoredKeys<'_> {
    /// The longest stored form in bytes.
    pub(super) const MAX_LENGTH: usize = StoredPair::LENGTH * 2 + 1 + 2 + SECRET_KEY_LENGTH;

    pub(super) fn read(&self) -> Result<AgreementKeys, Error> {
        let (first, second) = (self.first.read()?, self.second.read()?);
        let secret = self.encapsulation.map(stored::exact).transpose()?;
        let mut keys = AgreementKeys { first, second, proposes: secret.is_some(), encapsulation: SecretKey::zeroed() };
        if let Some(secret) = secret {
            keys.encapsulation.set_bytes(secret);
        }
        Ok(keys)
    }
}

impl AgreementKeys {
    /// Room for keys.
    pub(super) const NONE: Self =
        Self { first: KeyPair::EMPTY, second: KeyPair::EMPTY, proposes: false, encapsulation: SecretKey::zeroed() };

    /// Makes new keys, in place: they are large, and this is when the most stack is in use.
    pub(super) fn generate(&mut self, new_keys: &mut dyn NewKeys, encapsulation: bool) {
        self.first = new_keys.key_pair();
        self.second = new_keys.key_pair();
        self.proposes = encapsulation;
        if encapsulation {
            new_keys.encapsulation_key(&mut self.encapsulation);
        }
    }

    /// The key for encapsulation, if there is one.
    pub(super) fn encapsulation(&self) -> Option<&SecretKey> {
        self.proposes.then_some(&self.encapsulation)
    }

    /// What a party that has accepted nothing announces.
    pub(super) fn proposal(&self) -> Option<Encapsulation<'_>> {
        self.encapsulation().map(|secret| Encapsulation::Proposed { key: secret.public_key() })
    }

    /// The hash of the two public keys, by which parties that re-synchronise find their roles.
    pub(super) fn hash(&self) -> [u8; 32] {
        hash(&self.first.public, &self.second.public)
    }

    pub(super) fn stored(&self) -> StoredKeys<'_> {
        StoredKeys {
            first: (&self.first).into(),
            second: (&self.second).into(),
            encapsulation: self.encapsulation().map(|secret| &secret.as_bytes()[..]),
        }
    }
}

/// The hash of two public keys.
pub(super) fn hash(first: &X448PublicKey, second: &X448PublicKey) -> [u8; 32] {
    sha256(&[&first.0, &second.0])
}
