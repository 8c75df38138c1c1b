//! Session keys certified by a certificate's key: the `skey` of hellos and of PKEY (wire reference, section 1.6). Relays
//! certify X25519 keys, services Ed25519 keys.
//!
//! The object is DER of a fixed form: 122 bytes with an Ed25519 signature, 173 with one of Ed448. Only that form is read.
//! The key inside is given out by a verification that succeeded, and not before.

use smp_proto::{
    key::{Ed448PublicKey, Ed25519PublicKey, X25519PublicKey},
    wire::{self, Reader, Writer},
};

#[cfg(feature = "ed448")]
use crate::key::Ed448SecretKey;
use crate::{
    Error,
    certificate::{CertificateKey, CertificateSigner},
    key::{ED448_SIGNATURE_LENGTH, ED25519_SIGNATURE_LENGTH, Ed25519SecretKey, Verify},
};

/// Length of the object with an Ed25519 signature, in bytes.
pub const ED25519_LENGTH: usize = 122;
/// Length of the object with an Ed448 signature, in bytes.
pub const ED448_LENGTH: usize = 173;

/// The header of the sequence around the key, which is signed with it.
const WRAPPER: [u8; 2] = [0x30, 0x2c];
const WRAPPED_LENGTH: usize = WRAPPER.len() + X25519PublicKey::SPKI_LENGTH;

const ED25519_HEAD: [u8; 2] = [0x30, 0x78];
/// Algorithm, and the header of the bit string of the signature.
const ED25519_MIDDLE: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x41, 0x00];
const ED448_HEAD: [u8; 3] = [0x30, 0x81, 0xaa];
const ED448_MIDDLE: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x71, 0x03, 0x73, 0x00];

/// The session key of a relay, with a signature of its certificate's key.
pub type SignedKey = Signed<X25519PublicKey>;

/// The session key of a service, with a signature of its certificate's key.
pub type SignedServiceKey = Signed<Ed25519PublicKey>;

/// A key of a session. Both kinds have the same length.
pub trait SessionKey: Copy + sealed::Spki {}

impl SessionKey for X25519PublicKey {}
impl SessionKey for Ed25519PublicKey {}

mod sealed {
    use super::{Ed25519PublicKey, X25519PublicKey, wire};

    pub trait Spki: Sized {
        fn read(der: &[u8]) -> Result<Self, wire::Error>;
        fn spki(&self) -> [u8; X25519PublicKey::SPKI_LENGTH];
    }

    impl Spki for X25519PublicKey {
        fn read(der: &[u8]) -> Result<Self, wire::Error> {
            Self::from_spki(der)
        }

        fn spki(&self) -> [u8; X25519PublicKey::SPKI_LENGTH] {
            self.to_spki()
        }
    }

    impl Spki for Ed25519PublicKey {
        fn read(der: &[u8]) -> Result<Self, wire::Error> {
            Self::from_spki(der)
        }

        fn spki(&self) -> [u8; X25519PublicKey::SPKI_LENGTH] {
            self.to_spki()
        }
    }
}

/// A session key with a signature of a certificate's key.
#[derive(Clone, Copy, Debug)]
pub struct Signed<K> {
    key: K,
    signature: Signature,
}

#[derive(Clone, Copy)]
enum Signature {
    Ed25519([u8; ED25519_SIGNATURE_LENGTH]),
    Ed448([u8; ED448_SIGNATURE_LENGTH]),
}

impl core::fmt::Debug for Signature {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Ed25519(_) => "Ed25519(..)",
            Self::Ed448(_) => "Ed448(..)",
        })
    }
}

impl<K: SessionKey> Signed<K> {
    /// Certifies a session key.
    #[must_use]
    pub fn sign(key: K, signer: CertificateSigner<'_>) -> Self {
        match signer {
            CertificateSigner::Ed25519(signer) => Self::sign_ed25519(key, signer),
            #[cfg(feature = "ed448")]
            CertificateSigner::Ed448(signer) => Self::sign_ed448(key, signer),
        }
    }

