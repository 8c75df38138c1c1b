//! Attacks within a session: blocks and transmissions that no honest client sends. The session answers and goes on, or
//! ends by its time-outs.

use std::time::Duration;

use rand::RngExt;
use smp_crypto::key::AuthorizationSecretKey;
use smp_proto::smp::Command;
use smp_proto::smp::recipient::QueueMode;
use smp_proto::transport::BLOCK_LENGTH;
use smp_std::net::NetError;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use crate::harness::{PATIENCE, RawClient, Received, send_command};
use crate::process::RelayProcess;

type Block = Box<[u8; BLOCK_LENGTH]>;

/// A block as this session would send it next, with `content` as it is.
fn sealed(client: &mut RawClient, content: &[u8]) -> Block {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    client.session.sealer.content_mut(&mut block)[..content.len()].copy_from_slice(content);
    client.session.sealer.seal(&mut block, content.len()).unwrap();
    block
}

/// A batch of transmissions as they are.
fn batch(transmissions: &[Vec<u8>]) -> Vec<u8> {
    let mut content = vec![u8::try_from(transmissions.len()).unwrap()];
    for transmission in transmissions {
        content.extend(u16::try_from(transmission.len()).unwrap().to_be_bytes());
        content.extend(transmission);
    }
    content
}

/// An unauthorized transmission with ids of any length.
fn transmission(correlation: &[u8], entity: &[u8], command: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for id in [correlation, entity] {
        bytes.push(u8::try_from(id.len()).unwrap());
        bytes.extend(id);
    }
    bytes.extend(command);
    bytes
}

async fn transmit(client: &mut RawClient, block: &[u8; BLOCK_LENGTH]) {
    client.tls.write_block(block).await.unwrap();
    client.tls.flush().await.unwrap();
}

fn is_block_error(received: &Received) -> bool {
    received.text() == "ERR BLOCK" && received.correlation.is_empty() && received.entity.is_empty()
}

async fn expect_block_error(client: &mut RawClient, what: &str) {
    let received = client.receive().await;
    assert!(is_block_error(&received), "{what}: {}", received.text());
}

async fn still_works(client: &mut RawClient, what: &str) {
    let answer = timeout(PATIENCE, client.tell(None, b"", &Command::Ping)).await;
    assert_eq!(answer.as_deref(), Ok("PONG"), "{what}: the session does not go on");
}

/// The versions whose blocks and transmissions look different.
const VERSIONS: [u16; 5] = [6, 7, 9, 11, 14];

pub(crate) async fn broken_contents(relay: &RelayProcess) {
    let contents: [&[u8]; 9] =
        [&[], &[0], &[255], &[1], &[1, 0], &[2, 0, 1, 0], &[1, 0, 0, 9], &[1, 0xff, 0xff], &[255, 0, 0, 0, 0, 0, 0, 0]];
    for version in VERSIONS {
        let mut client = relay.client_at(version).await;
        for content in contents {
            let block = sealed(&mut client, content);
            transmit(&mut client, &block).await;
            expect_block_error(&mut client, &format!("content {content:?}")).await;
        }
        still_works(&mut client, "broken contents").await;

        // Damage at either end and in the middle, of what is sealed or, at old versions, of the padding's length.
        for (place, value) in [(0, 0xff), (1, 0xff), (2, 0xff), (8_000, 0xff), (BLOCK_LENGTH - 1, 0xff)] {
            let (correlation, ping) = client.encode(None, b"", &Command::Ping);
            let mut block = sealed(&mut client, &batch(&[ping]));
            block[place] ^= value;
            transmit(&mut client, &block).await;
            // Old versions do not protect the padding itself; only the places that count are damaged there.
            let received = client.receive().await;
            let harmless = version < 11 && received.text() == "PONG" && received.correlation == correlation;
            assert!(is_block_error(&received) || harmless, "version {version}, {place}: {}", received.text());
        }
        still_works(&mut client, "damaged blocks").await;
    }
}

