//! Seeds of the target `relay`: what several clients do, as `fuzz/src/relay/steps.rs` reads it.

/// Choices of a deed.
const CONTACT: u8 = 0;
const MESSAGING: u8 = 64;
/// With either: not subscribed.
const UNSUBSCRIBED: u8 = 128;
const ENABLE: u8 = 1;
const SUBSCRIBE: u8 = 2;
const GET: u8 = 3;
const ACKNOWLEDGE: u8 = 4;
const ACKNOWLEDGE_OTHER: u8 = 6;
const SECURE_BY_SENDER: u8 = 7;
const SECURE: u8 = 135;
const SECURE_OTHER: u8 = 199;
const DELETE: u8 = 8;
const SUSPEND: u8 = 72;
const SET_LINK: u8 = 9;
const GET_LINK: u8 = 10;
const DELETE_LINK: u8 = 138;
const SECURE_BY_LINK: u8 = 11;
/// With CONTACT or MESSAGING: with a link, and ids of the client's choice.
const PREPARED: u8 = 32;
/// NEW with the ids of a prepared queue.
const AGAIN: u8 = 75;
const LISTEN: u8 = 13;
const DISABLE: u8 = 236;
const SEND: u8 = 14;
const SEND_SECURED: u8 = 78;
/// What waits in a queue is too old, or what a notifier was not told of.
const EXPIRE: u8 = 110;
const EXPIRE_NOTIFICATIONS: u8 = 238;
const SUBSCRIBE_ALL: u8 = 79;
/// NSUBS.
const LISTEN_TO_ALL: u8 = 207;

/// Who a client is, added to its version: a service that receives, and another; one that is notified, and another.
const RECEIVER: u8 = 15;
const OTHER_RECEIVER: u8 = 30;
const NOTIFIED: u8 = 45;
const OTHER_NOTIFIED: u8 = 60;

/// One input being written.
#[derive(Clone)]
struct Script(Vec<u8>);

impl Script {
    /// Versions of the four clients, counted back from the newest, and which of them are services.
    fn new(back: [u8; 4]) -> Self {
        Self(back.to_vec())
    }

    fn step(mut self, client: u8, kind: u8, rest: &[u8]) -> Self {
        self.0.push(kind.wrapping_mul(4).wrapping_add(client));
        self.0.extend_from_slice(rest);
        self
    }

    /// A new queue; the first byte of a deed that makes none is followed by its queue, counted back from the youngest.
    fn deed(self, client: u8, deed: &[u8]) -> Self {
        self.step(client, 0, deed)
    }

    /// Deeds of several clients together: so many more than two, then client and deed.
    fn together(self, packed: bool, deeds: &[(u8, &[u8])]) -> Self {
        let more = u8::try_from(deeds.len()).unwrap_or(2).saturating_sub(2);
        let mut all = vec![more];
        for (client, deed) in deeds {
            all.push(*client);
            all.extend_from_slice(deed);
        }
        self.step(u8::from(!packed), 36, &all)
    }

    fn leave(self, client: u8) -> Self {
        self.step(client, 48, &[])
    }

    fn tick(self) -> Self {
        self.step(0, 50, &[])
    }

    /// A deed, the kind of noise, and what it is made of.
    fn noise(self, client: u8, deed: &[u8], kind: u8, rest: &[u8]) -> Self {
        let script = self.step(client, 53, deed);
        Self([&script.0[..], &[kind], rest].concat())
    }
}

pub(crate) fn make() -> Vec<Vec<u8>> {
    // All of the newest version; of ages; old; without block encryption and before.
    let versions = [[0, 0, 0, 0], [0, 3, 5, 9], [10, 11, 10, 11], [12, 13, 14, 0]];
    let stories = versions.into_iter().flat_map(|back| stories(Script::new(back)));
    let mut all: Vec<_> = stories.map(|script| script.0).collect();
    // Each story is kept for one or two of these, so that there is room for those of services.
    all.sort();
    let services = [receivers(), notified(), expiring([0, 3, 5, 9]), expiring([12, 0, RECEIVER, NOTIFIED])].concat();
    all.into_iter().step_by(3).chain(services.into_iter().map(|script| script.0)).collect()
}

