//! EncryptedExtensions, CertificateVerify, Finished and what follows, as they may not be.

use crate::Row;
use crate::server::Protection::{Application, Handshake};
use crate::server::keys::{hash, verify_data};
use crate::server::messages::{
    alpn, certificate_request, certificate_verify, encrypted_extensions, key_update, signed_content, ticket,
};
use crate::server::wire::{
    APPLICATION_DATA, CERTIFICATE_VERIFY, ED448, ED25519, ENCRYPTED_EXTENSIONS, FINISHED, HANDSHAKE, alert, extension,
    extension as make, list16, message,
};
use crate::server::{Identity, Server};

fn extensions(server: &mut Server<'_>, extensions: &[Vec<u8>]) {
    server.hello();
    server.say(&encrypted_extensions(extensions));
}

pub(crate) fn body(server: &mut Server<'_>, kind: u8, body: &[u8]) {
    server.say(&message(kind, body));
}

/// All up to the server's certificate.
pub(crate) fn to_certificate(server: &mut Server<'_>) {
    server.hello();
    server.say(&server.encrypted_extensions());
}

pub(crate) fn to_signature(server: &mut Server<'_>) {
    to_certificate(server);
    server.say(&server.certificate());
}

fn to_finished(server: &mut Server<'_>) {
    to_signature(server);
    server.say(&server.certificate_verify());
}

fn signature(server: &mut Server<'_>, sign: impl FnOnce(&Server<'_>) -> (u16, Vec<u8>)) {
    to_signature(server);
    let (scheme, signature) = sign(server);
    server.say(&certificate_verify(scheme, &signature));
}

fn own_signature(server: &Server<'_>, content: &[u8]) -> Vec<u8> {
    server.identity.key.sign(content)
}

