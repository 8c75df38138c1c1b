//! OpenSSL's `s_server` as a server, over sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
mod peers;
mod server;

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use peers::core::{Fingerprint, ephemeral};
use peers::openssl::{OpenSsl, Scratch, client_finished, connect_when_up, free_port, messages};
use peers::stream::{Socket, run};
use server::Identity;
use smp_tls::{Alert, BUFFER_LENGTH, Config, Error, StreamError, TlsStream};

const BLOCK: usize = 16_384;

/// A server in the background.
struct Server {
    program: OpenSsl,
    _directory: Scratch,
    socket: Option<TcpStream>,
    incompatible: bool,
}

impl Server {
    fn start(identity: &Identity, arguments: &str) -> Self {
        let directory = Scratch::new(identity);
        let port = free_port();
        let arguments = format!(
            "s_server -accept 127.0.0.1:{port} -naccept 1 -cert leaf.pem -key key.pem -cert_chain ca.pem -tls1_3 -msg {arguments}"
        );
        let program = OpenSsl::start(directory.path(), &arguments);
        Self { program, _directory: directory, socket: Some(connect_when_up(port)), incompatible: false }
    }

    fn socket(&mut self, piece: usize) -> Socket {
        Socket { socket: self.socket.take().unwrap(), piece, incompatible: self.incompatible }
    }
}

type Stream<'b> = TlsStream<'b, Socket>;
type Failure = StreamError<embedded_io_async::ErrorKind>;

fn connect<'b>(
    server: &mut Server,
    identity: &Identity,
    piece: usize,
    buffer: &'b mut [u8],
) -> Result<Stream<'b>, Failure> {
    let config = Config { alpn: &[b"smp/1"] };
    run(TlsStream::connect(server.socket(piece), buffer, &config, ephemeral(), &mut Fingerprint(identity.fingerprint)))
}

/// Closes from this side, and waits for the server to do so; its log.
fn finish(server: Server, mut stream: Stream<'_>) -> String {
    run(stream.close()).unwrap();
    loop {
        match run(stream.read_in_place(1)) {
            Ok(_) => stream.consume(1),
            Err(error) => {
                assert_eq!(error, StreamError::Tls(Error::Closed));
                break;
            }
        }
    }
    drop(stream);
    server.program.finish()
}

/// Text of so many bytes, a line, that begins with none of the letters that are commands.
fn line(length: usize, number: usize) -> String {
    let letters = (0..length - 2).map(|place| char::from(b'a' + ((place + number) % 26) as u8));
    format!("h{}\n", letters.collect::<String>())
}

#[test]
fn sessions_agree_whatever_the_server_asks_for() {
    for identity in Identity::both() {
        for (arguments, hellos) in [
            ("-alpn smp/1", 1),
            ("-alpn smp/1 -no_ticket -groups X25519", 1),
            ("-alpn smp/1 -num_tickets 8 -verify 3", 1),
            ("-alpn smp/1 -stateless", 2),
            ("-alpn smp/1 -stateless -verify 3", 2),
            ("-alpn smp/1 -max_send_frag 512", 1),
        ] {
            for piece in [1, usize::MAX] {
                let mut buffer = vec![0; BUFFER_LENGTH];
                let mut server = Server::start(&identity, arguments);
                // A stateless server of OpenSSL chokes on change_cipher_spec between two hellos, of its own client too.
                server.incompatible = arguments.contains("stateless");
                let result = connect(&mut server, &identity, piece, &mut buffer);
                let mut stream = match result {
                    Ok(stream) => stream,
                    Err(error) => panic!("{arguments}: {error:?}: {}", server.program.kill()),
                };
                assert_eq!(stream.alpn(), Some(0));
                let text = b"hello from the client\n";
                stream.content_mut().unwrap()[..text.len()].copy_from_slice(text);
                run(stream.write_in_place(text.len())).unwrap();
                let finished = *stream.finished();
                let log = finish(server, stream);
                assert_eq!(client_finished(&log), finished, "{log}");
                assert!(log.contains("hello from the client\n"), "{log}");
                assert_eq!(messages(&log, "ClientHello").len(), hellos, "{log}");
            }
        }
    }
}