/// Blocks at the wrong time: twice, in the wrong order, from another session.
pub(crate) async fn misplaced_blocks(relay: &RelayProcess) {
    for version in [11, 14] {
        let mut client = relay.client_at(version).await;
        let (correlation, ping) = client.encode(None, b"", &Command::Ping);
        let block = sealed(&mut client, &batch(&[ping]));
        transmit(&mut client, &block).await;
        assert_eq!(client.response_to(&correlation).await.text(), "PONG");
        for _ in 0..3 {
            transmit(&mut client, &block).await;
            expect_block_error(&mut client, "a replayed block").await;
            // The relay's keys have moved on with it.
            let _ = sealed(&mut client, &[]);
        }
        still_works(&mut client, "replayed blocks").await;

        let (first, second) = (sealed(&mut client, &[0]), sealed(&mut client, &[0]));
        for block in [second, first] {
            transmit(&mut client, &block).await;
            expect_block_error(&mut client, "blocks in the wrong order").await;
        }
        still_works(&mut client, "blocks in the wrong order").await;

        let mut other = relay.client_at(version).await;
        let (_, ping) = other.encode(None, b"", &Command::Ping);
        let block = sealed(&mut other, &batch(&[ping]));
        transmit(&mut client, &block).await;
        expect_block_error(&mut client, "another session's block").await;
        let _ = sealed(&mut client, &[]);
        still_works(&mut client, "another session's block").await;
    }
    // A command that was authorized for one session is nothing in another.
    for version in VERSIONS {
        let (mut client, mut other) = (relay.client_at(version).await, relay.client_at(version).await);
        let queue = client.new_queue(QueueMode::Contact, false).await;
        let (correlation, suspend) = client.encode(Some(&queue.key), &queue.recipient_id, &Command::Suspend);
        other.send_block(&[suspend]).await;
        let answer = other.response_to(&correlation).await.text();
        assert_eq!(answer, if version == 6 { "ERR SESSION" } else { "ERR AUTH" });
        assert_eq!(other.tell(None, &queue.sender_id, &send_command(b"hello")).await, "OK", "not suspended");
    }
}

pub(crate) async fn broken_transmissions(relay: &RelayProcess) {
    let mut client = relay.client().await;
    // As many as a batch holds, none of them a transmission.
    let malformed: Vec<Vec<u8>> = (0..255u8)
        .map(|number| [&[][..], &[0], &[5, 1], &[0, 0], &[0, 9, 1]][usize::from(number) % 5].to_vec())
        .collect();
    let block = sealed(&mut client, &batch(&malformed));
    transmit(&mut client, &block).await;
    for _ in 0..255 {
        expect_block_error(&mut client, "a malformed transmission").await;
    }
    still_works(&mut client, "malformed transmissions").await;

    // Authorizations of lengths that nothing has.
    for length in [1, 63, 65, 79, 81, 113, 115, 255] {
        let mut bytes = vec![length];
        bytes.resize(1 + usize::from(length), 7);
        // No service signature.
        bytes.push(b'0');
        bytes.extend_from_slice(&transmission(&[3; 24], b"", b"PING")[1..]);
        let block = sealed(&mut client, &batch(&[bytes]));
        transmit(&mut client, &block).await;
        let received = client.receive().await;
        assert_eq!((received.text().as_str(), &received.correlation[..]), ("ERR BLOCK", &[3; 24][..]));
    }

    for length in [0, 1, 23, 25, 255] {
        let (correlation, entity) = (vec![1; length], vec![2; length]);
        let ping = transmission(&correlation, b"", b"PING");
        let with_entity = transmission(&correlation, &entity, b"SEND T hello");
        let block = sealed(&mut client, &batch(&[ping, with_entity]));
        transmit(&mut client, &block).await;
        let pong = client.receive().await;
        assert_eq!((pong.text().as_str(), &pong.correlation), ("PONG", &correlation));
        let refused = client.receive().await;
        let expected = if length == 0 { "ERR CMD NO_ENTITY" } else { "ERR AUTH" };
        assert_eq!((refused.text().as_str(), &refused.correlation, &refused.entity), (expected, &correlation, &entity));
    }
    // The longest ids in the longest answers.
    let wordy: Vec<Vec<u8>> = (0..31).map(|_| transmission(&[1; 255], &[2; 255], b"SEND T ")).collect();
    let block = sealed(&mut client, &batch(&wordy));
    transmit(&mut client, &block).await;
    for _ in &wordy {
        assert_eq!(client.receive().await.text(), "ERR AUTH");
    }
    still_works(&mut client, "strange ids").await;
}

const TAGS: [&str; 25] = [
    "NEW", "SUB", "SUBS", "KEY", "RKEY", "LSET", "LDEL", "NKEY", "NDEL", "GET", "ACK", "OFF", "DEL", "QUE", "SKEY",
    "SEND", "LKEY", "LGET", "NSUB", "NSUBS", "PING", "PRXY", "PFWD", "RFWD", "RSLV",
];

