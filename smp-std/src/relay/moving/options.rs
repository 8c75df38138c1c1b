//! What the options of `smp-server.ini` are called in `smp-server.toml`, and the other way round.

mod from_ini;
mod to_ini;

pub use from_ini::{Translation, translate};
pub use to_ini::write_ini;

/// How a value is written in both files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text, in quotes in TOML.
    Text,
    /// A whole number.
    Number,
    /// `on` or `off`; `true` or `false` in TOML.
    Switch,
    /// Words with spaces between them; a list of texts in TOML.
    Words,
    /// Where something listens, as `localhost:9050` or `9050`; an address with a port in TOML.
    Socket,
}

/// An option that both have.
struct SharedOption {
    ini: (&'static str, &'static str),
    toml: (&'static str, &'static str),
    kind: Kind,
}

const fn both(
    ini_section: &'static str,
    ini_key: &'static str,
    toml_section: &'static str,
    toml_key: &'static str,
    kind: Kind,
) -> SharedOption {
    SharedOption { ini: (ini_section, ini_key), toml: (toml_section, toml_key), kind }
}

/// Options that mean the same in both files and stand for themselves.
const SINGLE: &[SharedOption] = &[
    both("STORE_LOG", "expire_messages_days", "messages", "expire_days", Kind::Number),
    both("STORE_LOG", "expire_ntfs_hours", "notifications", "expire_hours", Kind::Number),
    both("STORE_LOG", "log_stats", "stats", "daily_file", Kind::Switch),
    both("AUTH", "new_queues", "queues", "allow_new", Kind::Switch),
    both("AUTH", "create_password", "queues", "password", Kind::Text),
    both("AUTH", "daily_block_queue_quota", "control", "daily_block_quota", Kind::Number),
    both("PROXY", "host_mode", "proxy", "host_mode", Kind::Text),
    both("PROXY", "required_host_mode", "proxy", "required_host_mode", Kind::Switch),
    both("PROXY", "own_server_domains", "proxy", "own_server_domains", Kind::Words),
    both("PROXY", "socks_proxy", "proxy", "socks_proxy", Kind::Socket),
    both("PROXY", "socks_mode", "proxy", "socks_mode", Kind::Text),
    both("PROXY", "client_concurrency", "proxy", "client_in_flight", Kind::Number),
    both("INACTIVE_CLIENTS", "ttl", "inactive_clients", "ttl_seconds", Kind::Number),
    both("INACTIVE_CLIENTS", "check_interval", "inactive_clients", "check_interval_seconds", Kind::Number),
];

/// The options of `[NAMES]`, which is new in version 7 of the reference; they count only when it is enabled.
const NAMES: &[SharedOption] = &[
    both("NAMES", "resolver_timeout_ms", "names", "timeout_milliseconds", Kind::Number),
    both("NAMES", "resolver_max_response_bytes", "names", "max_response_bytes", Kind::Number),
];

/// The names of `[INFORMATION]` and `[information]`, in groups that only make sense together.
const INFORMATION: &[&[&str]] = &[
    &["source_code"],
    &["usage_conditions", "condition_amendments"],
    &["server_country"],
    &["operator", "operator_country"],
    &["website"],
    &["admin_simplex"],
    &["admin_email"],
    &["admin_pgp", "admin_pgp_fingerprint"],
    &["complaints_simplex"],
    &["complaints_email"],
    &["complaints_pgp", "complaints_pgp_fingerprint"],
    &["hosting", "hosting_country"],
    &["hosting_type"],
];

/// A text in quotes, as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
