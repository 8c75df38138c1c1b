//! The program around an agent: commits, takes requests and events, starts it again, and checks what it promises.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use smp_agent::event::{Event, EventKind};
use smp_agent::policy::server::UserId;
use smp_agent::policy::session::SessionKey;
use smp_agent::request::{Answer, Delivery, Failure, Operation, RelayEvent, Request, RequestId};
use smp_agent::storage::MemoryStorage;
use smp_agent::{
    Agent, Command, Configuration, ConnectionId, ConnectionState, ConnectionSummary, Error, EventId, MessageId, Reply,
    Time,
};

use super::relays::Relays;
use super::show;
use super::storage::{Cut, CuttingStorage, Failed};

/// An agent that is watched.
pub type Watched = Agent<CuttingStorage, ChaCha8Rng>;

/// The user.
pub const USER: UserId = UserId(1);
/// In everything the application says, and in no request.
pub const MARK: &[u8; 16] = b"not for a relay!";

/// How often anything may follow from something at one moment.
const STORM: usize = 400;
/// How often an agent may want to be advanced at one moment.
const SAME_MOMENT: usize = 4;
/// How many deadlines are met within one span of time.
const DEADLINES: usize = 24;
/// How many requests there may be for each connection.
const REQUESTS: usize = 48;
/// What a connection may take in the storage, whatever happens, in bytes.
const CONNECTION_SIZE: usize = 160_000;
/// What a command may add, in bytes: a message or a link.
const COMMAND_SIZE: usize = 40_000;
/// What anything from outside may leave behind for good, in bytes.
const INPUT_SIZE: usize = 256;

/// An agent and its surroundings.
pub struct Host {
    /// The agent.
    pub agent: Watched,
    /// Its storage.
    pub storage: CuttingStorage,
    /// How it behaves.
    pub configuration: Configuration,
    /// The time.
    pub now: Time,
    /// Requests that were not answered.
    pub requests: Vec<Request>,
    /// Requests that were answered.
    pub answered: Vec<RequestId>,
    /// Events that were not acknowledged.
    pub events: Vec<Event>,
    told: BTreeSet<EventId>,
    acknowledged: BTreeSet<EventId>,
    messages: BTreeMap<EventId, (ConnectionId, MessageId)>,
    highest: BTreeMap<ConnectionId, MessageId>,
    run: u64,
    commits: u64,
    commands: usize,
    inputs: usize,
}

impl Host {
    /// An agent that goes on from a storage.
    #[must_use]
    pub fn open(memory: MemoryStorage, configuration: Configuration, now: Time) -> Self {
        let storage = CuttingStorage::default();
        storage.replace(memory);
        let agent = Agent::open(storage.clone(), configuration.clone(), random(1), now);
        let mut host = Self {
            agent: agent.unwrap_or_else(|error| panic!("the storage is none: {error}")),
            storage,
            configuration,
            now,
            requests: Vec::new(),
            answered: Vec::new(),
            events: Vec::new(),
            told: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            messages: BTreeMap::new(),
            highest: BTreeMap::new(),
            run: 1,
            commits: u64::MAX,
            commands: 0,
            inputs: 0,
        };
        host.take_out();
        host.command(Command::SubscribeAll);
        host
    }