/// Services that receive messages; one of their sessions is of a version that is told less.
fn receivers() -> Vec<Script> {
    let start = Script::new([RECEIVER, 0, RECEIVER + 2, OTHER_RECEIVER]);
    let own = start.clone().deed(0, &[MESSAGING]).deed(1, &[SEND, 0]).deed(1, &[SEND, 0]);
    let joined = start.clone().deed(1, &[CONTACT]).deed(0, &[SUBSCRIBE, 0]).deed(1, &[SEND, 0]);
    vec![
        own.clone()
            .deed(0, &[SUBSCRIBE_ALL, 0])
            .deed(2, &[SUBSCRIBE_ALL, 0])
            .deed(0, &[ACKNOWLEDGE, 0])
            .deed(2, &[ACKNOWLEDGE, 0])
            .deed(2, &[SUBSCRIBE_ALL, 0])
            .deed(2, &[ACKNOWLEDGE, 0])
            .deed(1, &[SEND, 0])
            .leave(2)
            .deed(0, &[SUBSCRIBE_ALL, 0])
            .deed(1, &[DELETE, 0]),
        own.deed(3, &[SUBSCRIBE, 0])
            .deed(0, &[SUBSCRIBE_ALL, 0])
            .deed(3, &[SUBSCRIBE_ALL, 0])
            .deed(3, &[ACKNOWLEDGE, 0])
            .deed(1, &[SUBSCRIBE, 0])
            .deed(3, &[SUBSCRIBE_ALL, 0])
            .deed(0, &[DELETE, 0]),
        joined
            .clone()
            .deed(2, &[CONTACT])
            .deed(1, &[SEND, 0])
            .deed(0, &[SUBSCRIBE, 1])
            .deed(2, &[SUBSCRIBE_ALL, 1])
            .deed(0, &[GET, 0])
            .deed(1, &[DELETE, 1])
            .deed(0, &[UNSUBSCRIBED])
            .deed(1, &[SUBSCRIBE_ALL, 0])
            .deed(0, &[SUBSCRIBE, 1])
            .deed(0, &[ACKNOWLEDGE, 1])
            .deed(0, &[GET, 1])
            .deed(0, &[SUBSCRIBE, 1])
            .deed(1, &[SEND, 1])
            .deed(2, &[LISTEN_TO_ALL, 0]),
        joined
            .together(false, &[(0, &[ACKNOWLEDGE, 0]), (1, &[SEND, 0]), (2, &[SUBSCRIBE_ALL, 0]), (3, &[SUBSCRIBE, 0])])
            .noise(0, &[SUBSCRIBE, 0], 8, &[])
            .noise(0, &[DELETE, 0], 8, &[])
            .noise(1, &[SUBSCRIBE, 0], 8, &[])
            .noise(0, &[SUBSCRIBE_ALL, 0], 6, &[200])
            .noise(2, &[SUBSCRIBE_ALL, 0], 8, &[])
            .noise(2, &[GET, 0], 5, &[]),
    ]
}

/// Services that are notified.
fn notified() -> Vec<Script> {
    let start = Script::new([0, OTHER_NOTIFIED, NOTIFIED, NOTIFIED + 2]);
    let told = start.deed(0, &[MESSAGING]).deed(0, &[ENABLE, 0]).deed(2, &[LISTEN, 0, 0]).deed(0, &[SEND, 0]);
    vec![
        told.clone()
            .tick()
            .deed(0, &[SEND, 0])
            .deed(3, &[LISTEN_TO_ALL, 0])
            .tick()
            .leave(3)
            .deed(0, &[SEND, 0])
            .deed(2, &[LISTEN_TO_ALL, 0])
            .deed(2, &[LISTEN_TO_ALL, 0])
            .tick()
            .deed(1, &[LISTEN, 0, 0])
            .tick()
            .deed(2, &[LISTEN_TO_ALL, 0])
            .deed(0, &[LISTEN, 0, 0])
            .deed(1, &[LISTEN_TO_ALL, 0])
            .deed(0, &[SEND, 0])
            .tick(),
        told.deed(0, &[ENABLE, 0])
            .deed(3, &[LISTEN, 0, 1])
            .deed(2, &[LISTEN, 0, 0])
            .deed(1, &[SUBSCRIBE, 0])
            .deed(0, &[DISABLE, 0])
            .noise(2, &[LISTEN, 0, 0], 8, &[])
            .noise(3, &[LISTEN_TO_ALL, 0], 8, &[]),
    ]
}

