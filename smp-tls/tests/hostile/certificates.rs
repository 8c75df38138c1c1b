//! Certificates and requests for them as they may not be.

use crate::Row;
use crate::flight::{body, to_certificate, to_signature};
use crate::server::Protection::Handshake;
use crate::server::messages::{certificate, certificate_request};
use crate::server::wire::{
    CERTIFICATE, CERTIFICATE_REQUEST, HANDSHAKE, alert, extension, extension as make, list8, list16, list24,
};
use crate::server::{Identity, Server};

fn chain(server: &mut Server<'_>, chain: &[(&[u8], &[u8])]) {
    to_certificate(server);
    server.say(&certificate(&[], chain));
}

pub(crate) const CERTIFICATES: &[Row] = &[
    Row::new("no certificate", Handshake, alert::DECODE_ERROR, |server| chain(server, &[])),
    Row::new("an empty certificate", Handshake, alert::DECODE_ERROR, |server| chain(server, &[(&[], &[])])),
    Row::new("an empty certificate behind a good one", Handshake, alert::DECODE_ERROR, |server| {
        let leaf = server.identity.chain[0].clone();
        chain(server, &[(&leaf, &[]), (&[], &[])]);
    }),
    Row::new("the answer to a request that was not made", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        to_certificate(server);
        let leaf = server.identity.chain[0].clone();
        server.say(&certificate(&[1], &[(&leaf, &[])]));
    }),
    Row::new("a stapled answer nobody asked for", Handshake, alert::UNSUPPORTED_EXTENSION, |server| {
        let leaf = server.identity.chain[0].clone();
        chain(server, &[(&leaf, &make(extension::STATUS_REQUEST, &[1, 0, 0, 1, 5]))]);
    }),
    Row::new("a known extension that certificates do not have", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        let leaf = server.identity.chain[0].clone();
        chain(server, &[(&leaf, &make(extension::KEY_SHARE, &[]))]);
    }),
    Row::new("half an extension of a certificate", Handshake, alert::DECODE_ERROR, |server| {
        let leaf = server.identity.chain[0].clone();
        chain(server, &[(&leaf, &[0, 5, 0])]);
    }),
    Row::new("nine certificates", Handshake, alert::INTERNAL_ERROR, |server| {
        let leaf = server.identity.chain[0].clone();
        chain(server, &[(leaf.as_slice(), &[][..]); 9]);
    }),
    Row::new("certificates of 20,000 bytes", Handshake, alert::INTERNAL_ERROR, |server| {
        chain(server, &[(&[0x30; 20_000], &[])]);
    }),
    Row::new("certificates that claim 2^24 - 1 bytes", Handshake, alert::INTERNAL_ERROR, |server| {
        to_certificate(server);
        server.record(HANDSHAKE, &[CERTIFICATE, 255, 255, 255]);
    }),
    Row::new("a list longer than the message", Handshake, alert::DECODE_ERROR, |server| {
        to_certificate(server);
        body(server, CERTIFICATE, &[0, 0, 0, 9, 0, 0, 1, 0x30]);
    }),
    Row::new("bytes behind the list", Handshake, alert::DECODE_ERROR, |server| {
        to_certificate(server);
        let entry = [list24(&server.identity.chain[0]), list16(&[])].concat();
        body(server, CERTIFICATE, &[list8(&[]), list24(&entry), vec![0]].concat());
    }),
    Row::new("a certificate without the list of its extensions", Handshake, alert::DECODE_ERROR, |server| {
        to_certificate(server);
        let entry = list24(&server.identity.chain[0]);
        body(server, CERTIFICATE, &[list8(&[]), list24(&entry)].concat());
    }),
    Row::new("an empty message Certificate", Handshake, alert::DECODE_ERROR, |server| {
        to_certificate(server);
        body(server, CERTIFICATE, &[]);
    }),
    Row::new("another server's chain", Handshake, alert::UNKNOWN_CA, |server| {
        let [leaf, authority] = Identity::stranger().chain.try_into().unwrap();
        chain(server, &[(&leaf, &[]), (&authority, &[])]);
    }),
    Row::new("another server's leaf with the right authority", Handshake, alert::BAD_CERTIFICATE, |server| {
        let leaf = Identity::stranger().chain.swap_remove(0);
        let authority = server.identity.chain[1].clone();
        chain(server, &[(&leaf, &[]), (&authority, &[])]);
    }),
    Row::new("no DER", Handshake, alert::BAD_CERTIFICATE, |server| {
        let authority = server.identity.chain[1].clone();
        chain(server, &[(&[1, 2, 3], &[]), (&authority, &[])]);
    }),
    // Requests.
    Row::new("a request with a context", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        to_certificate(server);
        server.say(&certificate_request(&[1], &[]));
    }),
    Row::new("a request without algorithms", Handshake, alert::MISSING_EXTENSION, |server| {
        to_certificate(server);
        body(server, CERTIFICATE_REQUEST, &[0, 0, 0]);
    }),
    Row::new("a request with an empty list of algorithms", Handshake, alert::DECODE_ERROR, |server| {
        to_certificate(server);
        let algorithms = make(extension::SIGNATURE_ALGORITHMS, &[0, 0]);
        body(server, CERTIFICATE_REQUEST, &[list8(&[]), list16(&algorithms)].concat());
    }),
    Row::new("a request with an algorithm and a half", Handshake, alert::DECODE_ERROR, |server| {
        to_certificate(server);
        let algorithms = make(extension::SIGNATURE_ALGORITHMS, &[0, 3, 8, 7, 8]);
        body(server, CERTIFICATE_REQUEST, &[list8(&[]), list16(&algorithms)].concat());
    }),
    Row::new("a request with algorithms twice", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        to_certificate(server);
        let algorithms = make(extension::SIGNATURE_ALGORITHMS, &[0, 2, 8, 7]);
        server.say(&certificate_request(&[], &[algorithms]));
    }),
    Row::new("bytes behind a request", Handshake, alert::DECODE_ERROR, |server| {
        to_certificate(server);
        let mut request = certificate_request(&[], &[]);
        request.push(0);
        request[3] += 1;
        server.say(&request);
    }),
    Row::new("an empty message CertificateRequest", Handshake, alert::DECODE_ERROR, |server| {
        to_certificate(server);
        body(server, CERTIFICATE_REQUEST, &[]);
    }),
    Row::new("two requests", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        to_certificate(server);
        server.request_certificate();
        server.request_certificate();
    }),
    Row::new("a request behind the certificate", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        to_signature(server);
        server.request_certificate();
    }),
    Row::new("a request before the extensions", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.request_certificate();
    }),
];
