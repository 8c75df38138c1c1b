//! ServerHello and HelloRetryRequest as they may not be.

use crate::Row;
use crate::server::Protection::{Handshake, None};
use crate::server::Server;
use crate::server::messages::{ServerHello, alpn, key_share, versions};
use crate::server::wire::{
    CERTIFICATE, CLIENT_HELLO, FINISHED, HANDSHAKE, KEY_UPDATE, MESSAGE_HASH, NEW_SESSION_TICKET, RETRY_RANDOM,
    SERVER_HELLO, X25519, alert, extension, message,
};
use crate::server::wire::{extension as make, list16};

/// Sends a ServerHello that is bent, and the rest as if it were right.
fn hello(server: &mut Server<'_>, bend: impl FnOnce(&mut ServerHello)) {
    let mut hello = server.server_hello();
    bend(&mut hello);
    server.mutter(&hello.to_message());
}

/// Sends a ServerHello with other extensions.
fn extensions(server: &mut Server<'_>, extensions: &[Vec<u8>]) {
    hello(server, |hello| hello.extensions = extensions.to_vec());
}

/// Sends a ServerHello with one more extension.
fn with(server: &mut Server<'_>, kind: u16, content: &[u8]) {
    hello(server, |hello| hello.extensions.push(make(kind, content)));
}

/// Sends a HelloRetryRequest that is bent.
fn retry(server: &mut Server<'_>, bend: impl FnOnce(&mut ServerHello)) {
    let mut hello = server.retry_request(Some(b"cookie"));
    bend(&mut hello);
    server.mutter(&hello.to_message());
}

fn share(server: &Server<'_>) -> Vec<u8> {
    key_share(X25519, server.public_key.as_bytes())
}

