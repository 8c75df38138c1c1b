//! What the web site says about the relay, taken from its configuration.

use serde::Serialize;
use smp_proto::wire::Base64;

use crate::relay::config::{Config, Engine, Information};
use crate::relay::offered_versions;

/// What the web site says about the relay. Nothing secret is in here: not the password for new queues either.
#[derive(Debug)]
pub(super) struct Facts {
    /// The main host name.
    pub(super) host: String,
    /// The address without the password.
    pub(super) address: String,
    pub(super) new_queues: bool,
    pub(super) password_needed: bool,
    /// Days; 0 means for ever.
    pub(super) message_days: u32,
    pub(super) message_quota: u32,
    pub(super) on_disk: bool,
    pub(super) statistics: bool,
    pub(super) program: &'static str,
    pub(super) version: &'static str,
    /// The lowest and the highest version of SMP.
    pub(super) protocol: (u16, u16),
    pub(super) information: Information,
}

impl Facts {
    pub(super) fn new(config: &Config, fingerprint: &[u8; 32]) -> Self {
        let versions = offered_versions();
        Self {
            host: config.server.hosts.first().cloned().unwrap_or_default(),
            address: format!(
                "smp://{}@{}:{}",
                Base64(fingerprint),
                config.server.hosts.join(","),
                config.address_port()
            ),
            new_queues: config.queues.allow_new,
            password_needed: config.queues.password.is_some(),
            message_days: config.messages.expire_days,
            message_quota: config.messages.quota,
            on_disk: config.store.engine != Engine::Memory,
            statistics: config.stats.daily_file,
            program: "smp-server",
            version: env!("CARGO_PKG_VERSION"),
            protocol: (versions.min().0, versions.max().0),
            information: config.information.clone(),
        }
    }

    /// `/information.json` (wire reference, section 14.9).
    pub(super) fn json(&self) -> String {
        let information = &self.information;
        let days = u64::from(self.message_days);
        let document = Document {
            config: ConfigJson {
                persistence: if self.on_disk { "messages" } else { "memoryOnly" },
                message_expiration: (days > 0).then(|| days.saturating_mul(86_400)),
                stats_enabled: self.statistics,
                new_queues_allowed: self.new_queues,
                basic_auth_enabled: self.password_needed,
            },
            information: information.source_code.as_deref().map(|source_code| InformationJson {
                source_code,
                usage_conditions: information.usage_conditions.as_deref().map(|conditions| Conditions {
                    conditions,
                    amendments: information.condition_amendments.as_deref(),
                }),
                operator: entity(&information.operator, &information.operator_country),
                website: information.website.as_deref(),
                admin_contacts: contacts(
                    &information.admin_simplex,
                    &information.admin_email,
                    &information.admin_pgp,
                    &information.admin_pgp_fingerprint,
                ),
                complaints_contacts: contacts(
                    &information.complaints_simplex,
                    &information.complaints_email,
                    &information.complaints_pgp,
                    &information.complaints_pgp_fingerprint,
                ),
                hosting: entity(&information.hosting, &information.hosting_country),
                hosting_type: information.hosting_type.map(|kind| kind.name()),
                server_country: country(&information.server_country),
            }),
        };
        serde_json::to_string(&document).unwrap_or_default()
    }
}

fn country(country: &Option<String>) -> Option<String> {
    country.as_deref().map(str::to_ascii_uppercase)
}

fn entity<'a>(name: &'a Option<String>, in_country: &Option<String>) -> Option<Entity<'a>> {
    name.as_deref().map(|name| Entity { name, country: country(in_country) })
}

fn contacts<'a>(
    simplex: &'a Option<String>,
    email: &'a Option<String>,
    key: &'a Option<String>,
    fingerprint: &'a Option<String>,
) -> Option<Contacts<'a>> {
    let pgp = match (key, fingerprint) {
        (Some(key), Some(fingerprint)) => Some(Pgp { address: key, fingerprint }),
        _ => None,
    };
    (simplex.is_some() || email.is_some() || pgp.is_some()).then_some(Contacts {
        simplex: simplex.as_deref(),
        email: email.as_deref(),
        pgp,
    })
}

#[derive(Serialize)]
struct Document<'a> {
    config: ConfigJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    information: Option<InformationJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigJson {
    persistence: &'static str,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiration: Option<u64>,
    stats_enabled: bool,
    new_queues_allowed: bool,
    basic_auth_enabled: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InformationJson<'a> {
    source_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_conditions: Option<Conditions<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<Entity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    website: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_contacts: Option<Contacts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    complaints_contacts: Option<Contacts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosting: Option<Entity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosting_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_country: Option<String>,
}

#[derive(Serialize)]
struct Conditions<'a> {
    conditions: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    amendments: Option<&'a str>,
}

#[derive(Serialize)]
struct Entity<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
}

#[derive(Serialize)]
struct Contacts<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    simplex: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pgp: Option<Pgp<'a>>,
}

#[derive(Serialize)]
struct Pgp<'a> {
    #[serde(rename = "pkURI")]
    address: &'a str,
    #[serde(rename = "pkFingerprint")]
    fingerprint: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_keys_of_the_reference() {
        let text = "[queues]\npassword = 'secret'\n[information]\nsource_code = 'https://s.e'\nusage_conditions = \
                    'https://c.e'\noperator = 'O \"&\"'\noperator_country = 'de'\nwebsite = 'https://w.e'\nadmin_email = \
                    'a@b'\nadmin_pgp = 'https://k.e'\nadmin_pgp_fingerprint = '0123456789abcdef'\ncomplaints_simplex = \
                    'simplex:/a#x'\nhosting = 'H'\nhosting_type = 'owned'\nserver_country = 'CH'";
        let facts = Facts::new(&Config::parse(text).unwrap(), &[7; 32]);
        assert_eq!(
            facts.json(),
            concat!(
                r#"{"config":{"persistence":"messages","messageExpiration":1814400,"statsEnabled":true,"#,
                r#""newQueuesAllowed":true,"basicAuthEnabled":true},"information":{"sourceCode":"https://s.e","#,
                r#""usageConditions":{"conditions":"https://c.e"},"operator":{"name":"O \"&\"","country":"DE"},"#,
                r#""website":"https://w.e","adminContacts":{"email":"a@b","pgp":{"pkURI":"https://k.e","#,
                r#""pkFingerprint":"0123456789abcdef"}},"complaintsContacts":{"simplex":"simplex:/a#x"},"#,
                r#""hosting":{"name":"H"},"hostingType":"owned","serverCountry":"CH"}}"#
            )
        );
        assert!(!facts.address.contains("secret"));
        let bare = Facts::new(&Config::parse("[messages]\nexpire_days = 0").unwrap(), &[7; 32]);
        assert_eq!(
            bare.json(),
            r#"{"config":{"persistence":"messages","statsEnabled":true,"newQueuesAllowed":true,"basicAuthEnabled":false}}"#
        );
    }
}
