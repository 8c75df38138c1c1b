//! The text of a new configuration file.

use std::net::SocketAddr;

use super::{
    Config, Engine, control, disk, information, metrics, names, notifications, proxy, rates, services, stats, web,
};

/// What `init` was told; the rest of the file are defaults.
#[derive(Clone, Default)]
pub struct Choices {
    /// Socket addresses; the default when empty.
    pub listen: Vec<SocketAddr>,
    /// Host names; `localhost` when empty.
    pub hosts: Vec<String>,
    /// Port of the address.
    pub port: Option<u16>,
    /// Password for new queues.
    pub password: Option<String>,
    /// The kind of store.
    pub engine: Option<Engine>,
}

/// The text of a new configuration file, with every option explained.
#[must_use]
pub fn template(choices: &Choices) -> String {
    let defaults = Config::default();
    let listen = if choices.listen.is_empty() { &defaults.server.listen } else { &choices.listen };
    let listen: Vec<String> = listen.iter().map(|address| quoted(&address.to_string())).collect();
    let hosts = if choices.hosts.is_empty() { &defaults.server.hosts } else { &choices.hosts };
    let hosts: Vec<String> = hosts.iter().map(|host| quoted(host)).collect();
    let port = match choices.port {
        Some(port) => format!("port = {port}"),
        None => "# port = 5223".to_owned(),
    };
    let password = match &choices.password {
        Some(password) => format!("password = {}", quoted(password)),
        None => "# password = \"\"".to_owned(),
    };
    let engine = match choices.engine.unwrap_or_default() {
        Engine::Fjall => "fjall",
        Engine::Memory => "memory",
    };
    let (messages, store, limits, inactive) =
        (&defaults.messages, &defaults.store, &defaults.limits, &defaults.inactive_clients);
    let text = format!(
        r#"# Configuration of this SMP relay. Lines that start with # are comments; a value that is commented out shows the default.
# A running relay reads changes when it gets the signal HUP, and says in its log which of them wait for the next start.

[server]
# Socket addresses to accept connections on. "[::]:5223" means every address of the machine, IPv4 and IPv6.
listen = [{listen}]
# Host names in the address that users get, the main one first. Onion hosts go behind the public name.
hosts = [{hosts}]
# Port in the address that users get, when it is not the port of the first socket above (behind a port forward).
{port}

[queues]
# Whether clients can create new queues. Existing queues keep working when this is false.
allow_new = true
# Password that clients must have in the relay's address to create queues. Without it everybody can.
{password}
# Queues in all; beyond it none can be created. The default is 2000000, with the memory store 100000.
# max = 2000000

[messages]
# Messages that one queue holds before its sender is told to wait for the recipient.
quota = {quota}
# Messages in all queues together, of up to 16 KiB each; beyond it senders are told to wait. The default is 1000000, with
# the memory store 20000. Choose it so that the disk cannot run full: then the relay would have to stop.
# max = 1000000
# Days after which messages that nobody fetched are dropped; 0 keeps them for ever. Days on which the relay was away do not
# count, nor does what happens to the clock.
expire_days = {expire_days}
# Whether a queue is also looked through whenever a message is sent to it.
expire_on_send = {expire_on_send}
# Seconds between two looks through all queues.
sweep_interval_seconds = {sweep}

[store]
# "fjall": on disk in the folder "store"; nothing that was acknowledged is lost, not even at a power cut.
# "memory": nothing on disk; queues and messages are gone when the relay stops.
engine = "{engine}"
# Memory for what was read from disk, in MiB.
cache_mib = {cache}
# Changes that may wait for the disk at one time, in MiB; beyond it clients are slowed down.
in_flight_mib = {in_flight}

[limits]
# Connections in total. An idle one takes about 20 KiB with all it needs in the relay and the kernel.
connections = {connections}
# Connections from one address (from one /64 network with IPv6). Loopback, where Tor connects from, is exempt.
connections_per_address = {per_address}
# Connections that are still in their handshakes; beyond it the oldest of them is closed.
handshakes = {handshakes}
# Seconds for a connection to finish TLS, and then the SMP handshake.
tls_timeout_seconds = {tls}
handshake_timeout_seconds = {handshake}
# Seconds for a block to arrive once it has begun, and for a peer to take a block.
block_timeout_seconds = {block}
write_timeout_seconds = {write}
# Responses one connection may wait for before the relay stops reading its commands.
pending_responses = {pending}
# Queues one connection may be subscribed to.
subscriptions_per_connection = {subscriptions}
# Queues all connections together may be subscribed to. Each takes about 200 bytes.
subscriptions = {all_subscriptions}

[inactive_clients]
# Whether connections without any subscription are closed when nothing was sent or received for ttl_seconds.
disconnect = {disconnect}
ttl_seconds = {ttl}
check_interval_seconds = {check}
"#,
        listen = listen.join(", "),
        hosts = hosts.join(", "),
        quota = messages.quota,
        expire_days = messages.expire_days,
        expire_on_send = messages.expire_on_send,
        sweep = messages.sweep_interval_seconds,
        cache = store.cache_mib,
        in_flight = store.in_flight_mib,
        connections = limits.connections,
        per_address = limits.connections_per_address,
        handshakes = limits.handshakes,
        tls = limits.tls_timeout_seconds,
        handshake = limits.handshake_timeout_seconds,
        block = limits.block_timeout_seconds,
        write = limits.write_timeout_seconds,
        pending = limits.pending_responses,
        subscriptions = limits.subscriptions_per_connection,
        all_subscriptions = limits.subscriptions,
        disconnect = inactive.disconnect,
        ttl = inactive.ttl_seconds,
        check = inactive.check_interval_seconds,
    );
    [
        text,
        proxy::template(),
        rates::template(),
        disk::template(),
        notifications::template(),
        information::template(),
        web::template(),
        names::template(),
        services::template(),
        stats::template(),
        metrics::template(),
        control::template(),
    ]
    .concat()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
