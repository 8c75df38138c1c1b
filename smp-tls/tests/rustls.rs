//! rustls as a server, with transports of every kind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
mod peers;
mod server;

use embedded_io_async::{Read, Write};
use peers::core::{Fingerprint, ephemeral};
use peers::rustls_server::{Options, RustlsServer};
use peers::stream::{Cancel, Pieces, Wire, run};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use server::Identity;
use smp_tls::{Alert, BUFFER_LENGTH, Config, Error, StreamError, TlsStream};

const SMP: Options = Options { alpn: &[b"smp/1"], ask: false, tickets: 0, fragment: 0 };
const PIECES: [Pieces; 5] = [Pieces::All, Pieces::Of(1), Pieces::Of(5), Pieces::Random(1), Pieces::Random(2)];
const BLOCK: usize = 16_384;

type Stream<'b> = TlsStream<'b, Wire<RustlsServer>>;

fn connect<'b>(
    identity: &Identity,
    options: Options,
    pieces: Pieces,
    alpn: &[&[u8]],
    buffer: &'b mut [u8],
) -> Result<Stream<'b>, StreamError<core::convert::Infallible>> {
    let wire = Wire::new(RustlsServer::new(identity, options), pieces);
    let mut verifier = Fingerprint(identity.fingerprint);
    run(TlsStream::connect(wire, buffer, &Config { alpn }, ephemeral(), &mut verifier))
}

fn block(number: u8) -> Vec<u8> {
    (0..BLOCK).map(|place| (place as u8).wrapping_mul(31).wrapping_add(number)).collect()
}

/// A block from the server and one to it.
fn exchange(stream: &mut Stream<'_>, number: u8) {
    let block = block(number);
    stream.transport().peer.write(&block);
    assert!(run(stream.read_in_place(BLOCK)).unwrap() == block);
    stream.consume(BLOCK);
    assert!(stream.is_free());
    stream.content_mut().unwrap().copy_from_slice(&block);
    run(stream.write_in_place(BLOCK)).unwrap();
    assert!(stream.transport().peer.take() == block);
}

#[test]
fn sessions_agree_and_blocks_pass() {
    for identity in Identity::both() {
        for pieces in PIECES {
            for options in [SMP, Options { ask: true, tickets: 2, ..SMP }, Options { fragment: 512, tickets: 4, ..SMP }]
            {
                let mut buffer = vec![0; BUFFER_LENGTH];
                let mut stream = connect(&identity, options, pieces, &[b"smp/1"], &mut buffer).unwrap();
                let chain = stream.chain().unwrap();
                assert!(chain.iter().eq(identity.chain.iter().map(Vec::as_slice)));
                for number in 0..3 {
                    exchange(&mut stream, number);
                }
                let finished = *stream.finished();
                assert_eq!(stream.transport().peer.client_finished().as_deref(), Some(&finished[..]));
                assert!(stream.chain().is_none(), "the buffer was used for something else");
                stream.transport().peer.tls.send_close_notify();
                assert_eq!(run(stream.read_in_place(1)), Err(StreamError::Tls(Error::Closed)));
                run(stream.close()).unwrap();
                let (wire, _) = stream.into_parts();
                let mut peer = wire.peer;
                assert!(peer.tls.process_new_packets().unwrap().peer_has_closed());
            }
        }
    }
}

#[test]
fn protocols_are_agreed_on() {
    let identity = Identity::ed25519();
    type Names = &'static [&'static [u8]];
    let offers: [(Names, Names, _); 6] = [
        (&[b"smp/1"], &[b"smp/1"], Ok(Some(0))),
        (&[b"h2", b"smp/1"], &[b"smp/1"], Ok(Some(1))),
        (&[b"smp/1", b"http/1.1"], &[b"http/1.1", b"smp/1"], Ok(Some(1))),
        (&[b"smp/1"], &[], Ok(None)),
        (&[], &[b"smp/1"], Ok(None)),
        (&[b"smp/1"], &[b"h2"], Err(StreamError::Tls(Error::Alert(Alert::NO_APPLICATION_PROTOCOL)))),
    ];
    for (offered, known, expected) in offers {
        let mut buffer = vec![0; BUFFER_LENGTH];
        let options = Options { alpn: known, ..SMP };
        let agreed = connect(&identity, options, Pieces::Of(100), offered, &mut buffer).map(|stream| stream.alpn());
        assert_eq!(agreed, expected);
    }
}

#[test]
fn a_stranger_is_refused_and_told() {
    for (identity, other) in [(Identity::ed25519(), Identity::stranger()), (Identity::ed448(), Identity::ed25519())] {
        for pieces in PIECES {
            let mut buffer = vec![0; BUFFER_LENGTH];
            let mut wire = Wire::new(RustlsServer::new(&other, SMP), pieces);
            let mut verifier = Fingerprint(identity.fingerprint);
            let config = Config { alpn: &[b"smp/1"] };
            let result = run(TlsStream::connect(&mut wire, &mut buffer, &config, ephemeral(), &mut verifier));
            assert_eq!(result.err(), Some(StreamError::Tls(Error::Refused(Alert::UNKNOWN_CA))));
            let told = wire.peer.tls.process_new_packets().unwrap_err();
            assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA));
        }
    }
}

#[test]
fn keys_change_while_blocks_pass() {
    let identity = Identity::ed25519();
    for pieces in PIECES {
        let mut buffer = vec![0; BUFFER_LENGTH];
        let mut stream = connect(&identity, SMP, pieces, &[b"smp/1"], &mut buffer).unwrap();
        for number in 0..10 {
            // Changes the server's keys and asks for new ones of the client.
            stream.transport().peer.tls.refresh_traffic_keys().unwrap();
            exchange(&mut stream, number);
        }
    }
}

