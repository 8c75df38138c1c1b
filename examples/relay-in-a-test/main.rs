//! Runs a relay inside a program, with everything in memory: what a test of a client needs.
//!
//! ```text
//! cargo run -p examples --bin relay-in-a-test
//! ```

use std::error::Error;
use std::sync::Arc;

use smp_std::client::{Client, Options, ServerUri};
use smp_std::identity::{Identity, KeyAlgorithm};
use smp_std::net::Listener;
use smp_std::relay::config::Config;
use smp_std::relay::store::{Store, StoreOptions};
use smp_std::relay::{Relay, Wakeups};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let identity = Identity::create(directory.path(), KeyAlgorithm::Ed25519, "localhost")?;
    let wakeups = Wakeups::default();
    let store = Store::memory(StoreOptions { observer: Some(Arc::new(wakeups.clone())), ..StoreOptions::default() })?;
    let relay = Relay::new(Config::default(), &identity, store, &wakeups)?;

    // Port 0: the system chooses a free one.
    let listener = Listener::bind("127.0.0.1:0".parse()?)?;
    let port = listener.local_address()?.port();
    let serving = tokio::spawn({
        let relay = Arc::clone(&relay);
        async move { relay.serve(vec![listener]).await }
    });

    let address: ServerUri = identity.address("127.0.0.1", port).parse()?;
    let (client, _events) = Client::connect(&address, &Options::interactive()).await?;
    client.ping().await?;
    println!("{address}: version {} answers", client.session().version);

    relay.stop();
    serving.await??;
    Ok(())
}
