//! From `smp-server.ini` to `smp-server.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use super::{INFORMATION, Kind, SINGLE, quoted};
use crate::relay::config::{Choices, Config, template};
use crate::relay::moving::ini::Ini;

/// A configuration made of the reference's.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The text of `smp-server.toml`. What could not be taken over stands in it as a comment.
    pub toml: String,
    /// The same in words, for a report: options with the reason why they were not taken.
    pub left: Vec<String>,
}

/// Options that need no counterpart: what they ask for is always so here, or cannot be otherwise.
const NEEDLESS: &[(&str, &str)] = &[
    ("STORE_LOG", "enable"),
    ("STORE_LOG", "store_queues"),
    ("STORE_LOG", "store_messages"),
    ("STORE_LOG", "restore_messages"),
    ("STORE_LOG", "expire_messages_on_start"),
    ("TRANSPORT", "accept_service_credentials"),
];

/// Why some options have no counterpart.
const REASONS: &[(&str, &str, &str)] = &[
    ("STORE_LOG", "db_connection", "queues and messages are in the folder \"store\""),
    ("STORE_LOG", "db_schema", "queues and messages are in the folder \"store\""),
    ("STORE_LOG", "db_pool_size", "queues and messages are in the folder \"store\""),
    ("STORE_LOG", "db_store_log", "queues and messages are in the folder \"store\""),
    ("STORE_LOG", "db_deleted_ttl", "deleted queues are gone at once"),
    ("STORE_LOG", "prometheus_interval", "metrics are served over HTTP, see metrics.listen"),
    ("AUTH", "control_port_admin_password", "whoever may use the control socket's file may control the relay"),
    ("AUTH", "control_port_user_password", "whoever may use the control socket's file may control the relay"),
    ("TRANSPORT", "control_port", "commands are taken at a unix socket: smp-server control"),
    ("TRANSPORT", "log_tls_errors", "failed handshakes are counted, not logged"),
    ("TRANSPORT", "websockets", "there are no websockets"),
    ("NAMES", "resolver_concurrency", "one bound holds for all clients, see names.concurrency"),
    ("WEB", "static_path", "pages are made by the relay itself"),
];

/// Options whose values must not stand in another file.
const SECRET: &[(&str, &str)] = &[
    ("AUTH", "control_port_admin_password"),
    ("AUTH", "control_port_user_password"),
    ("AUTH", "create_password"),
    ("NAMES", "resolver_auth"),
    ("PROXY", "socks_proxy"),
    ("STORE_LOG", "db_connection"),
];

/// Makes a configuration of the reference's. `exists` tells whether a file the options name can be read.
#[must_use]
pub fn translate(ini: &Ini, exists: impl Fn(&Path) -> bool) -> Translation {
    let mut writer = Writer { ini, text: template(&Choices::default()), done: BTreeSet::new(), left: Vec::new() };
    writer.listen(&exists);
    for option in SINGLE {
        let (section, key) = option.ini;
        writer.option(section, key, option.toml, option.kind);
    }
    // These two have other defaults when they are absent.
    writer.switch("STORE_LOG", "expire_messages_on_send", true, ("messages", "expire_on_send"));
    writer.switch("INACTIVE_CLIENTS", "disconnect", false, ("inactive_clients", "disconnect"));
    if ini.get("INFORMATION", "source_code").is_some() {
        for group in INFORMATION {
            let present: Vec<_> = group.iter().filter_map(|key| Some((*key, ini.get("INFORMATION", key)?))).collect();
            let values: Vec<_> = present.iter().map(|(key, value)| ("information", *key, quoted(value))).collect();
            let names: Vec<_> = present.iter().map(|(key, _)| ("INFORMATION", *key)).collect();
            writer.group(&names, &values);
        }
    } else {
        writer.leave_section("INFORMATION", "the old server ignored it without source_code");
    }
    writer.names();
    writer.finish()
}

struct Writer<'a> {
    ini: &'a Ini,
    text: String,
    done: BTreeSet<(String, String)>,
    left: Vec<String>,
}