/// What waits gets too old, alone and while somebody asks for it.
fn expiring(versions: [u8; 4]) -> Vec<Script> {
    let queue = Script::new(versions).deed(0, &[MESSAGING]).deed(1, &[SEND, 0]).deed(1, &[SEND, 0]);
    let full = queue.clone().deed(1, &[SEND, 0]).deed(1, &[SEND, 0]);
    let told = queue.clone().deed(0, &[ENABLE, 0]).deed(3, &[LISTEN, 0, 0]).deed(1, &[SEND, 0]);
    vec![
        queue.clone().deed(3, &[EXPIRE, 0]).deed(1, &[SEND, 0]).deed(0, &[ACKNOWLEDGE, 0]).deed(0, &[ACKNOWLEDGE, 0]),
        queue
            .clone()
            .deed(2, &[SUBSCRIBE, 0])
            .together(false, &[(0, &[EXPIRE, 0]), (1, &[SEND, 0]), (2, &[ACKNOWLEDGE, 0])])
            .deed(2, &[ACKNOWLEDGE, 0])
            .together(true, &[(0, &[EXPIRE, 0]), (1, &[SEND, 0]), (2, &[ACKNOWLEDGE, 0])])
            .deed(0, &[GET, 0])
            .deed(2, &[EXPIRE, 0])
            .deed(0, &[ACKNOWLEDGE, 0])
            .deed(0, &[GET, 0]),
        full.deed(3, &[EXPIRE, 0])
            .deed(1, &[SEND, 0])
            .deed(0, &[ACKNOWLEDGE, 0])
            .deed(3, &[EXPIRE, 0])
            .deed(0, &[ACKNOWLEDGE, 0])
            .deed(1, &[SEND, 0])
            .deed(2, &[SUBSCRIBE, 0])
            .together(false, &[(3, &[EXPIRE, 0]), (2, &[SUBSCRIBE_ALL, 0]), (0, &[SUBSCRIBE, 0])]),
        told.deed(0, &[EXPIRE_NOTIFICATIONS, 0])
            .tick()
            .deed(1, &[SEND, 0])
            .together(true, &[(0, &[EXPIRE_NOTIFICATIONS, 0]), (1, &[SEND, 0]), (3, &[LISTEN_TO_ALL, 0])])
            .tick()
            .leave(3)
            .together(false, &[(0, &[EXPIRE_NOTIFICATIONS, 0]), (1, &[SEND, 0]), (3, &[LISTEN, 0, 0])])
            .tick(),
    ]
}

