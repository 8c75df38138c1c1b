//! Somebody follows a short link, and everything about its data that could be wrong is found, in the order in which peers
//! look for it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use smp_crypto::key::{Ed25519PublicKey, Ed25519SecretKey};
use smp_crypto::secret_box::{BoxKey, Nonce};
use smp_crypto::short_link::{self, FIXED_LENGTH, LinkError, LinkKey, USER_LENGTH};
use smp_proto::address::{Host, Port, ServerAddress, ServerBuf};
use smp_proto::agent::link_data::{ContactData, FixedLinkData, OwnerAuthorization, UserData, UserLinkData};
use smp_proto::agent::{ConnectionRequest, RatchetParameters};
use smp_proto::id::{LinkId, QueueId};
use smp_proto::key::{X448PublicKey, X25519PublicKey};
use smp_proto::short_link::{LinkForm, LinkKind, ShortLink};
use smp_proto::uri::{QueueAddress, QueueMode, QueueUri};
use smp_proto::version::VersionRange;
use smp_proto::wire::{self, Encode, List, ShortString};

const SENDER_ID: QueueId<'static> = QueueId::from_array(&[9; 24]);

fn key(number: u64) -> Ed25519SecretKey {
    Ed25519SecretKey::generate(&mut ChaCha20Rng::seed_from_u64(number))
}

fn public(number: u64) -> Ed25519PublicKey {
    key(number).public_key()
}

fn relay(hosts: &[&'static str], port: u16, key_hash: &[u8]) -> ServerBuf {
    let mut hosts = hosts.iter().map(|host| Host::parse(host).unwrap());
    let mut server = ServerBuf::new(hosts.next().unwrap(), Port::new(port), key_hash).unwrap();
    hosts.for_each(|host| server.push_host(host).unwrap());
    server
}

/// The relay of every link here, unless a test says otherwise.
fn usual_relay() -> ServerBuf {
    relay(&["a.example", "abc.onion"], 5223, &[7; 32])
}

fn queue(server: ServerAddress<'_>, mode: QueueMode) -> QueueUri {
    let queue = QueueAddress { server, sender_id: SENDER_ID, dh_key: X25519PublicKey([5; 32]), mode: Some(mode) };
    QueueUri::new(VersionRange::CLIENT, &queue).unwrap()
}

fn fixed_data(root: u64) -> FixedLinkData<'static> {
    FixedLinkData {
        agent_versions: VersionRange::AGENT,
        root_key: public(root),
        connection_request: ConnectionRequest::contact(
            VersionRange::AGENT,
            queue(usual_relay().address(), QueueMode::Contact),
        ),
        entity_id: None,
    }
}

/// An owner, and who gives leave.
struct Owner {
    id: &'static [u8],
    key: u64,
    by: u64,
}

fn with_owners<T>(owners: &[Owner], then: impl FnOnce(List<'_, OwnerAuthorization<'_>>) -> T) -> T {
    let sign = |owner: &Owner| short_link::sign_owner(owner.id, &public(owner.key), &key(owner.by));
    let signatures = owners.iter().map(sign).collect::<Vec<_>>();
    let authorize = |(owner, signature)| {
        let Owner { id, key, .. }: &Owner = owner;
        OwnerAuthorization { owner_id: ShortString::new(id).unwrap(), owner_key: public(*key), signature }
    };
    let listed = owners.iter().zip(&signatures).map(authorize).collect::<Vec<_>>();
    then(List::new(&listed).unwrap())
}

fn contact_data(owners: &[Owner]) -> Vec<u8> {
    with_owners(owners, |owners| {
        let relays = List::new(&[]).unwrap();
        let contact = ContactData { direct: true, owners, relays, user_data: UserData(b"who I am") };
        let data = UserLinkData::Contact { agent_versions: VersionRange::AGENT, contact };
        data.to_slice(&mut [0; 4096]).unwrap().to_vec()
    })
}

/// Bytes as they are, to be put where a value belongs.
struct Raw<'a>(&'a [u8]);

impl Encode for Raw<'_> {
    fn encode(&self, writer: &mut wire::Writer<'_>) -> Result<(), wire::Error> {
        writer.bytes(self.0)
    }
}

fn seal(key: &BoxKey, signer: u64, data: &[u8], length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    assert_eq!(short_link::place(&Raw(data), &mut buffer).unwrap(), data);
    short_link::seal(key, &Nonce([1; 24]), &self::key(signer), &mut buffer, data.len()).unwrap();
    buffer
}

/// A link to an address and what its relay has for it, where everything can be wrong.
struct Address {
    root: u64,
    fixed_signer: u64,
    user_signer: u64,
    owners: Vec<Owner>,
    /// What the link says about the relay.
    server: ServerBuf,
    /// What the relay says about the queue.
    sender_id: QueueId<'static>,
    /// Whether the link was made for other data.
    other_key: bool,
}

