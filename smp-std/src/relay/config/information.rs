//! `[information]`: what the relay's web page says about its operator.

use serde::{Deserialize, Serialize};

/// Who runs the relay, where and on which terms (wire reference, sections 14.2 and 14.9). All of it is shown on the
/// relay's web page; nothing of it changes what the relay does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Information {
    /// Where the source code of the relay can be had: an address of the web.
    pub source_code: Option<String>,
    /// The conditions of use: an address of the web.
    pub usage_conditions: Option<String>,
    /// Amendments to the conditions: an address of the web.
    pub condition_amendments: Option<String>,
    /// The country the relay is in, two letters.
    pub server_country: Option<String>,
    /// Name of the person or organisation that operates the relay.
    pub operator: Option<String>,
    /// The operator's country, two letters.
    pub operator_country: Option<String>,
    /// The operator's web site.
    pub website: Option<String>,
    /// SimpleX address of the administrators.
    pub admin_simplex: Option<String>,
    /// Mail address of the administrators.
    pub admin_email: Option<String>,
    /// Address of the web with the administrators' PGP key.
    pub admin_pgp: Option<String>,
    /// Fingerprint of that key in hexadecimal digits.
    pub admin_pgp_fingerprint: Option<String>,
    /// SimpleX address for complaints and feedback.
    pub complaints_simplex: Option<String>,
    /// Mail address for complaints and feedback.
    pub complaints_email: Option<String>,
    /// Address of the web with the PGP key for complaints.
    pub complaints_pgp: Option<String>,
    /// Fingerprint of that key in hexadecimal digits.
    pub complaints_pgp_fingerprint: Option<String>,
    /// Name of the hosting provider.
    pub hosting: Option<String>,
    /// The hosting provider's country, two letters.
    pub hosting_country: Option<String>,
    /// What kind of machine it is.
    pub hosting_type: Option<HostingType>,
}

/// The kinds of machine a relay runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HostingType {
    /// A virtual machine.
    Virtual,
    /// A rented machine.
    Dedicated,
    /// The operator's machine in somebody else's data centre.
    Colocation,
    /// The operator's machine at the operator's place.
    Owned,
}

impl HostingType {
    /// The word in the configuration and in `/information.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Dedicated => "dedicated",
            Self::Colocation => "colocation",
            Self::Owned => "owned",
        }
    }
}

/// Longer texts are a mistake, and the page is for people.
const MAX_TEXT: usize = 200;
const MAX_URL: usize = 2_000;

impl Information {
    /// The first rule that the values break, in words.
    pub(super) fn check(&self) -> Option<&'static str> {
        let urls = [
            &self.source_code,
            &self.usage_conditions,
            &self.condition_amendments,
            &self.website,
            &self.admin_pgp,
            &self.complaints_pgp,
        ];
        let countries = [&self.server_country, &self.operator_country, &self.hosting_country];
        let names = [&self.operator, &self.hosting];
        let mails = [&self.admin_email, &self.complaints_email];
        let addresses = [&self.admin_simplex, &self.complaints_simplex];
        let fingerprints = [&self.admin_pgp_fingerprint, &self.complaints_pgp_fingerprint];
        let rules = [
            (all(&urls, valid_url), "the web addresses of [information] must begin with https:// or http://"),
            (all(&countries, valid_country), "the countries of [information] must be two letters such as \"DE\""),
            (all(&names, valid_name), "the names of [information] must be 1 to 200 characters in one line"),
            (all(&mails, valid_mail), "the mail addresses of [information] must be like \"name@example.org\""),
            (
                all(&addresses, |text| text.starts_with("simplex:") && printable(text) || valid_url(text)),
                "the SimpleX addresses of [information] must begin with simplex: or https://",
            ),
            (
                all(&fingerprints, valid_fingerprint),
                "the PGP fingerprints of [information] must be 16 to 64 hexadecimal digits",
            ),
            (
                self.admin_pgp.is_some() == self.admin_pgp_fingerprint.is_some()
                    && self.complaints_pgp.is_some() == self.complaints_pgp_fingerprint.is_some(),
                "PGP keys of [information] need both an address and a fingerprint",
            ),
            (
                self.operator.is_some() || self.operator_country.is_none(),
                "information.operator_country needs information.operator",
            ),
            (
                self.hosting.is_some() || self.hosting_country.is_none(),
                "information.hosting_country needs information.hosting",
            ),
            (
                self.usage_conditions.is_some() || self.condition_amendments.is_none(),
                "information.condition_amendments needs information.usage_conditions",
            ),
        ];
        rules.into_iter().find(|(kept, _)| !kept).map(|(_, rule)| rule)
    }
}

