//! Random operations, several to a write, against the simplest thing that follows the same rules.

mod compare;
mod expected;
mod messages;
mod names;
mod notifications;
mod queues;
mod state;

use smp_std::relay::store::{Expiry, Id, NotificationLimits, Side};

use crate::{Engine, Fixture, Random, for_every_engine, id, queue};
use compare::compare;
use expected::Expected;
use state::Model;

for_every_engine!(seed_1, seed_2, seed_3);

async fn seed_1(engine: Engine) {
    run(engine, 1).await;
}

async fn seed_2(engine: Engine) {
    run(engine, 2).await;
}

async fn seed_3(engine: Engine) {
    run(engine, 3).await;
}

/// Queues and notifiers have numbers below these.
const QUEUES: u64 = 6;
const NOTIFIERS: u64 = 8;
/// Low enough to be reached.
const LIMITS: NotificationLimits = NotificationLimits { per_notifier: 4, total: 10 };
/// Links with numbers below this are set, for all queues together.
const LINKS: u64 = 4;

async fn run(engine: Engine, seed: u64) {
    let mut fixture = Fixture::small(engine);
    let mut random = Random(seed);
    let mut model = Model::default();
    for number in 0..3000 {
        // A few that share a write, or none.
        let mut expected = Vec::new();
        for part in 0..random.below(5) {
            expected.push(step(&fixture, &mut model, &mut random, number * 10 + part).await);
        }
        for expected in expected {
            expected.check().await.unwrap();
        }
        if number % 10 == 0 {
            // Behind whatever nobody waits for.
            fixture.store().expire_messages(id(QUEUES), 0).await.unwrap().await.unwrap();
            compare(&fixture, &model);
        }
        if random.below(150) == 0 {
            fixture.reopen();
            compare(&fixture, &model);
        }
    }
}

/// One of all operations.
async fn step(fixture: &Fixture, model: &mut Model, random: &mut Random, number: u64) -> Expected {
    let target = random.below(QUEUES);
    if random.below(6) == 0 {
        return step_around(fixture, model, random).await;
    }
    match random.below(50) {
        0..=2 => queues::create(fixture, model, random, target).await,
        3 => queues::delete(fixture, model, target, number).await,
        4 if random.below(8) == 0 => queues::suspend(fixture, model, target).await,
        4..=6 => queues::secure(fixture, model, random, target).await,
        7..=8 => messages::expire(fixture, model, random, target).await,
        9..=22 => messages::acknowledge(fixture, model, random, target, number).await,
        23..=25 => notifications::set(fixture, model, random, target).await,
        26 => notifications::remove(fixture, model, target).await,
        27..=28 => notifications::expire(fixture, model, random).await,
        29..=30 => notifications::insert(fixture, model, random).await,
        _ if random.below(5) == 0 => notifications::forget(fixture, model, random).await,
        _ => messages::append(fixture, model, random, target, number).await,
    }
}

/// Links, keys, blocking and reservations.
async fn step_around(fixture: &Fixture, model: &mut Model, random: &mut Random) -> Expected {
    let target = random.below(QUEUES);
    match random.below(12) {
        0..=4 => names::set_link(fixture, model, random, target).await,
        5 => names::delete_link(fixture, model, target).await,
        6 => queues::replace_keys(fixture, model, random, target).await,
        7 => names::block(fixture, model, random).await,
        8 | 9 => names::unblock(fixture, model, random).await,
        _ => names::release(fixture, model, random, target).await,
    }
}

/// Some of the times of messages, which are below 100.
fn over(random: &mut Random) -> Expiry {
    let mut over = Expiry::before(random.below(100) as i64);
    if random.below(2) == 0 {
        let from = random.below(100) as i64;
        over.spare(from..=from + random.below(40) as i64);
    }
    over
}

fn number_of(message_id: &[u8; 24]) -> u64 {
    // The inverse of the multiplier in `id`.
    u64::from_be_bytes(*message_id.first_chunk().unwrap()).wrapping_mul(0xf1de_83e1_9937_733d)
}

fn link_id(number: u64) -> Id {
    id(number + 2_000_000)
}

fn reserved_id(side: Side, number: u64) -> Id {
    if side == Side::Link { link_id(number) } else { queue(number).sender_id }
}