impl Default for Address {
    fn default() -> Self {
        let (server, owners) = (usual_relay(), Vec::new());
        Self { root: 1, fixed_signer: 1, user_signer: 1, owners, server, sender_id: SENDER_ID, other_key: false }
    }
}

impl Address {
    fn read(self) -> Result<ConnectionRequest, LinkError> {
        let fixed = fixed_data(self.root).to_slice(&mut [0; 2048]).unwrap().to_vec();
        let link_key = if self.other_key { LinkKey([8; 32]) } else { LinkKey::of(&fixed) };
        let (_, key) = link_key.contact_keys().unwrap();
        let mut fixed = seal(&key, self.fixed_signer, &fixed, FIXED_LENGTH);
        let mut user = seal(&key, self.user_signer, &contact_data(&self.owners), USER_LENGTH);
        let link = ShortLink::contact(LinkForm::Https, LinkKind::Group, self.server, &link_key.0).unwrap();
        let (fixed, user) = short_link::read(&link, self.sender_id, &mut fixed, &mut user)?;
        assert_eq!(user.user_data().0, b"who I am");
        Ok(fixed.connection_request)
    }
}

#[test]
fn every_fault_is_found_in_order() {
    assert_eq!(Address::default().read(), Ok(fixed_data(1).connection_request));
    // Each address has the faults of all after it as well.
    let everything = || Address {
        other_key: true,
        fixed_signer: 2,
        user_signer: 3,
        owners: vec![Owner { id: b"o", key: 1, by: 4 }],
        sender_id: QueueId::from_array(&[8; 24]),
        ..Address::default()
    };
    assert_eq!(everything().read(), Err(LinkError::Hash));
    let next = || Address { other_key: false, ..everything() };
    assert_eq!(next().read(), Err(LinkError::FixedSignature));
    let next = || Address { fixed_signer: 1, ..next() };
    assert_eq!(next().read(), Err(LinkError::RootOwner));
    let twice = [Owner { id: b"o", key: 2, by: 1 }, Owner { id: b"o", key: 5, by: 4 }];
    assert_eq!(Address { owners: twice.into(), ..next() }.read(), Err(LinkError::DuplicateOwner));
    let twice = [Owner { id: b"o", key: 2, by: 1 }, Owner { id: b"p", key: 2, by: 4 }];
    assert_eq!(Address { owners: twice.into(), ..next() }.read(), Err(LinkError::DuplicateOwner));
    let stranger = [Owner { id: b"o", key: 2, by: 4 }];
    assert_eq!(Address { owners: stranger.into(), ..next() }.read(), Err(LinkError::OwnerSignature));
    let next = || Address { owners: vec![Owner { id: b"o", key: 2, by: 1 }], ..next() };
    assert_eq!(next().read(), Err(LinkError::UserSignature));
    let next = || Address { user_signer: 2, ..next() };
    assert_eq!(next().read(), Err(LinkError::Address));
    assert!(Address { sender_id: SENDER_ID, ..next() }.read().is_ok());
}

#[test]
fn owners_follow_from_the_root_and_from_each_other() {
    let chain = || {
        vec![Owner { id: b"a", key: 2, by: 1 }, Owner { id: b"b", key: 3, by: 2 }, Owner { id: b"c", key: 4, by: 3 }]
    };
    for user_signer in 1..=4 {
        assert!(Address { owners: chain(), user_signer, ..Address::default() }.read().is_ok());
    }
    assert_eq!(Address { owners: chain(), user_signer: 5, ..Address::default() }.read(), Err(LinkError::UserSignature));
    // Nobody gives leave to those before, or to oneself.
    for wrong in [1, 2] {
        let mut owners = chain();
        owners.swap(0, wrong);
        assert_eq!(Address { owners, ..Address::default() }.read(), Err(LinkError::OwnerSignature));
    }
    let oneself = vec![Owner { id: b"a", key: 2, by: 2 }];
    assert_eq!(Address { owners: oneself, ..Address::default() }.read(), Err(LinkError::OwnerSignature));
    let without_the_second = vec![Owner { id: b"a", key: 2, by: 1 }, Owner { id: b"c", key: 4, by: 3 }];
    assert_eq!(Address { owners: without_the_second, ..Address::default() }.read(), Err(LinkError::OwnerSignature));

    // Who makes new data finds the same faults, and whether anybody will take it.
    let verify = |owners: &[Owner], signer| {
        with_owners(owners, |owners| short_link::verify_signer(&public(1), &owners, &public(signer)))
    };
    for signer in 1..=4 {
        assert_eq!(verify(&chain(), signer), Ok(()));
    }
    assert_eq!(verify(&chain(), 5), Err(LinkError::NoOwner));
    assert_eq!(verify(&[], 2), Err(LinkError::NoOwner));
    assert_eq!(verify(&[Owner { id: b"a", key: 2, by: 5 }], 2), Err(LinkError::OwnerSignature));
}

