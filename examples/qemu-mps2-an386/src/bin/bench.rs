//! What cryptography costs on this processor: instructions (exact with `-icount shift=0`) and stack of each operation
//! that a connection needs. Then it checks the board's own copies, on which all of them rely. Takes no arguments.

#![no_std]
#![no_main]

use core::hint::black_box;

use board::{Board, console, copy, exit, stack, time};
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use rand_core::{Rng, UnwrapErr};
use smp_crypto::block_chain::{BLOCK_LENGTH, chain_keys};
use smp_crypto::certificate::{
    Certificate, CertificateKey, CertificateParameters, CertificateSigner, MAX_CERTIFICATE_LENGTH, Validity,
    fingerprint, validate_server_chain, write_authority, write_leaf,
};
use smp_crypto::hash::{sha256, sha512};
use smp_crypto::key::{Ed25519SecretKey, Verify, X25519PublicKey, X25519SecretKey};
use smp_crypto::secret_box::{BoxKey, Nonce};
use static_cell::ConstStaticCell;

static BLOCK: ConstStaticCell<[u8; BLOCK_LENGTH]> = ConstStaticCell::new([0; BLOCK_LENGTH]);
static AUTHORITY: ConstStaticCell<[u8; MAX_CERTIFICATE_LENGTH]> = ConstStaticCell::new([0; MAX_CERTIFICATE_LENGTH]);
static LEAF: ConstStaticCell<[u8; MAX_CERTIFICATE_LENGTH]> = ConstStaticCell::new([0; MAX_CERTIFICATE_LENGTH]);

#[cortex_m_rt::entry]
fn main() -> ! {
    let Board { random, .. } = board::start();
    let done = run(&mut UnwrapErr(random));
    exit(if done.is_some() { 0 } else { 1 })
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

fn run<R: Rng + rand_core::CryptoRng>(random: &mut R) -> Option<()> {
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

    // Last, because a measurement of nothing would count the stack it leaves behind.
    copy::is_right().then_some(())
}
