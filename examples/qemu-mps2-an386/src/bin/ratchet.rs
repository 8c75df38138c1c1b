//! What the double ratchet costs on this processor: instructions (exact with `-icount shift=0`) and stack of each operation,
//! with post-quantum encapsulation (`-pq`) and without, and the sizes of its types. Takes no arguments.
//!
//! Messages have 16 KiB as they are sent. An operation's stack is that of its result, too, where that is a value.

#![no_std]
#![no_main]

use core::convert::Infallible;
use core::hint::black_box;
use core::mem::size_of;

use board::{console, exit, stack, time};
use rand_core::{TryCryptoRng, TryRng};
use smp_crypto::key::X448SecretKey;
use smp_crypto::ratchet::{
    BodyKind, ENCAPSULATION_AGENT_VERSION, EncapsulationRequest, Initiator, Joiner, KeyStock, NewKeys, PreparedMessage,
    Ratchet, Sending, SkippedStore,
};
use smp_proto::version::VersionRange;
use static_cell::ConstStaticCell;

/// The longest encrypted message in bytes.
const MESSAGE_LENGTH: usize = 15_982;

type Late = SkippedStore<64>;
type Stock = KeyStock<Numbers, 1>;

/// What lives as long as the program, as it would on a device.
struct Places {
    initiator: Option<Initiator>,
    joiner: Option<Joiner>,
    alice: Option<Ratchet>,
    bob: Option<Ratchet>,
    prepared: Option<PreparedMessage>,
    stock: Option<Stock>,
    late: Late,
    message: [u8; MESSAGE_LENGTH],
    stored: [u8; Ratchet::MAX_SERIALIZED_LENGTH],
}

static PLACES: ConstStaticCell<Places> = ConstStaticCell::new(Places {
    initiator: None,
    joiner: None,
    alice: None,
    bob: None,
    prepared: None,
    stock: None,
    late: Late::new(),
    message: [0; _],
    stored: [0; _],
});

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start();
    let places = PLACES.take();
    let random = &mut Numbers(1);
    let done = [false, true].into_iter().try_for_each(|encapsulates| conversation(places, random, encapsulates));
    sizes();
    exit(if done.and_then(|()| agreement(random)).is_some() { 0 } else { 1 })
}

/// Runs `operation` and reports what it took. It is called through a pointer, so that its stack is its own.
#[inline(never)]
fn bench(name: &str, operation: &mut dyn FnMut() -> Option<()>) -> Option<()> {
    let operation = black_box(operation);
    stack::paint();
    let depth = stack::depth();
    let before = time::instructions();
    let done = operation();
    let instructions = time::instructions() - before;
    let used = stack::peak().saturating_sub(depth);
    console::measure(name, instructions);
    console::stack_of(name, used);
    done
}

fn sizes() {
    for (name, size) in [
        ("size-of-ratchet", size_of::<Ratchet>()),
        ("size-of-initiator", size_of::<Initiator>()),
        ("size-of-joiner", size_of::<Joiner>()),
        ("size-of-prepared-message", size_of::<PreparedMessage>()),
        ("size-of-skipped-store-64", size_of::<SkippedStore<64>>()),
        ("size-of-key-stock-1", size_of::<KeyStock<(), 1>>()),
    ] {
        console::event_number(name, size as u64);
    }
}

/// The agreement that every step makes twice, and the key pair that it makes.
fn agreement(random: &mut Numbers) -> Option<()> {
    let peer = X448SecretKey::generate(random).public_key();
    let mut pair = None;
    bench("x448-key-pair", &mut || {
        pair = Some(random.key_pair());
        Some(())
    })?;
    let own = X448SecretKey::generate(random);
    bench("x448-agreement", &mut || own.diffie_hellman(black_box(&peer)).ok().map(|secret| drop(black_box(secret))))
}