impl Writer<'_> {
    /// Host names, ports and the web site, which may share a port.
    fn listen(&mut self, exists: &impl Fn(&Path) -> bool) {
        let ini = self.ini;
        if let Some(hosts) = ini.get("TRANSPORT", "host") {
            let hosts: Vec<_> = hosts.split([',', ' ']).filter(|host| !host.is_empty()).map(quoted).collect();
            self.group(&[("TRANSPORT", "host")], &[("server", "hosts", format!("[{}]", hosts.join(", ")))]);
        }
        if let Some(ports) = ini.get("TRANSPORT", "port") {
            let sockets: Option<Vec<_>> = ports.split(',').map(|port| socket(port.trim())).collect();
            let value = format!("[{}]", sockets.unwrap_or_else(|| vec![quoted(ports)]).join(", "));
            self.group(&[("TRANSPORT", "port")], &[("server", "listen", value)]);
        }
        if let Some(port) = ini.get("WEB", "http") {
            let value = format!("[{}]", socket(port).unwrap_or_else(|| quoted(port)));
            self.group(&[("WEB", "http")], &[("web", "http", value)]);
        }
        let https = ["https", "cert", "key"].map(|key| ini.get("WEB", key));
        if let [Some(port), Some(certificate), Some(key)] = https {
            let names = [("WEB", "https"), ("WEB", "cert"), ("WEB", "key")];
            if exists(Path::new(certificate)) && exists(Path::new(key)) {
                let value = format!("[{}]", socket(port).unwrap_or_else(|| quoted(port)));
                let values =
                    [("web", "https", value), ("web", "certificate", quoted(certificate)), ("web", "key", quoted(key))];
                self.group(&names, &values);
            } else {
                for (section, key) in names {
                    self.leave(section, key, "the web certificate or its key cannot be read");
                }
            }
        }
    }

    /// The resolver of names.
    fn names(&mut self) {
        if self.ini.switch("NAMES", "enable", false) != Some(true) {
            return self.leave_section("NAMES", "names are not resolved");
        }
        self.done.insert(("NAMES".to_owned(), "enable".to_owned()));
        let option = |key, toml| Some((key, ("names", toml, quoted(self.ini.get("NAMES", key)?))));
        let both = [option("resolver_endpoint", "resolver"), option("resolver_auth", "authorization")];
        let (names, values): (Vec<_>, Vec<_>) = both.into_iter().flatten().unzip();
        let names: Vec<_> = names.into_iter().map(|key| ("NAMES", key)).collect();
        self.group(&names, &values);
        for option in super::NAMES {
            self.option(option.ini.0, option.ini.1, option.toml, option.kind);
        }
    }

    /// Takes over one option if it is there.
    fn option(&mut self, section: &'static str, key: &'static str, toml: (&'static str, &'static str), kind: Kind) {
        let Some(value) = self.ini.get(section, key) else { return };
        let value = match (kind, value) {
            (Kind::Text, value) => quoted(value),
            (Kind::Switch, "on") => "true".to_owned(),
            (Kind::Switch, "off") => "false".to_owned(),
            (Kind::Number, value) if value.parse::<u32>().is_ok() => value.to_owned(),
            (Kind::Words, value) => {
                let words: Vec<_> = value.split([' ', ',']).filter(|word| !word.is_empty()).map(quoted).collect();
                format!("[{}]", words.join(", "))
            }
            (Kind::Socket, value) => quoted(&local(value)),
            _ => return self.leave(section, key, "its value is not understood"),
        };
        self.group(&[(section, key)], &[(toml.0, toml.1, value)]);
    }

    fn switch(&mut self, section: &'static str, key: &'static str, default: bool, toml: (&'static str, &'static str)) {
        match self.ini.switch(section, key, default) {
            Some(value) => self.group(&[(section, key)], &[(toml.0, toml.1, value.to_string())]),
            None => self.leave(section, key, "its value is not understood"),
        }
    }

    /// Sets options that only make sense together, if the configuration still is one then.
    fn group(&mut self, names: &[(&str, &str)], values: &[(&str, &str, String)]) {
        let mut text = self.text.clone();
        let mut known = true;
        for (section, key, value) in values {
            known &= set(&mut text, section, key, value);
        }
        let problem = match known {
            false => Some("it has no counterpart".to_owned()),
            true => Config::parse(&text).err().map(|error| error.to_string()),
        };
        match problem {
            None => {
                self.text = text;
                self.done.extend(names.iter().map(|(section, key)| ((*section).to_owned(), (*key).to_owned())));
            }
            Some(problem) => names.iter().for_each(|(section, key)| self.leave(section, key, &problem)),
        }
    }

    fn leave_section(&mut self, section: &str, why: &str) {
        let keys: Vec<_> = self.ini.options().filter(|option| option.0 == section).map(|option| option.1).collect();
        for key in keys {
            self.leave(section, key, why);
        }
    }

    fn leave(&mut self, section: &str, key: &str, why: &str) {
        if let Some(value) = self.ini.get(section, key)
            && self.done.insert((section.to_owned(), key.to_owned()))
        {
            let value = if SECRET.contains(&(section, key)) { "(not copied)" } else { value };
            self.left.push(format!("[{section}] {key} = {value}: {why}"));
        }
    }

    fn finish(mut self) -> Translation {
        let options: Vec<_> = self.ini.options().map(|option| (option.0, option.1)).collect();
        for (section, key) in options {
            if !NEEDLESS.contains(&(section, key)) {
                let reason = REASONS.iter().find(|reason| (reason.0, reason.1) == (section, key));
                self.leave(section, key, reason.map_or("it has no counterpart", |reason| reason.2));
            }
        }
        for line in self.ini.unreadable_lines() {
            self.left.push(format!("line {line}: neither a section nor an option"));
        }
        if !self.left.is_empty() {
            self.text.push_str("\n# Of the reference's smp-server.ini this was not taken over:\n");
            for left in &self.left {
                self.text.push_str(&format!("#   {}\n", left.replace(char::is_control, " ")));
            }
        }
        Translation { toml: self.text, left: self.left }
    }
}

fn socket(port: &str) -> Option<String> {
    let port: u16 = port.parse().ok()?;
    (port != 0).then(|| quoted(&format!("[::]:{port}")))
}

/// Where something on this machine listens, however it is written.
fn local(value: &str) -> String {
    match value.split_once(':') {
        None => format!("127.0.0.1:{value}"),
        Some(("" | "localhost", port)) => format!("127.0.0.1:{port}"),
        Some(_) => value.to_owned(),
    }
}

/// Writes the value of an option that stands in `text`, commented out or not. Whether it does.
fn set(text: &mut String, section: &str, key: &str, value: &str) -> bool {
    let header = format!("[{section}]");
    let mut inside = false;
    let mut found = false;
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.trim_end() == header;
        }
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let is_it = bare.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
        if inside && !found && is_it {
            lines.push(format!("{key} = {value}"));
            found = true;
        } else {
            lines.push(line.to_owned());
        }
    }
    if found {
        *text = lines.join("\n") + "\n";
    }
    found
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
