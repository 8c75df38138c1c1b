//! Records that may not be.

use crate::Row;
use crate::server::Protection::{Application, Handshake, None};
use crate::server::Server;
use crate::server::messages::key_update;
use crate::server::wire::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, KEY_UPDATE, alert, message, record};

/// Before ServerHello: nothing is encrypted.
pub(crate) const PLAIN: &[Row] = &[
    Row::new("a record of type 0", None, alert::UNEXPECTED_MESSAGE, |server| server.plain(0, b"data")),
    Row::new("a record of type 19", None, alert::UNEXPECTED_MESSAGE, |server| server.plain(19, b"data")),
    Row::new("a record of type 24, heartbeat", None, alert::UNEXPECTED_MESSAGE, |server| server.plain(24, b"data")),
    Row::new("a record of type 255", None, alert::UNEXPECTED_MESSAGE, |server| server.plain(255, b"data")),
    Row::new("another protocol", None, alert::UNEXPECTED_MESSAGE, |server| server.raw(b"HTTP/1.1 400 Bad Request\r\n")),
    Row::new("an error of SSL 2", None, alert::UNEXPECTED_MESSAGE, |server| server.raw(&[0x80, 3, 0, 0, 1])),
    Row::new("data before ServerHello", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.plain(APPLICATION_DATA, b"data");
    }),
    Row::new("an empty record of data before ServerHello", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.plain(APPLICATION_DATA, b"");
    }),
    Row::new("an empty record of the handshake", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.plain(HANDSHAKE, b"")
    }),
    Row::new("an empty record within a message", None, alert::UNEXPECTED_MESSAGE, |server| {
        let hello = server.server_hello().to_message();
        server.plain(HANDSHAKE, &hello[..10]);
        server.plain(HANDSHAKE, b"");
        server.plain(HANDSHAKE, &hello[10..]);
    }),
    Row::new("an empty alert", None, alert::UNEXPECTED_MESSAGE, |server| server.plain(ALERT, b"")),
    Row::new("half an alert", None, alert::DECODE_ERROR, |server| server.plain(ALERT, &[2])),
    Row::new("an alert and a half", None, alert::DECODE_ERROR, |server| server.plain(ALERT, &[2, 40, 2])),
    Row::new("two alerts in one record", None, alert::DECODE_ERROR, |server| server.plain(ALERT, &[1, 90, 2, 40])),
    Row::new("an empty change_cipher_spec", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.plain(CHANGE_CIPHER_SPEC, b"");
    }),
    Row::new("change_cipher_spec of value 0", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.plain(CHANGE_CIPHER_SPEC, &[0]);
    }),
    Row::new("change_cipher_spec of value 2", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.plain(CHANGE_CIPHER_SPEC, &[2]);
    }),
    Row::new("change_cipher_spec of two bytes", None, alert::UNEXPECTED_MESSAGE, |server| {
        server.plain(CHANGE_CIPHER_SPEC, &[1, 1]);
    }),
    Row::new("change_cipher_spec within a message", None, alert::UNEXPECTED_MESSAGE, |server| {
        let hello = server.server_hello().to_message();
        server.plain(HANDSHAKE, &hello[..10]);
        server.compatibility();
        server.plain(HANDSHAKE, &hello[10..]);
    }),
    Row::new("change_cipher_spec without end", None, alert::UNEXPECTED_MESSAGE, |server| {
        (0..1000).for_each(|_| server.compatibility());
    }),
    Row::new("user_canceled without end", None, alert::UNEXPECTED_MESSAGE, |server| {
        (0..1000).for_each(|_| server.send_alert(1, alert::USER_CANCELED));
    }),
    Row::new("a plain record of 2^14 + 1 bytes", None, alert::RECORD_OVERFLOW, |server| {
        server.plain(HANDSHAKE, &[2; 16_385]);
    }),
    Row::new("the header of a plain record of 2^16 - 1 bytes", None, alert::RECORD_OVERFLOW, |server| {
        server.raw(&[HANDSHAKE, 3, 3, 255, 255]);
    }),
    Row::new("an alert of 2^14 + 1 bytes", None, alert::RECORD_OVERFLOW, |server| server.plain(ALERT, &[0; 16_385])),
];