    /// Certifies a session key.
    #[must_use]
    pub fn sign_ed25519(key: K, signer: &Ed25519SecretKey) -> Self {
        Self { key, signature: Signature::Ed25519(signer.sign(&wrap(&key))) }
    }

    /// Certifies a session key.
    #[cfg(feature = "ed448")]
    #[must_use]
    pub fn sign_ed448(key: K, signer: &Ed448SecretKey) -> Self {
        Self { key, signature: Signature::Ed448(signer.sign(&wrap(&key))) }
    }

    /// Reads a complete object, without verifying it.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        read(der).map_err(|_| Error::InvalidKey)
    }

    /// Writes the object, of [`ED25519_LENGTH`] or [`ED448_LENGTH`] bytes, and returns it.
    pub fn to_der<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
        let mut writer = Writer::new(buffer);
        self.write(&mut writer).map_err(|_| Error::Length)?;
        Ok(writer.into_written())
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), wire::Error> {
        let (head, middle, signature) = match &self.signature {
            Signature::Ed25519(signature) => (&ED25519_HEAD[..], &ED25519_MIDDLE, &signature[..]),
            Signature::Ed448(signature) => (&ED448_HEAD[..], &ED448_MIDDLE, &signature[..]),
        };
        writer.bytes(head)?;
        writer.bytes(&wrap(&self.key))?;
        writer.bytes(middle)?;
        writer.bytes(signature)
    }

    /// The session key, when the key of a certificate signed it.
    pub fn verify(&self, signer: &CertificateKey) -> Result<K, Error> {
        match signer {
            CertificateKey::Ed25519(signer) => self.verify_ed25519(signer),
            CertificateKey::Ed448(signer) => self.verify_ed448(signer),
            CertificateKey::Other => Err(Error::Unsupported),
        }
    }

    /// The session key, when an Ed25519 key signed it.
    pub fn verify_ed25519(&self, signer: &Ed25519PublicKey) -> Result<K, Error> {
        let Signature::Ed25519(signature) = &self.signature else { return Err(Error::Signature) };
        signer.verify(&wrap(&self.key), signature)?;
        Ok(self.key)
    }

    /// The session key, when an Ed448 key signed it.
    pub fn verify_ed448(&self, signer: &Ed448PublicKey) -> Result<K, Error> {
        let Signature::Ed448(signature) = &self.signature else { return Err(Error::Signature) };
        signer.verify(&wrap(&self.key), signature)?;
        Ok(self.key)
    }
}

/// What is signed: the key's SubjectPublicKeyInfo in one more sequence.
fn wrap<K: SessionKey>(key: &K) -> [u8; WRAPPED_LENGTH] {
    let mut wrapped = [0; WRAPPED_LENGTH];
    let (head, tail) = wrapped.split_at_mut(WRAPPER.len());
    head.copy_from_slice(&WRAPPER);
    tail.copy_from_slice(&key.spki());
    wrapped
}

