//! Takes messages for as long as it runs, through losses of the connection and restarts of the relay.
//!
//! ```text
//! cargo run -p examples --bin answering-machine -- 'smp://FINGERPRINT@HOST:PORT'
//! ```
//!
//! It prints the queue's address; `smp send ADDRESS TEXT` and the example `alarm` send to it. The queue is deleted when
//! the program is stopped with Ctrl-C: a program that wants to keep it stores `ReceiveQueue::to_parts`.

use std::error::Error;

use smp_std::client::{Backoff, Event, Options, QueueOptions, ReceiveQueue, Received, ReconnectingClient, ServerUri};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("name a relay: smp://FINGERPRINT@HOST:PORT")?;
    let server: ServerUri = address.parse()?;
    let (client, mut events) =
        ReconnectingClient::start(server.server().clone(), Options::default(), Backoff::default());

    let created = client.create_queue(&QueueOptions::default()).await?;
    let mut queue = ReceiveQueue::new(server.server(), created)?;
    println!("{}", queue.uri()?);

    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => break,
        };
        match event {
            Some(Event::Message(delivery)) => {
                if let Received::Message(message) = queue.open(&delivery)? {
                    println!("{}", String::from_utf8_lossy(&message.body));
                }
                // From here on the relay forgets it. Another loss of the connection brings it once more.
                if let Err(error) = client.acknowledge(queue.credentials(), &delivery.message_id).await {
                    eprintln!("not acknowledged: {error}");
                }
            }
            Some(Event::Connected) => eprintln!("connected"),
            Some(Event::Waiting(error, pause)) => eprintln!("{error}; next attempt in {} s", pause.as_secs()),
            Some(Event::Disconnected(error)) => eprintln!("{error}"),
            Some(other) => eprintln!("{other:?}"),
            None => return Err("the relay cannot be used".into()),
        }
    }
    client.delete(queue.credentials()).await?;
    Ok(())
}
