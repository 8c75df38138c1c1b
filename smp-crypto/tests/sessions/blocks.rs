//! Blocks of a session: they go both ways, and a bad one does no lasting harm.

use smp_crypto::{
    Error,
    session::{Block, Opener, Sealer, Session, SessionContext},
};
use smp_proto::transport::BLOCK_LENGTH;

use crate::{Party, connect, range};

fn seal(sealer: &mut Sealer, content: &[u8]) -> Block {
    let mut block = [0x5a; BLOCK_LENGTH];
    sealer.content_mut(&mut block)[..content.len()].copy_from_slice(content);
    sealer.seal(&mut block, content.len()).unwrap();
    block
}

fn open(opener: &mut Opener, mut block: Block) -> Result<Vec<u8>, Error> {
    let range = opener.open(&mut block)?;
    Ok(block[range].to_vec())
}

/// Sends blocks of several lengths, more in one direction than in the other.
pub(crate) fn exchange(server: &mut Session, client: &mut Session) {
    let longest = server.sealer.content_range().len();
    assert_eq!(longest, if server.is_encrypted() { 16_366 } else { 16_382 });
    assert_eq!(client.sealer.content_range(), server.sealer.content_range());
    for (number, length) in [0, 1, 100, longest].into_iter().enumerate() {
        let content = vec![number as u8; length];
        let block = seal(&mut server.sealer, &content);
        assert_eq!(open(&mut client.opener, block).unwrap(), content);
        if number % 2 == 0 {
            let block = seal(&mut client.sealer, &content);
            assert_eq!(open(&mut server.opener, block).unwrap(), content);
        }
    }
    assert_eq!(client.sealer.seal(&mut [0; BLOCK_LENGTH], longest + 1), Err(Error::Length));
    let block = seal(&mut client.sealer, b"a block that was not sealed does not count");
    assert!(open(&mut server.opener, block).is_ok());
}

fn sessions() -> (Session, Session) {
    let relay = Party::new(1);
    connect(&relay, range(6, 20), true, relay.client_configuration(range(6, 20))).unwrap()
}

#[test]
fn a_bad_block_counts_and_the_next_one_is_read() {
    let (mut server, mut client) = sessions();
    for byte in [0, 15, 16, 17, 18, 5_000, BLOCK_LENGTH - 1] {
        let mut bad = seal(&mut client.sealer, b"never read");
        bad[byte] ^= 1;
        assert_eq!(open(&mut server.opener, bad), Err(Error::Decrypt), "byte {byte}");
        let good = seal(&mut client.sealer, b"read");
        assert_eq!(open(&mut server.opener, good).unwrap(), b"read");
    }
}

#[test]
fn replayed_reordered_and_reflected_blocks_are_refused() {
    let (mut server, mut client) = sessions();
    let first = seal(&mut client.sealer, b"first");
    assert!(open(&mut server.opener, first).is_ok());
    assert_eq!(open(&mut server.opener, first), Err(Error::Decrypt), "replayed");
    // The replay took the place of the second block.
    let _lost = seal(&mut client.sealer, b"second");
    let third = seal(&mut client.sealer, b"third");
    let fourth = seal(&mut client.sealer, b"fourth");
    assert_eq!(open(&mut server.opener, fourth), Err(Error::Decrypt), "reordered");
    assert_eq!(open(&mut server.opener, third), Err(Error::Decrypt), "reordered");
    assert_eq!(open(&mut client.opener, third), Err(Error::Decrypt), "reflected");
    let fifth = seal(&mut client.sealer, b"fifth");
    assert_eq!(open(&mut server.opener, fifth).unwrap(), b"fifth");
}

#[test]
fn blocks_without_encryption_may_be_malformed_too() {
    let relay = Party::new(1);
    let (mut server, mut client) =
        connect(&relay, range(6, 10), true, relay.client_configuration(range(6, 20))).unwrap();
    assert!(matches!(open(&mut server.opener, [0xff; BLOCK_LENGTH]), Err(Error::Format(_))));
    let block = seal(&mut client.sealer, b"fine");
    assert_eq!(open(&mut server.opener, block).unwrap(), b"fine");
}

#[test]
fn halves_work_on_their_own() {
    let (server, client) = sessions();
    let Session { context, mut sealer, .. } = server;
    let Session { mut opener, .. } = client;
    let sending = std::thread::spawn(move || [b"one", b"two"].map(|content| seal(&mut sealer, content)));
    let [one, two] = sending.join().unwrap();
    assert_eq!(open(&mut opener, one).unwrap(), b"one");
    assert_eq!(open(&mut opener, two).unwrap(), b"two");
    assert!(context.peer_key().is_some());
}

/// A relay holds one session for each connection, most of which are idle.
#[test]
fn sessions_are_small_and_keep_their_secrets() {
    assert!(size_of::<Session>() <= 320, "{}", size_of::<Session>());
    assert!(size_of::<SessionContext>() <= 256, "{}", size_of::<SessionContext>());
    assert!(size_of::<Sealer>() <= 40 && size_of::<Opener>() <= 40);
    let (server, client) = sessions();
    assert!(client.context.own_secret_key().is_none());
    let text = format!("{server:?}");
    let own = hex::encode(server.context.own_secret_key().unwrap().as_bytes());
    assert!(text.contains("Secret(..)") && !text.contains(&own) && !text.contains("7, 7, 7"), "{text}");
}
