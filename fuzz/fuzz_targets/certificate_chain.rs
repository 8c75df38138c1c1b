//! Chains of certificates, as the hellos carry them. The identity is taken as the expected one, so that what lies behind
//! that comparison is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smp_crypto::certificate::{Certificate, fingerprint, validate_server_chain, validate_service_chain};
use smp_proto::transport::hello::CertificateChain;
use smp_proto::wire::Decode;

/// A day in 2026, when the certificates of the seeds are valid.
const NOW: i64 = 1_790_000_000;

fuzz_target!(|data: &[u8]| {
    let _ = Certificate::from_der(data).map(|certificate| format!("{certificate:?}"));
    let Ok(chain) = CertificateChain::from_bytes(data) else { return };
    let chain: Vec<&[u8]> = chain.iter().collect();
    for certificate in &chain {
        let _ = Certificate::from_der(certificate).map(|certificate| format!("{certificate:?}"));
    }
    let identity = chain.get(1).map(|certificate| fingerprint(certificate)).unwrap_or_default();
    if let Ok(validated) = validate_server_chain(&chain, &identity, NOW) {
        assert_eq!(validated.identity, identity);
        assert!((2..=4).contains(&chain.len()));
        assert!(validate_server_chain(&chain, &[0; 32], NOW).is_err());
    }
    if validate_service_chain(&chain, NOW).is_ok() {
        assert!((1..=4).contains(&chain.len()));
    }
});
