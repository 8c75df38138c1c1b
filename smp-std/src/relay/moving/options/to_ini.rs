//! From `smp-server.toml` to `smp-server.ini`.

use std::net::SocketAddr;

use super::{INFORMATION, Kind, SINGLE};
use crate::relay::config::Config;

/// The text of an `smp-server.ini` for this configuration. `journal` chooses the journal for messages, otherwise they are
/// in memory and in a log between stop and start.
///
/// Values of the configuration that the reference does not know are left out. `toml` is the text of the configuration,
/// of which only what was written down is copied.
#[must_use]
pub fn write_ini(config: &Config, toml: &str, journal: bool) -> String {
    let table: toml::Table = toml.parse().unwrap_or_default();
    let mut ini = Ini { text: String::new(), table };
    ini.section("INFORMATION");
    for key in INFORMATION.iter().copied().flatten() {
        ini.copy(key, ("information", key), Kind::Text);
    }
    ini.section("STORE_LOG");
    ini.line("enable", "on");
    ini.line("store_queues", "memory");
    ini.line("store_messages", if journal { "journal" } else { "memory" });
    ini.line("restore_messages", "on");
    // Here 0 keeps messages for ever; there every number of days is one.
    let days = if config.messages.expire_days == 0 { 36_500 } else { config.messages.expire_days };
    ini.line("expire_messages_days", &days.to_string());
    ini.line("expire_messages_on_start", "on");
    ini.line("expire_messages_on_send", switch(config.messages.expire_on_send));
    ini.shared("STORE_LOG", &["expire_messages_days"]);
    ini.section("AUTH");
    ini.line("new_queues", switch(config.queues.allow_new));
    ini.shared("AUTH", &["new_queues"]);
    ini.section("TRANSPORT");
    ini.line("host", &config.server.hosts.join(","));
    ini.line("port", &ports(&config.server.listen, config.address_port()));
    ini.line("log_tls_errors", "off");
    ini.line("websockets", "off");
    ini.section("PROXY");
    ini.shared("PROXY", &[]);
    ini.section("INACTIVE_CLIENTS");
    ini.line("disconnect", switch(config.inactive_clients.disconnect));
    ini.line("ttl", &config.inactive_clients.ttl_seconds.to_string());
    ini.line("check_interval", &config.inactive_clients.check_interval_seconds.to_string());
    ini.section("WEB");
    if let Some(address) = config.web.http.first() {
        ini.line("http", &address.port().to_string());
    }
    if let Some(address) = config.web.https.first() {
        ini.line("https", &address.port().to_string());
        ini.copy("cert", ("web", "certificate"), Kind::Text);
        ini.copy("key", ("web", "key"), Kind::Text);
    }
    // Unknown to version 6 of the reference, which passes it over.
    if config.names.resolver.is_some() {
        ini.section("NAMES");
        ini.line("enable", "on");
        ini.copy("resolver_endpoint", ("names", "resolver"), Kind::Text);
        ini.copy("resolver_auth", ("names", "authorization"), Kind::Text);
        for option in super::NAMES {
            ini.copy(option.ini.1, option.toml, option.kind);
        }
    }
    ini.text
}

struct Ini {
    text: String,
    table: toml::Table,
}

impl Ini {
    fn section(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&format!("[{name}]\n"));
    }

    fn line(&mut self, key: &str, value: &str) {
        // A value with a line feed would be two lines.
        if !value.contains(['\n', '\r']) {
            self.text.push_str(&format!("{key} = {value}\n"));
        }
    }

    /// What the configuration file says, if it says something.
    fn copy(&mut self, key: &str, toml: (&str, &str), kind: Kind) {
        let value = self.table.get(toml.0).and_then(|section| section.get(toml.1));
        let value = match (kind, value) {
            (Kind::Text | Kind::Socket, Some(toml::Value::String(text))) => text.clone(),
            (Kind::Words, Some(toml::Value::Array(words))) => {
                words.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(" ")
            }
            (Kind::Number, Some(toml::Value::Integer(number))) => number.to_string(),
            (Kind::Switch, Some(toml::Value::Boolean(value))) => switch(*value).to_owned(),
            _ => return,
        };
        if !value.is_empty() {
            self.line(key, &value);
        }
    }

    /// The options of a section that mean the same in both files, except those written already.
    fn shared(&mut self, section: &str, written: &[&str]) {
        for option in SINGLE {
            if option.ini.0 == section && !written.contains(&option.ini.1) {
                self.copy(option.ini.1, option.toml, option.kind);
            }
        }
    }
}

const fn switch(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

/// The ports of the sockets, the one of the address first.
fn ports(listen: &[SocketAddr], first: u16) -> String {
    let mut ports: Vec<u16> = listen.iter().map(SocketAddr::port).collect();
    ports.sort_by_key(|port| *port != first);
    ports.dedup();
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}
