//! Alerts of the server, and the end of the transport, in every state.

use crate::order::POINTS;
use crate::peers::ALPN;
use crate::peers::core::CoreClient;
use crate::server::wire::{ALERT, HANDSHAKE, alert};
use crate::server::{Client, Identity, Server, State};
use smp_tls::{Alert, Error};

#[test]
fn an_alert_ends_the_connection_in_every_state_and_is_not_answered() {
    let identity = Identity::ed25519();
    for point in POINTS {
        for level in [0, 1, 2, 255] {
            for description in [10, 20, 21, 40, 47, 48, 50, 51, 80, 86, 100, 109, 120, 255] {
                let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
                let mut server = Server::new(&mut client, &identity);
                point.reach(&mut server);
                server.send_alert(level, description);
                server.record(HANDSHAKE, &[20]);
                server.deliver();
                assert_eq!(server.alert(), None, "{point:?}, {description}");
                assert_eq!(client.error, Some(Error::Alert(Alert::new(description))), "{point:?}");
                client.end();
                assert_eq!(client.error, Some(Error::Alert(Alert::new(description))), "{point:?}");
                assert!(client.output().is_empty());
            }
        }
    }
}

#[test]
fn close_notify_ends_the_connection_in_every_state() {
    let identity = Identity::ed25519();
    for point in POINTS {
        for level in [1, 2] {
            let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
            let mut server = Server::new(&mut client, &identity);
            point.reach(&mut server);
            server.send_alert(level, alert::CLOSE_NOTIFY);
            server.deliver();
            assert_eq!(server.alert(), None, "{point:?}");
            // What follows is not looked at.
            server.raw(b"whatever this may be");
            server.deliver();
            server.client.end();
            assert_eq!(server.alert(), None, "{point:?}");
            assert_eq!(client.error, Some(Error::Closed), "{point:?}");
        }
    }
}

#[test]
fn user_canceled_changes_nothing() {
    let identity = Identity::ed25519();
    for point in POINTS {
        let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
        let mut server = Server::new(&mut client, &identity);
        point.reach(&mut server);
        server.send_alert(1, alert::USER_CANCELED);
        server.deliver();
        assert_eq!((server.failure(), server.alert()), (None, None), "{point:?}");
        server.send_alert(1, alert::CLOSE_NOTIFY);
        server.deliver();
        assert_eq!(client.error, Some(Error::Closed), "{point:?}");
    }
}

#[test]
fn the_end_of_the_transport_is_no_close_in_any_state() {
    let identity = Identity::ed25519();
    for point in POINTS {
        // Between records, within a header, within a body.
        for bytes in [&[][..], &[ALERT], &[23, 3, 3, 0], &[23, 3, 3, 0, 50, 1, 2, 3], &[22, 3, 3, 0, 2, 2]] {
            if bytes.first() == Some(&22) && point.protection() != crate::server::Protection::None {
                continue;
            }
            if bytes.first() == Some(&23) && point.protection() == crate::server::Protection::None && bytes.len() > 4 {
                continue;
            }
            let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
            let mut server = Server::new(&mut client, &identity);
            point.reach(&mut server);
            server.raw(bytes);
            server.deliver();
            server.client.end();
            assert_eq!(server.alert(), None, "{point:?}");
            assert_eq!(client.error, Some(Error::Truncated), "{point:?}, {bytes:?}");
        }
    }
}

#[test]
fn half_closed_connections_still_send() {
    let identity = Identity::ed25519();
    let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
    let mut server = Server::new(&mut client, &identity);
    server.accept().unwrap();
    server.send(b"last words");
    server.close();
    assert_eq!(server.client.take(), b"last words");
    assert_eq!(server.client.state(), State::Closed);
    server.client.write(&[5; 16_384]);
    assert!(server.data() == (vec![5; 16_384], None));
    server.client.end();
    assert_eq!(server.client.state(), State::Closed);
    client.close();
    let mut server_side = Vec::new();
    server_side.extend(client.output());
    assert_eq!(server_side.len(), 5 + 2 + 1 + 16);
}

#[test]
fn a_client_that_has_closed_still_receives_and_never_sends() {
    let identity = Identity::ed25519();
    let mut client = CoreClient::new(identity.fingerprint, &[ALPN]);
    let mut server = Server::new(&mut client, &identity);
    server.accept().unwrap();
    let (mut keys, mut application) = (server.application.clone().unwrap().server, server.application.take().unwrap());
    drop(server);
    client.close();
    let closing = client.output();
    assert_eq!(application.client.open(&closing), Some((ALERT, vec![1, alert::CLOSE_NOTIFY])));
    // Closing again says nothing again.
    client.close();
    assert!(client.output().is_empty());
    client.input(&keys.seal(23, b"data", 0));
    assert_eq!(client.take(), b"data");
    // A request for new keys has no answer: nothing may follow close_notify.
    client.input(&keys.seal(HANDSHAKE, &crate::server::messages::key_update(true), 0));
    assert!(client.output().is_empty(), "a message after close_notify");
    keys = keys.next();
    client.input(&keys.seal(23, b"more data", 0));
    assert_eq!(client.take(), b"more data");
    // Neither has a misdeed.
    client.input(&[23, 3, 3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(client.output().is_empty(), "an alert after close_notify");
    assert_eq!(client.error, Some(Error::Refused(Alert::BAD_RECORD_MAC)));
}