/// After ServerHello: the client expects records under the keys of the handshake.
pub(crate) const PROTECTED: &[Row] = &[
    Row::new("a record of 2^14 + 257 bytes", Handshake, alert::RECORD_OVERFLOW, |server| {
        server.hello();
        server.raw(&record(APPLICATION_DATA, 0x0303, &[0; 16_384 + 257]));
    }),
    Row::new("the header of a record of 2^14 + 257 bytes", Handshake, alert::RECORD_OVERFLOW, |server| {
        server.hello();
        server.raw(&[APPLICATION_DATA, 3, 3, 65, 1]);
    }),
    // With this cipher so long a record would hold more than it may: no need to decrypt it.
    Row::new("a record of 2^14 + 256 bytes", Handshake, alert::RECORD_OVERFLOW, |server| {
        server.hello();
        server.raw(&record(APPLICATION_DATA, 0x0303, &[0; 16_384 + 256]));
    }),
    Row::new("a record of 2^14 + 18 bytes", Handshake, alert::RECORD_OVERFLOW, |server| {
        server.hello();
        server.raw(&record(APPLICATION_DATA, 0x0303, &[0; 16_384 + 18]));
    }),
    Row::new("a record of 2^14 + 17 bytes of nonsense", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.hello();
        server.raw(&record(APPLICATION_DATA, 0x0303, &[0; 16_384 + 17]));
    }),
    Row::new("content of 2^14 + 1 bytes", Handshake, alert::RECORD_OVERFLOW, |server| {
        server.hello();
        server.inner(&[&[2; 16_385][..], &[HANDSHAKE]].concat());
    }),
    Row::new("content and padding of 2^14 + 2 bytes", Handshake, alert::RECORD_OVERFLOW, |server| {
        server.hello();
        let mut inner = server.encrypted_extensions();
        inner.push(HANDSHAKE);
        inner.resize(16_384 + 2, 0);
        server.inner(&inner);
    }),
    Row::new("padding only", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.inner(&[0; 100]);
    }),
    Row::new("padding only, as much as there can be", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.inner(&[0; 16_385]);
    }),
    Row::new("a tag only", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.inner(&[]);
    }),
    Row::new("less than a tag", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.hello();
        server.raw(&record(APPLICATION_DATA, 0x0303, &[0; 15]));
    }),
    Row::new("no bytes at all", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.hello();
        server.raw(&record(APPLICATION_DATA, 0x0303, &[]));
    }),
    Row::new("an empty message record", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.inner(&[HANDSHAKE]);
    }),
    Row::new("an empty message record with padding", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.inner(&[HANDSHAKE, 0, 0, 0]);
    }),
    Row::new("an empty alert, protected", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.inner(&[ALERT, 0]);
    }),
    Row::new("an alert of three bytes, protected", Handshake, alert::DECODE_ERROR, |server| {
        server.hello();
        server.inner(&[2, 40, 1, ALERT]);
    }),
    Row::new("change_cipher_spec, protected", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.inner(&[1, CHANGE_CIPHER_SPEC]);
    }),
    Row::new("type 1, protected", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.inner(&[5, 1]);
    }),
    Row::new("type 24, protected", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.inner(&[5, 24, 0]);
    }),
    Row::new("type 255, protected", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.inner(&[5, 255]);
    }),
    Row::new("a wrong tag", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.hello();
        server.say(&server.encrypted_extensions());
        *server.outgoing.last_mut().unwrap() ^= 1;
    }),
    Row::new("a wrong byte", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.hello();
        let start = server.outgoing.len();
        server.say(&server.encrypted_extensions());
        server.outgoing[start + 5] ^= 1;
    }),
    Row::new("another version in the header than was protected", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.hello();
        let start = server.outgoing.len();
        server.say(&server.encrypted_extensions());
        server.outgoing[start + 2] ^= 1;
    }),
    Row::new("records in another order", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.hello();
        server.deliver();
        server.say(&server.encrypted_extensions());
        let first = std::mem::take(&mut server.outgoing);
        server.say(&server.certificate());
        server.outgoing.extend(first);
    }),
    Row::new("a record twice", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.hello();
        let start = server.outgoing.len();
        server.say(&server.encrypted_extensions());
        server.outgoing.extend_from_within(start..);
    }),
    Row::new("a record less", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.hello();
        let start = server.outgoing.len();
        server.say(&server.encrypted_extensions());
        server.outgoing.truncate(start);
        server.say(&server.certificate());
    }),
    Row::new("the client's keys", Handshake, alert::BAD_RECORD_MAC, |server| {
        server.hello();
        let stage = server.handshake.as_mut().unwrap();
        stage.server = stage.client.clone();
        server.say(&server.encrypted_extensions());
    }),
    Row::new("a message after ServerHello that is not protected", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        let message = server.encrypted_extensions();
        server.plain(HANDSHAKE, &message);
    }),
    Row::new("an alert after ServerHello that is not protected", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.plain(ALERT, &[2, 40]);
    }),
    Row::new("a message that begins protected and does not end so", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        let message = server.encrypted_extensions();
        server.record(HANDSHAKE, &message[..3]);
        server.plain(HANDSHAKE, &message[3..]);
    }),
    Row::new("change_cipher_spec within a protected message", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        let message = server.encrypted_extensions();
        server.record(HANDSHAKE, &message[..3]);
        server.compatibility();
        server.record(HANDSHAKE, &message[3..]);
    }),
    Row::new("change_cipher_spec of two bytes after ServerHello", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        server.plain(CHANGE_CIPHER_SPEC, &[1, 1]);
    }),
    Row::new("change_cipher_spec after ServerHello without end", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        (0..1000).for_each(|_| server.compatibility());
    }),
    Row::new("an alert within a message", Handshake, alert::UNEXPECTED_MESSAGE, |server| {
        server.hello();
        let message = server.encrypted_extensions();
        server.record(HANDSHAKE, &message[..3]);
        server.send_alert(1, alert::USER_CANCELED);
        server.record(HANDSHAKE, &message[3..]);
    }),
];