fn stories(start: Script) -> Vec<Script> {
    let queue = start.clone().deed(0, &[MESSAGING]);
    let unread = start.clone().deed(0, &[CONTACT | UNSUBSCRIBED]);
    let told = queue.clone().deed(0, &[ENABLE, 0]).deed(2, &[LISTEN, 0, 0]);
    let prepared = start.clone().deed(0, &[MESSAGING | PREPARED]).deed(1, &[CONTACT | PREPARED]);
    let two = start.deed(0, &[MESSAGING]).deed(1, &[CONTACT]);
    let filled = unread.clone().deed(1, &[SEND, 0]).deed(1, &[SEND, 0]).deed(1, &[SEND, 0]).deed(1, &[SEND, 0]);
    vec![
        queue
            .clone()
            .deed(1, &[SECURE_BY_SENDER, 0])
            .deed(1, &[SEND_SECURED, 0])
            .deed(0, &[ACKNOWLEDGE, 0])
            .deed(1, &[SEND, 0])
            .deed(0, &[DELETE, 0]),
        queue.clone().deed(1, &[SEND, 0]).deed(2, &[SUBSCRIBE, 0]).deed(2, &[ACKNOWLEDGE, 0]).leave(2).tick(),
        filled
            .clone()
            .deed(0, &[GET, 0])
            .deed(0, &[ACKNOWLEDGE, 0])
            .deed(0, &[GET, 0])
            .deed(0, &[ACKNOWLEDGE_OTHER, 0])
            .deed(0, &[ACKNOWLEDGE, 0])
            .deed(1, &[SEND, 0]),
        filled.deed(2, &[SUBSCRIBE, 0]).deed(2, &[ACKNOWLEDGE, 0]).deed(2, &[ACKNOWLEDGE, 0]).leave(2),
        told.clone().deed(1, &[SEND, 0]).deed(1, &[SEND, 0]).tick().deed(0, &[ACKNOWLEDGE, 0]),
        told.clone().deed(1, &[SEND, 0]).leave(2).deed(3, &[LISTEN, 0, 0]).tick().deed(0, &[DISABLE, 0]),
        told.deed(1, &[ENABLE, 0]).deed(3, &[LISTEN, 0, 1]).deed(1, &[SEND, 0]).tick().deed(0, &[DELETE, 0]),
        two.clone()
            .deed(0, &[SET_LINK, 1])
            .deed(2, &[SECURE_BY_LINK, 1])
            .deed(1, &[SET_LINK, 0])
            .deed(3, &[GET_LINK, 0])
            .deed(1, &[DELETE_LINK, 0]),
        prepared
            .clone()
            .deed(2, &[GET_LINK, 0])
            .deed(2, &[SECURE_BY_LINK, 1])
            .deed(2, &[AGAIN, 0])
            .deed(0, &[DELETE, 1])
            .deed(3, &[AGAIN, 1])
            .deed(0, &[DELETE, 0]),
        prepared
            .together(false, &[(2, &[SEND, 1]), (0, &[DELETE, 0]), (3, &[AGAIN, 0]), (1, &[DELETE_LINK, 1])])
            .deed(1, &[GET_LINK, 0])
            .deed(0, &[SET_LINK, 1]),
        two.clone().deed(0, &[SECURE, 1]).deed(0, &[SECURE_OTHER, 1]).deed(0, &[SUSPEND, 1]).deed(2, &[SEND, 1]),
        two.clone().together(true, &[(2, &[SEND, 0]), (2, &[SEND, 0]), (3, &[SUBSCRIBE, 0])]).together(
            false,
            &[(0, &[ACKNOWLEDGE, 1]), (1, &[ACKNOWLEDGE, 0]), (2, &[SEND, 1]), (3, &[ACKNOWLEDGE, 0])],
        ),
        two.noise(2, &[SUBSCRIBE, 0], 0, &[1, 3, 0, 0, 0, 5, 0, 0, 0, b'P', b'I'])
            .noise(0, &[DELETE, 0], 2, &[4, 1, 0, 2, 7, 0])
            .noise(1, &[SUSPEND, 0], 3, &[1, 2, 3])
            .noise(1, &[SUBSCRIBE, 1], 4, &[3, 0, 70, 1])
            .noise(2, &[DELETE, 0], 5, &[])
            .noise(2, &[DELETE, 0], 6, &[0])
            .noise(3, &[GET, 1], 6, &[200])
            .noise(0, &[SET_LINK, 1], 7, &[0, 40])
            .noise(0, &[SUBSCRIBE, 1], 7, &[1, 2, b' ', b'x'])
            .deed(2, &[SEND, 0]),
    ]
}

/// Seeds of the target `session`, as `fuzz/src/session` reads them: the side, the versions, how a hello is changed, and
/// blocks.
pub(crate) fn sessions() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for versions in [[0, 0], [0, 9], [9, 0], [14, 0], [0, 14], [1, 10]] {
        // A client: two PINGs, nonsense, a part of a block, the same again; read in between.
        let hello = [&[0, 0][..], &versions, &[0, 0]].concat();
        all.push([&hello[..], &[7 + 16, 2, 12, 3, 4, b'a', b'b', b'c', b'd', 0, 12 + 16, 31]].concat());
        all.push([&hello[..], &[8 + 16, 3, 1, 2, 3, 0, 0, 12, 26, 11, 5, 1, 2, 3, 4, 5, 0, 14, 22, 255, 12]].concat());
        // As many as a block holds, again and again, and never read.
        all.push([&hello[..], &[22, 254].repeat(20)].concat());
        // Changed hellos.
        all.push([&[0, 0][..], &versions, &[0, 2, 3, 0, 1, 1, 22, 1, 12]].concat());
        all.push([&[0, 3][..], &versions, &[1, 3, 4, 0, 6, 0, 20, 0, 24, 2, 12]].concat());
        // A relay: it answers in order, answers something else, sends what nobody asked for, is silent, leaves.
        let hello = [&[1][..], &versions, &[0]].concat();
        let answers: Vec<u8> = (0..12).flat_map(|kind| [64, 0, kind, 0]).collect();
        all.push([&hello[..], &[0, 11], &answers].concat());
        all.push([&hello[..], &[0, 3, 4, 0, 4, 0, 12, 0, 9, 4, b'a', b'b', b'c', b'd', 32, 0, 0, 0, 13, 200]].concat());
        all.push([&hello[..], &[7, 4, 1, 0, 2, b'x', 0, 10, 1, 1, 0, 13, 1, 14, 0, 1, 64, 1, 1, 0, 15]].concat());
        all.push([&[1][..], &versions, &[2, 3, 0, 2, 1, 0, 0, 64, 0, 0, 0]].concat());
    }
    all
}