pub(crate) const HELLO: &[Row] = &[
    // Versions.
    Row::new("TLS 1.2", None, alert::PROTOCOL_VERSION, |server| extensions(server, &[])),
    Row::new("TLS 1.2 with extensions of its time", None, alert::PROTOCOL_VERSION, |server| {
        extensions(server, &[make(0xff01, &[0]), make(23, &[])]);
    }),
    Row::new("TLS 1.1", None, alert::PROTOCOL_VERSION, |server| {
        hello(server, |hello| (hello.version, hello.extensions) = (0x0302, vec![]));
    }),
    Row::new("TLS 1.2 without any extension", None, alert::PROTOCOL_VERSION, |server| {
        let hello = server.server_hello();
        let mut message = ServerHello { extensions: vec![], ..hello }.to_message();
        message.truncate(message.len() - 2);
        message[3] -= 2;
        server.mutter(&message);
    }),
    Row::new("TLS 1.2 of a server that speaks 1.3", None, alert::ILLEGAL_PARAMETER, |server| {
        hello(server, |hello| {
            hello.random[24..].copy_from_slice(b"DOWNGRD\x01");
            hello.extensions.clear();
        });
    }),
    Row::new("TLS 1.1 of a server that speaks 1.3", None, alert::ILLEGAL_PARAMETER, |server| {
        hello(server, |hello| {
            hello.version = 0x0302;
            hello.random[24..].copy_from_slice(b"DOWNGRD\x00");
            hello.extensions.clear();
        });
    }),
    Row::new("TLS 1.2 chosen as 1.3 is", None, alert::ILLEGAL_PARAMETER, |server| {
        let share = share(server);
        extensions(server, &[make(extension::SUPPORTED_VERSIONS, &[3, 3]), share]);
    }),
    Row::new("TLS 1.4", None, alert::ILLEGAL_PARAMETER, |server| {
        let share = share(server);
        extensions(server, &[make(extension::SUPPORTED_VERSIONS, &[3, 5]), share]);
    }),
    Row::new("a draft of TLS 1.3", None, alert::ILLEGAL_PARAMETER, |server| {
        let share = share(server);
        extensions(server, &[make(extension::SUPPORTED_VERSIONS, &[0x7f, 28]), share]);
    }),
    Row::new("half a version", None, alert::DECODE_ERROR, |server| {
        let share = share(server);
        extensions(server, &[make(extension::SUPPORTED_VERSIONS, &[3]), share]);
    }),
    Row::new("a list of versions, as in a ClientHello", None, alert::DECODE_ERROR, |server| {
        let share = share(server);
        extensions(server, &[make(extension::SUPPORTED_VERSIONS, &[2, 3, 4]), share]);
    }),
    Row::new("version 1.2 in its old place missing", None, alert::ILLEGAL_PARAMETER, |server| {
        hello(server, |hello| hello.version = 0x0304);
    }),
    Row::new("version 1.1 in the old place", None, alert::ILLEGAL_PARAMETER, |server| {
        hello(server, |hello| hello.version = 0x0302);
    }),
    // Fields.
    Row::new("another session", None, alert::ILLEGAL_PARAMETER, |server| hello(server, |hello| hello.session[31] ^= 1)),
    Row::new("no session", None, alert::ILLEGAL_PARAMETER, |server| hello(server, |hello| hello.session.clear())),
    Row::new("a part of the session", None, alert::ILLEGAL_PARAMETER, |server| {
        hello(server, |hello| hello.session.truncate(31));
    }),
    Row::new("a session of 33 bytes", None, alert::DECODE_ERROR, |server| hello(server, |hello| hello.session.push(0))),
    Row::new("TLS_AES_128_GCM_SHA256", None, alert::ILLEGAL_PARAMETER, |server| {
        hello(server, |hello| hello.suite = 0x1301);
    }),
    Row::new("TLS_AES_256_GCM_SHA384", None, alert::ILLEGAL_PARAMETER, |server| {
        hello(server, |hello| hello.suite = 0x1302);
    }),
    Row::new("the suite of TLS 1.2", None, alert::ILLEGAL_PARAMETER, |server| {
        hello(server, |hello| hello.suite = 0xcca9);
    }),
    Row::new("no cipher", None, alert::ILLEGAL_PARAMETER, |server| hello(server, |hello| hello.suite = 0)),
    Row::new("compression", None, alert::ILLEGAL_PARAMETER, |server| hello(server, |hello| hello.compression = 1)),
    // Key shares.
    Row::new("no key share", None, alert::MISSING_EXTENSION, |server| extensions(server, &[versions()])),
    Row::new("a key share of secp256r1", None, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[versions(), key_share(0x0017, &[4; 65])]);
    }),
    Row::new("a key share of X448", None, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[versions(), key_share(0x001e, &[4; 56])]);
    }),
    Row::new("a key of X25519 under another group's name", None, alert::ILLEGAL_PARAMETER, |server| {
        let key = *server.public_key.as_bytes();
        extensions(server, &[versions(), key_share(0x001e, &key)]);
    }),
    Row::new("the group without a key", None, alert::DECODE_ERROR, |server| {
        extensions(server, &[versions(), make(extension::KEY_SHARE, &X25519.to_be_bytes())]);
    }),
    Row::new("a key of 31 bytes", None, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[versions(), key_share(X25519, &[9; 31])]);
    }),
    Row::new("a key of 33 bytes", None, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[versions(), key_share(X25519, &[9; 33])]);
    }),
    Row::new("an empty key", None, alert::DECODE_ERROR, |server| {
        extensions(server, &[versions(), key_share(X25519, &[])]);
    }),
    Row::new("a list of key shares", None, alert::DECODE_ERROR, |server| {
        let list = list16(&share(server)[4..]);
        extensions(server, &[versions(), make(extension::KEY_SHARE, &list)]);
    }),
    Row::new("bytes behind the key share", None, alert::DECODE_ERROR, |server| {
        let content = [&share(server)[4..], &[0]].concat();
        extensions(server, &[versions(), make(extension::KEY_SHARE, &content)]);
    }),
    Row::new("the key 0", None, alert::ILLEGAL_PARAMETER, |server| {
        extensions(server, &[versions(), key_share(X25519, &[0; 32])]);
    }),
    Row::new("the key 1", None, alert::ILLEGAL_PARAMETER, |server| {
        let mut key = [0; 32];
        key[0] = 1;
        extensions(server, &[versions(), key_share(X25519, &key)]);
    }),
    Row::new("a key of order 8", None, alert::ILLEGAL_PARAMETER, |server| {
        let key = [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
            0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
        ];
        extensions(server, &[versions(), key_share(X25519, &key)]);
    }),
    Row::new("the key p - 1", None, alert::ILLEGAL_PARAMETER, |server| {
        let mut key = [0xff; 32];
        (key[0], key[31]) = (0xec, 0x7f);
        extensions(server, &[versions(), key_share(X25519, &key)]);
    }),
    Row::new("the key p, which is 0", None, alert::ILLEGAL_PARAMETER, |server| {
        let mut key = [0xff; 32];
        (key[0], key[31]) = (0xed, 0x7f);
        extensions(server, &[versions(), key_share(X25519, &key)]);
    }),
    // Extensions.
    Row::new("two key shares", None, alert::ILLEGAL_PARAMETER, |server| {
        let share = share(server);
        extensions(server, &[versions(), share.clone(), share]);
    }),
    Row::new("two versions", None, alert::ILLEGAL_PARAMETER, |server| {
        let share = share(server);
        extensions(server, &[versions(), share, versions()]);
    }),
    Row::new("a name that was not offered", None, alert::UNSUPPORTED_EXTENSION, |server| {
        with(server, extension::SERVER_NAME, &[]);
    }),
    Row::new("a pre-shared key that was not offered", None, alert::UNSUPPORTED_EXTENSION, |server| {
        with(server, extension::PRE_SHARED_KEY, &[0, 0]);
    }),
    Row::new("an extension nobody knows", None, alert::UNSUPPORTED_EXTENSION, |server| {
        with(server, 0xfafa, &[1, 2, 3])
    }),
    Row::new("the application protocol, too early", None, alert::ILLEGAL_PARAMETER, |server| {
        hello(server, |hello| hello.extensions.push(alpn(&[b"smp/1"])));
    }),
    Row::new("a cookie in a ServerHello", None, alert::ILLEGAL_PARAMETER, |server| {
        with(server, extension::COOKIE, &list16(b"cookie"));
    }),
    Row::new("groups in a ServerHello", None, alert::ILLEGAL_PARAMETER, |server| {
        with(server, extension::SUPPORTED_GROUPS, &[0, 2, 0, 29]);
    }),
    Row::new("signature algorithms in a ServerHello", None, alert::ILLEGAL_PARAMETER, |server| {
        with(server, extension::SIGNATURE_ALGORITHMS, &[0, 2, 8, 7]);
    }),
    // Lengths.
    Row::new("an extension that is longer than the list", None, alert::DECODE_ERROR, |server| {
        hello(server, |hello| hello.extensions.push(vec![0xfa, 0xfa, 0, 9, 1]));
    }),
    Row::new("a list of extensions that is longer than the message", None, alert::DECODE_ERROR, |server| {
        let mut message = server.server_hello().to_message();
        message[4 + 2 + 32 + 33 + 3 + 1] += 1;
        server.mutter(&message);
    }),
    Row::new("a list of extensions that is shorter than its message", None, alert::DECODE_ERROR, |server| {
        let mut message = server.server_hello().to_message();
        message.push(0);
        message[3] += 1;
        server.mutter(&message);
    }),
    Row::new("an empty ServerHello", None, alert::DECODE_ERROR, |server| server.mutter(&message(SERVER_HELLO, &[]))),
    Row::new("a ServerHello that claims 2^24 - 1 bytes", None, alert::INTERNAL_ERROR, |server| {
        server.plain(HANDSHAKE, &[SERVER_HELLO, 255, 255, 255]);
    }),
    Row::new("a ServerHello of 17,000 bytes", None, alert::INTERNAL_ERROR, |server| {
        server.plain(HANDSHAKE, &[SERVER_HELLO, 0, 0x42, 0x68]);
        server.plain(HANDSHAKE, &[0; 16_384]);
        server.plain(HANDSHAKE, &[0; 616]);
    }),
    // Order.
    Row::new("the answer twice in one record", None, alert::UNEXPECTED_MESSAGE, |server| {
        let hello = server.server_hello().to_message();
        server.plain(HANDSHAKE, &[hello.clone(), hello].concat());
    }),
    Row::new("a plain message behind ServerHello in its record", None, alert::UNEXPECTED_MESSAGE, |server| {
        let messages = [server.server_hello().to_message(), server.encrypted_extensions()].concat();
        server.plain(HANDSHAKE, &messages);
    }),
    Row::new("the first byte of a message behind ServerHello", None, alert::UNEXPECTED_MESSAGE, |server| {
        let messages = [server.server_hello().to_message(), vec![8]].concat();
        server.plain(HANDSHAKE, &messages);
    }),
    Row::new("ServerHello twice", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        let hello = server.server_hello().to_message();
        server.plain(HANDSHAKE, &hello);
    }),
    Row::new("ServerHello again, protected", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        let hello = server.server_hello().to_message();
        server.mutter(&hello);
    }),
    Row::new("HelloRequest", None, alert::UNEXPECTED_MESSAGE, |server| server.mutter(&message(0, &[]))),
    Row::new("the client's own hello", None, alert::UNEXPECTED_MESSAGE, |server| {
        let hello = server.hello.message.clone();
        server.mutter(&hello);
    }),
    Row::new("ClientHello", None, alert::UNEXPECTED_MESSAGE, |server| server.mutter(&message(CLIENT_HELLO, &[0; 50]))),
    Row::new("HelloVerifyRequest", None, alert::UNEXPECTED_MESSAGE, |server| server.mutter(&message(3, &[3, 3, 0]))),
    Row::new("a ticket instead of ServerHello", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.mutter(&message(NEW_SESSION_TICKET, &[0; 20]));
    }),
    Row::new("EncryptedExtensions instead of ServerHello", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.mutter(&server.encrypted_extensions());
    }),
    Row::new("Certificate instead of ServerHello", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.mutter(&message(CERTIFICATE, &[0; 20]));
    }),
    Row::new("Finished instead of ServerHello", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.mutter(&message(FINISHED, &[0; 32]));
    }),
    Row::new("KeyUpdate instead of ServerHello", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.mutter(&message(KEY_UPDATE, &[0]));
    }),
    Row::new("message_hash instead of ServerHello", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.mutter(&message(MESSAGE_HASH, &[0; 32]));
    }),
];