pub(crate) const EXTENSIONS: &[Row] = &[
    Row::new("a name in EncryptedExtensions", Handshake, alert::UNSUPPORTED_EXTENSION, |server| {
        extensions(server, &[make(extension::SERVER_NAME, &[])]);
    }),
    Row::new("a shorter fragment length", Handshake, alert::UNSUPPORTED_EXTENSION, |server| {
        extensions(server, &[make(extension::MAX_FRAGMENT_LENGTH, &[1])]);
    }),
    Row::new("early data accepted that was not offered", Handshake, alert::UNSUPPORTED_EXTENSION, |server| {
        extensions(server, &[make(extension::EARLY_DATA, &[])]);
    }),
    Row::new("an unknown extension", Handshake, alert::UNSUPPORTED_EXTENSION, |server| {
        extensions(server, &[make(0xfafa, &[1])]);
    }),
    Row::new("a key share, too late", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[make(extension::KEY_SHARE, &[0, 29, 0, 1, 1])]);
    }),
    Row::new("a version, too late", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[make(extension::SUPPORTED_VERSIONS, &[3, 4])]);
    }),
    Row::new("a cookie, too late", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[make(extension::COOKIE, &[0, 1, 1])]);
    }),
    Row::new("signature algorithms in the wrong message", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[make(extension::SIGNATURE_ALGORITHMS, &[0, 2, 8, 7])]);
    }),
    Row::new("the application protocol twice", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[alpn(&[b"smp/1"]), alpn(&[b"smp/1"])]);
    }),
    Row::new("a protocol that was not offered", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[alpn(&[b"h2"])]);
    }),
    Row::new("a protocol that begins as the one offered", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[alpn(&[b"smp/"])]);
    }),
    Row::new("two protocols", Handshake, alert::DECODE_ERROR, |server| {
        extensions(server, &[alpn(&[b"smp/1", b"smp/1"])]);
    }),
    Row::new("no protocol", Handshake, alert::DECODE_ERROR, |server| extensions(server, &[alpn(&[])])),
    Row::new("an empty protocol", Handshake, alert::DECODE_ERROR, |server| extensions(server, &[alpn(&[b""])])),
    Row::new("an empty answer about protocols", Handshake, alert::DECODE_ERROR, |server| {
        extensions(server, &[make(extension::ALPN, &[])]);
    }),
    Row::new("bytes behind the protocol", Handshake, alert::DECODE_ERROR, |server| {
        let content = [&alpn(&[b"smp/1"])[4..], &[0]].concat();
        extensions(server, &[make(extension::ALPN, &content)]);
    }),
    Row::new("a protocol longer than its list", Handshake, alert::DECODE_ERROR, |server| {
        extensions(server, &[make(extension::ALPN, &[0, 6, 6, b's', b'm', b'p', b'/', b'1'])]);
    }),
    Row::new("no groups", Handshake, alert::DECODE_ERROR, |server| {
        extensions(server, &[make(extension::SUPPORTED_GROUPS, &[0, 0])]);
    }),
    Row::new("a group and a half", Handshake, alert::DECODE_ERROR, |server| {
        extensions(server, &[make(extension::SUPPORTED_GROUPS, &[0, 3, 0, 29, 0])]);
    }),
    Row::new("bytes behind the groups", Handshake, alert::DECODE_ERROR, |server| {
        extensions(server, &[make(extension::SUPPORTED_GROUPS, &[0, 2, 0, 29, 0])]);
    }),
    Row::new("extensions longer than the message", Handshake, alert::DECODE_ERROR, |server| {
        server.hello();
        body(server, ENCRYPTED_EXTENSIONS, &[0, 4]);
    }),
    Row::new("an extension longer than the list", Handshake, alert::DECODE_ERROR, |server| {
        server.hello();
        body(server, ENCRYPTED_EXTENSIONS, &list16(&[0xfa, 0xfa, 0, 1]));
    }),
    Row::new("half an extension", Handshake, alert::DECODE_ERROR, |server| {
        server.hello();
        body(server, ENCRYPTED_EXTENSIONS, &list16(&[0xfa, 0xfa, 0]));
    }),
    Row::new("bytes behind the extensions", Handshake, alert::DECODE_ERROR, |server| {
        server.hello();
        body(server, ENCRYPTED_EXTENSIONS, &[0, 0, 0]);
    }),
    Row::new("no list of extensions", Handshake, alert::DECODE_ERROR, |server| {
        server.hello();
        body(server, ENCRYPTED_EXTENSIONS, &[]);
    }),
    Row::new("EncryptedExtensions that claim 2^24 - 1 bytes", Handshake, alert::INTERNAL_ERROR, |server| {
        server.hello();
        server.record(HANDSHAKE, &[ENCRYPTED_EXTENSIONS, 255, 255, 255]);
    }),
];

