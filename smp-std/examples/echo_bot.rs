//! A bot that answers every message with the same text, on a queue of the other side.
//!
//! It creates a queue on the relay and prints its address. Whoever writes to it sends, as the first message, the address
//! of an own queue; the bot answers there. Try it with a relay of your own:
//!
//! ```text
//! cargo run --release --bin smp-server
//! cargo run --example echo_bot -- 'smp://FINGERPRINT@localhost:5223'        prints BOT-ADDRESS
//! cargo run --bin smp receive --server 'smp://FINGERPRINT@localhost:5223'   prints YOUR-ADDRESS
//! cargo run --bin smp send --save bot.json 'BOT-ADDRESS' 'YOUR-ADDRESS'
//! cargo run --bin smp send --resume bot.json 'hello'
//! ```

use std::error::Error;

use smp_proto::uri::QueueUri;
use smp_std::client::{
    Backoff, Client, Event, Options, QueueOptions, ReceiveQueue, Received, ReconnectingClient, SendQueue,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server: smp_proto::address::ServerUri =
        std::env::args().nth(1).ok_or("give the address of a relay: smp://FINGERPRINT@HOST:PORT")?.parse()?;

    // A connection that comes back when it breaks, and subscribes again.
    let (client, mut events) =
        ReconnectingClient::start(server.server().clone(), Options::default(), Backoff::default());
    let created = client.create_queue(&QueueOptions::default()).await?;
    let mut queue = ReceiveQueue::new(server.server(), created)?;
    println!("{}", queue.uri()?);

    let mut answers: Option<(Client, SendQueue)> = None;
    while let Some(event) = events.next().await {
        match event {
            Event::Message(delivery) => {
                match queue.open(&delivery) {
                    Ok(Received::Message(message)) => {
                        // A sender that could not secure the queue itself asks the recipient to.
                        if let Some(key) = message.secure_with {
                            client.secure(queue.credentials(), key).await?;
                        }
                        let text = text_of(&message.body);
                        match &mut answers {
                            None => answers = Some(open_answers(&text).await?),
                            Some((connection, answers)) => answers.send(connection, text.as_bytes()).await?,
                        }
                    }
                    Ok(_) => eprintln!("the queue was full"),
                    Err(error) => eprintln!("dropped: {error}"),
                }
                // Only now: should the bot end before, the message comes again.
                client.acknowledge(queue.credentials(), &delivery.message_id).await?;
            }
            Event::Disconnected(error) if !error.is_temporary() => return Err(error.into()),
            event => eprintln!("{event:?}"),
        }
    }
    Ok(())
}

/// The text in a message of `smp send`, whose framing is 26 bytes long; messages of others are texts as they are.
fn text_of(body: &[u8]) -> String {
    let text = if body.starts_with(b"\0smp\x01") { body.get(26..).unwrap_or_default() } else { body };
    String::from_utf8_lossy(text).into_owned()
}

/// Prepares the queue that the first message names.
async fn open_answers(address: &str) -> Result<(Client, SendQueue), Box<dyn Error>> {
    let uri: QueueUri = address.trim().parse()?;
    let (connection, _events) = Client::connect_to(&uri.server(), &Options::default()).await?;
    let answers = SendQueue::new(&uri, connection.session().version)?;
    Ok((connection, answers))
}