/// After the handshake.
pub(crate) const DATA: &[Row] = &[
    Row::new("change_cipher_spec after Finished", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        server.compatibility();
    }),
    Row::new("content of 2^14 + 1 bytes of data", Application, alert::RECORD_OVERFLOW, |server| {
        server.accept().unwrap();
        server.inner(&[&[2; 16_385][..], &[APPLICATION_DATA]].concat());
    }),
    Row::new("data and padding of 2^14 + 2 bytes", Application, alert::RECORD_OVERFLOW, |server| {
        server.accept().unwrap();
        server.inner(&[&[2; 16_000][..], &[APPLICATION_DATA], &[0; 385]].concat());
    }),
    Row::new("a record of data of 2^14 + 257 bytes", Application, alert::RECORD_OVERFLOW, |server| {
        server.accept().unwrap();
        server.raw(&record(APPLICATION_DATA, 0x0303, &[0; 16_384 + 257]));
    }),
    Row::new("data that is not protected", Application, alert::BAD_RECORD_MAC, |server| {
        server.accept().unwrap();
        server.plain(APPLICATION_DATA, b"a record with what seems to be data");
    }),
    Row::new("data under the keys of the handshake", Application, alert::BAD_RECORD_MAC, |server| {
        server.accept().unwrap();
        let record = server.handshake.as_mut().unwrap().server.seal(APPLICATION_DATA, b"data", 0);
        server.raw(&record);
    }),
    Row::new("data under the client's keys", Application, alert::BAD_RECORD_MAC, |server| {
        server.accept().unwrap();
        let record = server.application.clone().unwrap().client.seal(APPLICATION_DATA, b"data", 0);
        server.raw(&record);
    }),
    Row::new("the client's own record", Application, alert::BAD_RECORD_MAC, |server| {
        server.accept().unwrap();
        server.client.write(b"data");
        let start = server.received.len();
        assert_eq!(server.data().0, b"data");
        let record = server.received[start..].to_vec();
        server.raw(&record);
    }),
    Row::new("a record of data twice", Application, alert::BAD_RECORD_MAC, |server| {
        server.accept().unwrap();
        server.record(APPLICATION_DATA, b"data");
        let record = server.outgoing.clone();
        server.deliver();
        assert_eq!(server.client.take(), b"data");
        server.raw(&record);
    }),
    Row::new("a record of data less", Application, alert::BAD_RECORD_MAC, |server| {
        server.accept().unwrap();
        server.record(APPLICATION_DATA, b"data");
        server.outgoing.clear();
        server.record(APPLICATION_DATA, b"data");
    }),
    Row::new("a message that is not protected", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        server.plain(HANDSHAKE, &key_update(false));
    }),
    Row::new("an alert that is not protected", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        server.plain(ALERT, &[1, 0]);
    }),
    Row::new("padding only after the handshake", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        server.inner(&[0; 10]);
    }),
    Row::new("an empty message after the handshake", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        server.inner(&[HANDSHAKE]);
    }),
    Row::new("empty data without end", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        (0..1000).for_each(|_| server.record(APPLICATION_DATA, b""));
    }),
    Row::new("data within a message", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        let update = key_update(false);
        server.record(HANDSHAKE, &update[..2]);
        server.record(APPLICATION_DATA, b"data");
        server.record(HANDSHAKE, &update[2..]);
    }),
    Row::new("an alert of one byte", Application, alert::DECODE_ERROR, |server| {
        server.accept().unwrap();
        server.record(ALERT, &[1]);
    }),
    Row::new("user_canceled without end, connected", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        (0..1000).for_each(|_| server.send_alert(1, alert::USER_CANCELED));
    }),
    Row::new("old keys after a KeyUpdate", Application, alert::BAD_RECORD_MAC, |server| {
        server.accept().unwrap();
        let mut old = server.keys().unwrap().clone();
        server.update_keys(false);
        old.sequence += 1;
        let record = old.seal(APPLICATION_DATA, b"data", 0);
        server.raw(&record);
    }),
    Row::new("new keys without a KeyUpdate", Application, alert::BAD_RECORD_MAC, |server| {
        server.accept().unwrap();
        server.next_keys();
        server.record(APPLICATION_DATA, b"data");
    }),
    Row::new("two KeyUpdates in one record", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        server.record(HANDSHAKE, &[key_update(false), key_update(false)].concat());
    }),
    Row::new("the beginning of a message behind a KeyUpdate", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        server.record(HANDSHAKE, &[key_update(false), vec![KEY_UPDATE]].concat());
    }),
    Row::new("KeyUpdates without end", Application, alert::UNEXPECTED_MESSAGE, |server| flood(server, false)),
    Row::new("requests for new keys without end", Application, alert::UNEXPECTED_MESSAGE, |server| flood(server, true)),
    Row::new("tickets without end", Application, alert::UNEXPECTED_MESSAGE, |server| {
        server.accept().unwrap();
        let ticket = crate::server::messages::ticket(1, &[1; 10], &[]);
        (0..1000).for_each(|_| server.mutter(&ticket));
    }),
    Row::new("KeyUpdate of value 2", Application, alert::ILLEGAL_PARAMETER, |server| {
        server.accept().unwrap();
        server.mutter(&message(KEY_UPDATE, &[2]));
    }),
    Row::new("KeyUpdate of value 255", Application, alert::ILLEGAL_PARAMETER, |server| {
        server.accept().unwrap();
        server.mutter(&message(KEY_UPDATE, &[255]));
    }),
    Row::new("an empty KeyUpdate", Application, alert::DECODE_ERROR, |server| {
        server.accept().unwrap();
        server.mutter(&message(KEY_UPDATE, &[]));
    }),
    Row::new("a KeyUpdate of two bytes", Application, alert::DECODE_ERROR, |server| {
        server.accept().unwrap();
        server.mutter(&message(KEY_UPDATE, &[0, 0]));
    }),
];

/// The client gives up while it is asked, so what it has answered until then is not looked at.
fn flood(server: &mut Server<'_>, request: bool) {
    server.accept().unwrap();
    for _ in 0..1000 {
        if server.failure().is_some() {
            break;
        }
        server.update_keys(request);
        server.deliver();
        server.follow_updates();
    }
}