pub(crate) const RETRY: &[Row] = &[
    Row::new("a second hello wanted without a reason", None, alert::ILLEGAL_PARAMETER, |server| {
        retry(server, |hello| hello.extensions.truncate(1));
    }),
    Row::new("the group wanted that is already there", None, alert::ILLEGAL_PARAMETER, |server| {
        retry(server, |hello| {
            hello.extensions = vec![versions(), make(extension::KEY_SHARE, &X25519.to_be_bytes())];
        });
    }),
    Row::new("a cookie, and the group wanted that is already there", None, alert::ILLEGAL_PARAMETER, |server| {
        retry(server, |hello| hello.extensions.push(make(extension::KEY_SHARE, &X25519.to_be_bytes())));
    }),
    Row::new("a group wanted that was not offered", None, alert::ILLEGAL_PARAMETER, |server| {
        retry(server, |hello| hello.extensions = vec![versions(), make(extension::KEY_SHARE, &[0, 0x1e])]);
    }),
    Row::new("an empty cookie", None, alert::DECODE_ERROR, |server| {
        retry(server, |hello| hello.extensions[1] = make(extension::COOKIE, &[0, 0]));
    }),
    Row::new("a cookie without its length", None, alert::DECODE_ERROR, |server| {
        retry(server, |hello| hello.extensions[1] = make(extension::COOKIE, &[]));
    }),
    Row::new("bytes behind a cookie", None, alert::DECODE_ERROR, |server| {
        retry(server, |hello| hello.extensions[1] = make(extension::COOKIE, &[0, 1, 7, 7]));
    }),
    Row::new("a cookie that ends too early", None, alert::DECODE_ERROR, |server| {
        retry(server, |hello| hello.extensions[1] = make(extension::COOKIE, &[0, 3, 7, 7]));
    }),
    Row::new("a cookie of 513 bytes", None, alert::INTERNAL_ERROR, |server| {
        retry(server, |hello| hello.extensions[1] = make(extension::COOKIE, &list16(&[7; 513])));
    }),
    Row::new("a cookie of 16,000 bytes", None, alert::INTERNAL_ERROR, |server| {
        retry(server, |hello| hello.extensions[1] = make(extension::COOKIE, &list16(&[7; 16_000])));
    }),
    Row::new("two cookies", None, alert::ILLEGAL_PARAMETER, |server| {
        retry(server, |hello| hello.extensions.push(make(extension::COOKIE, &list16(&[7]))));
    }),
    Row::new("a retry request with an unknown extension", None, alert::UNSUPPORTED_EXTENSION, |server| {
        retry(server, |hello| hello.extensions.push(make(0xfafa, &[])));
    }),
    Row::new("a retry request with the application protocol", None, alert::ILLEGAL_PARAMETER, |server| {
        retry(server, |hello| hello.extensions.push(alpn(&[b"smp/1"])));
    }),
    Row::new("a retry request of TLS 1.2", None, alert::PROTOCOL_VERSION, |server| {
        retry(server, |hello| drop(hello.extensions.remove(0)));
    }),
    Row::new("a retry request for another suite", None, alert::ILLEGAL_PARAMETER, |server| {
        retry(server, |hello| hello.suite = 0x1301);
    }),
    Row::new("a retry request for another session", None, alert::ILLEGAL_PARAMETER, |server| {
        retry(server, |hello| hello.session[0] ^= 1);
    }),
    Row::new("a retry request with compression", None, alert::ILLEGAL_PARAMETER, |server| {
        retry(server, |hello| hello.compression = 1);
    }),
    Row::new("a retry request of another old version", None, alert::ILLEGAL_PARAMETER, |server| {
        retry(server, |hello| hello.version = 0x0304);
    }),
    Row::new("a message behind a retry request", None, alert::UNEXPECTED_MESSAGE, |server| {
        let retry = server.retry_request(Some(b"cookie")).to_message();
        let hello = server.server_hello().to_message();
        server.plain(HANDSHAKE, &[retry, hello].concat());
    }),
    Row::new("a second retry request", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.retry(b"cookie").unwrap();
        retry(server, |_| {});
    }),
    Row::new("a second retry request with another cookie", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.retry(b"cookie").unwrap();
        let again = ServerHello { random: RETRY_RANDOM, ..server.retry_request(Some(b"another")) };
        server.mutter(&again.to_message());
    }),
    Row::new("another suite after a retry request", None, alert::ILLEGAL_PARAMETER, |server| {
        server.retry(b"cookie").unwrap();
        hello(server, |hello| hello.suite = 0x1301);
    }),
    Row::new("TLS 1.2 after a retry request", None, alert::PROTOCOL_VERSION, |server| {
        server.retry(b"cookie").unwrap();
        extensions(server, &[]);
    }),
    Row::new("a cookie after a retry request", None, alert::ILLEGAL_PARAMETER, |server| {
        server.retry(b"cookie").unwrap();
        with(server, extension::COOKIE, &list16(b"cookie"));
    }),
    Row::new("EncryptedExtensions after a retry request", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.retry(b"cookie").unwrap();
        server.mutter(&server.encrypted_extensions());
    }),
    Row::new("a transcript without the retry request", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.retry(b"cookie").unwrap();
        let transcript = server.hello.message.clone();
        other_transcript(server, transcript);
    }),
    Row::new("a transcript with the first hello as it was", Handshake, alert::BAD_RECORD_MAC, |server| {
        let first = server.hello.message.clone();
        server.retry(b"cookie").unwrap();
        let transcript = [&first[..], &server.transcript[36..]].concat();
        other_transcript(server, transcript);
    }),
];

/// Goes on under keys that follow from another transcript than what was said.
fn other_transcript(server: &mut Server<'_>, transcript: Vec<u8>) {
    let right = std::mem::replace(&mut server.transcript, transcript);
    server.transcript.extend(server.server_hello().to_message());
    server.handshake_keys();
    let wrong = server.stage().server.clone();
    (server.transcript, server.protection) = (right, None);
    server.hello();
    *server.keys().unwrap() = wrong;
    server.say(&server.encrypted_extensions());
}
