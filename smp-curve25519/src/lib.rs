//! X25519 (RFC 7748) and the verification of Ed25519 signatures (RFC 8032) for microcontrollers.
//!
//! On a computer there is no reason to use this crate: [curve25519-dalek](https://docs.rs/curve25519-dalek) has far more
//! readers, and gives the same results. On a Cortex-M4 this one takes about half of the time and a third of the flash, and
//! that decides whether a device can connect with the flash and the battery it has. So `smp-crypto`, `smp-tls` and
//! `smp-embassy` use dalek unless their feature `small-curve` is on, which is meant for firmware.
//!
//! There are two operations and nothing else: [`x25519`] (and [`x25519_public_key`]), in constant time, and [`verify`].
//! Signatures cannot be made here. No allocation, no `unsafe`, no dependencies but SHA-512 and the usual helpers for
//! secrets.
//!
//! # Example
//!
//! ```
//! use smp_curve25519::{Error, verify, x25519, x25519_public_key};
//!
//! let (ours, theirs) = ([1; 32], [2; 32]); // from a random source
//! let shared = x25519(&ours, &x25519_public_key(&theirs));
//! assert_eq!(shared, x25519(&theirs, &x25519_public_key(&ours)));
//! assert_ne!(shared, [0; 32]); // or the other side's public key has small order, and the secret is none
//!
//! // This key has small order, and verifies nothing.
//! assert_eq!(verify(&[0; 32], &[b"mess", b"age"], &[0; 64]), Err(Error::Key));
//! ```
//!
//! # Which signatures are accepted
//!
//! Exactly those that `ed25519-dalek` 3 accepts with its method `verify`, when the caller refuses keys for which its
//! method `is_weak` is true. That is:
//!
//! - The key is the encoding of a point. A y-coordinate of p or above counts modulo p; x = 0 with its sign set counts as
//!   x = 0.
//! - The key's point does not have small order. It may have a part of small order.
//! - S is less than L, the order of the base point.
//! - The encoding of \[S\]B - \[k\]A, with k = SHA-512(R, key, message) mod L, is R, byte for byte. So R is canonical, and
//!   nothing is multiplied by the cofactor.
//!
//! # Time
//!
//! The time that [`x25519`] takes depends neither on the secret nor on the point: there is no branch on them, and no
//! memory address made of them. That was read in the assembly of the firmware for a Cortex-M4 (the only conditional jumps of
//! the ladder and of the operations below it count loops of fixed length), and is measured: `cargo xtask size`
//! fails when agreements with different secrets take a different number of instructions in the emulator. What a processor
//! makes of equal instructions is its own affair: the multiplications of the Cortex-M4, M7 and M33 take the same time
//! for all values, those of the Cortex-M3 do not.
//!
//! [`verify`] works on public values, and the time it takes depends on them.
//!
//! # Why it is believed to be right
//!
//! A lost carry is what arithmetic like this dies of, and random tests do not find it. So there are no bounds between
//! operations that could be overstepped: each takes all 2^256 values of its operands, and the reason why its own carries
//! have room is written next to it. The tests compare each operation with a slow one, bit by bit, for values at all
//! extremes of limbs and around 0, p, 2p and 2^256, all pairs of these, and for millions of random values of which most
//! are extreme. Above that there are the vectors of the RFCs (the million iterations of RFC 7748 included), all points
//! of small order, mixed points and encodings that are not canonical, and a comparison with dalek for a million inputs of
//! each kind, right and nearly right. A fuzz target goes on with that. All this runs on a computer; with the feature
//! `self-check` the first part runs on a device too, as its compiler made it: the project's tests do that in an
//! emulator.
//!
//! # Cost
//!
//! On a Cortex-M4, compiled for size; the same with dalek (its verified arithmetic, the smallest it has) in brackets.
//! `cargo xtask size` measures it.
//!
//! | | instructions | stack in bytes |
//! |---|---|---|
//! | [`x25519`], [`x25519_public_key`] | 0.80 million (1.53) | 1,400 |
//! | [`verify`], without hashing the message | 0.95 million (1.60) | 3,800 |
//!
//! In flash it is 6.5 KB (16.5), without SHA-512.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

#[cfg(any(test, feature = "self-check"))]
mod check;
mod edwards;
mod field;
mod montgomery;
mod scalar;
mod signature;
mod table;

#[cfg(any(test, feature = "self-check"))]
pub use check::self_check;
pub use montgomery::{x25519, x25519_public_key};
pub use signature::{Error, verify};