    /// All connections.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.agent.connections().map(|(id, _)| id).collect()
    }

    /// Gives the agent a command; its reply, if it was not refused and is durable.
    pub fn command(&mut self, command: Command) -> Option<Reply> {
        show(|| format!("    {command:?}"));
        let reply = match self.agent.handle(self.now, command) {
            Ok(reply) => {
                self.commands += 1;
                Some(reply)
            }
            Err(Error::Refused(refusal)) => {
                show(|| format!("    is refused: {refusal}"));
                None
            }
            Err(error) => {
                self.failed(&error);
                return None;
            }
        };
        if self.take_out() { reply } else { None }
    }

    /// Acknowledges an event.
    pub fn acknowledge(&mut self, place: usize, receipt: Option<Vec<u8>>) {
        let Some(event) = self.events.get(place).and_then(|event| event.id) else { return };
        let run = self.run;
        if self.command(Command::Acknowledge { event, receipt }).is_some() && run == self.run {
            self.events.retain(|other| other.id != Some(event));
            self.acknowledged.insert(event);
        }
    }

    /// Gives the agent an answer.
    pub fn answer(&mut self, id: RequestId, result: Result<Answer, Failure>) {
        show(|| format!("    {id:?} is answered {result:?}"));
        self.give(|agent, now| agent.answer(now, id, result));
    }

    /// Gives the agent what a relay says unasked.
    pub fn relay_event(&mut self, event: RelayEvent) {
        show(|| format!("    {event:?}"));
        self.give(|agent, now| agent.relay_event(now, event));
    }

    fn give(&mut self, input: impl FnOnce(&mut Watched, Time) -> Result<(), Error<Failed>>) {
        self.inputs += 1;
        match input(&mut self.agent, self.now) {
            Ok(()) => drop(self.take_out()),
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &Error<Failed>) {
        match error {
            Error::Storage(_) => self.restart(),
            error => panic!("the agent is of no use any more: {error:?}"),
        }
    }

    /// The process ends and starts again.
    pub fn restart(&mut self) {
        self.storage.cut(None);
        self.storage.reopen();
        self.run += 1;
        (self.requests, self.events) = (Vec::new(), Vec::new());
        self.told.clear();
        let agent = Agent::open(self.storage.clone(), self.configuration.clone(), random(self.run), self.now);
        self.agent = agent.unwrap_or_else(|error| panic!("it cannot be opened again: {error:?}"));
        self.take_out();
        self.command(Command::SubscribeAll);
    }

    /// The storage fails soon.
    pub fn fail_soon(&mut self, how: usize, after: u64) {
        let (commits, reads) = (self.storage.commits() + 1 + after, self.storage.reads() + 1 + after);
        self.storage.cut(Some([Cut::Before(commits), Cut::After(commits), Cut::Read(reads)][how % 3]));
    }

    /// Commits and takes everything out; not when the storage fails.
    fn take_out(&mut self) -> bool {
        if let Err(error) = self.agent.commit() {
            self.failed(&error);
            return false;
        }
        while let Some(request) = self.agent.next_request() {
            show(|| format!("    asks as {:?} {:?}", request.id, request.operation));
            say_nothing(&request.operation);
            self.requests.push(request);
        }
        loop {
            match self.agent.poll() {
                Ok(Some(event)) => self.see(event),
                Ok(None) => break,
                Err(error) => {
                    self.failed(&error);
                    return false;
                }
            }
        }
        self.check();
        true
    }

    fn see(&mut self, event: Event) {
        show(|| format!("    tells {event:?}"));
        let Some(id) = event.id else { return };
        assert!(event.kind.is_kept(), "an event that is not kept has a number");
        assert!(self.told.insert(id), "{id:?} came twice");
        assert!(!self.acknowledged.contains(&id), "{id:?} came after it was acknowledged");
        if let EventKind::Message { connection, message } = &event.kind {
            let now = (*connection, message.id);
            match self.messages.insert(id, now) {
                Some(before) => assert_eq!(before, now, "{id:?} was another message"),
                None => {
                    let highest = self.highest.insert(*connection, message.id);
                    assert!(highest.is_none_or(|highest| highest < message.id), "{now:?} came after {highest:?}");
                }
            }
        }
        self.events.push(event);
    }

    /// Checks the bounds, and that everything is durable.
    fn check(&mut self) {
        let connections = self.agent.connections().count() + 1;
        let requests = self.requests.len();
        assert!(requests <= REQUESTS * connections, "{requests} requests for {connections} connections");
        if self.commits == self.storage.commits() {
            return;
        }
        self.commits = self.storage.commits();
        let memory = self.storage.copy();
        let bound = CONNECTION_SIZE * connections + COMMAND_SIZE * self.commands + INPUT_SIZE * self.inputs;
        assert!(memory.size() <= bound, "{} bytes are stored, {bound} are allowed", memory.size());
        let other = self.reopened(memory);
        for id in self.connections() {
            let (one, same) = (self.agent.connection(id), other.connection(id));
            let one = one.expect("it is listed");
            match same {
                Some(mut same) => {
                    // The message that introduces this side may be too old, too.
                    let given_up = same.state == ConnectionState::Failed && one.state == ConnectionState::Waiting;
                    if given_up && same.waiting < one.waiting {
                        same.state = one.state;
                    }
                    assert_eq!(facts(&one), facts(&same), "{id} is another one after a restart");
                    // Opening tries what waits at once, and gives up what is too old.
                    assert!(same.waiting <= one.waiting, "more waits after a restart");
                }
                // Opening goes on with deletions at once.
                None => assert_eq!(one.state, ConnectionState::Deleting, "{id} is lost"),
            }
        }
        let more = other.connections().find(|(id, _)| self.agent.connection(*id).is_none());
        assert_eq!(more, None, "a connection comes back");
    }

    fn reopened(&self, memory: MemoryStorage) -> Watched {
        let storage = CuttingStorage::default();
        storage.replace(memory);
        let agent = Agent::open(storage, self.configuration.clone(), random(99), self.now);
        agent.unwrap_or_else(|error| panic!("what is durable cannot be opened: {error:?}"))
    }

    /// Checks that an agent that is opened again asks for nothing that this one does not know of, and the other way round
    /// when this one has nothing under way.
    pub fn compare_work(&mut self) {
        if self.storage.failed().is_some() {
            return;
        }
        self.storage.cut(None);
        let memory = self.storage.copy();
        let idle = self.requests.is_empty();
        self.command(Command::NetworkChanged { online: true });
        let running: BTreeSet<_> = self.requests.iter().filter_map(|request| name(&request.operation)).collect();
        let mut other = self.reopened(memory);
        let _ = other.handle(self.now, Command::NetworkChanged { online: true });
        other.commit().unwrap_or_else(|error| panic!("it cannot be committed: {error:?}"));
        let again: BTreeSet<_> =
            std::iter::from_fn(|| other.next_request()).filter_map(|request| name(&request.operation)).collect();
        let unknown: Vec<_> = again.difference(&running).map(|(kind, _)| kind).collect();
        assert!(unknown.is_empty(), "after a restart it also asks for {unknown:?}");
        if idle {
            // An agent that was just opened has not seen that an old queue is empty, which can be deleted then.
            let missing = running.difference(&again).map(|(kind, _)| *kind).filter(|kind| *kind != "DEL");
            let missing: Vec<_> = missing.collect();
            assert!(missing.is_empty(), "after a restart it does not ask for {missing:?}");
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: u64, mut served: impl FnMut(&mut Self)) {
        let until = self.now.after(span);
        let mut same = 0;
        for _ in 0..DEADLINES {
            let Some(due) = self.agent.next_deadline().filter(|due| *due <= until) else { break };
            same = if due <= self.now { same + 1 } else { 0 };
            assert!(same <= SAME_MOMENT, "it is never done at {}", self.now);
            self.now = self.now.max(due);
            self.give(|agent, now| agent.advance(now));
            served(self);
        }
        self.now = self.now.max(until);
        self.give(|agent, now| agent.advance(now));
        served(self);
    }

    /// Lets relays answer all requests and deliver what they have, until nothing follows any more.
    pub fn serve(&mut self, relays: &mut Relays) {
        for _ in 0..STORM {
            if !self.requests.is_empty() {
                let request = self.requests.remove(0);
                let result = relays.execute(request.session.server(), &request.operation);
                self.answered(request.id);
                self.answer(request.id, result);
                continue;
            }
            let now = self.now.0;
            let next = relays.queues.iter_mut().find_map(|queue| {
                let (message_id, body) = queue.deliver(now)?;
                let (server, id) = (queue.server.clone(), queue.recipient_id.clone());
                Some(Delivery { session: self.session(&server), server, queue: id, message_id, body })
            });
            match next {
                Some(delivery) => self.relay_event(RelayEvent::Message(Box::new(delivery))),
                None => return,
            }
        }
        panic!("it does not come to rest at {}", self.now);
    }

    /// A request is not waited for any more.
    pub fn answered(&mut self, id: RequestId) {
        self.answered.push(id);
        if self.answered.len() > 8 {
            self.answered.remove(0);
        }
    }

    /// The connection to a relay.
    #[must_use]
    pub fn session(&self, server: &smp_agent::policy::server::Server) -> SessionKey {
        SessionKey::new(self.configuration.session_mode, USER, server, b"")
    }
}

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// What has to be the same after a restart.
fn facts(summary: &ConnectionSummary) -> impl PartialEq + std::fmt::Debug {
    let servers = |all: &[smp_agent::policy::server::Server]| {
        all.iter().map(|server| server.as_bytes().to_vec()).collect::<Vec<_>>()
    };
    (
        (summary.user, summary.state, summary.version, summary.post_quantum, summary.ratchet),
        (servers(&summary.receiving), servers(&summary.sending)),
    )
}

/// What a request asks for, without what differs from one attempt to the next.
fn name(operation: &Operation) -> Option<(&'static str, Vec<u8>)> {
    Some(match operation {
        // A queue that is missing is made up anew each time, until something is committed.
        Operation::CreateQueue(_) => ("NEW", Vec::new()),
        Operation::Secure { queue, .. } => ("KEY", queue.id.clone()),
        Operation::SecureBySender { queue } => ("SKEY", queue.id.clone()),
        Operation::Send { sender_id, .. } => ("SEND", sender_id.clone()),
        Operation::Acknowledge { queue, message_id } => ("ACK", [&queue.id[..], message_id].concat()),
        Operation::Suspend(queue) => ("OFF", queue.id.clone()),
        Operation::Delete(queue) => ("DEL", queue.id.clone()),
        Operation::SetLink { queue, .. } => ("LSET", queue.id.clone()),
        Operation::DeleteLink(queue) => ("LDEL", queue.id.clone()),
        Operation::ReadInvitation { link_id, .. } => ("LKEY", link_id.clone()),
        Operation::ReadAddress { link_id } => ("LGET", link_id.clone()),
        _ => return None,
    })
}

/// Nothing that the application says is in a request.
fn say_nothing(operation: &Operation) {
    let said: Vec<&[u8]> = match operation {
        Operation::Send { body, .. } => vec![body],
        Operation::SetLink { data, .. } => vec![&data.fixed, &data.user],
        Operation::CreateQueue(new) => {
            new.link.iter().flat_map(|link| [&link.data.fixed[..], &link.data.user]).collect()
        }
        _ => return,
    };
    for bytes in said {
        let said = bytes.windows(MARK.len()).any(|window| window == MARK);
        assert!(!said, "what the application says is in a request");
    }
}
