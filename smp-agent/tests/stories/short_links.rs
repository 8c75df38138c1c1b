//! Short links: made, read by others, replaced and deleted, whatever happens meanwhile.

use crate::support::party::USER;
use crate::support::stories::{A, B, Pair, by_hand, connection, plain, two_parties};
use crate::support::{Fault, Faults, Setup, World};
use smp_agent::command::{Command, ConnectionOptions, LinkRequest, PostQuantum};
use smp_agent::configuration::Configuration;
use smp_agent::error::{ConnectionError, LinkProblem, Refusal};
use smp_agent::event::{EventKind, Links};
use smp_agent::id::ConnectionId;
use smp_agent::policy::routing::ProxyMode;
use smp_agent::policy::session::SessionMode;
use smp_agent::request::{Failure, LinkData, Reason};
use smp_agent::storage::Storage;
use smp_agent::time::{HOUR, MINUTE, SECOND};
use smp_crypto::key::Ed25519SecretKey;
use smp_crypto::secret_box::Nonce;
use smp_crypto::short_link::{self, FIXED_LENGTH, LinkKey, USER_LENGTH};
use smp_proto::address::ServerBuf;
use smp_proto::agent::ConnectionRequest;
use smp_proto::agent::link_data::{ContactData, FixedLinkData, RelayLink, UserData, UserLinkData};
use smp_proto::short_link::{LinkForm, LinkKind, ShortLink};
use smp_proto::version::VersionRange;
use smp_proto::wire::List;

/// A third party, of some tests.
const C: usize = 2;

fn link(text: &str) -> Option<LinkRequest> {
    Some(LinkRequest { user_data: text.as_bytes().to_vec(), entity_id: None })
}

/// A link with the text as its data; the connection and both links.
fn invite(world: &mut World, text: &str) -> (ConnectionId, Links) {
    world.invite(A, ConnectionOptions::default(), link(text))
}

fn short(links: &Links) -> &str {
    links.short.as_deref().expect("a short link")
}

/// What became of an attempt to read a link.
#[derive(Debug, PartialEq)]
enum Read {
    Data { full: String, text: String, relays: Vec<String>, direct: bool },
    Failed(ConnectionError),
}

