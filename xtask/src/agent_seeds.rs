//! Seeds for the fuzz targets of the agent, as these read them: see `fuzz/src/agent/deeds.rs`. They are what right peers,
//! relays and applications do; the fuzzer finds what is wrong by itself.

/// States to begin with, in the order of `fuzz/src/agent/starts.rs`.
#[derive(Clone, Copy)]
enum Start {
    Nothing,
    Invited,
    Joined,
    ToBeAllowed,
    Connected,
    ConnectedAsJoiner,
    PostQuantum,
    Moving,
    PeerMoves,
    Resynchronizing,
    Redundant,
    Address,
    Requested,
    Greeting,
    OneOfSeveral,
    ShortLink,
    Resynchronized,
    Deleting,
}

// Deeds: a byte that chooses, and what follows it. The same for both targets behind the first byte.
const APPLICATION: &[u8] = &[0, 0, 0, 2, b'h', b'i', 0, 0];
const HELLO: &[u8] = &[4, 0, 0, 0];
const RECEIPT: &[u8] = &[5, 0, 0, 0, 0, 0, 0, 0, 0];
const CONTINUE: &[u8] = &[6, 0, 0, 0, 0];
/// A queue in the place of the one before it.
const ADD_MOVED: &[u8] = &[7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
/// A queue beside the others.
const ADD_FURTHER: &[u8] = &[7, 0, 0, 0, 0, 0, 0, 0, 0, 200, 0];
const QUEUE_KEY: &[u8] = &[8, 0, 0, 0, 0, 0, 0, 0, 0];
const USE: &[u8] = &[9, 0, 0, 0, 0, 0];
/// Through the second queue.
const TEST: &[u8] = &[10, 0, 0, 1, 5];
const READY: &[u8] = &[11, 0, 0, 0, 0];
const CONFIRMATION: &[u8] = &[0, 2, b'h', b'i', 0, 0];
/// With a key to secure the queue with.
const OLD_CONFIRMATION: &[u8] = &[0, 2, b'h', b'i', 0, 224];
const KEYS: &[u8] = &[0, 0, 0];
const REQUEST: &[u8] = &[0, 0, 0, 0];

/// Which byte chooses a deed.
#[derive(Clone, Copy)]
struct Deeds {
    say: u8,
    confirm: u8,
    rekey: u8,
    read: u8,
    acknowledge: u8,
    acknowledge_all: u8,
    command: u8,
    pass: u8,
    restart: u8,
    fail: u8,
}

const PEER: Deeds = Deeds {
    say: 0,
    confirm: 13,
    rekey: 15,
    read: 22,
    acknowledge: 24,
    acknowledge_all: 25,
    command: 27,
    pass: 31,
    restart: 34,
    fail: 35,
};
const RELAY: Deeds = Deeds {
    say: 22,
    confirm: 38,
    rekey: 39,
    read: 25,
    acknowledge: 26,
    acknowledge_all: 27,
    command: 28,
    pass: 33,
    restart: 36,
    fail: 37,
};
const REQUEST_OF_PEER: u8 = 17;
const AGAIN: u8 = 19;
const SKIP: u8 = 21;
const REFUSE: u8 = 36;
const DISCONNECT: u8 = 38;
const ANSWER: u8 = 0;
const BEND: u8 = 4;
const INVENT: u8 = 8;
const STRAY: u8 = 11;
const EVENT: u8 = 13;
const FORGE: u8 = 16;
const SERVE: u8 = 19;

/// Deeds in their order.
#[derive(Clone)]
struct Script {
    deeds: Deeds,
    bytes: Vec<u8>,
}

impl Script {
    fn new(deeds: Deeds, start: Start) -> Self {
        Self { deeds, bytes: vec![start as u8] }
    }

    fn deed(mut self, choice: u8, rest: &[u8]) -> Self {
        self.bytes.push(choice);
        self.bytes.extend(rest);
        // Relays do nothing by themselves where they are hostile.
        if self.deeds.say == RELAY.say && ![ANSWER, BEND, INVENT].contains(&choice) {
            self.bytes.push(SERVE);
        }
        self
    }

    fn say(self, message: &[u8]) -> Self {
        let choice = self.deeds.say;
        self.deed(choice, message)
    }

    fn read(self) -> Self {
        let choice = self.deeds.read;
        self.deed(choice, &[])
    }

    fn acknowledge_all(self) -> Self {
        let choice = self.deeds.acknowledge_all;
        self.deed(choice, &[])
    }

    /// A command with what it says, and what follows that.
    fn command(self, command: u8, rest: &[u8]) -> Self {
        let choice = self.deeds.command;
        self.deed(choice, &[&[command, 0, 2, b'h', b'i', 0, 0, 0, 0], rest].concat())
    }

    fn pass(self, span: u8) -> Self {
        let choice = self.deeds.pass;
        self.deed(choice, &[span])
    }

    fn restart(self) -> Self {
        let choice = self.deeds.restart;
        self.deed(choice, &[])
    }

    fn fail(self, how: u8) -> Self {
        let choice = self.deeds.fail;
        self.deed(choice, &[how, 0])
    }

    fn confirm(self, confirmation: &[u8]) -> Self {
        let choice = self.deeds.confirm;
        self.deed(choice, confirmation)
    }

    fn rekey(self) -> Self {
        let choice = self.deeds.rekey;
        self.deed(choice, KEYS)
    }

    /// Messages both ways, acknowledged with a receipt.
    fn talk(self) -> Self {
        let choice = self.deeds.acknowledge;
        let sent = self.command(0, &[0]).read().say(APPLICATION).say(RECEIPT);
        sent.deed(choice, &[0, 0, 0, 0]).acknowledge_all().say(APPLICATION).acknowledge_all()
    }
}

/// What connections go through when all is well, with interruptions.
fn stories(deeds: Deeds) -> Vec<Script> {
    let from = |start| Script::new(deeds, start);
    let allow = |script: Script| script.acknowledge_all().command(5, &[]).read();
    let keys = |script: Script| script.say(QUEUE_KEY).read().say(TEST).acknowledge_all().pass(14).pass(10);
    vec![
        from(Start::Nothing).command(16, &[]).command(17, &[]).command(18, &[0]).restart(),
        allow(from(Start::Invited).confirm(CONFIRMATION)).talk(),
        allow(from(Start::Invited).restart().confirm(OLD_CONFIRMATION)).say(HELLO).talk(),
        from(Start::Joined).confirm(CONFIRMATION).talk(),
        from(Start::Joined).command(0, &[0]).fail(0).confirm(CONFIRMATION).talk(),
        allow(from(Start::ToBeAllowed).pass(5)).talk().restart().talk(),
        keys(from(Start::Connected).command(10, &[]).read()).talk(),
        from(Start::Connected).say(ADD_MOVED).read().say(USE).read().say(APPLICATION).talk(),
        from(Start::ConnectedAsJoiner).rekey().read().say(READY).talk(),
        from(Start::ConnectedAsJoiner).command(13, &[0]).read().rekey().say(READY).talk(),
        from(Start::PostQuantum).talk().talk(),
        keys(from(Start::Moving)).talk(),
        from(Start::PeerMoves).say(USE).read().say(APPLICATION).talk(),
        from(Start::Resynchronizing).read().rekey().say(READY).read().talk(),
        from(Start::Resynchronizing).rekey().read().pass(3).pass(4).talk(),
        from(Start::Redundant).talk().say(&[0, 0, 0, 0, 0, 5]).say(&[0, 0, 0, 0, 0, 4]).acknowledge_all().pass(6),
        from(Start::Redundant).say(ADD_FURTHER).read().say(USE).read().talk(),
        from(Start::Redundant).command(15, &[]).read().say(QUEUE_KEY).say(CONTINUE).pass(10).talk(),
        from(Start::Requested).command(7, &[]).read().acknowledge_all().confirm(CONFIRMATION).talk(),
        from(Start::Requested).command(9, &[]).acknowledge_all().pass(12),
        from(Start::Greeting).say(HELLO).read().talk(),
        from(Start::OneOfSeveral).talk().command(0, &[0]).pass(8).talk(),
        from(Start::ShortLink).confirm(CONFIRMATION).command(23, &[0]).command(23, &[1]).restart(),
        from(Start::Resynchronized).say(READY).talk().rekey(),
        from(Start::Deleting).pass(9).restart().pass(1),
        from(Start::Connected).command(0, &[0]).command(19, &[0]).pass(1).pass(1),
        from(Start::Connected).command(22, &[0]).say(APPLICATION).restart().command(22, &[1]).talk(),
    ]
}

/// Inputs of `agent_peer`.
pub(crate) fn peer() -> Vec<Vec<u8>> {
    let from = |start| Script::new(PEER, start);
    let more = [
        from(Start::Address).deed(REQUEST_OF_PEER, REQUEST).command(7, &[]).read().confirm(CONFIRMATION).talk(),
        from(Start::Connected).say(APPLICATION).deed(AGAIN, &[0, 0]).acknowledge_all().deed(AGAIN, &[0, 0]),
        from(Start::Connected).deed(SKIP, &[1]).say(APPLICATION).acknowledge_all().deed(SKIP, &[5]).say(APPLICATION),
        from(Start::Connected).deed(REFUSE, &[1, 8, 0]).command(0, &[0]).pass(8).say(CONTINUE).pass(10),
        from(Start::Connected).say(APPLICATION).deed(DISCONNECT, &[0]).pass(5).acknowledge_all().talk(),
    ];
    stories(PEER).into_iter().chain(more).map(|script| script.bytes).collect()
}

/// Inputs of `agent_relay`.
pub(crate) fn relay() -> Vec<Vec<u8>> {
    let from = |start| Script::new(RELAY, start);
    let one = |script: Script| script.deed(ANSWER, &[0]).deed(ANSWER, &[0]);
    let more = [
        one(from(Start::Nothing).deed(ANSWER, &[0]).command(16, &[])).deed(BEND, &[0, 0, 0]).restart(),
        from(Start::Moving).deed(INVENT, &[0, 0, 7]).deed(STRAY, &[0, 0, 3]).say(QUEUE_KEY).pass(5).talk(),
        from(Start::Redundant).deed(EVENT, &[1, 1]).deed(EVENT, &[2, 0]).pass(5).talk(),
        from(Start::Connected).deed(FORGE, &[0, 0, 0, 0, 0]).read().deed(FORGE, &[0, 0, 0, 1, 0]).talk(),
        one(from(Start::Deleting)).deed(INVENT, &[0, 0, 0]).pass(9),
    ];
    stories(RELAY).into_iter().chain(more).map(|script| script.bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_states_are_begun_with() {
        let mut starts: Vec<_> = peer().iter().map(|seed| seed[0]).collect();
        starts.sort_unstable();
        starts.dedup();
        assert_eq!(starts, (0..=Start::Deleting as u8).collect::<Vec<_>>());
    }
}