#[test]
fn the_address_in_the_link_counts_when_it_is_one_of_the_relay() {
    // The same relay, with another port, with a host more, with one of its hosts only, with another identity.
    for server in [
        usual_relay(),
        relay(&["a.example"], 443, &[7; 32]),
        relay(&["a.example", "b.example", "abc.onion"], 5223, &[7; 32]),
        relay(&["abc.onion"], 5223, &[7; 32]),
        relay(&["a.example"], 5223, &[6; 32]),
    ] {
        let request = Address { server: server.clone(), ..Address::default() }.read().unwrap();
        assert_eq!(*request.queue(), queue(server.address(), QueueMode::Contact));
    }
    // Its first host is none of the relay's.
    for hosts in [&["b.example", "a.example"][..], &["abc.example"], &["b.onion"]] {
        let read = Address { server: relay(hosts, 5223, &[7; 32]), ..Address::default() }.read();
        assert_eq!(read, Err(LinkError::Address));
    }
    for sender_id in [QueueId::EMPTY, QueueId::new(&[9; 23]).unwrap(), QueueId::from_array(&[8; 24])] {
        assert_eq!(Address { sender_id, ..Address::default() }.read(), Err(LinkError::Address));
    }
}

#[test]
fn an_invitation_is_signed_by_its_root_only() {
    let ratchet = RatchetParameters {
        versions: VersionRange::RATCHET,
        first_key: X448PublicKey([1; 56]),
        second_key: X448PublicKey([2; 56]),
        encapsulation_key: None,
    };
    let request = ConnectionRequest::invitation(
        VersionRange::AGENT,
        queue(usual_relay().address(), QueueMode::Messaging),
        ratchet,
    );
    let data = FixedLinkData { connection_request: request, ..fixed_data(1) };
    let fixed = data.to_slice(&mut [0; 2048]).unwrap().to_vec();
    let link_key = LinkKey::of(&fixed);
    let key = link_key.invitation_key().unwrap();
    let user_data = UserData(b"who I am");
    let user = UserLinkData::Invitation { agent_versions: VersionRange::AGENT, user_data };
    let user = user.to_slice(&mut [0; 64]).unwrap().to_vec();
    let link = |key: &LinkKey| {
        ShortLink::invitation(LinkForm::Simplex, usual_relay(), LinkId::from_array(&[4; 24]), &key.0).unwrap()
    };
    let read = |link: &ShortLink, user: &[u8], signer| {
        let mut fixed = seal(&key, 1, &fixed, FIXED_LENGTH);
        let mut user = seal(&key, signer, user, USER_LENGTH);
        let (fixed, _) = short_link::read(link, SENDER_ID, &mut fixed, &mut user)?;
        Ok(fixed.connection_request)
    };
    assert_eq!(read(&link(&link_key), &user, 1), Ok(data.connection_request.clone()));
    assert_eq!(read(&link(&link_key), &user, 2), Err(LinkError::UserSignature));
    assert_eq!(read(&link(&LinkKey([8; 32])), &user, 1), Err(LinkError::Decrypt));
    // Data of an address, and a link to one.
    let invalid = Err(LinkError::Format(wire::Error::Invalid));
    assert_eq!(read(&link(&link_key), &contact_data(&[]), 1), invalid);
    let contact = ShortLink::contact(LinkForm::Simplex, LinkKind::Contact, usual_relay(), &link_key.0).unwrap();
    assert_eq!(read(&contact, &user, 1), Err(LinkError::Decrypt));
    let short_key = ShortLink::parse("simplex:/i#AAAA/AAAA?h=a.example").unwrap();
    assert_eq!(read(&short_key, &user, 1), Err(LinkError::Hash));
}

#[test]
fn only_data_that_fits_is_placed() {
    for (length, most) in [(FIXED_LENGTH, 1941), (USER_LENGTH, 13_717)] {
        let mut buffer = vec![0; length];
        assert_eq!(short_link::place(&Raw(&vec![3; most]), &mut buffer).unwrap(), vec![3; most]);
        assert_eq!(short_link::place(&Raw(&vec![3; most + 1]), &mut buffer), Err(smp_crypto::Error::Length));
    }
    assert_eq!(short_link::place(&Raw(&[]), &mut [0; 10]), Err(smp_crypto::Error::Length));
}
