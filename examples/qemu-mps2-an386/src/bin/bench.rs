//! What cryptography costs on this processor: instructions (exact with `-icount shift=0`) and stack of each operation
//! that a connection needs. Then it checks the board's own copies, on which all of them rely. With the argument
//! `check=1000` it also checks the arithmetic of Curve25519 on this processor, with as many random pairs of numbers.

#![no_std]
#![no_main]

use core::hint::black_box;

use board::random::Numbers;
use board::{Board, console, copy, exit, stack, time};
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use rand_core::{CryptoRng, UnwrapErr};
use smp_crypto::block_chain::{BLOCK_LENGTH, chain_keys};
use smp_crypto::certificate::{
    Certificate, CertificateKey, CertificateParameters, CertificateSigner, MAX_CERTIFICATE_LENGTH, Validity,
    fingerprint, validate_server_chain, write_authority, write_leaf,
};
use smp_crypto::hash::{sha256, sha512};
use smp_crypto::key::{Ed25519SecretKey, Verify, X25519PublicKey, X25519SecretKey};
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_crypto::sntrup761;
use static_cell::ConstStaticCell;

static BLOCK: ConstStaticCell<[u8; BLOCK_LENGTH]> = ConstStaticCell::new([0; BLOCK_LENGTH]);
static AUTHORITY: ConstStaticCell<[u8; MAX_CERTIFICATE_LENGTH]> = ConstStaticCell::new([0; MAX_CERTIFICATE_LENGTH]);
static PUBLIC_KEY: ConstStaticCell<[u8; sntrup761::PUBLIC_KEY_LENGTH]> = ConstStaticCell::new([0; _]);
static SECRET_KEY: ConstStaticCell<sntrup761::SecretKey> = ConstStaticCell::new(sntrup761::SecretKey::zeroed());
static CIPHERTEXT: ConstStaticCell<[u8; sntrup761::CIPHERTEXT_LENGTH]> = ConstStaticCell::new([0; _]);
static LEAF: ConstStaticCell<[u8; MAX_CERTIFICATE_LENGTH]> = ConstStaticCell::new([0; MAX_CERTIFICATE_LENGTH]);

/// RFC 7748, section 5.2.
const AFTER_A_THOUSAND: [u8; 32] = [
    0x68, 0x4c, 0xf5, 0x9b, 0xa8, 0x33, 0x09, 0x55, 0x28, 0x00, 0xef, 0x56, 0x6f, 0x2f, 0x4d, 0x3c, 0x1c, 0x38, 0x87,
    0xc4, 0x93, 0x60, 0xe3, 0x87, 0x5f, 0x2e, 0xb9, 0x4d, 0x99, 0x53, 0x2c, 0x51,
];

#[cortex_m_rt::entry]
fn main() -> ! {
    let Board { arguments, random, .. } = board::start();
    let mut random = UnwrapErr(random);
    let done = run(&mut random).and_then(|()| match arguments.number("check", 0) {
        0 => Some(()),
        pairs => check(&mut random, pairs),
    });
    exit(if done.is_some() { 0 } else { 1 })
}

/// The arithmetic as this compiler made it for this processor: against a slow one, a thousand agreements in a row as RFC 7748
/// has them, and signatures that dalek made.
// Not inlined: its frame would be in the measurements.
#[inline(never)]
fn check<R: CryptoRng>(random: &mut R, pairs: u32) -> Option<()> {
    smp_curve25519::self_check(pairs).then_some(())?;
    console::event("checked", "numbers");

    let mut key = [0; 32];
    key[0] = 9;
    let mut point = key;
    for _ in 0..1_000 {
        (key, point) = (smp_curve25519::x25519(&key, &point), key);
    }
    (key == AFTER_A_THOUSAND).then_some(())?;
    console::event("checked", "agreements");

    let signer = Ed25519SecretKey::generate(random);
    let public = signer.public_key();
    (0..100u8)
        .all(|message| {
            let signature = signer.sign(&[message]);
            public.verify(&[message], &signature).is_ok() && public.verify(&[message ^ 1], &signature).is_err()
        })
        .then_some(())?;
    console::event("checked", "signatures");
    Some(())
}

