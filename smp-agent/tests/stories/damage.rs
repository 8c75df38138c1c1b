//! Records that something else has damaged: an error, or a change that shows, and never a panic.

use crate::support::stories::{A, B, by_hand, two_parties};
use crate::support::{Fault, Manners};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use smp_agent::command::{Command, ConnectionOptions, LinkRequest};
use smp_agent::error::Error;
use smp_agent::request::{Answer, Failure, Operation, Reason};
use smp_agent::storage::{Change, MemoryStorage, Storage};
use smp_agent::time::{DAY, MINUTE, Time};
use smp_agent::{Agent, Configuration};

/// Lets an agent go on from a storage and do all it can; it may find out that a record cannot be read.
fn go_on(storage: MemoryStorage, now: Time) -> bool {
    let work = || -> Result<(), Error<std::convert::Infallible>> {
        let random = ChaCha20Rng::seed_from_u64(1);
        let mut agent = Agent::open(storage, Configuration::default(), random, now)?;
        agent.handle(now, Command::SubscribeAll)?;
        let all: Vec<_> = agent.connections().map(|(id, _)| id).collect();
        let mut later = now;
        for round in 0..4 {
            agent.commit()?;
            while let Some(event) = agent.poll()? {
                let Some(event) = event.id.filter(|_| round > 1) else { continue };
                allow_refusal(agent.handle(later, Command::Acknowledge { event, receipt: Some(Vec::new()) }))?;
            }
            while let Some(request) = agent.next_request() {
                let result = match &request.operation {
                    Operation::Subscribe(queues) => Ok(Answer::Each(queues.iter().map(|_| Ok(())).collect())),
                    Operation::CreateQueue(_) => Err(Failure::of_relay(Reason::Network)),
                    _ if round == 0 => Err(Failure::of_relay(Reason::Timeout)),
                    _ => Ok(Answer::Done),
                };
                agent.answer(later, request.id, result)?;
            }
            for connection in all.iter().copied() {
                let (info, body) = (Vec::new(), Vec::new());
                for command in [
                    Command::Send { connection, body, notify: true },
                    Command::Allow { connection, info },
                    Command::Switch { connection },
                    Command::AbortSwitch { connection },
                    Command::SetLink { connection, user_data: Vec::new() },
                    Command::DeleteLink { connection },
                    Command::Resynchronize { connection, force: round == 3 },
                ] {
                    allow_refusal(agent.handle(later, command))?;
                }
                agent.verification_code(connection)?;
            }
            later = later.after(if round == 2 { 30 * DAY } else { MINUTE });
            agent.advance(later)?;
        }
        for connection in all {
            allow_refusal(agent.handle(later, Command::Delete { connection, deliver_first: false }))?;
        }
        agent.commit()
    };
    match work() {
        Ok(()) => true,
        Err(Error::Record) => false,
        Err(other) => panic!("{other:?}"),
    }
}

fn allow_refusal<T>(result: Result<T, Error<std::convert::Infallible>>) -> Result<(), Error<std::convert::Infallible>> {
    match result {
        Ok(_) | Err(Error::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

#[test]
fn no_damage_makes_an_agent_panic() {
    let mut world = two_parties(1, |_, setup| {
        setup.manners = Manners { allow: true, expects_failures: true, ..by_hand() };
    });
    let pair = world.connect(ConnectionOptions { receive_queues: 2, ..ConnectionOptions::default() });
    world.address(A, Some(LinkRequest::default()));
    let (_, links) = world.invite(B, ConnectionOptions::default(), Some(LinkRequest::default()));
    world.run_until_quiet();
    world.send(pair, B, "to be acknowledged");
    world.run_for(MINUTE);
    for relay in [A, B] {
        world.at(world.now, Fault::Down(relay));
    }
    world.run_for(1);
    world.send(pair, A, "to be sent");
    world.command(A, Command::Switch { connection: pair.connections[A] });
    world.join(A, &links.short.expect("a short link"), ConnectionOptions::default());
    world.run_for(MINUTE);
    let whole = world.parties[A].storage.copy();
    assert!(go_on(whole.clone(), world.now));
    let mut random = ChaCha20Rng::seed_from_u64(2);
    let records = whole.clone().scan(&[], None, usize::MAX).unwrap();
    let mut found = 0;
    for (key, value) in &records {
        let mut damaged = vec![Vec::new(), value[..1].to_vec(), vec![0; value.len()], vec![255; value.len().min(40)]];
        damaged.push(value[..value.len() / 2].to_vec());
        damaged.push([&[2], &value[1..]].concat());
        damaged.push([value.as_slice(), &[1]].concat());
        for _ in 0..24 {
            let mut one = value.clone();
            for _ in 0..1 + random.next_u32() % 3 {
                let place = random.next_u32() as usize % one.len();
                one[place] = random.next_u32() as u8;
            }
            damaged.push(one);
        }
        for value in damaged {
            let mut storage = whole.clone();
            storage.commit(&[Change::Put { key: key.clone(), value }]).unwrap();
            found += usize::from(!go_on(storage, world.now));
        }
        let mut storage = whole.clone();
        storage.commit(&[Change::Delete { key: key.clone() }]).unwrap();
        go_on(storage, world.now);
        // A key that none of this has.
        let mut storage = whole.clone();
        storage.commit(&[Change::Put { key: key[..key.len() - 1].to_vec(), value: value.clone() }]).unwrap();
        go_on(storage, world.now);
    }
    assert!(records.len() > 10 && found > records.len(), "{found} of {}", records.len());
}