/// All that two parties do.
fn conversation(places: &mut Places, random: &mut Numbers, encapsulates: bool) -> Option<()> {
    let name = |plain, encapsulated| if encapsulates { encapsulated } else { plain };
    let request = if encapsulates { EncapsulationRequest::On } else { EncapsulationRequest::Off };
    let sending = Sending::from(request);
    let padded = BodyKind::Message.padded_length(ENCAPSULATION_AGENT_VERSION, encapsulates);
    let Places { initiator, joiner, alice, bob, prepared, stock, late, message, stored } = places;
    *late = Late::new();

    // The agreement.
    bench(name("invite", "invite-pq"), &mut || {
        *initiator = Some(Initiator::generate(random, VersionRange::RATCHET, encapsulates));
        Some(())
    })?;
    let initiator = initiator.as_ref()?;
    bench(name("join", "join-pq"), &mut || {
        *joiner = Joiner::answer(random, VersionRange::RATCHET, &initiator.parameters(), encapsulates).ok();
        Some(())
    })?;
    let joiner = joiner.as_ref()?;
    bench(name("ratchet-of-joiner", "ratchet-of-joiner-pq"), &mut || {
        *bob = joiner.ratchet(random).ok();
        Some(())
    })?;
    bench(name("ratchet-of-initiator", "ratchet-of-initiator-pq"), &mut || {
        *alice = initiator.accept(&joiner.parameters(), encapsulates).ok();
        Some(())
    })?;
    let (mut alice, mut bob) = (alice.as_mut()?, bob.as_mut()?);

    // A message of a new chain, and one of the same.
    let text = [7; 100];
    let sealed = bob.encrypt(sending, &text, padded, message).ok()?;
    bench(name("decrypt-with-step", "decrypt-with-step-pq"), &mut || {
        alice.decrypt(late, random, sealed).ok().map(drop)
    })?;
    bench(name("prepare", "prepare-pq"), &mut || {
        *prepared = bob.prepare(sending).ok();
        Some(())
    })?;
    let next = prepared.as_ref()?;
    bench(name("seal", "seal-pq"), &mut || next.seal(&text, padded, message).ok().map(drop))?;
    let sealed = next.seal(&text, padded, message).ok()?;
    bench(name("decrypt", "decrypt-pq"), &mut || alice.decrypt(late, random, sealed).ok().map(drop))?;

    // The same step with keys that were made before.
    let stock = stock.insert(Stock::new(Numbers(2), encapsulates));
    bench(name("refill-key-pair", "refill-key-pair-pq"), &mut || {
        stock.refill();
        Some(())
    })?;
    if encapsulates {
        bench("refill-encapsulation-key-pq", &mut || {
            stock.refill();
            Some(())
        })?;
    }
    let sealed = alice.encrypt(sending, &text, padded, message).ok()?;
    bench(name("decrypt-with-step-stock", "decrypt-with-step-stock-pq"), &mut || {
        bob.decrypt(late, stock, sealed).ok().map(drop)
    })?;

    // Saving.
    bench(name("store", "store-pq"), &mut || alice.to_bytes(stored).ok().map(drop))?;
    bench(name("read", "read-pq"), &mut || {
        *alice = Ratchet::from_bytes(stored).ok()?;
        Some(())
    })?;

    // Bob misses a message of each of four chains, and the oldest comes late.
    *prepared = Some(alice.prepare(sending).ok()?);
    for _ in 0..4 {
        let sealed = alice.encrypt(sending, &text, padded, message).ok()?;
        bob.decrypt(late, random, sealed).ok()?;
        let sealed = bob.encrypt(sending, &text, padded, message).ok()?;
        alice.decrypt(late, random, sealed).ok()?;
        alice.prepare(sending).ok()?;
    }
    let sealed = prepared.as_ref()?.seal(&text, padded, message).ok()?;
    bench(name("decrypt-late", "decrypt-late-pq"), &mut || bob.decrypt(late, random, sealed).ok().map(drop))?;

    // As many messages missing as may be.
    core::mem::swap(&mut alice, &mut bob);
    for _ in 0..512 {
        alice.prepare(sending).ok()?;
    }
    let sealed = alice.encrypt(sending, &text, padded, message).ok()?;
    bench(name("decrypt-skip-512", "decrypt-skip-512-pq"), &mut || bob.decrypt(late, random, sealed).ok().map(drop))
}

/// Numbers that look random, for next to nothing: what the source costs is not part of the figures.
struct Numbers(u32);

impl TryRng for Numbers {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 = self.0.wrapping_mul(0x915f_77f5).wrapping_add(1);
        Ok(self.0.rotate_left(13) ^ self.0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.try_next_u32()?) << 32 | u64::from(self.try_next_u32()?))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for word in bytes.chunks_mut(4) {
            word.iter_mut().zip(self.try_next_u32()?.to_le_bytes()).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

impl TryCryptoRng for Numbers {}
