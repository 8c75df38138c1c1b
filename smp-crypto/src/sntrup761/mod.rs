//! Streamlined NTRU Prime sntrup761, the post-quantum key encapsulation of the double ratchet (wire reference of the
//! ratchet, section 2; draft-josefsson-ntruprime-streamlined-00).
//!
//! ```
//! use smp_crypto::sntrup761::{self, CIPHERTEXT_LENGTH, PUBLIC_KEY_LENGTH, SecretKey};
//! # use rand_core::SeedableRng;
//! # let mut random = rand_chacha::ChaCha20Rng::seed_from_u64(1); // outside examples, the system's source
//!
//! let (mut public, mut secret) = ([0; PUBLIC_KEY_LENGTH], SecretKey::zeroed());
//! sntrup761::generate_key_pair(&mut random, &mut public, &mut secret);
//!
//! let mut ciphertext = [0; CIPHERTEXT_LENGTH];
//! let sent = sntrup761::encapsulate(&mut random, &public, &mut ciphertext);
//! assert_eq!(sntrup761::decapsulate(&secret, &ciphertext), sent);
//! ```
//!
//! Keys and ciphertexts stand in buffers of the caller's, so that they need not move over the stack.
//!
//! # Constant time
//!
//! No branch and no address depends on a secret, and nothing secret is divided, with one exception: of the random
//! polynomials that a key can begin with, about one in a thousand is of no use, and another one is drawn, which says
//! nothing about the next. This was checked on what the compiler (Rust 1.95) makes of it, as it is free to make branches
//! where the source has none:
//!
//! - on x86-64, the optimised program under Valgrind with everything secret marked as undefined, which reports each branch
//!   and address that comes from it: none, but for that exception. (Before the masks that decide were hidden from the
//!   compiler it had turned one into a branch, which would have told who sends ciphertexts whether they were valid.)
//! - on a Cortex-M4 the assembly: no `udiv` or `sdiv`, conditional moves where numbers are sorted. `bench` of
//!   `examples/qemu-mps2-an386` shows the same number of instructions, to the 40 of its clock, for two keys, for two
//!   secrets, and for a ciphertext that is refused.
//!
//! # Why not a crate
//!
//! Crates on crates.io of which each gives the same bytes: for 1,000 key pairs, made here or there, all three decrypted
//! what each encrypted, and gave the same secret for 3,000 altered ciphertexts.
//!
//! | | here | `sntrup761` 0.4.0 | `sntrup` 0.4.0 |
//! |---|---|---|---|
//! | without the standard library | yes | only if its dependencies' features are changed | no |
//! | without a heap | yes | yes | no |
//! | buffers | the caller's | moved | moved |
//! | `unsafe` | no | for vectors | for vectors |
//! | Cortex-M4, million instructions: key pair | 21.5 | 235.7 | – |
//! | encapsulation | 1.9 | 6.9 | – |
//! | decapsulation | 3.1 | 18.0 | – |
//! | Cortex-M4, stack in KiB: key pair, encapsulation, decapsulation | 19.6, 14.7, 16.9 | not measured | – |
//! | x86-64, µs: key pair | 580 | 11,100 | 172 |
//! | encapsulation | 54 | 558 | 10 |
//! | decapsulation | 76 | 1,500 | 14 |
//!
//! Cortex-M4: `bench` in QEMU with `-icount shift=0`, firmware's profile (`opt-level = "s"`), the crate's dependencies with
//! their default features off. x86-64: the fastest of some hundred calls on a Xeon with AVX-512, built for any x86-64;
//! `sntrup` finds AVX-512 at run time. `cargo bench -p smp-crypto --bench sntrup761` measures what is here.

