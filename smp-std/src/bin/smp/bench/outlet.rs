//! Where senders of a measurement send: to the relay, or to a proxy.

use smp_proto::version::SmpVersion;
use smp_std::client::{Client, ClientError, Credentials, Route, SenderCommands};

use super::{Arguments, in_parallel};
use crate::failure::Failure;

/// A sender's way to the relay.
#[derive(Clone)]
pub(super) struct Outlet {
    way: Way,
    pub(super) version: SmpVersion,
}

#[derive(Clone)]
enum Way {
    Direct(Box<Client>),
    Via(Box<Route>),
}

impl Outlet {
    pub(super) async fn secure_by_sender(&self, queue: &Credentials) -> Result<(), ClientError> {
        match &self.way {
            Way::Direct(client) => client.secure_by_sender(queue).await,
            Way::Via(route) => route.secure_by_sender(queue).await,
        }
    }

    pub(super) async fn send(&self, queue: &Credentials, body: &[u8]) -> Result<(), ClientError> {
        match &self.way {
            Way::Direct(client) => client.send(&queue.id, Some(&queue.key), false, body).await,
            Way::Via(route) => route.send(&queue.id, Some(&queue.key), false, body).await,
        }
    }
}

/// Opens the connections of senders: to the relay, or each to one of the proxies.
pub(super) async fn connect(arguments: &Arguments) -> Result<Vec<Outlet>, Failure> {
    if !arguments.via.is_used() {
        let clients = arguments.connect(arguments.connections, "connecting").await?.into_iter();
        let outlet = |(client, _)| {
            let client: Client = client;
            Outlet { version: client.session().version, way: Way::Direct(Box::new(client)) }
        };
        return Ok(clients.map(outlet).collect());
    }
    let (server, via, options) = (arguments.server.clone(), arguments.via.clone(), arguments.options());
    in_parallel(arguments.connections, "connecting to a proxy", move |_| {
        let route = via.route(&server.address(), options.clone());
        async move {
            let route = route?;
            Ok(Outlet { version: route.version().await?, way: Way::Via(Box::new(route)) })
        }
    })
    .await
}
