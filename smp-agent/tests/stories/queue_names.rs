//! Relays that name queues as no relay does: it counts as no answer.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use smp_agent::event::EventKind;
use smp_agent::policy::server::{ConfiguredServer, ServerList, UserId};
use smp_agent::request::{Answer, CreatedQueue, Operation, Request};
use smp_agent::storage::MemoryStorage;
use smp_agent::time::{SECOND, Time};
use smp_agent::{Agent, Command, ConnectionOptions};
use smp_crypto::key::X25519SecretKey;
use smp_proto::smp::recipient::QueueMode;

const USER: UserId = UserId(1);

struct Story {
    agent: Agent<MemoryStorage, ChaCha20Rng>,
    now: Time,
    events: Vec<EventKind>,
}

impl Story {
    fn new() -> Self {
        let now = Time(1_700_000_000 * SECOND);
        let random = ChaCha20Rng::seed_from_u64(1);
        let mut agent = Agent::open(MemoryStorage::default(), Default::default(), random, now).unwrap();
        let server = "smp://-pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@smp.example.com";
        let servers = ServerList::from(vec![ConfiguredServer::parse(server).unwrap()]);
        agent.handle(now, Command::SetServers { user: USER, servers }).unwrap();
        Self { agent, now, events: Vec::new() }
    }

    /// What the agent asks next, with pauses if it wants them.
    fn next(&mut self) -> Option<Request> {
        for _ in 0..10 {
            self.agent.commit().unwrap();
            while let Some(event) = self.agent.poll().unwrap() {
                self.events.push(event.kind);
            }
            if let Some(request) = self.agent.next_request() {
                return Some(request);
            }
            self.now = self.now.max(self.agent.next_deadline()?);
            self.agent.advance(self.now).unwrap();
        }
        None
    }

    fn answer(&mut self, request: &Request, answer: Answer) {
        self.agent.answer(self.now, request.id, Ok(answer)).unwrap();
    }
}

fn created(recipient_id: usize, sender_id: usize) -> Answer {
    Answer::Created(CreatedQueue {
        recipient_id: vec![1; recipient_id],
        sender_id: vec![2; sender_id],
        relay_key: X25519SecretKey::from_bytes(&[9; 32]).public_key(),
        mode: Some(QueueMode::Messaging),
        link_id: None,
    })
}

#[test]
fn a_relay_names_a_queue_so_that_no_link_can_hold_it() {
    for (recipient_id, sender_id) in [(24, 65), (24, 255), (65, 24), (0, 24), (24, 0)] {
        let mut story = Story::new();
        let invite = Command::Invite { user: USER, options: ConnectionOptions::default(), link: None };
        story.agent.handle(story.now, invite).unwrap();
        for _ in 0..3 {
            let request = story.next().unwrap();
            assert!(matches!(request.operation, Operation::CreateQueue(_)));
            story.answer(&request, created(recipient_id, sender_id));
        }
        // It counts as no answer, and the queue is asked for again.
        let request = story.next().unwrap();
        story.answer(&request, created(24, 64));
        story.next();
        assert!(story.events.iter().any(|event| matches!(event, EventKind::LinkReady { .. })));
    }
}
