//! Connections that are opened and left alone.

use serde::Serialize;
use smp_std::client::{Client, Credentials, Events, QueueOptions};

use super::report::{bytes, print_json};
use super::{Arguments, in_parallel, process::Usage};
use crate::failure::{Failure, OTHER};
use crate::progress::note;

/// What idle connections cost.
#[derive(Serialize)]
struct Results {
    connections: u32,
    subscribed: u32,
    /// Still open at the end.
    alive: usize,
    seconds_to_connect: f64,
    server_memory_before: Option<u64>,
    server_memory_after: Option<u64>,
    server_bytes_per_connection: Option<f64>,
    client_bytes_per_connection: Option<f64>,
}

pub(super) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let usage = || arguments.server_pid.and_then(Usage::of);
    // What the first connection costs once is not a cost of each.
    drop(arguments.connect(1, "connecting").await?);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let (before, own_before) = (usage(), Usage::own());
    let started = tokio::time::Instant::now();
    note(format_args!("opening {} connections", arguments.connections));
    let connections = arguments.connect(arguments.connections, "connecting").await?;
    let queues = subscribe(arguments, &connections).await?;
    let seconds_to_connect = started.elapsed().as_secs_f64();
    note(format_args!("leaving them alone for {} s", arguments.duration));
    tokio::time::sleep(arguments.duration()).await;
    let (after, own_after) = (usage(), Usage::own());
    let per_connection = |before: Option<Usage>, after: Option<Usage>| {
        let more = after?.memory.saturating_sub(before?.memory);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        Some(more as f64 / f64::from(arguments.connections))
    };
    let results = Results {
        connections: arguments.connections,
        subscribed: arguments.queues.unwrap_or(0).min(arguments.connections),
        alive: connections.iter().filter(|(client, _)| !client.is_closed()).count(),
        seconds_to_connect,
        server_memory_before: before.map(|usage| usage.memory),
        server_memory_after: after.map(|usage| usage.memory),
        server_bytes_per_connection: per_connection(before, after),
        client_bytes_per_connection: per_connection(own_before, own_after),
    };
    if arguments.json {
        print_json(&results)?
    } else {
        results.print()
    }
    for (client, queue) in queues {
        let _ = client.delete(&queue).await;
    }
    if results.alive < connections.len() {
        return Err(Failure::new(OTHER, format_args!("{} connections were closed", connections.len() - results.alive)));
    }
    Ok(())
}

/// Lets the first connections subscribe to a queue each.
async fn subscribe(
    arguments: &Arguments,
    connections: &[(Client, Events)],
) -> Result<Vec<(Client, Credentials)>, Failure> {
    let count = arguments.queues.unwrap_or(0).min(arguments.connections);
    let clients: Vec<Client> = connections.iter().map(|(client, _)| client.clone()).collect();
    let password = arguments.server.password().map(|password| password.as_bytes().to_vec());
    in_parallel(count, "creating queue", move |number| {
        let client = usize::try_from(number).ok().and_then(|number| clients.get(number).cloned());
        let password = password.clone();
        async move {
            let client = client.ok_or(smp_std::client::ClientError::Closed)?;
            let mut options = QueueOptions::default();
            options.password = password.as_deref();
            let created = client.create_queue(&options).await?;
            Ok((client, created.recipient))
        }
    })
    .await
}

impl Results {
    fn print(&self) {
        say!("connections         {} ({} subscribed), {} alive", self.connections, self.subscribed, self.alive);
        say!("time to connect     {:.1} s", self.seconds_to_connect);
        if let (Some(before), Some(after), Some(each)) =
            (self.server_memory_before, self.server_memory_after, self.server_bytes_per_connection)
        {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let (before, after) = (before as f64, after as f64);
            say!("relay, resident     {} before, {} after", bytes(before), bytes(after));
            say!("relay, each         {}", bytes(each));
        }
        if let Some(each) = self.client_bytes_per_connection {
            say!("this program, each  {}", bytes(each));
        }
    }
}
