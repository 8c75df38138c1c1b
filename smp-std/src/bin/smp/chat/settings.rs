//! What a user has chosen: name, relays, and what is done without asking.

use serde::{Deserialize, Serialize};
use smp_agent::policy::server::{ConfiguredServer, OperatorId, ServerList};
use smp_std::net::WebPort;

use crate::failure::{Failure, USAGE};

/// Kept in the encrypted store: addresses of relays may have passwords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// What others are told.
    pub(crate) name: String,
    pub(crate) servers: Vec<ServerSetting>,
    /// Whether senders are told that their messages arrived.
    pub(crate) receipts: bool,
    /// Whether somebody who has an invitation is let in at once.
    pub(crate) auto_allow: bool,
    /// Whether requests to an address are accepted at once.
    pub(crate) auto_accept: bool,
    /// Which relays are reached at port 443.
    #[serde(default)]
    pub(crate) web_port: WebPort,
}

/// A relay of the user's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerSetting {
    /// `smp://FINGERPRINT[:PASSWORD]@HOST[,HOST][:PORT]`
    pub(crate) address: String,
    /// Who runs it. Relays without an operator count as those of one operator.
    #[serde(default)]
    pub(crate) operator: Option<String>,
    /// Whether queues are created on it.
    #[serde(default = "yes")]
    pub(crate) storage: bool,
    /// Whether messages to other relays go through it.
    #[serde(default = "yes")]
    pub(crate) proxy: bool,
    /// Whether it may be chosen at all.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
}

const fn yes() -> bool {
    true
}

impl std::fmt::Debug for ServerSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerSetting(..)")
    }
}

/// The relays as the agent takes them.
pub(crate) fn server_list(servers: &[ServerSetting]) -> Result<ServerList, Failure> {
    let mut operators: Vec<&str> = servers.iter().filter_map(|server| server.operator.as_deref()).collect();
    operators.sort_unstable();
    operators.dedup();
    let number = |name: &str| {
        let index = operators.binary_search(&name).unwrap_or_default();
        OperatorId(u32::try_from(index).unwrap_or_default())
    };
    let configured = servers.iter().map(|setting| {
        crate::receive::parse_server(&setting.address).map_err(|error| Failure::new(USAGE, error))?;
        let mut server = ConfiguredServer::parse(&setting.address).map_err(|error| Failure::new(USAGE, error))?;
        server.operator = setting.operator.as_deref().map(number);
        (server.storage, server.proxy, server.enabled) = (setting.storage, setting.proxy, setting.enabled);
        Ok(server)
    });
    configured.collect::<Result<Vec<_>, Failure>>().map(ServerList::from)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const SERVER: &str = "smp://LcJUMfVhwD8yxjAiSaDzzGF3-kLG4Uh0Fl_ZIjrRwjI=:password@localhost:5223";

    /// Alice's, who lets everything happen by itself that may.
    pub(crate) fn settings() -> Settings {
        Settings {
            name: "Alice".into(),
            servers: vec![],
            receipts: true,
            auto_allow: true,
            auto_accept: false,
            web_port: WebPort::Off,
        }
    }

    #[test]
    fn operators_are_told_apart_by_name() {
        let setting = |operator: Option<&str>| ServerSetting {
            address: SERVER.into(),
            operator: operator.map(str::to_owned),
            storage: true,
            proxy: false,
            enabled: true,
        };
        let list = server_list(&[setting(Some("b")), setting(None), setting(Some("a")), setting(Some("b"))]).unwrap();
        let operators: Vec<_> = list.iter().map(|server| server.operator).collect();
        assert_eq!(operators, [Some(OperatorId(1)), None, Some(OperatorId(0)), Some(OperatorId(1))]);
        assert!(list.iter().all(|server| server.storage && !server.proxy && server.password.is_some()));
        assert!(server_list(&[ServerSetting { address: "smp://x".into(), ..setting(None) }]).is_err());
    }

    #[test]
    fn settings_of_before_there_was_a_choice_of_ports_are_read() {
        let mut value = serde_json::to_value(settings()).unwrap();
        value.as_object_mut().unwrap().remove("web_port").unwrap();
        assert_eq!(serde_json::from_value::<Settings>(value).unwrap(), settings());
    }

    #[test]
    fn passwords_are_not_printed() {
        let setting: ServerSetting = serde_json::from_str(&format!(r#"{{"address":"{SERVER}"}}"#)).unwrap();
        assert!(setting.storage && setting.proxy && setting.enabled && setting.operator.is_none());
        assert_eq!(format!("{setting:?}"), "ServerSetting(..)");
        assert!(serde_json::from_str::<ServerSetting>(r#"{"address":"","rest":1}"#).is_err());
    }
}