#[test]
fn reads_and_writes_of_any_length_pass() {
    let identity = Identity::ed25519();
    let mut random = ChaCha20Rng::seed_from_u64(3);
    for pieces in PIECES {
        let mut buffer = vec![0; 2 * BUFFER_LENGTH];
        let mut stream = connect(&identity, SMP, pieces, &[], &mut buffer).unwrap();
        for _ in 0..30 {
            let mut data = vec![0; 1 + random.next_u32() as usize % 60_000];
            random.fill_bytes(&mut data);
            stream.transport().peer.write(&data);
            let mut received = Vec::new();
            while received.len() < data.len() {
                let mut piece = vec![0; 1 + random.next_u32() as usize % 5_000];
                let length = run(stream.read(&mut piece)).unwrap();
                received.extend_from_slice(&piece[..length]);
            }
            assert!(received == data);
            run(stream.write_all(&data)).unwrap();
            run(stream.flush()).unwrap();
            assert!(stream.transport().peer.take() == data);
        }
        stream.transport().peer.tls.send_close_notify();
        assert_eq!(run(stream.read(&mut [0; 10])), Ok(0));
    }
}

/// Every point at which a read or write can be dropped, one after the other: nothing is lost, nothing comes twice.
#[test]
fn reads_and_writes_may_be_dropped_wherever_they_wait() {
    let identity = Identity::ed25519();
    let mut point = 0;
    loop {
        let mut buffer = vec![0; BUFFER_LENGTH];
        let mut stream = connect(&identity, SMP, Pieces::Of(1500), &[b"smp/1"], &mut buffer).unwrap();
        stream.transport().hesitates = true;
        let mut cancel = Cancel::at(point);
        for number in 0..2 {
            let block = block(number);
            stream.transport().peer.tls.refresh_traffic_keys().unwrap();
            stream.transport().peer.write(&block);
            loop {
                if let Some(result) = cancel.run(async { stream.read_in_place(BLOCK).await.map(|_| ()) }) {
                    result.unwrap();
                    break;
                }
            }
            assert!(run(stream.read_in_place(BLOCK)).unwrap() == block, "point {point}");
            stream.consume(BLOCK);
            // The answer to the request for new keys may wait in front of what the application sends.
            loop {
                if let Some(result) = cancel.run(stream.send()) {
                    result.unwrap();
                    break;
                }
            }
            stream.content_mut().unwrap().copy_from_slice(&block);
            if let Some(result) = cancel.run(stream.write_in_place(BLOCK)) {
                result.unwrap();
            } else {
                run(stream.send()).unwrap();
            }
            assert!(stream.transport().peer.take() == block, "point {point}");
        }
        if cancel.run(stream.close()).is_none() {
            run(stream.close()).unwrap();
        }
        assert!(stream.transport().peer.tls.process_new_packets().unwrap().peer_has_closed());
        if !cancel.happened {
            assert!(point > 50, "there are only {point} points");
            return;
        }
        point += 1;
    }
}

/// The same for those who copy: what a dropped write did not report is not sent, so that it can be said again.
#[test]
fn copying_reads_and_writes_may_be_dropped_wherever_they_wait() {
    let identity = Identity::ed25519();
    let mut point = 0;
    loop {
        let mut buffer = vec![0; BUFFER_LENGTH];
        let mut stream = connect(&identity, SMP, Pieces::Of(900), &[b"smp/1"], &mut buffer).unwrap();
        stream.transport().hesitates = true;
        let mut cancel = Cancel::at(point);
        let data = block(9);
        let mut sent = 0;
        while sent < data.len() {
            let piece = &data[sent..(sent + 3000).min(data.len())];
            if let Some(result) = cancel.run(stream.write(piece)) {
                sent += result.unwrap();
            }
        }
        if let Some(result) = cancel.run(stream.flush()) {
            result.unwrap();
        } else {
            run(stream.flush()).unwrap();
        }
        assert!(stream.transport().peer.take() == data, "point {point}");
        stream.transport().peer.write(&data);
        let mut received = Vec::new();
        while received.len() < data.len() {
            let mut piece = [0; 3000];
            if let Some(result) = cancel.run(stream.read(&mut piece)) {
                received.extend_from_slice(&piece[..result.unwrap()]);
            }
        }
        assert!(received == data, "point {point}");
        if !cancel.happened {
            assert!(point > 30, "there are only {point} points");
            return;
        }
        point += 1;
    }
}

/// A handshake that is dropped leaves nothing behind: the next one begins anew in the same buffer.
#[test]
fn handshakes_may_be_dropped_wherever_they_wait() {
    let identity = Identity::ed25519();
    let mut buffer = vec![0; BUFFER_LENGTH];
    let mut verifier = Fingerprint(identity.fingerprint);
    for point in 0.. {
        let mut wire = Wire::new(RustlsServer::new(&identity, SMP), Pieces::Of(50));
        wire.hesitates = true;
        let config = Config { alpn: &[b"smp/1"] };
        let connecting = TlsStream::connect(wire, &mut buffer, &config, ephemeral(), &mut verifier);
        let done = Cancel::at(point).run(connecting).map(|result| drop(result.unwrap())).is_some();
        drop(connect(&identity, SMP, Pieces::All, &[], &mut buffer).unwrap());
        if done {
            assert!(point > 10, "there are only {point} points");
            return;
        }
    }
}
