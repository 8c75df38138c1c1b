//! Sends one encrypted line to a queue, as a sensor would, and tells whether it is safe on the relay's disk.
//!
//! ```text
//! cargo run -p examples --bin alarm -- 'smp://…#/?…' 'the cellar is wet'
//! ```
//!
//! The first message makes the queue the sender's own. A program that sends more than once keeps `SendQueue::to_parts`.

use std::error::Error;

use smp_std::client::{Client, Options, QueueUri, SendQueue};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("name the address of a queue and a text".into());
    };
    let address: QueueUri = address.parse()?;
    let (client, _events) = Client::connect_to(&address.server(), &Options::interactive()).await?;
    let mut queue = SendQueue::new(&address, client.session().version)?;
    queue.send(&client, text.as_bytes()).await?;
    println!("accepted");
    Ok(())
}
