//! `smp notifier`: lets a device learn that messages wait, without letting it read them.

use std::path::PathBuf;

use clap::Args;
use smp_proto::address::{Scheme, ServerUri};
use smp_proto::key::AuthorizationKey;
use smp_proto::wire::{Base64, base64_url_decode};
use smp_std::client::{Client, Options};

use crate::failure::{Context, Failure, USAGE};
use crate::network::Network;
use crate::state::{Receiver, StateFile};

/// The longest key in bytes: Ed448.
const KEY_CAPACITY: usize = 128;

/// Let a device learn that messages wait in a queue, without letting it read them.
///
/// The device makes a key of its own and shows its public half, KEY. What this prints is for the device to know: the
/// relay's address and, behind #, the device's name for the queue. With both it hears of each message when it arrives, and
/// of nothing else: neither what the message says, nor when it was sent, nor by whom.
///
/// A queue has one notifier. An earlier one hears nothing any more. The queue can be received by another program
/// meanwhile.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file in which `smp receive --save` keeps the queue.
    #[arg(long, value_name = "FILE")]
    resume: PathBuf,
    /// The device's public key, as it shows it: base64url of its DER form.
    #[arg(value_name = "KEY", value_parser = parse_key, required_unless_present = "remove")]
    key: Option<AuthorizationKey>,
    /// Take the notifier away instead.
    #[arg(long, conflicts_with = "key")]
    remove: bool,
    #[command(flatten)]
    network: Network,
}

fn parse_key(text: &str) -> Result<AuthorizationKey, String> {
    let mut buffer = [0; KEY_CAPACITY];
    let der = base64_url_decode(text.as_bytes(), &mut buffer).map_err(|error| error.to_string())?;
    AuthorizationKey::from_spki(der).map_err(|_| "this is not a public key (Ed25519, Ed448 or X25519)".into())
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let (queue, _) = StateFile::resume(&arguments.resume).read(Receiver::restore)?;
    let parts = queue.to_parts();
    let mut options = Options::interactive();
    arguments.network.apply(&mut options);
    let (client, _events) = Client::connect_to(&parts.server.address(), &options).await.context("connecting")?;
    match (arguments.key, arguments.remove) {
        (None, true) => client.disable_notifications(&parts.credentials).await.context("removing the notifier")?,
        (Some(key), _) => {
            let access = client.enable_notifications(&parts.credentials, key).await.context("adding the notifier")?;
            let server = ServerUri::new(Scheme::Smp, parts.server, None);
            say!("{server}#{}", Base64(access.notifier_id.as_bytes()));
        }
        (None, false) => return Err(Failure::new(USAGE, "name the notifier's key")),
    }
    Ok(())
}
