//! What several stories need.
#![allow(dead_code, reason = "each story uses its own part")]

pub(crate) mod openssl;

use openssl::{Scratch, openssl};
use smp_crypto::certificate::fingerprint;

/// The identity of a server as OpenSSL makes it: files in a directory and the same in DER.
pub(crate) struct Identity {
    pub(crate) directory: Scratch,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: Vec<u8>,
    pub(crate) fingerprint: [u8; 32],
}

impl Identity {
    /// A new identity with keys of `algorithm`, `ed25519` or `ed448`.
    pub(crate) fn new(algorithm: &str) -> Self {
        let directory = Scratch::new();
        let path = directory.path();
        let extensions = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,nonRepudiation,keyAgreement\n\
            extendedKeyUsage=serverAuth\n";
        std::fs::write(path.join("extensions"), extensions).unwrap();
        for command in [
            &format!("genpkey -algorithm {algorithm} -out ca.key"),
            "req -x509 -new -key ca.key -subj /CN=test/O=SimpleX -days 99 -out ca.crt",
            &format!("genpkey -algorithm {algorithm} -out server.key"),
            "req -new -key server.key -subj /CN=localhost -out server.csr",
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 9 -extfile extensions -out server.crt",
        ] {
            openssl(path, command);
        }
        let leaf = openssl(path, "x509 -in server.crt -outform DER").stdout;
        let identity = openssl(path, "x509 -in ca.crt -outform DER").stdout;
        let key = openssl(path, "pkcs8 -topk8 -nocrypt -in server.key -outform DER").stdout;
        let fingerprint = fingerprint(&identity);
        Self { directory, chain: vec![leaf, identity], key, fingerprint }
    }
}
