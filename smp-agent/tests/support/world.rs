//! Agents, relays and time.

use std::collections::{BTreeMap, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use smp_agent::Agent;
use smp_agent::command::{Command, Reply};
use smp_agent::error::{Error, Refusal};
use smp_agent::policy::server::Server;
use smp_agent::policy::session::SessionKey;
use smp_agent::request::{Answer, Failure, Operation, Reason, RelayEvent, RequestId};
use smp_agent::storage::MemoryStorage;
use smp_agent::time::{SECOND, Time};

use super::app::Step;
use super::faults::{Fault, Faults};
use super::party::{Party, Random, Setup, USER, Way, servers};
use super::relay::{ConnectionNumber, Push, Relay};
use super::storage::{CuttingStorage, Failed};
use super::transcript::Names;

/// The agents of a world.
pub type TestAgent = Agent<CuttingStorage, Random>;

/// What happens at a moment.
pub(super) enum Happening {
    Arrives { party: usize, run: u64, id: RequestId, way: Way, operation: Operation },
    Answered { party: usize, run: u64, id: RequestId, result: Result<Answer, Failure> },
    Pushed { party: usize, run: u64, connection: ConnectionNumber, push: Push },
    Disconnected { party: usize, run: u64, session: SessionKey },
    Acts { party: usize, run: u64, step: Step },
    Starts { party: usize },
    Goes(Fault),
}

/// A relay, and how it can be reached.
pub struct Place {
    pub relay: Relay,
    pub(super) address: String,
    pub up: bool,
    pub(super) unreachable: bool,
    pub(super) unreachable_from_proxies: bool,
    pub(super) no_proxy: bool,
    /// What it says as a proxy instead of forwarding anything.
    pub refuses_as_proxy: Option<Reason>,
    /// Why no new connection to it can be made, for another reason than those above.
    pub barred: Option<Reason>,
    /// How many connections to it could not be made.
    pub refused: usize,
}

/// How many lines of its history a world keeps.
const HISTORY: usize = 80;

/// Agents, relays and time.
pub struct World {
    pub now: Time,
    pub relays: Vec<Place>,
    pub parties: Vec<Party>,
    pub faults: Faults,
    pub names: Names,
    pub(super) seed: u64,
    random: ChaCha20Rng,
    pub(super) schedule: BTreeMap<(Time, u64), Happening>,
    planned: u64,
    pub(super) last_activity: Time,
    pub(super) last_connection: ConnectionNumber,
    pub(super) violations: Vec<String>,
    pub(super) history: VecDeque<String>,
}

impl World {
    /// An empty world; all its randomness comes from the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Time(1_700_000_000 * SECOND),
            relays: Vec::new(),
            parties: Vec::new(),
            faults: Faults::default(),
            names: Names::default(),
            seed,
            random: ChaCha20Rng::seed_from_u64(seed),
            schedule: BTreeMap::new(),
            planned: 0,
            last_activity: Time(0),
            last_connection: 0,
            violations: Vec::new(),
            history: VecDeque::new(),
        }
    }

    /// A relay; its number.
    pub fn add_relay(&mut self) -> usize {
        self.add_relay_with_hosts("example.com")
    }

    /// A relay whose first host is in this domain, which others may follow; its number.
    pub fn add_relay_with_hosts(&mut self, domain: &str) -> usize {
        let number = self.relays.len();
        let letter = char::from(b'A' + u8::try_from(number).unwrap());
        let address = format!("smp://{letter}pd7JvjLnNPNfqES2AdWWndE8JoS9gdcvKu0Ba-P2DY=@relay{number}.{domain}");
        let server = Server::parse(&address).unwrap();
        let relay = Relay::new(server, self.random.next_u64());
        self.relays.push(Place {
            relay,
            address,
            up: true,
            unreachable: false,
            unreachable_from_proxies: false,
            no_proxy: false,
            refuses_as_proxy: None,
            barred: None,
            refused: 0,
        });
        number
    }

    /// A party, started; its number. Relays come first.
    pub fn add_party(&mut self, name: &'static str, setup: Setup) -> usize {
        let number = self.parties.len();
        let addresses: Vec<_> = self.relays.iter().map(|place| place.address.clone()).collect();
        let servers = servers(&setup, &addresses);
        self.parties.push(Party::new(name, setup, self.seed.wrapping_mul(31).wrapping_add(number as u64)));
        self.start(number);
        self.command(number, Command::SetServers { user: USER, servers });
        number
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit.max(1)
    }

    /// A number within limits.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Plans a fault.
    pub fn at(&mut self, time: Time, fault: Fault) {
        self.plan(time, Happening::Goes(fault));
    }

    pub(super) fn plan(&mut self, at: Time, happening: Happening) {
        self.planned += 1;
        self.schedule.insert((at.max(self.now), self.planned), happening);
    }

    pub(super) fn note(&mut self, party: usize, what: &str) {
        let line = format!("{} {} {what}", self.now, self.parties[party].name);
        if std::env::var_os("WORLD").is_some() {
            eprintln!("{line}");
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(line);
    }

    pub(super) fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    /// Starts an agent from its storage.
    pub fn start(&mut self, party: usize) {
        if self.parties[party].agent.is_some() {
            return;
        }
        let first = self.parties[party].run == 0;
        self.parties[party].run += 1;
        self.parties[party].last_request = None;
        self.parties[party].storage.reopen();
        self.parties[party].app.restarted();
        self.note(party, "starts");
        let Party { storage, setup, .. } = &self.parties[party];
        match Agent::open(storage.clone(), setup.configuration.clone(), self.parties[party].random(), self.now) {
            Ok(agent) => self.parties[party].agent = Some(agent),
            Err(error) => return self.failed(party, error),
        }
        self.drive(party);
        if !first && self.parties[party].agent.is_some() {
            self.input(party, |agent, now| agent.handle(now, Command::SubscribeAll).map(drop));
        }
    }

    /// An agent's process ends without notice. It starts again after a while.
    pub fn crash(&mut self, party: usize) {
        if self.parties[party].agent.take().is_none() {
            return;
        }
        self.note(party, "crashes");
        let links = self.parties[party].links.values().chain(self.parties[party].proxy_links.values());
        let broken: Vec<_> = links.map(|link| (link.relay, link.number)).collect();
        for (relay, number) in broken {
            self.relays[relay].relay.disconnect(number);
        }
        self.parties[party].links.clear();
        self.parties[party].proxy_links.clear();
        self.parties[party].under_way.clear();
        // Requests that are on their way may still be executed; whatever comes back finds nobody.
        self.parties[party].run += 1;
        let wait = self.between(1, 5 * SECOND);
        self.plan(self.now.after(wait), Happening::Starts { party });
    }

    /// An agent's process ends, and starts again with what its storage held once.
    pub fn restore(&mut self, party: usize, backup: MemoryStorage) {
        self.start(party);
        self.crash(party);
        self.parties[party].storage.replace(backup);
        self.parties[party].app.restored();
    }

    fn failed(&mut self, party: usize, error: Error<Failed>) {
        match error {
            Error::Storage(failed) => {
                self.note(party, &format!("has a storage that fails: {failed}"));
                if self.parties[party].agent.is_some() {
                    self.crash(party);
                } else {
                    self.plan(self.now.after(SECOND), Happening::Starts { party });
                }
            }
            error => {
                self.violation(format!("{} stopped: {error:?}", self.parties[party].name));
                self.check();
            }
        }
    }

    /// Gives an agent something and takes what follows from it.
    pub fn input(&mut self, party: usize, give: impl FnOnce(&mut TestAgent, Time) -> Result<(), Error<Failed>>) {
        let now = self.now;
        let Some(agent) = &mut self.parties[party].agent else { return };
        match give(agent, now) {
            Ok(()) => self.drive(party),
            Err(error) => self.failed(party, error),
        }
    }

    /// Commits, and takes requests and events.
    fn drive(&mut self, party: usize) {
        let Some(agent) = &mut self.parties[party].agent else { return };
        if let Err(error) = agent.commit() {
            return self.failed(party, error);
        }
        self.let_out(party);
    }

    fn let_out(&mut self, party: usize) {
        while let Some(request) = self.parties[party].agent.as_mut().and_then(Agent::next_request) {
            self.last_activity = self.now;
            self.take_request(party, request);
        }
        loop {
            let Some(agent) = &mut self.parties[party].agent else { return };
            let event = match agent.poll() {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => return self.failed(party, error),
            };
            self.last_activity = self.now;
            self.note(party, &format!("is told {event:?}"));
            self.parties[party].transcript.event(&event);
            let steps = self.parties[party].app.see(&event);
            let run = self.parties[party].run;
            let (low, high) = self.parties[party].app.manners.delay;
            let mut at = self.now;
            for step in steps {
                at = at.after(self.between(low, high));
                self.plan(at, Happening::Acts { party, run, step });
            }
        }
    }

    /// Gives a command, also across a failure of the storage: it is given again exactly when it was not committed.
    ///
    /// # Errors
    /// It was refused.
    pub fn try_command(&mut self, party: usize, command: Command) -> Result<Reply, Refusal> {
        loop {
            self.start(party);
            let now = self.now;
            let Some(agent) = &mut self.parties[party].agent else { continue };
            let reply = match agent.handle(now, command.clone()) {
                Ok(reply) => reply,
                Err(Error::Refused(refusal)) => {
                    // What a refused command leaves behind would go out now.
                    self.drive(party);
                    return Err(refusal);
                }
                Err(error) => {
                    self.failed(party, error);
                    continue;
                }
            };
            if let Err(error) = agent.commit() {
                let committed = matches!(error, Error::Storage(Failed { committed: true }));
                self.failed(party, error);
                if !committed {
                    continue;
                }
            } else {
                self.let_out(party);
            }
            if let Command::Acknowledge { event, .. } = command {
                self.parties[party].app.acknowledged(event);
            }
            self.note(party, &format!("was told {command:?}"));
            return Ok(reply);
        }
    }

    /// Gives a command that must not be refused.
    pub fn command(&mut self, party: usize, command: Command) -> Reply {
        let text = format!("{command:?}");
        self.try_command(party, command)
            .unwrap_or_else(|refusal| panic!("{text} was refused: {refusal:?}\n{}", self.describe()))
    }

    fn act(&mut self, party: usize, step: Step) {
        if !self.parties[party].app.wants(&step) {
            return;
        }
        self.last_activity = self.now;
        let command = match step.clone() {
            Step::Once(_, command) | Step::Try(command) => command,
            Step::Acknowledge(event, receipt) => Command::Acknowledge { event, receipt },
        };
        let reply = self.try_command(party, command);
        if let Err(refusal) = reply
            && !matches!(step, Step::Try(_))
        {
            self.violation(format!("{}: {step:?} was refused: {refusal:?}", self.parties[party].name));
        }
        self.parties[party].app.did(&step, reply.ok());
    }

    fn go(&mut self, fault: Fault) {
        self.history.push_back(format!("{} {fault:?}", self.now));
        match fault {
            Fault::Down(relay) => {
                self.relays[relay].up = false;
                self.break_all(relay);
            }
            Fault::Up(relay) => self.relays[relay].up = true,
            Fault::LosesEverything(relay) => self.relays[relay].relay.lose_everything(),
            Fault::Unreachable(relay, unreachable) => {
                self.relays[relay].unreachable = unreachable;
                if unreachable {
                    self.break_all(relay);
                }
            }
            Fault::UnreachableFromProxies(relay, unreachable) => {
                self.relays[relay].unreachable_from_proxies = unreachable;
            }
            Fault::NoProxy(relay, no) => self.relays[relay].no_proxy = no,
            Fault::Disconnects(relay) => self.break_all(relay),
            Fault::Crashes(party) => self.crash(party),
        }
    }

    /// The next moment at which anything happens.
    pub(super) fn next(&self) -> Option<(Time, Option<usize>)> {
        let deadlines = self.parties.iter().enumerate().filter_map(|(number, party)| {
            let deadline = party.agent.as_ref()?.next_deadline()?;
            Some((deadline.max(self.now), Some(number)))
        });
        let scheduled = self.schedule.first_key_value().map(|((time, _), _)| (*time, None));
        deadlines.chain(scheduled).min()
    }

    /// Lets the next thing happen.
    pub(super) fn step(&mut self) -> bool {
        let Some((time, deadline)) = self.next() else { return false };
        self.now = time;
        if let Some(party) = deadline {
            self.input(party, |agent, now| agent.advance(now));
        } else if let Some((_, happening)) = self.schedule.pop_first() {
            match happening {
                Happening::Arrives { party, run, id, way, operation } => self.arrive(party, run, id, way, operation),
                Happening::Answered { party, run, id, result } => self.answered(party, run, id, result),
                Happening::Pushed { party, run, connection, push } => self.pushed(party, run, connection, push),
                Happening::Disconnected { party, run, session } => {
                    if run == self.parties[party].run {
                        self.input(party, |agent, now| agent.relay_event(now, RelayEvent::Disconnected(session)));
                    }
                }
                Happening::Acts { party, run, step } => {
                    if run == self.parties[party].run {
                        self.act(party, step);
                    }
                }
                Happening::Starts { party } => self.start(party),
                Happening::Goes(fault) => self.go(fault),
            }
        }
        self.check();
        true
    }
}
