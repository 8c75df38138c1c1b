//! A TLS 1.3 client (RFC 8446) in the profile of the SimpleX network, for devices without a heap.
//!
//! | | |
//! |---|---|
//! | Cipher suite | TLS_CHACHA20_POLY1305_SHA256 |
//! | Key exchange | X25519 |
//! | Signatures of servers | Ed25519; with the feature `ed448` Ed448 too |
//! | Extensions | application protocols (ALPN); the server's name is not sent |
//! | Certificates | handed to the application, which says whether it trusts them: this crate reads no X.509 |
//! | Certificate of the client | none: a request is answered with an empty list |
//! | Resumption, early data, pre-shared keys | none; tickets are read and forgotten |
//! | HelloRetryRequest, KeyUpdate, close_notify | yes |
//!
//! A connection works in one buffer of the caller, in both directions by turns: records are decrypted and encrypted where
//! they stand, and no byte is taken from the transport beyond the record on its way. After the handshake the connection
//! knows the value of its Finished message, which SMP takes as the identifier of the session.
//!
//! [`TlsStream`] is the connection over any transport of `embedded-io-async`, such as embassy-net's `TcpSocket`.
//! [`Handshake`] and [`Connection`] are the state machines under it, which know of no transport.
//!
//! # Example
//!
//! ```
//! use embedded_io_async::{Read, Write};
//! use rand_core::TryCryptoRng;
//! use smp_tls::{Alert, CertificateChain, Config, Ephemeral, ServerKey, StreamError, TlsStream, Verifier};
//!
//! /// Trusts servers whose leaf certificate is this one.
//! struct Pinned {
//!     leaf: &'static [u8],
//!     key: [u8; 32],
//! }
//!
//! impl Verifier for Pinned {
//!     fn verify(&mut self, chain: &CertificateChain<'_>) -> Result<ServerKey, Alert> {
//!         if chain.leaf() == self.leaf { Ok(ServerKey::Ed25519(self.key)) } else { Err(Alert::UNKNOWN_CA) }
//!     }
//! }
//!
//! /// Reads a block and answers with it.
//! async fn echo<T: Read + Write>(
//!     transport: T,         // has just been opened
//!     buffer: &mut [u8],    // smp_tls::BUFFER_LENGTH bytes, in a static
//!     ephemeral: Ephemeral, // Ephemeral::generate(&mut random), before the transport was opened
//!     server: &mut Pinned,
//! ) -> Result<(), StreamError<T::Error>> {
//!     let config = Config { alpn: &[b"smp/1"] };
//!     let mut stream = TlsStream::connect(transport, buffer, &config, ephemeral, server).await?;
//!
//!     let block: &mut [u8] = stream.read_in_place(16_384).await?;
//!     let first = block[0];
//!     stream.consume(16_384);
//!
//!     stream.content_mut()?.fill(first);
//!     stream.write_in_place(16_384).await?;
//!     stream.close().await
//! }
//! # // A server that hangs up at once, to run the example to an end.
//! # struct Nobody;
//! # impl embedded_io_async::ErrorType for Nobody {
//! #     type Error = core::convert::Infallible;
//! # }
//! # impl Read for Nobody {
//! #     async fn read(&mut self, _: &mut [u8]) -> Result<usize, Self::Error> { Ok(0) }
//! # }
//! # impl Write for Nobody {
//! #     async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> { Ok(bytes.len()) }
//! #     async fn flush(&mut self) -> Result<(), Self::Error> { Ok(()) }
//! # }
//! # use rand_chacha::rand_core::SeedableRng;
//! # let mut random = rand_chacha::ChaCha20Rng::seed_from_u64(1);
//! # let ephemeral = Ephemeral::generate(&mut random).unwrap();
//! # let mut buffer = vec![0; smp_tls::BUFFER_LENGTH];
//! # let mut server = Pinned { leaf: b"", key: [0; 32] };
//! # let future = std::pin::pin!(echo(Nobody, &mut buffer, ephemeral, &mut server));
//! # let outcome = future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
//! # assert_eq!(outcome, std::task::Poll::Ready(Err(StreamError::Tls(smp_tls::Error::Truncated))));
//! ```
//!
//! # What ends a connection
//!
//! Whatever breaks a rule of the protocol, at once, with the alert that the RFC names for it. So does what is larger than
//! this client takes ([`Error::Limit`]): a flight of the server beyond the buffer, more than
//! [eight certificates](CertificateChain::MAX_LENGTH), 24 extensions in a message, a cookie of 512 bytes, 32 records
//! without content in a row. The end of the transport is an error ([`Error::Truncated`]) unless the server closed the
//! connection before ([`Error::Closed`]). Time is not counted here: a limit has to be put around what waits.
//!
//! # Features
//!
//! - `ed448`: servers that sign with Ed448. Costs flash, and seconds of a slow processor.
//! - `defmt`: errors print through defmt.
//! - `small-curve`: X25519 and Ed25519 by `smp-curve25519`, for microcontrollers, instead of dalek. Results are the same.
//!
//! # Memory
//!
//! No heap. Sizes on a Cortex-M4, in bytes:
//!
//! | | RAM |
//! |---|---|
//! | the buffer | [`BUFFER_LENGTH`]: 16,896 |
//! | [`TlsStream`], without its transport | 384 |
//! | the future of [`TlsStream::connect`] | 872 |
//! | [`Ephemeral`] | 128 |
//!
//! A smaller buffer carries smaller records: content and 22 bytes, and at least the server's flight, which is its chain and
//! about 200 bytes. The stack goes up to 6 KiB in Ed25519, 8 KiB in Ed448, 2.2 KiB in X25519 and 1 KiB elsewhere;
//! with `small-curve` to 4 KiB in Ed25519 and 1.5 KiB in X25519.
//!
//! In flash the client with its cryptography takes about 40 KB (opt-level "s", `--cfg sha2_backend_soft="compact"`), 7 KB
//! of which are this crate's own. In a linked program no call of these 7 KB leads to a panic, but for the one the compiler
//! puts into every future, for executors that poll it after its end.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

mod alert;
mod codec;
mod config;
mod connection;
mod curve;
mod error;
mod handshake;
mod keys;
mod message;
mod record;
mod schedule;
mod stream;
#[cfg(test)]
mod test;
mod transcript;
mod verify;

pub use alert::Alert;
pub use config::{Config, Ephemeral};
pub use connection::Connection;
pub use error::{Error, StreamError};
pub use handshake::{Handshake, Progress};
pub use record::{BUFFER_LENGTH, CONTENT_LENGTH};
pub use stream::TlsStream;
pub use verify::{CertificateChain, Certificates, ServerKey, Verifier};