#[test]
fn blocks_pass_both_ways_while_keys_change() {
    let identity = Identity::ed25519();
    for (arguments, command, piece) in
        [("", "k\n", usize::MAX), ("", "K\n", 1000), ("-max_send_frag 1000", "K\n", usize::MAX)]
    {
        let mut buffer = vec![0; BUFFER_LENGTH];
        let mut server = Server::start(&identity, &format!("-alpn smp/1 {arguments}"));
        let mut stream = connect(&mut server, &identity, piece, &mut buffer).unwrap();
        for number in 0..4 {
            let block = line(BLOCK, number);
            server.program.say(&block);
            assert!(run(stream.read_in_place(BLOCK)).unwrap() == block.as_bytes());
            stream.consume(BLOCK);
            server.program.say(command);
            // The program takes commands only at the beginning of what it reads at once.
            thread::sleep(Duration::from_millis(100));
            server.program.say("hello under new keys\n");
            assert_eq!(run(stream.read_in_place(21)).unwrap(), b"hello under new keys\n");
            stream.consume(21);
            assert!(stream.is_free());
            stream.content_mut().unwrap().copy_from_slice(block.as_bytes());
            run(stream.write_in_place(BLOCK)).unwrap();
        }
        let finished = *stream.finished();
        let log = finish(server, stream);
        assert_eq!(client_finished(&log), finished);
        let updates = messages(&log, "KeyUpdate").len();
        assert_eq!(updates, if command == "K\n" { 8 } else { 4 });
        for number in 0..4 {
            assert!(log.contains(&line(BLOCK, number)), "block {number}");
        }
    }
}

#[test]
fn other_parameters_than_ours_are_refused_by_the_server() {
    let identity = Identity::ed25519();
    for (arguments, alert) in [
        ("-alpn h2", Alert::NO_APPLICATION_PROTOCOL),
        ("-groups P-256", Alert::HANDSHAKE_FAILURE),
        ("-ciphersuites TLS_AES_128_GCM_SHA256", Alert::HANDSHAKE_FAILURE),
    ] {
        let mut buffer = vec![0; BUFFER_LENGTH];
        let mut server = Server::start(&identity, arguments);
        let result = connect(&mut server, &identity, usize::MAX, &mut buffer);
        assert_eq!(result.err(), Some(StreamError::Tls(Error::Alert(alert))), "{arguments}");
        server.program.kill();
    }
}

#[test]
fn a_server_that_must_have_a_certificate_says_so() {
    let identity = Identity::ed25519();
    let mut buffer = vec![0; BUFFER_LENGTH];
    let mut server = Server::start(&identity, "-alpn smp/1 -Verify 3");
    // The client is done before the server has judged.
    let mut stream = connect(&mut server, &identity, usize::MAX, &mut buffer).unwrap();
    let error = run(stream.read_in_place(1)).err();
    assert_eq!(error, Some(StreamError::Tls(Error::Alert(Alert::CERTIFICATE_REQUIRED))));
    server.program.kill();
}

#[test]
fn a_stranger_is_refused_and_told() {
    for (identity, other) in [(Identity::ed25519(), Identity::stranger()), (Identity::ed25519(), Identity::ed448())] {
        let mut buffer = vec![0; BUFFER_LENGTH];
        let mut server = Server::start(&other, "-alpn smp/1");
        let result = connect(&mut server, &identity, usize::MAX, &mut buffer);
        assert_eq!(result.err(), Some(StreamError::Tls(Error::Refused(Alert::UNKNOWN_CA))));
        let log = server.program.finish();
        assert!(log.contains("alert unknown ca"), "{log}");
    }
}

#[test]
fn older_versions_are_refused() {
    let identity = Identity::ed25519();
    let mut buffer = vec![0; BUFFER_LENGTH];
    let directory = Scratch::new(&identity);
    let port = free_port();
    let program = OpenSsl::start(
        directory.path(),
        &format!("s_server -accept 127.0.0.1:{port} -naccept 1 -cert leaf.pem -key key.pem -cert_chain ca.pem -tls1_2"),
    );
    let mut server =
        Server { program, _directory: directory, socket: Some(connect_when_up(port)), incompatible: false };
    let result = connect(&mut server, &identity, usize::MAX, &mut buffer);
    // It is the server that finds no version in common.
    assert_eq!(result.err(), Some(StreamError::Tls(Error::Alert(Alert::PROTOCOL_VERSION))));
    server.program.kill();
}

#[test]
fn a_server_that_is_killed_has_not_closed() {
    let identity = Identity::ed25519();
    let mut buffer = vec![0; BUFFER_LENGTH];
    let mut server = Server::start(&identity, "-alpn smp/1 -no_ticket");
    let mut stream = connect(&mut server, &identity, usize::MAX, &mut buffer).unwrap();
    server.program.say("hello\n");
    assert_eq!(run(stream.read_in_place(6)).unwrap(), b"hello\n");
    server.program.kill();
    let error = run(stream.read_in_place(7)).unwrap_err();
    assert!(matches!(error, StreamError::Tls(Error::Truncated) | StreamError::Transport(_)), "{error:?}");
}