use rand_core::CryptoRng;
use smp_proto::agent::ratchet_parameters::{ENCAPSULATED_SECRET_LENGTH, ENCAPSULATION_KEY_LENGTH};
use subtle::{BlackBox, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::hash;
use crate::key::{secret_debug, secret_eq};

mod encoding;
mod modular;
mod short;
mod ternary;

use encoding::{Code, SMALL_LENGTH};
use short::Random;
use ternary::Ternary;

/// The number of coefficients of a polynomial.
const P: usize = 761;
/// The modulus of large coefficients.
const Q: i32 = 4591;
/// How many coefficients of a short polynomial are not zero.
const WEIGHT: usize = 286;

/// Length of a public key in bytes.
pub const PUBLIC_KEY_LENGTH: usize = ENCAPSULATION_KEY_LENGTH;
/// Length of a ciphertext, an encapsulated secret, in bytes.
pub const CIPHERTEXT_LENGTH: usize = ENCAPSULATED_SECRET_LENGTH;
/// Length of a secret key in bytes.
pub const SECRET_KEY_LENGTH: usize = 2 * SMALL_LENGTH + PUBLIC_KEY_LENGTH + SMALL_LENGTH + HASH_LENGTH;

const HASH_LENGTH: usize = 32;

/// The code of public keys.
static LARGE: Code = Code::new(Q as u32);
/// The code of rounded polynomials, which are ciphertexts but for their last 32 bytes.
static ROUNDED: Code = Code::new(Q as u32 / 3 + 1);

const ROUNDED_LENGTH: usize = CIPHERTEXT_LENGTH - HASH_LENGTH;
const _: () = assert!(LARGE.length() == PUBLIC_KEY_LENGTH && ROUNDED.length() == ROUNDED_LENGTH);

/// Hides from the compiler that a mask is all zeros or all ones: it would make a branch of it where that saves work.
fn mask<T: Copy>(mask: T) -> T {
    BlackBox::new(mask).get()
}

/// How many division steps an inversion takes.
const STEPS: usize = 2 * P - 1;

/// The last slot that matters to the inversions when so many steps remain.
fn last_slot(remaining: usize) -> usize {
    remaining.saturating_add(P + 1).min(STEPS + 1)
}

/// A secret key, with the public key in it. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; SECRET_KEY_LENGTH]);

secret_debug!(SecretKey, SharedSecret);
secret_eq!(SharedSecret);

impl SecretKey {
    const SMALL: usize = 0;
    const INVERSE: usize = Self::SMALL + SMALL_LENGTH;
    const PUBLIC: usize = Self::INVERSE + SMALL_LENGTH;
    const REJECTION: usize = Self::PUBLIC + PUBLIC_KEY_LENGTH;
    const PUBLIC_HASH: usize = Self::REJECTION + SMALL_LENGTH;

    /// Room for a key that [`generate_key_pair`] puts in. There is no key in it before.
    #[must_use]
    pub const fn zeroed() -> Self {
        Self([0; SECRET_KEY_LENGTH])
    }

    /// Takes a key that was generated earlier, such as one from a store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SECRET_KEY_LENGTH]) -> Self {
        Self(bytes)
    }

    /// Takes a key that was generated earlier, without moving it over the stack.
    pub const fn set_bytes(&mut self, bytes: &[u8; SECRET_KEY_LENGTH]) {
        self.0 = *bytes;
    }

    /// The key, to be stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SECRET_KEY_LENGTH] {
        &self.0
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; PUBLIC_KEY_LENGTH] {
        const NONE: &[u8; PUBLIC_KEY_LENGTH] = &[0; PUBLIC_KEY_LENGTH];
        self.part(Self::PUBLIC, PUBLIC_KEY_LENGTH).as_array().unwrap_or(NONE)
    }

    fn part(&self, start: usize, length: usize) -> &[u8] {
        self.0.get(start..start.saturating_add(length)).unwrap_or_default()
    }

    fn part_mut(&mut self, start: usize, length: usize) -> &mut [u8] {
        self.0.get_mut(start..start.saturating_add(length)).unwrap_or_default()
    }
}

/// What was encapsulated: 32 bytes. Wiped when dropped, compared in constant time.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; 32]);

