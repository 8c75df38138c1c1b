//! The way of requests to relays and of answers back.

use smp_agent::policy::server::Server;
use smp_agent::policy::session::SessionKey;
use smp_agent::request::{
    Answer, Blocked, Delivery, Failure, Operation, Reason, RelayEvent, Reporter, Request, RequestId,
};
use smp_agent::time::SECOND;

use super::party::{Link, UnderWay, Way};
use super::relay::{Caller, ConnectionNumber, Push};
use super::transcript::Entry;
use super::world::{Happening, World};

/// How long an answer is waited for, in milliseconds.
const TIMEOUT: u64 = 30 * SECOND;

impl World {
    /// The number of a relay by an address.
    pub fn relay_at(&self, server: &Server) -> Option<usize> {
        self.relays.iter().position(|place| place.relay.server.same_server(server))
    }

    /// Whether a connection still stands.
    fn stands(&mut self, party: usize, connection: ConnectionNumber) -> bool {
        self.parties[party].link(connection).is_some()
    }

    /// One chance of so many in a thousand.
    fn chance(&mut self, in_thousand: u32) -> bool {
        in_thousand > 0 && self.below(1000) < u64::from(in_thousand)
    }

    fn latency(&mut self) -> u64 {
        let (low, high) = self.faults.latency;
        self.between(low, high)
    }

    /// An agent wants something done.
    pub(super) fn take_request(&mut self, party: usize, request: Request) {
        let Request { id, session, proxy, operation } = request;
        let last = self.parties[party].last_request.replace(id);
        if last.is_some_and(|last| last >= id) {
            self.violation(format!("the requests of {} are not numbered in order", self.parties[party].name));
        }
        let sends_to = match &operation {
            Operation::Send { sender_id, .. } => Some(sender_id.clone()),
            _ => None,
        };
        if sends_to.is_some() && self.parties[party].under_way.values().any(|other| other.sends_to == sends_to) {
            self.violation(format!("{} sends two messages to one queue at once", self.parties[party].name));
        }
        let relay = self.relay_at(session.server()).expect("the address of a relay of this world");
        let proxy = proxy.map(|proxy| self.relay_at(&proxy.server).expect("the address of a relay of this world"));
        self.note(party, &format!("asks {relay}{}: {}", via(proxy), self.names.describe(&operation)));
        let commands = self.names.commands(&operation, proxy.is_some()).into_iter();
        self.parties[party].transcript.entries.extend(commands.map(|sent| Entry::Command(Box::new(sent))));
        let way = |connection| Way { connection, proxy, relay };
        match self.open(party, &session, relay, proxy) {
            Ok(connection) => {
                self.parties[party].under_way.insert(id, UnderWay { way: way(connection), sends_to });
                let at = self.now.after(self.latency());
                let link = self.parties[party].link(connection).expect("a connection that was just opened");
                link.to_relay = link.to_relay.max(at);
                let at = link.to_relay;
                let run = self.parties[party].run;
                self.plan(at, Happening::Arrives { party, run, id, way: way(connection), operation });
            }
            Err((failure, wait)) => {
                self.parties[party].under_way.insert(id, UnderWay { way: way(0), sends_to });
                self.answer_after(party, id, Err(failure), wait);
            }
        }
    }

    /// The connection a request goes over, opened when there is none; or why there is none, and when that is known.
    fn open(
        &mut self,
        party: usize,
        session: &SessionKey,
        relay: usize,
        proxy: Option<usize>,
    ) -> Result<ConnectionNumber, (Failure, u64)> {
        let (to, by) = match proxy {
            Some(proxy) => (proxy, Reporter::Proxy),
            None => (relay, Reporter::Relay),
        };
        let known = match proxy {
            Some(proxy) => self.parties[party].proxy_links.get(&proxy),
            None => self.parties[party].links.get(session),
        };
        if let Some(link) = known {
            return Ok(link.number);
        }
        let failed = |reason| Failure { by, reason };
        let place = &mut self.relays[to];
        if !place.up {
            place.refused += 1;
            let wait = if self.below(2) == 0 { 20 } else { 15 * SECOND };
            return Err((failed(if wait == 20 { Reason::Network } else { Reason::Timeout }), wait));
        }
        if place.unreachable {
            return Err((failed(Reason::Host), 50));
        }
        if let Some(reason) = place.barred {
            return Err((failed(reason), 50));
        }
        self.last_connection += 1;
        let link = Link {
            number: self.last_connection,
            relay: to,
            version: self.parties[party].setup.smp_version.min(place.relay.version),
            to_relay: self.now.after(self.faults.latency.0),
            to_agent: self.now,
        };
        let number = link.number;
        match proxy {
            Some(proxy) => drop(self.parties[party].proxy_links.insert(proxy, link)),
            None => drop(self.parties[party].links.insert(session.clone(), link)),
        }
        Ok(number)
    }