fn read<K: SessionKey>(der: &[u8]) -> Result<Signed<K>, wire::Error> {
    let mut reader = Reader::new(der);
    let ed25519 = der.starts_with(&ED25519_HEAD);
    reader.expect(if ed25519 { &ED25519_HEAD } else { &ED448_HEAD })?;
    reader.expect(&WRAPPER)?;
    let key = K::read(reader.take(X25519PublicKey::SPKI_LENGTH)?)?;
    let signature = if ed25519 {
        reader.expect(&ED25519_MIDDLE)?;
        Signature::Ed25519(*reader.array()?)
    } else {
        reader.expect(&ED448_MIDDLE)?;
        Signature::Ed448(*reader.array()?)
    };
    reader.finish()?;
    Ok(Signed { key, signature })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        key::X25519SecretKey,
        test::{bytes, numbers, random},
    };

    /// The value of the wire reference, Appendix A.
    #[test]
    fn appendix_a_vectors() {
        let key = X25519SecretKey::from_bytes(&numbers(1)).public_key();
        let public = "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c";
        assert_eq!(key.0, bytes(public));
        let signer = Ed25519SecretKey::from_bytes(&[7; 32]);
        let mut der = [0; ED25519_LENGTH];
        SignedKey::sign_ed25519(key, &signer).to_der(&mut der).unwrap();
        let expected = [
            "3078302c302a300506032b656e032100",
            public,
            "300506032b6570034100",
            "7c43e7beec9992b7c358bc93e7a1d6b36ecbbec482f45967cb96cf2068638472",
            "e2097890761cf49c6f5027c3635001673d1691c9d25241ed5281cda770fe040d",
        ];
        assert_eq!(der, bytes(&expected.concat()));
        assert_eq!(SignedKey::from_der(&der).unwrap().verify_ed25519(&signer.public_key()), Ok(key));
    }

    #[test]
    fn only_the_signer_verifies_and_nothing_may_change() {
        let random = &mut random(1);
        let key = X25519SecretKey::generate(random).public_key();
        let signer = Ed25519SecretKey::generate(random);
        let mut der = [0; ED25519_LENGTH];
        assert_eq!(SignedKey::sign_ed25519(key, &signer).to_der(&mut der).unwrap().len(), ED25519_LENGTH);
        let read = SignedKey::from_der(&der).unwrap();
        assert_eq!(read.verify_ed25519(&signer.public_key()), Ok(key));
        let other = Ed25519SecretKey::generate(random).public_key();
        assert_eq!(read.verify_ed25519(&other), Err(Error::Signature));
        assert_eq!(read.verify_ed448(&Ed448PublicKey([0; 57])), Err(Error::Signature));

        for length in 0..der.len() {
            assert_eq!(SignedKey::from_der(&der[..length]).err(), Some(Error::InvalidKey));
        }
        assert!(SignedKey::from_der(&[&der[..], &[0]].concat()).is_err());
        for bit in 0..der.len() * 8 {
            let mut flipped = der;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let verified = SignedKey::from_der(&flipped).and_then(|key| key.verify_ed25519(&signer.public_key()));
            assert!(verified.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn keys_of_relays_and_services_are_not_confused() {
        let random = &mut random(3);
        let signer = Ed25519SecretKey::generate(random);
        let service = Ed25519SecretKey::generate(random).public_key();
        let signer = CertificateSigner::Ed25519(&signer);
        let mut der = [0; ED25519_LENGTH];
        SignedServiceKey::sign(service, signer).to_der(&mut der).unwrap();
        let verified = SignedServiceKey::from_der(&der).unwrap().verify(&signer.public_key());
        assert_eq!(verified, Ok(service));
        assert_eq!(SignedKey::from_der(&der).err(), Some(Error::InvalidKey));
    }

    #[cfg(feature = "ed448")]
    #[test]
    fn ed448_signs_too() {
        let random = &mut random(2);
        let key = X25519SecretKey::generate(random).public_key();
        let signer = Ed448SecretKey::generate(random);
        let mut der = [0; ED448_LENGTH];
        assert_eq!(SignedKey::sign_ed448(key, &signer).to_der(&mut der).unwrap().len(), ED448_LENGTH);
        assert_eq!(SignedKey::sign_ed448(key, &signer).to_der(&mut [0; ED448_LENGTH - 1]), Err(Error::Length));
        let read = SignedKey::from_der(&der).unwrap();
        assert_eq!(read.verify_ed448(&signer.public_key()), Ok(key));
        assert_eq!(read.verify_ed25519(&Ed25519PublicKey([0; 32])), Err(Error::Signature));
        // One bit of each byte: the signature is slow to verify in an unoptimised build.
        for byte in 0..der.len() {
            let mut flipped = der;
            flipped[byte] ^= 1 << (byte % 8);
            let verified = SignedKey::from_der(&flipped).and_then(|key| key.verify_ed448(&signer.public_key()));
            assert!(verified.is_err(), "byte {byte}");
        }
    }
}