/// Runs `operation`, reports what it took, and gives its result.
#[inline(never)]
fn bench<T>(name: &str, mut operation: impl FnMut() -> T) -> T {
    stack::paint();
    let depth = stack::depth();
    let before = time::instructions();
    let result = black_box(operation());
    let instructions = time::instructions() - before;
    let used = stack::peak().saturating_sub(depth);
    console::measure(name, instructions);
    console::stack_of(name, used);
    result
}

fn run<R: CryptoRng>(random: &mut R) -> Option<()> {
    let block = BLOCK.take();

    // The frame of an empty measurement is in all others.
    bench("nothing", || ());

    let ours = bench("x25519-key-pair", || {
        let key = X25519SecretKey::generate(random);
        black_box(key.public_key());
        key
    });
    let theirs = X25519SecretKey::generate(random).public_key();
    let secret = bench("x25519-agreement", || ours.diffie_hellman(&theirs)).ok()?;

    // Other values, as different as can be: `cargo xtask size` checks that they cost the same.
    let other = X25519SecretKey::from_bytes(&[0; 32]);
    bench("x25519-agreement-other", || other.diffie_hellman(&X25519PublicKey([255; 32]))).ok()?;

    let signer = Ed25519SecretKey::generate(random);
    let public = signer.public_key();
    let signature = bench("ed25519-sign", || signer.sign(&block[..100]));
    bench("ed25519-verify", || public.verify(&block[..100], &signature)).ok()?;

    let cipher = ChaCha20Poly1305::new(&[7; 32].into());
    bench("chacha20-poly1305-16k", || {
        cipher.encrypt_inout_detached(&[0; 12].into(), &[0; 5], InOutBuf::from(&mut block[..])).is_ok()
    })
    .then_some(())?;
    let key = BoxKey::new(&[7; 32]);
    bench("xsalsa20-poly1305-16k", || key.seal_in_place(&Nonce([0; 24]), block));
    let (mut chain, _) = bench("block-chain-keys", || chain_keys(&secret, &[0; 32])).ok()?;
    bench("block-seal", || chain.seal(block, 100)).ok()?;
    bench("sha256-16k", || sha256(&[&block[..]]));
    bench("sha512-16k", || sha512(&[&block[..]]));

    let parameters = CertificateParameters { serial: [1; 20], validity: Validity::from_days(0, 36_500) };
    let authority_signer = CertificateSigner::Ed25519(&signer);
    let authority = write_authority(AUTHORITY.take(), &parameters, authority_signer).ok()?;
    let view = Certificate::from_der(authority).ok()?;
    let key = CertificateKey::Ed25519(Ed25519SecretKey::generate(random).public_key());
    let leaf = write_leaf(LEAF.take(), &parameters, "relay", &key, &view, authority_signer).ok()?;
    let identity = fingerprint(authority);
    bench("certificate-chain", || validate_server_chain(&[leaf, authority], &identity, 1_800_000_000)).ok()?;
    encapsulation()?;

    // Last, because a measurement of nothing would count the stack it leaves behind.
    copy::is_right().then_some(())
}

/// Encapsulation, and whether secrets change what it takes.
fn encapsulation() -> Option<()> {
    let (public, secret, ciphertext) = (PUBLIC_KEY.take(), SECRET_KEY.take(), CIPHERTEXT.take());
    bench_alone("sntrup761-key-pair", || sntrup761::generate_key_pair(&mut Numbers(1), public, secret));
    let made = bench_alone("sntrup761-encapsulation", || sntrup761::encapsulate(&mut Numbers(2), public, ciphertext));
    let taken = bench_alone("sntrup761-decapsulation", || sntrup761::decapsulate(secret, ciphertext));
    (made == taken).then_some(())?;

    bench_alone("sntrup761-key-pair-other", || sntrup761::generate_key_pair(&mut Numbers(3), public, secret));
    bench_alone("sntrup761-encapsulation-other", || sntrup761::encapsulate(&mut Numbers(4), public, ciphertext));
    ciphertext.reverse();
    bench_alone("sntrup761-decapsulation-refused", || sntrup761::decapsulate(secret, ciphertext));
    Some(())
}

/// [`bench`] without interrupts, which are counted otherwise.
fn bench_alone<T>(name: &str, mut operation: impl FnMut() -> T) -> T {
    bench(name, || critical_section::with(|_| operation()))
}