    /// A request reaches its relay or its proxy.
    pub(super) fn arrive(&mut self, party: usize, run: u64, id: RequestId, way: Way, operation: Operation) {
        let lives = run == self.parties[party].run;
        if lives && !self.stands(party, way.connection) {
            // The break of the connection has answered it.
            return;
        }
        // Of a process that is gone: a subscription would end with its connection at once.
        if !lives && (matches!(operation, Operation::Subscribe(_)) || !self.chance(500)) {
            return;
        }
        let faults = self.faults;
        if lives && self.chance(faults.broken_before) {
            return self.break_connection(party, way.connection);
        }
        if self.chance(faults.lost_requests) {
            return self.time_out(party, run, id);
        }
        let result = self.execute(party, way, &operation);
        if lives && self.chance(faults.broken_after) {
            self.break_connection(party, way.connection);
            return self.push_all();
        }
        // What answers ACK may be the next message itself: which of the two an adapter tells first is its own matter.
        if matches!(operation, Operation::Acknowledge { .. }) && self.chance(500) {
            self.push_all();
        }
        if self.chance(faults.lost_answers) {
            self.time_out(party, run, id);
        } else if lives {
            self.note(party, &format!("will be answered {result:?}"));
            let at = self.now.after(self.latency());
            let link = self.parties[party].link(way.connection).expect("it stands");
            link.to_agent = link.to_agent.max(at);
            let at = link.to_agent;
            self.plan(at, Happening::Answered { party, run, id, result });
        }
        self.push_all();
    }

    fn time_out(&mut self, party: usize, run: u64, id: RequestId) {
        let result = Err(Failure::of_relay(Reason::Timeout));
        self.plan(self.now.after(TIMEOUT), Happening::Answered { party, run, id, result });
    }

    fn answer_after(&mut self, party: usize, id: RequestId, result: Result<Answer, Failure>, wait: u64) {
        let run = self.parties[party].run;
        self.plan(self.now.after(wait), Happening::Answered { party, run, id, result });
    }

    fn execute(&mut self, party: usize, way: Way, operation: &Operation) -> Result<Answer, Failure> {
        let mut by = Reporter::Relay;
        if let Some(proxy) = way.proxy {
            let allowed = matches!(
                operation,
                Operation::Send { .. }
                    | Operation::SecureBySender { .. }
                    | Operation::ReadInvitation { .. }
                    | Operation::ReadAddress { .. }
            );
            if !allowed || proxy == way.relay {
                self.violation(format!("{} sends {operation:?} through a proxy", self.parties[party].name));
            }
            let (to_proxy, to_relay) = (&self.relays[proxy], &self.relays[way.relay]);
            if to_proxy.no_proxy {
                return Err(Failure { by: Reporter::Proxy, reason: Reason::Unavailable });
            }
            if let Some(reason) = to_proxy.refuses_as_proxy {
                return Err(Failure { by: Reporter::Proxy, reason });
            }
            by = Reporter::ProxyAboutRelay;
            if !to_relay.up {
                return Err(Failure { by, reason: Reason::Network });
            }
            if to_relay.unreachable_from_proxies {
                return Err(Failure { by, reason: Reason::Host });
            }
            if self.chance(self.faults.no_session) {
                return Err(Failure { by: Reporter::Proxy, reason: Reason::NoSession });
            }
        }
        if self.chance(self.faults.unavailable) {
            return Err(Failure { by, reason: Reason::Unavailable });
        }
        let proxied = way.proxy.is_some();
        let version = match self.parties[party].link(way.connection) {
            Some(link) if !proxied => link.version,
            _ => self.relays[way.relay].relay.version.min(17),
        };
        let caller = Caller { party, connection: way.connection, version, proxied };
        let result = self.relays[way.relay].relay.execute(caller, self.now, operation);
        if let Ok(Answer::Created(queue)) = &result {
            self.parties[party].queues += 1;
            let (name, number) = (self.parties[party].name, self.parties[party].queues);
            self.names.queue(&format!("{name}.q{number}"), queue);
        }
        if let (Operation::SetLink { link_id, .. }, Ok(_)) = (operation, &result) {
            self.names.link(link_id);
        }
        result
    }