impl SharedSecret {
    /// Takes a secret that was encapsulated earlier, such as one from a store.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw secret.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Makes a key pair. The public key is in the secret one, too.
pub fn generate_key_pair<R: CryptoRng + ?Sized>(
    random: &mut R,
    public: &mut [u8; PUBLIC_KEY_LENGTH],
    secret: &mut SecretKey,
) {
    generate_in_place(random, secret);
    *public = *secret.public_key();
}

/// Makes a key pair where only the secret key is, which has the public one in it: for those who have no room for a copy.
pub fn generate_in_place<R: CryptoRng + ?Sized>(random: &mut R, secret: &mut SecretKey) {
    generate(&mut |bytes| random.fill_bytes(bytes), secret);
}

/// Makes a secret and a ciphertext that gives it to the owner of a public key. Any bytes are a public key.
pub fn encapsulate<R: CryptoRng + ?Sized>(
    random: &mut R,
    public: &[u8; PUBLIC_KEY_LENGTH],
    ciphertext: &mut [u8; CIPHERTEXT_LENGTH],
) -> SharedSecret {
    encapsulate_with(&mut |bytes| random.fill_bytes(bytes), public, ciphertext)
}

/// The secret in a ciphertext. A ciphertext that was not made for this key gives a secret that nobody else knows
/// (implicit rejection), so that what is encrypted with it cannot be read.
#[must_use]
#[inline(never)]
pub fn decapsulate(secret: &SecretKey, ciphertext: &[u8; CIPHERTEXT_LENGTH]) -> SharedSecret {
    let mut input = Zeroizing::new([0; P]);
    decrypt(secret, ciphertext, &mut input);
    let mut encoded = Zeroizing::new([0; SMALL_LENGTH]);
    encoding::encode_small(&input, &mut encoded[..]);
    let mut again = Zeroizing::new([0; CIPHERTEXT_LENGTH]);
    let public_hash = secret.part(SecretKey::PUBLIC_HASH, HASH_LENGTH);
    encrypt(&input, &encoded, secret.public_key(), public_hash, &mut again);
    let equal = again.ct_eq(ciphertext).unwrap_u8();
    let other = mask(equal.wrapping_sub(1));
    for (byte, rejection) in encoded.iter_mut().zip(secret.part(SecretKey::REJECTION, SMALL_LENGTH)) {
        *byte ^= (*byte ^ rejection) & other;
    }
    session_hash(equal, &encoded, ciphertext)
}

#[inline(never)]
fn generate(random: Random<'_>, secret: &mut SecretKey) {
    let mut g = Zeroizing::new([0; P]);
    let mut small = Zeroizing::new([0; P]);
    loop {
        short::random_small(random, &mut g);
        // About one in a thousand has no inverse, and another one is drawn: it says nothing about the next.
        if ternary::invert(&g, &mut small) {
            break;
        }
    }
    encoding::encode_small(&small, secret.part_mut(SecretKey::INVERSE, SMALL_LENGTH));
    short::random_short(random, &mut small);
    encoding::encode_small(&small, secret.part_mut(SecretKey::SMALL, SMALL_LENGTH));

    let mut large = Zeroizing::new([0; P]);
    modular::invert_tripled(&small, &mut large);
    let mut product = Zeroizing::new([0; P]);
    modular::multiply(&large, &g, &mut product);
    let mut numbers = [0; P];
    modular::to_numbers(&product, &mut numbers);
    encoding::encode(&LARGE, &mut numbers, secret.part_mut(SecretKey::PUBLIC, PUBLIC_KEY_LENGTH));

    random(secret.part_mut(SecretKey::REJECTION, SMALL_LENGTH));
    let hash = prefix_hash(4, &[secret.public_key()]);
    secret.part_mut(SecretKey::PUBLIC_HASH, HASH_LENGTH).copy_from_slice(&hash[..]);
}

#[inline(never)]
fn encapsulate_with(
    random: Random<'_>,
    public: &[u8; PUBLIC_KEY_LENGTH],
    ciphertext: &mut [u8; CIPHERTEXT_LENGTH],
) -> SharedSecret {
    let mut input = Zeroizing::new([0; P]);
    short::random_short(random, &mut input);
    let mut encoded = Zeroizing::new([0; SMALL_LENGTH]);
    encoding::encode_small(&input, &mut encoded[..]);
    encrypt(&input, &encoded, public, &prefix_hash(4, &[public])[..], ciphertext);
    session_hash(1, &encoded, ciphertext)
}

/// Encrypts an input, and confirms that it is known.
#[inline(never)]
fn encrypt(
    input: &[i8; P],
    encoded: &[u8; SMALL_LENGTH],
    public: &[u8; PUBLIC_KEY_LENGTH],
    public_hash: &[u8],
    ciphertext: &mut [u8; CIPHERTEXT_LENGTH],
) {
    let mut numbers = Zeroizing::new([0; P]);
    encoding::decode(&LARGE, public, &mut numbers);
    let mut key = [0; P];
    modular::from_numbers(&numbers, &mut key);
    let mut product = Zeroizing::new([0; P]);
    modular::multiply(&key, input, &mut product);
    modular::to_rounded_numbers(&product, &mut numbers);
    let (rounded, confirmation) = ciphertext.split_at_mut(ROUNDED_LENGTH);
    encoding::encode(&ROUNDED, &mut numbers, rounded);
    let hash = prefix_hash(2, &[&prefix_hash(3, &[encoded])[..], public_hash]);
    confirmation.copy_from_slice(&hash[..]);
}

/// Decrypts the input. Of a ciphertext that was not made for this key, it gives another one, always of the right weight.
#[inline(never)]
fn decrypt(secret: &SecretKey, ciphertext: &[u8; CIPHERTEXT_LENGTH], input: &mut [i8; P]) {
    let mut numbers = [0; P];
    encoding::decode(&ROUNDED, ciphertext, &mut numbers);
    let mut rounded = [0; P];
    modular::from_rounded_numbers(&numbers, &mut rounded);
    let mut small = Zeroizing::new([0; P]);
    encoding::decode_small(secret.part(SecretKey::SMALL, SMALL_LENGTH), &mut small);
    let mut product = Zeroizing::new([0; P]);
    modular::multiply(&rounded, &small, &mut product);
    modular::tripled_modulo_3(&product, &mut small);
    let residues = Ternary::new(&small);
    encoding::decode_small(secret.part(SecretKey::INVERSE, SMALL_LENGTH), &mut small);
    residues.times(&small).coefficients(input);

    // A polynomial of another weight is replaced by one whose first coefficients are 1.
    let weight = input.iter().fold(0_i32, |weight, coefficient| weight.wrapping_add((coefficient & 1).into()));
    let difference = weight ^ WEIGHT as i32;
    let wrong = mask((difference.wrapping_neg() >> 31) as i8);
    for (index, coefficient) in input.iter_mut().enumerate() {
        let other = i8::from(index < WEIGHT);
        *coefficient ^= (*coefficient ^ other) & wrong;
    }
}

/// The first half of the SHA-512 hash of a number and some parts.
fn prefix_hash(prefix: u8, parts: &[&[u8]]) -> Zeroizing<[u8; HASH_LENGTH]> {
    let [first, second, third] = [0, 1, 2].map(|index| parts.get(index).copied().unwrap_or_default());
    let hash = Zeroizing::new(hash::sha512(&[&[prefix], first, second, third]));
    let mut half = Zeroizing::new([0; HASH_LENGTH]);
    half.iter_mut().zip(hash.iter()).for_each(|(to, from)| *to = *from);
    half
}

/// The shared secret: of the right input, or of the rejection.
fn session_hash(kind: u8, encoded: &[u8; SMALL_LENGTH], ciphertext: &[u8; CIPHERTEXT_LENGTH]) -> SharedSecret {
    SharedSecret(*prefix_hash(kind, &[&prefix_hash(3, &[encoded])[..], ciphertext]))
}
