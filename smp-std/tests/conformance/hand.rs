//! Transmissions written by hand (wire reference, sections 1, 6.2 and 6.3).

use smp_crypto::authorization::authorize;
use smp_crypto::key::AuthorizationSecretKey;
use smp_proto::id::CorrelationId;

use crate::harness::{RawClient, Received};

/// `str`
pub(crate) fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// `lstr`
pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// The SPKI of a key, as `key`.
pub(crate) fn key(key: &AuthorizationSecretKey) -> Vec<u8> {
    let public = key.public_key();
    let mut buffer = [0; 80];
    let mut writer = smp_proto::wire::Writer::new(&mut buffer);
    smp_proto::wire::Encode::encode(&public, &mut writer).unwrap();
    writer.written().to_vec()
}

/// One transmission with a correlation id of its own.
pub(crate) struct Transmission {
    pub(crate) correlation: [u8; 24],
    pub(crate) bytes: Vec<u8>,
}

/// A transmission for the session of `client`.
pub(crate) fn transmission(
    client: &RawClient,
    correlation: [u8; 24],
    authorization: Option<&AuthorizationSecretKey>,
    entity: &[u8],
    command: &[u8],
) -> Transmission {
    let (version, context) = (client.version().0, &client.session.context);
    let session = context.session_id();
    let signed = [short(session.as_bytes()), short(&correlation), short(entity), command.to_vec()].concat();
    let authorization = match authorization {
        None => Vec::new(),
        Some(key) => {
            let made = authorize(key, context.peer_key(), CorrelationId::from_array(&correlation), &signed).unwrap();
            let bytes = made.as_authorization().as_bytes().to_vec();
            // No service signature.
            if version >= 16 { [short(&bytes), vec![b'0']].concat() } else { short(&bytes) }
        }
    };
    let authorization = if authorization.is_empty() { vec![0] } else { authorization };
    let session = if version == 6 { short(session.as_bytes()) } else { Vec::new() };
    let bytes = [authorization, session, short(&correlation), short(entity), command.to_vec()].concat();
    Transmission { correlation, bytes }
}

/// Sends a command and gives the response.
pub(crate) async fn ask(
    client: &mut RawClient,
    authorization: Option<&AuthorizationSecretKey>,
    entity: &[u8],
    command: &[u8],
) -> Received {
    ask_as(client, rand::random(), authorization, entity, command).await
}

/// As [`ask`], with a correlation id of the caller's.
pub(crate) async fn ask_as(
    client: &mut RawClient,
    correlation: [u8; 24],
    authorization: Option<&AuthorizationSecretKey>,
    entity: &[u8],
    command: &[u8],
) -> Received {
    let transmission = transmission(client, correlation, authorization, entity, command);
    client.send_block(&[transmission.bytes]).await;
    client.response_to(&transmission.correlation).await
}

/// Sends commands in as few blocks as they fit in, and gives their responses in order.
pub(crate) async fn ask_all(
    client: &mut RawClient,
    authorization: Option<&AuthorizationSecretKey>,
    entity: &[u8],
    commands: &[Vec<u8>],
) -> Vec<Received> {
    let mut responses = Vec::with_capacity(commands.len());
    for commands in commands.chunks(30) {
        let transmissions: Vec<_> = commands
            .iter()
            .map(|command| transmission(client, rand::random(), authorization, entity, command))
            .collect();
        let mut blocks: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
        let mut length = 0;
        for transmission in &transmissions {
            if length + transmission.bytes.len() + 2 > 16_000 {
                blocks.push(Vec::new());
                length = 0;
            }
            length += transmission.bytes.len() + 2;
            blocks.last_mut().unwrap().push(transmission.bytes.clone());
        }
        for block in blocks {
            client.send_block(&block).await;
        }
        for transmission in transmissions {
            responses.push(client.response_to(&transmission.correlation).await);
        }
    }
    responses
}