pub(crate) const SIGNATURES: &[Row] = &[
    Row::new("a wrong signature", Handshake, alert::DECRYPT_ERROR, |server| {
        signature(server, |server| {
            let mut signature = own_signature(server, &signed_content(&server.transcript));
            signature[10] ^= 1;
            (ED25519, signature)
        });
    }),
    Row::new("another server's signature", Handshake, alert::DECRYPT_ERROR, |server| {
        signature(server, |server| (ED25519, Identity::stranger().key.sign(&signed_content(&server.transcript))));
    }),
    Row::new("a signature of another handshake", Handshake, alert::DECRYPT_ERROR, |server| {
        signature(server, |server| (ED25519, own_signature(server, &signed_content(b"another handshake"))));
    }),
    Row::new("a signature without the certificate", Handshake, alert::DECRYPT_ERROR, |server| {
        signature(server, |server| {
            let length = server.transcript.len() - server.certificate().len();
            (ED25519, own_signature(server, &signed_content(&server.transcript[..length])))
        });
    }),
    Row::new("a client's signature", Handshake, alert::DECRYPT_ERROR, |server| {
        signature(server, |server| {
            let content = signed_content(&server.transcript);
            let content = String::from_utf8_lossy(&content[..98]).replace("server", "client").into_bytes();
            (ED25519, own_signature(server, &[&content[..], &hash(&server.transcript)].concat()))
        });
    }),
    Row::new("a signature of the hash alone", Handshake, alert::DECRYPT_ERROR, |server| {
        signature(server, |server| (ED25519, own_signature(server, &hash(&server.transcript))));
    }),
    Row::new("a signature of zeros", Handshake, alert::DECRYPT_ERROR, |server| {
        signature(server, |_| (ED25519, vec![0; 64]));
    }),
    Row::new("a signature of 63 bytes", Handshake, alert::DECRYPT_ERROR, |server| {
        signature(server, |server| {
            (ED25519, own_signature(server, &signed_content(&server.transcript))[..63].to_vec())
        });
    }),
    Row::new("a signature of 65 bytes", Handshake, alert::DECRYPT_ERROR, |server| {
        signature(server, |server| {
            (ED25519, [own_signature(server, &signed_content(&server.transcript)), vec![0]].concat())
        });
    }),
    Row::new("no signature", Handshake, alert::DECRYPT_ERROR, |server| signature(server, |_| (ED25519, vec![]))),
    Row::new("a signature whose scalar is not reduced", Handshake, alert::DECRYPT_ERROR, |server| {
        signature(server, |server| {
            // S + L is the same number to those who do not look.
            const ORDER: [u8; 32] = [
                0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
            ];
            let mut signature = own_signature(server, &signed_content(&server.transcript));
            let mut carry = 0;
            for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
                carry += u16::from(*byte) + u16::from(order);
                *byte = carry as u8;
                carry >>= 8;
            }
            (ED25519, signature)
        });
    }),
    Row::new("the other scheme's name", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        signature(server, |server| (ED448, own_signature(server, &signed_content(&server.transcript))));
    }),
    Row::new("a scheme that was not offered", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        signature(server, |server| (0x0804, own_signature(server, &signed_content(&server.transcript))));
    }),
    Row::new("scheme 0", Handshake, alert::ILLEGAL_PARAMETER, |server| {
        signature(server, |server| (0, own_signature(server, &signed_content(&server.transcript))));
    }),
    Row::new("bytes behind the signature", Handshake, alert::DECODE_ERROR, |server| {
        to_signature(server);
        let mut message = server.certificate_verify();
        message.push(0);
        message[3] += 1;
        server.say(&message);
    }),
    Row::new("a signature longer than the message", Handshake, alert::DECODE_ERROR, |server| {
        to_signature(server);
        let mut message = server.certificate_verify();
        message[7] += 1;
        server.say(&message);
    }),
    Row::new("an empty message CertificateVerify", Handshake, alert::DECODE_ERROR, |server| {
        to_signature(server);
        body(server, CERTIFICATE_VERIFY, &[]);
    }),
];

