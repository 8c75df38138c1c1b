//! What the double ratchet costs on this processor: instructions (exact with `-icount shift=0`) and stack of each operation,
//! with post-quantum encapsulation (`-pq`) and without, and the sizes of its types. Takes no arguments.
//!
//! Messages have 16 KiB as they are sent. An operation's stack is that of its result, too, where that is a value.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::mem::size_of;

use board::random::Numbers;
use board::{console, exit, stack, time};
use smp_crypto::key::X448SecretKey;
use smp_crypto::ratchet::{
    BodyKind, ENCAPSULATION_AGENT_VERSION, EncapsulationRequest, Initiator, Joiner, KeyStock, NewKeys, PreparedMessage,
    Ratchet, Sending, SkippedStore,
};
use smp_proto::version::VersionRange;
use static_cell::{ConstStaticCell, StaticCell};

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
}

impl Places {
    const NONE: Self = Self { initiator: None, joiner: None, alice: None, bob: None, prepared: None, stock: None };
}

static PLACES: StaticCell<Places> = StaticCell::new();
static LATE: ConstStaticCell<Late> = ConstStaticCell::new(Late::new());
static MESSAGE: ConstStaticCell<[u8; MESSAGE_LENGTH]> = ConstStaticCell::new([0; _]);
static STORED: ConstStaticCell<[u8; Ratchet::MAX_SERIALIZED_LENGTH]> = ConstStaticCell::new([0; _]);

/// All of them.
struct Everything {
    places: &'static mut Places,
    late: &'static mut Late,
    message: &'static mut [u8],
    stored: &'static mut [u8],
}

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start();
    let everything = &mut Everything {
        places: PLACES.init_with(|| Places::NONE),
        late: LATE.take(),
        message: MESSAGE.take(),
        stored: STORED.take(),
    };
    let random = &mut Numbers(1);
    let done = [false, true].into_iter().try_for_each(|encapsulates| {
        agree(everything.places, random, encapsulates)?;
        conversation(everything, random, encapsulates)
    });
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

/// Runs something whose stack is not to be in use for longer.
#[inline(never)]
fn apart(operation: &mut dyn FnMut()) {
    black_box(operation)();
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

/// Makes a ratchet of each party.
#[inline(never)]
fn agree(places: &mut Places, random: &mut Numbers, encapsulates: bool) -> Option<()> {
    let name = |plain, encapsulated| if encapsulates { encapsulated } else { plain };
    bench(name("invite", "invite-pq"), &mut || {
        black_box(&Initiator::generate(random, VersionRange::RATCHET, encapsulates));
        Some(())
    })?;
    apart(&mut || places.initiator = Some(Initiator::generate(random, VersionRange::RATCHET, encapsulates)));
    let initiator = places.initiator.as_ref()?;
    let invitation = initiator.parameters();
    bench(name("join", "join-pq"), &mut || {
        black_box(&Joiner::answer(random, VersionRange::RATCHET, &invitation, encapsulates)).as_ref().ok().map(|_| ())
    })?;
    apart(&mut || places.joiner = Joiner::answer(random, VersionRange::RATCHET, &invitation, encapsulates).ok());
    let joiner = places.joiner.as_ref()?;
    bench(name("ratchet-of-joiner", "ratchet-of-joiner-pq"), &mut || {
        black_box(&joiner.ratchet(random)).as_ref().ok().map(|_| ())
    })?;
    apart(&mut || places.bob = joiner.ratchet(random).ok());
    let parameters = joiner.parameters();
    bench(name("ratchet-of-initiator", "ratchet-of-initiator-pq"), &mut || {
        black_box(&initiator.accept(&parameters, encapsulates)).as_ref().ok().map(|_| ())
    })?;
    apart(&mut || places.alice = initiator.accept(&parameters, encapsulates).ok());
    Some(())
}

/// All that two parties do then.
#[inline(never)]
fn conversation(everything: &mut Everything, random: &mut Numbers, encapsulates: bool) -> Option<()> {
    let name = |plain, encapsulated| if encapsulates { encapsulated } else { plain };
    let request = if encapsulates { EncapsulationRequest::On } else { EncapsulationRequest::Off };
    let sending = Sending::from(request);
    let padded = BodyKind::Message.padded_length(ENCAPSULATION_AGENT_VERSION, encapsulates);
    let Everything { places: Places { alice, bob, prepared, stock, .. }, late, message, stored } = everything;
    let (late, message, stored) = (&mut **late, &mut **message, &mut **stored);
    apart(&mut || *late = Late::new());
    let (mut alice, mut bob) = (alice.as_mut()?, bob.as_mut()?);

    // A message of a new chain, and one of the same.
    let text = [7; 100];
    let sealed = bob.encrypt(sending, &text, padded, message).ok()?;
    bench(name("decrypt-with-step", "decrypt-with-step-pq"), &mut || {
        alice.decrypt(late, random, sealed).ok().map(drop)
    })?;
    bench(name("prepare", "prepare-pq"), &mut || black_box(&bob.prepare(sending)).as_ref().ok().map(|_| ()))?;
    apart(&mut || *prepared = bob.prepare(sending).ok());
    let next = prepared.as_ref()?;
    bench(name("seal", "seal-pq"), &mut || next.seal(&text, padded, message).ok().map(drop))?;
    let sealed = next.seal(&text, padded, message).ok()?;
    bench(name("decrypt", "decrypt-pq"), &mut || alice.decrypt(late, random, sealed).ok().map(drop))?;

    // The same step with keys that were made before.
    apart(&mut || *stock = Some(Stock::new(Numbers(2), encapsulates)));
    let stock = stock.as_mut()?;
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
    bench(name("read", "read-pq"), &mut || black_box(&Ratchet::from_bytes(stored)).as_ref().ok().map(|_| ()))?;

    // Bob misses a message of each of four chains, and the oldest comes late.
    apart(&mut || *prepared = alice.prepare(sending).ok());
    for _ in 0..4 {
        let sealed = alice.encrypt(sending, &text, padded, message).ok()?;
        bob.decrypt(late, random, sealed).ok()?;
        let sealed = bob.encrypt(sending, &text, padded, message).ok()?;
        alice.decrypt(late, random, sealed).ok()?;
        apart(&mut || drop(alice.prepare(sending)));
    }
    let sealed = prepared.as_ref()?.seal(&text, padded, message).ok()?;
    bench(name("decrypt-late", "decrypt-late-pq"), &mut || bob.decrypt(late, random, sealed).ok().map(drop))?;

    // As many messages missing as may be.
    core::mem::swap(&mut alice, &mut bob);
    for _ in 0..512 {
        apart(&mut || drop(alice.prepare(sending)));
    }
    let sealed = alice.encrypt(sending, &text, padded, message).ok()?;
    bench(name("decrypt-skip-512", "decrypt-skip-512-pq"), &mut || bob.decrypt(late, random, sealed).ok().map(drop))
}