/// Commands of every kind with anything behind them, authorized and not: one answer each, and the queue they are about
/// is what it was, unless a command was good by chance.
pub(crate) async fn random_commands(relay: &RelayProcess) {
    for version in [6, 14] {
        let mut client = relay.client_at(version).await;
        let queue = client.new_queue(QueueMode::Messaging, false).await;
        let stranger = AuthorizationSecretKey::generate_ed25519(&mut rand::rng());
        for round in 0..4 {
            for tag in TAGS {
                let mut random = vec![0; [0, 1, 40, 300][round]];
                rand::rng().fill(&mut random[..]);
                let separator = if round == 0 { "" } else { " " };
                let command = [tag.as_bytes(), separator.as_bytes(), &random].concat();
                let entities: [&[u8]; 3] = [b"", &queue.recipient_id, &queue.sender_id];
                let (mut correlations, mut block) = (Vec::new(), Vec::new());
                for entity in entities {
                    // What the owner may do is not for this test.
                    for key in [None, Some(&stranger)] {
                        let (correlation, bytes) = client.encode_raw(key, entity, &command);
                        correlations.push(correlation);
                        block.push(bytes);
                    }
                }
                client.send_block(&block).await;
                for correlation in correlations {
                    let answer = client.response_to(&correlation).await.text();
                    let expected = answer.starts_with("ERR ") || ["OK", "PONG"].contains(&answer.as_str());
                    assert!(expected, "version {version}: {tag} {random:?}: {answer}");
                }
            }
        }
        assert_eq!(client.tell(Some(&queue.key), &queue.recipient_id, &Command::Delete).await, "OK");
    }
}

async fn expect_end(client: &mut RawClient, what: &str) {
    let mut block = Box::new([0; BLOCK_LENGTH]);
    let end = timeout(PATIENCE, client.tls.read_block(&mut block)).await.unwrap_or_else(|_| panic!("{what}: no end"));
    let ended = matches!(end, Err(NetError::Closed | NetError::Truncated | NetError::Io(_) | NetError::Tls(_)));
    assert!(ended, "{what}: {end:?}");
}

/// Blocks and records that begin and do not end, and goodbyes in the middle of them.
pub(crate) async fn truncated_blocks(relay: &RelayProcess) {
    let cut = [1, 16, 8_000, BLOCK_LENGTH - 1].map(|length| async move {
        let mut client = relay.client().await;
        let block = sealed(&mut client, &[0]);
        client.tls.write_all(&block[..length]).await.unwrap();
        client.tls.flush().await.unwrap();
        expect_end(&mut client, "half a block").await;
    });
    let dribbled = async {
        let mut client = relay.client().await;
        for _ in 0..BLOCK_LENGTH {
            if client.tls.write_all(&[7]).await.is_err() || client.tls.flush().await.is_err() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("a block may take as long as it likes");
    };
    // The header of a record and a part of it.
    let record_left = [1, 5, 6, 1_000].map(|length| async move {
        let mut client = relay.client().await;
        let mut record = vec![23, 3, 3, 0x40, 0x11];
        record.resize(1_000, 1);
        assert_eq!(client.tls.get_ref().try_write(&record[..length]).unwrap(), length);
        expect_end(&mut client, "half a record").await;
    });
    let record_dribbled = async {
        let client = relay.client().await;
        let mut record = vec![23, 3, 3, 0x40, 0x11];
        record.resize(0x4011, 1);
        for byte in record {
            if client.tls.get_ref().try_write(&[byte]).is_err() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("a record may take as long as it likes");
    };
    let nonsense = async {
        for record in [&[23, 3, 3, 0, 20][..], &[22, 3, 3, 0, 20], &[21, 3, 3, 0, 20], &[99, 9, 9, 0, 20]] {
            let mut client = relay.client().await;
            let bytes = [record, &[5; 20]].concat();
            assert_eq!(client.tls.get_ref().try_write(&bytes).unwrap(), bytes.len());
            expect_end(&mut client, "a record that is none").await;
        }
    };
    let goodbyes = async {
        for length in [0, 1, 8_000] {
            let mut client = relay.client().await;
            client.tls.write_all(&vec![7; length]).await.unwrap();
            client.tls.close().await.unwrap();
            expect_end(&mut client, "a goodbye in a block").await;
            let mut client = relay.client().await;
            client.tls.write_all(&vec![7; length]).await.unwrap();
            client.tls.flush().await.unwrap();
            SockRef::from(client.tls.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
        }
    };
    let record_left = futures_util::future::join_all(record_left);
    tokio::join!(futures_util::future::join_all(cut), dribbled, record_left, record_dribbled, nonsense, goodbyes);
}