pub(crate) const FINISHES: &[Row] = &[
    Row::new("a wrong Finished", Handshake, alert::DECRYPT_ERROR, |server| {
        to_finished(server);
        let mut message = server.finished();
        message[35] ^= 1;
        server.say(&message);
    }),
    Row::new("a Finished of zeros", Handshake, alert::DECRYPT_ERROR, |server| {
        to_finished(server);
        body(server, FINISHED, &[0; 32]);
    }),
    Row::new("the client's Finished", Handshake, alert::DECRYPT_ERROR, |server| {
        to_finished(server);
        let value = verify_data(&server.stage().client.secret, &server.transcript);
        body(server, FINISHED, &value);
    }),
    Row::new("a Finished without the signature", Handshake, alert::DECRYPT_ERROR, |server| {
        to_finished(server);
        let length = server.transcript.len() - server.certificate_verify().len();
        let value = verify_data(&server.stage().server.secret, &server.transcript[..length]);
        body(server, FINISHED, &value);
    }),
    Row::new("a Finished of 31 bytes", Handshake, alert::DECODE_ERROR, |server| {
        to_finished(server);
        let message = server.finished();
        body(server, FINISHED, &message[4..35]);
    }),
    Row::new("a Finished of 33 bytes", Handshake, alert::DECODE_ERROR, |server| {
        to_finished(server);
        let message = server.finished();
        body(server, FINISHED, &[&message[4..], &[0]].concat());
    }),
    Row::new("an empty Finished", Handshake, alert::DECODE_ERROR, |server| {
        to_finished(server);
        body(server, FINISHED, &[]);
    }),
    Row::new("a Finished that claims 2^24 - 1 bytes", Handshake, alert::INTERNAL_ERROR, |server| {
        to_finished(server);
        server.record(HANDSHAKE, &[FINISHED, 255, 255, 255]);
    }),
    Row::new("a message behind Finished in its record", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        to_finished(server);
        let messages = [server.finished(), ticket(1, &[1], &[])].concat();
        server.record(HANDSHAKE, &messages);
    }),
    Row::new("a part of a message behind Finished in its record", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        to_finished(server);
        let messages = [server.finished(), vec![4]].concat();
        server.record(HANDSHAKE, &messages);
    }),
    Row::new("Finished twice", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        let finished = server.finished();
        server.mutter(&finished);
    }),
    Row::new("Finished twice under the keys of the handshake", Application, alert::BAD_RECORD_MAC, |server| {
        server.accept().unwrap();
        let finished = server.finished();
        let record = server.handshake.as_mut().unwrap().server.seal(HANDSHAKE, &finished, 0);
        server.raw(&record);
    }),
    Row::new("data before the certificate", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        to_certificate(server);
        server.record(APPLICATION_DATA, b"data");
    }),
    Row::new("data before the extensions", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.record(APPLICATION_DATA, b"data");
    }),
    Row::new("data before the signature", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        to_signature(server);
        server.record(APPLICATION_DATA, b"data");
    }),
    Row::new("data before Finished", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        to_finished(server);
        server.record(APPLICATION_DATA, b"data");
    }),
    Row::new("empty data before Finished", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        to_finished(server);
        server.record(APPLICATION_DATA, b"");
    }),
    Row::new("data under its own keys before Finished", Handshake, alert::BAD_RECORD_MAC, |server| {
        to_finished(server);
        server.application_keys();
        server.record(APPLICATION_DATA, b"data");
    }),
];

pub(crate) const AFTER: &[Row] = &[
    Row::new("a request for a certificate after the handshake", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        server.mutter(&certificate_request(&[1, 2, 3], &[]));
    }),
    Row::new("a ticket without a ticket", Application, alert::DECODE_ERROR, |server| {
        server.accept().unwrap();
        server.mutter(&ticket(1, &[], &[]));
    }),
    Row::new("an empty message NewSessionTicket", Application, alert::DECODE_ERROR, |server| {
        server.accept().unwrap();
        server.mutter(&message(4, &[]));
    }),
    Row::new("a ticket that ends too early", Application, alert::DECODE_ERROR, |server| {
        server.accept().unwrap();
        let ticket = ticket(1, &[1; 10], &[]);
        server.mutter(&message(4, &ticket[4..ticket.len() - 1]));
    }),
    Row::new("bytes behind a ticket", Application, alert::DECODE_ERROR, |server| {
        server.accept().unwrap();
        let ticket = ticket(1, &[1; 10], &[]);
        server.mutter(&message(4, &[&ticket[4..], &[0]].concat()));
    }),
    Row::new("half an extension of a ticket", Application, alert::DECODE_ERROR, |server| {
        server.accept().unwrap();
        server.mutter(&ticket(1, &[1; 10], &[0, 42, 0]));
    }),
    Row::new("a ticket that claims 2^24 - 1 bytes", Application, alert::INTERNAL_ERROR, |server| {
        server.accept().unwrap();
        server.record(HANDSHAKE, &[4, 255, 255, 255]);
    }),
    Row::new("data within a ticket", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        let ticket = ticket(1, &[1; 10], &[]);
        server.record(HANDSHAKE, &ticket[..8]);
        server.record(APPLICATION_DATA, b"data");
    }),
    Row::new("a KeyUpdate behind a ticket and before another", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        let ticket = ticket(1, &[1; 10], &[]);
        server.record(HANDSHAKE, &[&ticket[..], &key_update(false), &ticket].concat());
    }),
];
