//! The key schedule (RFC 8446, section 7.1) for SHA-256, without pre-shared keys.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length in bytes of a hash, a secret and a Finished value.
pub(crate) const HASH_LENGTH: usize = 32;

/// The hash of nothing, which is the context of "derived".
const EMPTY_HASH: [u8; HASH_LENGTH] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// What the early secret becomes when there is no pre-shared key: the same in every handshake, and no secret.
const EARLY_DERIVED: [u8; HASH_LENGTH] = [
    0x6f, 0x26, 0x15, 0xa1, 0x08, 0xc7, 0x02, 0xc5, 0x67, 0x8f, 0x54, 0xfc, 0x9d, 0xba, 0xb6, 0x97, 0x16, 0xc0, 0x76,
    0x18, 0x9c, 0x48, 0x25, 0x0c, 0xeb, 0xea, 0xc3, 0x57, 0x6c, 0x36, 0x11, 0xba,
];

/// A secret of the schedule.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret([u8; HASH_LENGTH]);

impl Secret {
    /// The handshake secret, from what the key exchange agreed on.
    pub(crate) fn handshake(shared: &[u8; 32]) -> Self {
        Self(hmac(&EARLY_DERIVED, &[shared]))
    }

    /// The master secret, from the handshake secret.
    pub(crate) fn master(&self) -> Self {
        let derived = self.derive(b"derived", &EMPTY_HASH);
        Self(hmac(&derived.0, &[&[0; HASH_LENGTH]]))
    }

    /// A secret of this one for a label and the hash of the messages so far.
    pub(crate) fn derive(&self, label: &[u8], transcript: &[u8; HASH_LENGTH]) -> Self {
        Self(self.expand::<HASH_LENGTH>(label, transcript))
    }

    /// The traffic secret after this one (section 7.2).
    pub(crate) fn update(&self) -> Self {
        Self(self.expand::<HASH_LENGTH>(b"traffic upd", &[]))
    }

    /// The value of Finished of the side whose traffic secret this is (section 4.4.4).
    pub(crate) fn finished(&self, transcript: &[u8; HASH_LENGTH]) -> [u8; HASH_LENGTH] {
        let key = Self(self.expand::<HASH_LENGTH>(b"finished", &[]));
        hmac(&key.0, &[transcript])
    }

    /// HKDF-Expand-Label. `N` is at most 32: one block of HKDF-Expand, which is one HMAC.
    pub(crate) fn expand<const N: usize>(&self, label: &[u8], context: &[u8]) -> [u8; N] {
        const { assert!(N <= HASH_LENGTH) };
        const PREFIX: &[u8] = b"tls13 ";
        let label_length = PREFIX.len().saturating_add(label.len());
        let mut block =
            hmac(&self.0, &[&[0, N as u8, label_length as u8], PREFIX, label, &[context.len() as u8], context, &[1]]);
        let mut output = [0; N];
        output.iter_mut().zip(&block).for_each(|(output, byte)| *output = *byte);
        block.zeroize();
        output
    }
}

fn hmac(key: &[u8; HASH_LENGTH], message: &[&[u8]]) -> [u8; HASH_LENGTH] {
    let mut block = hmac::digest::common::Key::<Hmac<Sha256>>::default();
    block.iter_mut().zip(key).for_each(|(block, key)| *block = *key);
    let mut mac = Hmac::<Sha256>::new(&block);
    block.as_mut_slice().zeroize();
    message.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;
    use crate::test::{array, bytes};
    use crate::transcript::Transcript;

    fn assert_secret(secret: &Secret, hex: &str) {
        assert_eq!(secret.0, array::<32>(hex));
    }

    #[test]
    fn starts_without_a_pre_shared_key() {
        let early = Secret(hmac(&[0; 32], &[&[0; 32]]));
        assert_secret(&early, "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a");
        assert_eq!(<[u8; 32]>::from(Sha256::digest([])), EMPTY_HASH);
        assert_eq!(early.derive(b"derived", &EMPTY_HASH).0, EARLY_DERIVED);
    }

    /// RFC 8448, section 3: a handshake with X25519 and SHA-256, of which everything but the cipher is ours.
    #[test]
    fn follows_rfc_8448() {
        let client = x25519_dalek::StaticSecret::from(array::<32>(
            "49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005",
        ));
        let server = array::<32>("c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f");
        let shared = client.diffie_hellman(&server.into());
        assert_eq!(shared.to_bytes(), array::<32>("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d"));

        let handshake = Secret::handshake(shared.as_bytes());
        assert_secret(&handshake, "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac");
        let mut transcript = Transcript::new();
        transcript.add(&bytes(CLIENT_HELLO));
        transcript.add(&bytes(SERVER_HELLO));
        let hello = transcript.hash();
        assert_eq!(hello, array::<32>("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8"));

        let client = handshake.derive(b"c hs traffic", &hello);
        assert_secret(&client, "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21");
        let server = handshake.derive(b"s hs traffic", &hello);
        assert_secret(&server, "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
        assert_eq!(server.expand::<16>(b"key", &[]), array::<16>("3fce516009c21727d0f2e4e86ee403bc"));
        assert_eq!(server.expand::<12>(b"iv", &[]), array::<12>("5d313eb2671276ee13000b30"));

        let master = handshake.master();
        assert_secret(&master, "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919");

        // The hash up to the server's CertificateVerify.
        let verified = array::<32>("edb7725fa7a3473b031ec8ef65a2485493900138a2b91291407d7951a06110ed");
        assert_eq!(
            server.finished(&verified),
            array::<32>("9b9b141d906337fbd2cbdce71df4deda4ab42c309572cb7fffee5454b78f0718")
        );
        // The hash up to the server's Finished.
        let finished = array::<32>("9608102a0f1ccc6db6250b7b7e417b1a000eaada3daae4777a7686c9ff83df13");
        assert_eq!(
            client.finished(&finished),
            array::<32>("a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61")
        );
        let client = master.derive(b"c ap traffic", &finished);
        assert_secret(&client, "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5");
        let server = master.derive(b"s ap traffic", &finished);
        assert_secret(&server, "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643");
        assert_eq!(client.expand::<16>(b"key", &[]), array::<16>("17422dda596ed5d9acd890e3c63f5051"));
        assert_eq!(client.expand::<12>(b"iv", &[]), array::<12>("5b78923dee08579033e523d9"));
        assert_eq!(server.expand::<16>(b"key", &[]), array::<16>("9f02283b6c9c07efc26bb9f2ac92e356"));
        assert_eq!(server.expand::<12>(b"iv", &[]), array::<12>("cf782b88dd83549aadf1e984"));
    }

    #[test]
    fn leaves_nothing_of_a_secret() {
        fn zeroizes<T: ZeroizeOnDrop>() {}
        zeroizes::<Secret>();
        let mut secret = Secret([7; 32]);
        secret.zeroize();
        assert_eq!(secret.0, [0; 32]);
    }

    const CLIENT_HELLO: &str = "
        010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7000006130113031302010000910000000b
        0009000006736572766572ff01000100000a00140012001d0017001800190100010101020103010400230000003300260024001d002099
        381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003020304000d0020001e0403050306030203080408
        05080604010501060102010402050206020202002d00020101001c00024001";
    const SERVER_HELLO: &str = "
        020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e2692800130100002e00330024001d0020c98288
        76112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304";
}