impl Read {
    fn text(self) -> String {
        match self {
            Self::Data { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    fn full(self) -> String {
        match self {
            Self::Data { full, .. } => full,
            other => panic!("{other:?}"),
        }
    }
}

fn begin_to_read(world: &mut World, party: usize, link: &str) -> ConnectionId {
    connection(world.command(party, Command::ReadLink { user: USER, link: link.into() }))
}

fn result_of(world: &World, party: usize, reading: ConnectionId) -> Option<Read> {
    world.parties[party].app.of(reading).find_map(|kind| match kind {
        EventKind::LinkRead { full, user_data, relays, direct, .. } => Some(Read::Data {
            full: full.clone(),
            text: String::from_utf8(user_data.0.clone()).unwrap(),
            relays: relays.clone(),
            direct: *direct,
        }),
        EventKind::Failed { error, .. } => Some(Read::Failed(*error)),
        _ => None,
    })
}

fn read(world: &mut World, party: usize, link: &str) -> Read {
    let reading = begin_to_read(world, party, link);
    world.run_until(|world| result_of(world, party, reading).is_some());
    result_of(world, party, reading).unwrap()
}

fn commands(world: &World, party: usize, command: &str) -> usize {
    world.parties[party].transcript.sent().filter(|sent| sent.command == command).count()
}

fn failure(world: &World, party: usize, id: ConnectionId) -> Option<ConnectionError> {
    world.parties[party].app.of(id).find_map(|kind| match kind {
        EventKind::Failed { error, .. } => Some(*error),
        _ => None,
    })
}

/// B joins, and both talk.
fn join_and_talk(world: &mut World, inviting: ConnectionId, link: &str) -> Pair {
    let joining = world.join(B, link, ConnectionOptions::default());
    let pair = Pair { parties: [A, B], connections: [inviting, joining] };
    world.run_until(|world| world.are_connected(pair));
    world.tell(pair, A, "hello");
    world.tell(pair, B, "hello yourself");
    pair
}

/// B asks at an address, A accepts, and both talk.
fn ask_and_talk(world: &mut World, link: &str) -> Pair {
    let known = world.parties[A].app.accepted.len();
    let asking = world.join(B, link, ConnectionOptions::default());
    world.run_until(|world| world.parties[A].app.accepted.len() > known);
    let accepted = *world.parties[A].app.accepted.last().unwrap();
    let pair = Pair { parties: [A, B], connections: [accepted, asking] };
    world.run_until(|world| world.are_connected(pair));
    world.tell(pair, B, "found you");
    pair
}

/// How many records of a table a party has.
fn records(world: &World, party: usize, table: u8) -> usize {
    world.parties[party].storage.copy().scan(&[table], None, 1_000).unwrap().len()
}

const CONNECTIONS: u8 = 3;
const ONE_TIME_LINKS: u8 = 14;

fn expecting_failures(_: usize, setup: &mut Setup) {
    setup.manners.expects_failures = true;
}

#[test]
fn an_invitation_is_joined_by_its_short_link() {
    let mut world = plain(1);
    let (inviting, links) = invite(&mut world, "some data");
    assert!(short(&links).starts_with("https://relay0.example.com/i#"));
    assert!(!links.full.contains("kem_key"), "the full link stays as short as it is without a short one");
    let pair = join_and_talk(&mut world, inviting, short(&links));
    world.run_until_quiet();
    assert_eq!([commands(&world, B, "LKEY"), commands(&world, B, "SKEY")], [1, 0]);
    assert_eq!(records(&world, B, ONE_TIME_LINKS), 0);
    let post_quantum = |party: usize| {
        world.parties[party].app.of(pair.connections[party]).any(|kind| match kind {
            EventKind::Connected { post_quantum, .. } => *post_quantum,
            _ => false,
        })
    };
    assert!(post_quantum(A) && post_quantum(B), "the key in the link is used from the first message on");
}

#[test]
fn the_full_link_beside_a_short_one_works_too() {
    for (post_quantum, has_key) in [(PostQuantum::Off, false), (PostQuantum::On, false), (PostQuantum::InLink, true)] {
        let mut world = plain(2);
        let options = ConnectionOptions { post_quantum, ..ConnectionOptions::default() };
        let (inviting, links) = world.invite(A, options, link("data"));
        assert_eq!(links.full.contains("kem_key"), has_key);
        join_and_talk(&mut world, inviting, &links.full);
        world.run_until_quiet();
        assert_eq!([commands(&world, B, "LKEY"), commands(&world, B, "SKEY")], [0, 1]);
    }
}

#[test]
fn an_invitation_is_read_and_then_joined_by_either_link() {
    for by_full in [false, true] {
        let mut world = plain(3);
        let (inviting, links) = invite(&mut world, "who I am");
        let data = read(&mut world, B, short(&links));
        let full = match &data {
            Read::Data { full, relays, direct, .. } => {
                assert!(relays.is_empty() && *direct);
                full.clone()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(data.text(), "who I am");
        assert!(full.contains("kem_key"), "behind the link there is room for it");
        assert_eq!(records(&world, B, CONNECTIONS), 0);
        assert_eq!(records(&world, B, ONE_TIME_LINKS), 2);
        world.crash(B);
        join_and_talk(&mut world, inviting, if by_full { &full } else { short(&links) });
        world.run_until_quiet();
        assert_eq!([commands(&world, B, "LKEY"), commands(&world, B, "SKEY")], [if by_full { 1 } else { 2 }, 0]);
        assert_eq!(records(&world, B, ONE_TIME_LINKS), 0);
    }
}

#[test]
fn who_reads_an_invitation_second_learns_that_it_was_read() {
    let mut world = two_parties(4, expecting_failures);
    let relays = vec![2];
    world.add_party("C", Setup { relays, ..Setup::default() });
    world.parties[C].app.manners.expects_failures = true;
    let (inviting, links) = invite(&mut world, "for one");
    assert_eq!(read(&mut world, B, short(&links)).text(), "for one");
    assert_eq!(read(&mut world, C, short(&links)), Read::Failed(ConnectionError::NotAvailable));
    let joining = world.join(C, short(&links), ConnectionOptions::default());
    world.run_until(|world| failure(world, C, joining).is_some());
    assert_eq!(failure(&world, C, joining), Some(ConnectionError::NotAvailable));
    join_and_talk(&mut world, inviting, short(&links));
    // Whoever comes when it was used finds nothing at all.
    assert_eq!(read(&mut world, B, short(&links)), Read::Failed(ConnectionError::NotAvailable));
}

#[test]
fn the_data_of_an_invitation_is_replaced_until_it_is_used() {
    let mut world = two_parties(5, |_, setup| setup.manners = by_hand());
    let (inviting, links) = invite(&mut world, "first");
    let set = |text: &str| Command::SetLink { connection: inviting, user_data: text.as_bytes().to_vec() };
    world.command(A, set("second"));
    world.run_until_quiet();
    let ready = world.parties[A].app.of(inviting).filter_map(|kind| match kind {
        EventKind::LinkReady { links, .. } => Some(links.clone()),
        _ => None,
    });
    assert_eq!(ready.collect::<Vec<_>>(), [links.clone(), links.clone()], "the same links");
    assert_eq!(world.try_command(A, Command::DeleteLink { connection: inviting }), Err(Refusal::Prohibited));
    world.command(A, set("third"));
    // The next one takes the place of one that is under way.
    world.command(A, set("fourth"));
    world.run_until_quiet();
    assert_eq!(read(&mut world, B, short(&links)).text(), "fourth");
    world.join(B, short(&links), ConnectionOptions::default());
    let confirmed = |kind: &EventKind| matches!(kind, EventKind::Confirmation { .. });
    world.run_until(|world| world.parties[A].app.of(inviting).any(confirmed));
    assert_eq!(world.try_command(A, set("fifth")), Err(Refusal::Prohibited));
}

#[test]
fn an_address_gets_changes_and_loses_its_link() {
    let mut world = two_parties(6, expecting_failures);
    let (address, links) = world.address(A, None);
    assert_eq!(links.short, None);
    assert_eq!(world.try_command(A, Command::DeleteLink { connection: address }), Err(Refusal::Prohibited));
    let mut seen = Vec::new();
    for round in 0..2 {
        for text in ["one", "two"] {
            let user_data = format!("{text} {round}").into_bytes();
            world.command(A, Command::SetLink { connection: address, user_data });
            world.run_until_quiet();
            let now = world.links(A, address);
            assert_eq!(now.full, links.full);
            assert_eq!(read(&mut world, B, short(&now)).text(), format!("{text} {round}"));
            seen.push(now);
        }
        ask_and_talk(&mut world, short(&seen[seen.len() - 1]));
        world.command(A, Command::DeleteLink { connection: address });
        let deleted = |kind: &EventKind| matches!(kind, EventKind::LinkDeleted { .. });
        world.run_until(|world| world.parties[A].app.of(address).filter(|kind| deleted(kind)).count() > round);
        let gone = Read::Failed(ConnectionError::Relay(Failure::of_relay(Reason::NotAuthorized)));
        assert_eq!(read(&mut world, B, short(&seen[seen.len() - 1])), gone);
        ask_and_talk(&mut world, &links.full);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[1], seen[2], "a new link after the old one was deleted");
}

#[test]
fn a_relay_without_links_makes_none() {
    let mut world = two_parties(7, expecting_failures);
    world.relays[0].relay.version = 14;
    let (inviting, links) = invite(&mut world, "data");
    assert_eq!(links.short, None);
    join_and_talk(&mut world, inviting, &links.full);
    let (address, links) = world.address(A, link("data"));
    assert_eq!(links.short, None);
    world.command(A, Command::SetLink { connection: address, user_data: b"data".to_vec() });
    world.run_until(|world| failure(world, A, address).is_some());
    let version = Failure::of_relay(Reason::Version);
    assert_eq!(failure(&world, A, address), Some(ConnectionError::Relay(version)));
    world.run_until_quiet();
    ask_and_talk(&mut world, &links.full);
    let foreign = format!("https://relay0.example.com/a#{}?c={}", "A".repeat(43), fingerprint(&world));
    assert_eq!(read(&mut world, B, &foreign), Read::Failed(ConnectionError::Relay(version)));
}

/// The fingerprint of A's relay, as links have it.
fn fingerprint(world: &World) -> String {
    let server = world.relays[0].relay.server.address();
    let any = ShortLink::contact(LinkForm::Simplex, LinkKind::Contact, ServerBuf::try_from(&server).unwrap(), &[0; 32]);
    any.unwrap().to_string().split("c=").nth(1).unwrap().into()
}

#[test]
fn links_to_relays_that_everybody_knows_are_short() {
    let mut world = World::new(8);
    for _ in 0..3 {
        world.add_relay();
    }
    let preset_servers = vec![world.relays[0].relay.server.clone()];
    let configuration = Configuration { preset_servers, ..Configuration::default() };
    for (number, name) in [(A, "A"), (B, "B")] {
        let relays = vec![number];
        world.add_party(name, Setup { relays, configuration: configuration.clone(), ..Setup::default() });
    }
    let (inviting, links) = invite(&mut world, "short");
    assert!(!short(&links).contains('?'), "the host says it all");
    assert_eq!(read(&mut world, B, short(&links)).text(), "short");
    join_and_talk(&mut world, inviting, short(&links));
    // Who does not know the relay cannot tell whether it is the right one.
    let mut world = plain(8);
    let join = |link: &str| {
        let (info, options) = (Vec::new(), ConnectionOptions::default());
        Command::Join { user: USER, link: link.into(), info, options }
    };
    let link = short(&links).to_owned();
    assert_eq!(world.try_command(B, Command::ReadLink { user: USER, link: link.clone() }), Err(Refusal::Link));
    assert_eq!(world.try_command(B, join(&link)), Err(Refusal::Link));
}

#[test]
fn what_is_no_link_and_what_does_not_fit_is_refused() {
    let mut world = plain(9);
    let read = |link: &str| Command::ReadLink { user: USER, link: link.into() };
    for wrong in ["", "https://example.com", "https://relay0.example.com/a#AAAA?c=AAAA", "simplex:/a#AAAA"] {
        assert_eq!(world.try_command(B, read(wrong)), Err(Refusal::Link), "{wrong}");
    }
    let invite = |user_data: usize, entity_id: usize| Command::Invite {
        user: USER,
        options: ConnectionOptions::default(),
        link: Some(LinkRequest { user_data: vec![b'x'; user_data], entity_id: Some(vec![1; entity_id]) }),
    };
    for (user_data, entity_id) in [(13_707, 0), (0, 256)] {
        assert_eq!(world.try_command(A, invite(user_data, entity_id)), Err(Refusal::TooLarge));
    }
    let inviting = connection(world.command(A, invite(13_706, 255)));
    let links = world.links(A, inviting);
    assert_eq!(self::read(&mut world, B, short(&links)).text().len(), 13_706);
    let (address, _) = world.address(A, None);
    let set = |length| Command::SetLink { connection: address, user_data: vec![b'x'; length] };
    assert_eq!(world.try_command(A, set(13_707)), Err(Refusal::TooLarge));
    world.command(A, set(13_706));
    world.run_until_quiet();
    let links = world.links(A, address);
    assert_eq!(self::read(&mut world, B, short(&links)).text().len(), 13_706);
    let info = vec![0; 15_000];
    let join = Command::Join { user: USER, link: short(&links).into(), info, options: ConnectionOptions::default() };
    assert_eq!(world.try_command(B, join), Err(Refusal::TooLarge));
}

#[test]
fn a_link_leads_to_all_queues_that_it_has_room_for() {
    for (queues, entity_id, listed) in [(1, 0, 1), (2, 0, 2), (4, 0, 4), (4, 255, 2)] {
        let mut world = World::new(10);
        for _ in 0..6 {
            world.add_relay();
        }
        world.add_party("A", Setup { relays: vec![0, 1, 2, 3], ..Setup::default() });
        world.add_party("B", Setup { relays: vec![4, 5], ..Setup::default() });
        let options = ConnectionOptions { receive_queues: queues, ..ConnectionOptions::default() };
        let request = LinkRequest { user_data: b"many".to_vec(), entity_id: Some(vec![0; entity_id]) };
        let (inviting, links) = world.invite(A, options, Some(request));
        assert_eq!(links.full.matches("smp%3A%2F%2F").count(), usize::from(queues));
        let full = read(&mut world, B, short(&links)).full();
        assert_eq!(ConnectionRequest::parse(&full).unwrap().queues().len(), listed);
        let first = |link: &str| ConnectionRequest::parse(link).unwrap().queue().sender_id().to_array();
        assert_eq!(first(&full), first(&links.full));
        join_and_talk(&mut world, inviting, short(&links));
    }
}

#[test]
fn a_queue_for_a_link_is_made_elsewhere_when_its_relay_fails() {
    // Each attempt has an id of its own: the relay sees that none is used twice.
    let mut world = two_parties(11, |party, setup| {
        if party == A {
            setup.relays.push(2);
        }
    });
    for relay in [0, 2] {
        world.at(world.now, Fault::Down(relay));
    }
    world.at(world.now.after(10 * MINUTE), Fault::Up(2));
    world.run_for(SECOND);
    let (inviting, links) = invite(&mut world, "moved");
    assert!(short(&links).starts_with("https://relay2.example.com/i#"));
    join_and_talk(&mut world, inviting, short(&links));
}

#[test]
fn links_are_read_through_proxies() {
    for session_mode in [SessionMode::Session, SessionMode::Entity] {
        let mut world = two_parties(12, |party, setup| {
            if party == B {
                setup.proxies = vec![2];
                setup.configuration.routing.mode = ProxyMode::Always;
                setup.configuration.session_mode = session_mode;
            }
        });
        let (inviting, links) = invite(&mut world, "from far");
        assert_eq!(read(&mut world, B, short(&links)).text(), "from far");
        join_and_talk(&mut world, inviting, short(&links));
        let (_, links) = world.address(A, link("address"));
        assert_eq!(read(&mut world, B, short(&links)).text(), "address");
        ask_and_talk(&mut world, short(&links));
        let sent = world.parties[B].transcript.sent();
        assert!(sent.filter(|sent| sent.command.starts_with('L')).all(|sent| sent.proxied));
    }
}

#[test]
fn a_relay_that_is_down_is_waited_for() {
    let mut world = plain(13);
    let (inviting, links) = invite(&mut world, "later");
    let (address, _) = world.address(A, link("before"));
    world.at(world.now, Fault::Down(0));
    world.at(world.now.after(20 * MINUTE), Fault::Up(0));
    world.run_for(SECOND);
    world.command(A, Command::SetLink { connection: address, user_data: b"after".to_vec() });
    let joining = world.join(B, short(&links), ConnectionOptions::default());
    world.run_for(5 * MINUTE);
    world.crash(A);
    world.crash(B);
    let pair = Pair { parties: [A, B], connections: [inviting, joining] };
    world.run_until_within(HOUR, |world| world.are_connected(pair));
    world.run_until_quiet();
    let links = world.links(A, address);
    assert_eq!(read(&mut world, B, short(&links)).text(), "after");
}

#[test]
fn a_relay_that_cannot_be_reached_from_here_is_reported_to_who_looks() {
    let mut world = two_parties(14, |_, setup| {
        setup.manners.expects_failures = true;
        setup.configuration.routing.mode = ProxyMode::Never;
    });
    let (inviting, links) = invite(&mut world, "data");
    world.at(world.now, Fault::Unreachable(0, true));
    world.run_for(SECOND);
    let host = Failure::of_relay(Reason::Host);
    assert_eq!(read(&mut world, B, short(&links)), Read::Failed(ConnectionError::Relay(host)));
    // Who joins waits, but not for ever.
    let joining = world.join(B, short(&links), ConnectionOptions::default());
    world.run_for(HOUR);
    assert_eq!(failure(&world, B, joining), None);
    world.run_for(48 * HOUR);
    assert_eq!(failure(&world, B, joining), Some(ConnectionError::Relay(host)));
    world.at(world.now, Fault::Unreachable(0, false));
    world.run_for(HOUR);
    join_and_talk(&mut world, inviting, short(&links));
}

/// The root key of links made by hand.
const ROOT: [u8; 32] = [7; 32];

/// A link to an address of A's that says of it what we like.
fn made_by_hand(world: &mut World, direct: bool, signer: &[u8; 32]) -> String {
    let (_, links) = world.address(A, None);
    let request = ConnectionRequest::parse(&links.full).unwrap();
    let root = Ed25519SecretKey::from_bytes(&ROOT);
    let (agent_versions, root_key) = (VersionRange::AGENT, root.public_key());
    let data = FixedLinkData { agent_versions, root_key, connection_request: request.clone(), entity_id: None };
    let (mut fixed, mut user) = (vec![0; FIXED_LENGTH], vec![0; USER_LENGTH]);
    let placed = short_link::place(&data, &mut fixed).unwrap();
    let (link_key, length) = (LinkKey::of(placed), placed.len());
    let (link_id, key) = link_key.contact_keys().unwrap();
    short_link::seal(&key, &Nonce([1; 24]), &root, &mut fixed, length).unwrap();
    let relay = ShortLink::parse("https://chat.example.com/r#AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE").unwrap();
    let relays = [RelayLink::new(relay).unwrap()];
    let contact = ContactData {
        direct,
        owners: List::new(&[]).unwrap(),
        relays: List::new(&relays).unwrap(),
        user_data: UserData(b"by hand"),
    };
    let length = short_link::place(&UserLinkData::Contact { agent_versions, contact }, &mut user).unwrap().len();
    short_link::seal(&key, &Nonce([2; 24]), &Ed25519SecretKey::from_bytes(signer), &mut user, length).unwrap();
    let queue = request.queue();
    world.relays[0].relay.put_link(queue.sender_id().as_bytes(), &link_id, LinkData { fixed, user });
    let server = ServerBuf::try_from(&queue.server()).unwrap();
    ShortLink::contact(LinkForm::Https, LinkKind::Group, server, &link_key.0).unwrap().to_string()
}

#[test]
fn an_address_that_takes_no_requests_itself_is_shown_and_not_joined() {
    let mut world = two_parties(15, expecting_failures);
    let link = made_by_hand(&mut world, false, &ROOT);
    match read(&mut world, B, &link) {
        Read::Data { text, relays, direct, .. } => {
            assert_eq!((text.as_str(), direct), ("by hand", false));
            assert_eq!(relays, ["https://chat.example.com/r#AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"]);
        }
        other => panic!("{other:?}"),
    }
    let joining = world.join(B, &link, ConnectionOptions::default());
    world.run_until(|world| failure(world, B, joining).is_some());
    assert_eq!(failure(&world, B, joining), Some(ConnectionError::Link(LinkProblem::Indirect)));
    let link = made_by_hand(&mut world, true, &ROOT);
    ask_and_talk(&mut world, &link);
}

#[test]
fn what_a_relay_makes_up_is_not_believed() {
    let mut world = two_parties(16, expecting_failures);
    let failed = |problem| Read::Failed(ConnectionError::Link(problem));
    let link = made_by_hand(&mut world, true, &[8; 32]);
    assert_eq!(read(&mut world, B, &link), failed(LinkProblem::UserSignature));
    // The data of one link behind another, and of one queue at another.
    let [one, other] = [1, 2].map(|number| {
        let (_, links) = world.address(A, self::link(&number.to_string()));
        (ShortLink::parse(short(&links)).unwrap(), ConnectionRequest::parse(&links.full).unwrap())
    });
    let link_id = |link: &ShortLink| LinkKey(link.key().unwrap()).contact_keys().unwrap().0;
    let sender_id = |request: &ConnectionRequest| request.queue().sender_id().as_bytes().to_vec();
    let data = |world: &World, request: &ConnectionRequest| {
        let queue = world.relays[0].relay.queue_of_sender(&sender_id(request)).unwrap();
        queue.link.clone().unwrap().1
    };
    let (of_one, of_other) = (data(&world, &one.1), data(&world, &other.1));
    let relay = &mut world.relays[0].relay;
    relay.put_link(&sender_id(&one.1), &link_id(&other.0), of_other.clone());
    assert_eq!(read(&mut world, B, &other.0.to_string()), failed(LinkProblem::Address));
    let relay = &mut world.relays[0].relay;
    relay.put_link(&sender_id(&one.1), &link_id(&one.0), of_other);
    assert_eq!(read(&mut world, B, &one.0.to_string()), failed(LinkProblem::Format));
    let joining = world.join(B, &one.0.to_string(), ConnectionOptions::default());
    world.run_until(|world| failure(world, B, joining).is_some());
    assert_eq!(failure(&world, B, joining), Some(ConnectionError::Link(LinkProblem::Format)));
    world.relays[0].relay.put_link(&sender_id(&one.1), &link_id(&one.0), of_one);
    assert_eq!(read(&mut world, B, &one.0.to_string()).text(), "1");
}

#[test]
fn links_survive_bad_networks() {
    for seed in 0..40 {
        let mut world = two_parties(seed, |party, setup| {
            if party == B && seed % 2 == 0 {
                setup.proxies = vec![2];
                setup.configuration.routing.mode = ProxyMode::Always;
            }
        });
        world.faults = Faults::BAD;
        world.plan_random_faults(12, 40 * MINUTE);
        let (inviting, links) = invite(&mut world, "one time");
        if seed % 3 == 0 {
            assert_eq!(read(&mut world, B, short(&links)).text(), "one time");
        }
        join_and_talk(&mut world, inviting, short(&links));
        let (address, _) = world.address(A, if seed % 5 == 0 { None } else { link("first") });
        for text in ["second", "third"] {
            world.command(A, Command::SetLink { connection: address, user_data: text.into() });
            let pause = world.below(4 * MINUTE);
            world.run_for(pause);
        }
        world.faults = Faults::default();
        world.run_until_quiet();
        let links = world.links(A, address);
        assert_eq!(read(&mut world, B, short(&links)).text(), "third", "seed {seed}");
        ask_and_talk(&mut world, short(&links));
        world.run_until_quiet();
        assert_eq!(records(&world, B, ONE_TIME_LINKS), 0, "seed {seed}");
    }
}