fn all(values: &[&Option<String>], valid: impl Fn(&str) -> bool) -> bool {
    values.iter().all(|value| value.as_deref().is_none_or(&valid))
}

/// Characters of an address that is written in one piece.
fn printable(text: &str) -> bool {
    (1..=MAX_URL).contains(&text.len()) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn valid_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    printable(text) && rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '['))
}

fn valid_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn valid_name(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_TEXT && !text.contains(char::is_control)
}

fn valid_mail(text: &str) -> bool {
    let parts = text.split_once('@');
    printable(text)
        && text.len() <= MAX_TEXT
        && parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}

fn valid_fingerprint(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    (16..=64).contains(&digits) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b' ')
}

/// The section in a new configuration file.
pub(super) fn template() -> String {
    r#"
[information]
# What the relay's web page says about its operator; see [web]. Nothing of it is checked or used elsewhere.
# Where the source code of this relay can be had, changes of your own included.
# source_code = "https://example.org/source"
# Conditions of use, and amendments to them.
# usage_conditions = "https://example.org/conditions"
# condition_amendments = "https://example.org/amendments"
# Countries are two letters: of the relay's machine, of the operator, of the hosting provider.
# server_country = "DE"
# operator = "Name of a person or an organisation"
# operator_country = "DE"
# website = "https://example.org"
# How to reach the administrators. A PGP key is given by its address and its fingerprint.
# admin_simplex = "simplex:/a#..."
# admin_email = "admin@example.org"
# admin_pgp = "https://example.org/key.asc"
# admin_pgp_fingerprint = "0123 4567 89AB CDEF 0123 4567 89AB CDEF 0123 4567"
# Where complaints and feedback go.
# complaints_simplex = "simplex:/a#..."
# complaints_email = "abuse@example.org"
# complaints_pgp = "https://example.org/abuse.asc"
# complaints_pgp_fingerprint = "0123 4567 89AB CDEF 0123 4567 89AB CDEF 0123 4567"
# The hosting provider, and the kind of machine: "virtual", "dedicated", "colocation" or "owned".
# hosting = "Name of the provider"
# hosting_country = "DE"
# hosting_type = "virtual"
"#
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_template_are_good_values() {
        let text = template().replace("# ", "");
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(" = \"") || line.starts_with('[')).collect();
        let config: crate::relay::config::Config = toml::from_str(&lines.join("\n")).unwrap();
        assert_eq!(config.information.check(), None);
        assert_eq!(config.information.hosting_type, Some(HostingType::Virtual));
        assert_eq!(lines.len(), 19, "an option without an example");
    }

    #[test]
    fn bad_values_are_refused() {
        let parse = |text: &str| crate::relay::config::Config::parse(&format!("[information]\n{text}"));
        for (text, word) in [
            ("source_code = 'javascript:alert(1)'", "https://"),
            ("source_code = 'https://'", "https://"),
            ("website = 'https://a b'", "https://"),
            ("server_country = 'Germany'", "two letters"),
            ("server_country = '<>'", "two letters"),
            ("operator = ''", "1 to 200"),
            ("operator_country = 'DE'", "information.operator"),
            ("hosting_country = 'DE'", "information.hosting"),
            ("condition_amendments = 'https://a.b'", "usage_conditions"),
            ("admin_email = 'nobody'", "mail"),
            ("admin_simplex = 'mailto:a'", "simplex:"),
            ("admin_pgp = 'https://a.b'", "both"),
            ("admin_pgp = 'https://a.b'\nadmin_pgp_fingerprint = 'xyz'", "hexadecimal"),
            ("hosting_type = 'cloud'", "cloud"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