    /// The operator of a relay blocks a queue, or opens it again.
    pub fn block(&mut self, relay: usize, sender_id: &[u8], blocked: Option<Blocked>) {
        self.relays[relay].relay.block(sender_id, blocked);
        self.push_all();
    }

    /// Sends what relays say without being asked on its way.
    pub fn push_all(&mut self) {
        for relay in 0..self.relays.len() {
            for (connection, push) in std::mem::take(&mut self.relays[relay].relay.pushes) {
                let Some(party) = (0..self.parties.len()).find(|party| self.stands(*party, connection)) else {
                    continue;
                };
                let at = self.now.after(self.latency());
                let run = self.parties[party].run;
                let link = self.parties[party].link(connection).expect("it stands");
                link.to_agent = link.to_agent.max(at);
                let at = link.to_agent;
                self.plan(at, Happening::Pushed { party, run, connection, push });
            }
        }
    }

    /// What a relay says reaches an agent.
    pub(super) fn pushed(&mut self, party: usize, run: u64, connection: ConnectionNumber, push: Push) {
        if run != self.parties[party].run {
            return;
        }
        let mut links = self.parties[party].links.iter();
        let Some((session, link)) = links.find(|(_, link)| link.number == connection) else { return };
        let (session, relay) = (session.clone(), link.relay);
        let server = self.relays[relay].relay.server.clone();
        let event = match push {
            Push::Message { queue, message_id, body } => {
                self.note(party, &format!("gets a message in {}", self.names.of(&queue)));
                let entry = self.names.message(&queue, body.len());
                self.parties[party].transcript.entries.push(entry);
                RelayEvent::Message(Box::new(Delivery { server, session, queue, message_id, body }))
            }
            Push::Ended(queue) => RelayEvent::SubscriptionEnded { session, queue },
            Push::Deleted(queue) => RelayEvent::QueueDeleted { session, queue },
            Push::Blocked(queue, blocked) => RelayEvent::QueueBlocked { session, queue, blocked },
        };
        self.input(party, |agent, now| agent.relay_event(now, event));
    }

    /// An answer reaches an agent, if it still waits for one.
    pub(super) fn answered(&mut self, party: usize, run: u64, id: RequestId, result: Result<Answer, Failure>) {
        if run != self.parties[party].run {
            return;
        }
        let Some(_) = self.parties[party].under_way.remove(&id) else { return };
        self.parties[party].transcript.answered(&result);
        self.input(party, |agent, now| agent.answer(now, id, result));
    }

    /// A connection breaks: its subscriptions end, requests under way fail, and the agent learns of it.
    pub(super) fn break_connection(&mut self, party: usize, connection: ConnectionNumber) {
        let Some(link) = self.parties[party].link(connection) else { return };
        let relay = link.relay;
        self.relays[relay].relay.disconnect(connection);
        let of_connection =
            self.parties[party].under_way.iter().filter(|(_, other)| other.way.connection == connection);
        let waiting: Vec<_> = of_connection.map(|(id, under_way)| (*id, under_way.way.proxy)).collect();
        for (id, proxy) in waiting {
            let by = if proxy.is_some() { Reporter::Proxy } else { Reporter::Relay };
            self.answer_after(party, id, Err(Failure { by, reason: Reason::Network }), 1);
        }
        self.parties[party].proxy_links.retain(|_, link| link.number != connection);
        let mut links = self.parties[party].links.iter();
        let Some(session) = links.find_map(|(key, link)| (link.number == connection).then(|| key.clone())) else {
            return;
        };
        self.parties[party].links.remove(&session);
        self.note(party, &format!("loses its connection to {relay}"));
        let run = self.parties[party].run;
        self.plan(self.now.after(1), Happening::Disconnected { party, run, session });
    }

    /// All connections to a relay break.
    pub(super) fn break_all(&mut self, relay: usize) {
        for party in 0..self.parties.len() {
            let links = self.parties[party].links.values().chain(self.parties[party].proxy_links.values());
            let numbers: Vec<_> = links.filter(|link| link.relay == relay).map(|link| link.number).collect();
            for number in numbers {
                self.break_connection(party, number);
            }
        }
    }
}

fn via(proxy: Option<usize>) -> String {
    proxy.map_or_else(String::new, |proxy| format!(" through {proxy}"))
}
