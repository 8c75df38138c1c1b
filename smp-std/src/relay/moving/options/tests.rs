use super::*;

fn translated(ini: &str) -> (Config, Vec<String>) {
    let translation = translate(&Ini::parse(ini), |path| !path.ends_with("missing.crt"));
    (Config::parse(&translation.toml).unwrap(), translation.left)
}

/// What the reference writes for a new server, with everything an operator usually sets.
const USUAL: &str = "[INFORMATION]
source_code = https://example.org/source
server_country = DE
operator = Example
operator_country = DE
admin_email = admin@example.org
admin_pgp = https://example.org/key
hosting_type = dedicated
[STORE_LOG]
enable = on
store_queues = memory
store_messages = journal
restore_messages = on
expire_messages_days = 7
expire_messages_on_start = on
expire_messages_on_send = off
log_stats = on
[AUTH]
new_queues = off
create_password = sesame
control_port_admin_password = hush
[TRANSPORT]
host = relay.example.org,abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx.onion
port = 5223,443
log_tls_errors = off
websockets = off
[PROXY]
own_thing = x
host_mode = onion
own_server_domains = example.org example.net
socks_proxy = localhost:9050
socks_mode = always
[NAMES]
enable: on
resolver_endpoint: https://names.example.org
resolver_timeout_ms: 500
resolver_concurrency: 10
[INACTIVE_CLIENTS]
disconnect = on
ttl = 100
check_interval = 50
[WEB]
static_path = /var/opt/simplex/www
https = 443
cert = /etc/opt/simplex/web.crt
key = /etc/opt/simplex/web.key
";

#[test]
fn usual_options_are_taken_over() {
    let (config, left) = translated(USUAL);
    assert_eq!(config.server.hosts.len(), 2);
    let ports: Vec<u16> = config.server.listen.iter().map(std::net::SocketAddr::port).collect();
    assert_eq!(ports, [5223, 443]);
    assert_eq!(config.address_port(), 5223);
    assert!(!config.queues.allow_new);
    assert_eq!(config.queues.password.as_deref(), Some("sesame"));
    assert_eq!(config.messages.expire_days, 7);
    assert!(!config.messages.expire_on_send);
    assert!(config.inactive_clients.disconnect);
    assert_eq!((config.inactive_clients.ttl_seconds, config.inactive_clients.check_interval_seconds), (100, 50));
    assert!(config.web.shares(443));
    assert_eq!(config.web.certificate.as_deref(), Some(Path::new("/etc/opt/simplex/web.crt")));
    assert_eq!(config.information.operator.as_deref(), Some("Example"));
    assert_eq!(config.information.admin_email.as_deref(), Some("admin@example.org"));
    assert_eq!(config.proxy.socks_proxy, Some("127.0.0.1:9050".parse().unwrap()));
    assert_eq!(config.proxy.own_server_domains, ["example.org", "example.net"]);
    assert_eq!(config.proxy.host_mode, crate::net::HostMode::Onion);
    assert_eq!(config.proxy.socks_mode, crate::net::SocksMode::Always);
    assert_eq!(config.names.resolver.as_deref(), Some("https://names.example.org"));
    assert_eq!(config.names.timeout_milliseconds, 500);
    let left = left.join("\n");
    for word in ["admin_pgp", "control_port_admin_password = (not copied)", "own_thing", "static_path"] {
        assert!(left.contains(word), "{word} in {left}");
    }
    for word in ["hush", "store_messages", "hosting_type", "create_password"] {
        assert!(!left.contains(word), "{word} in {left}");
    }
}

#[test]
fn what_is_absent_has_the_old_defaults() {
    let (config, left) = translated("[TRANSPORT]\nport = 5223\n");
    assert!(config.messages.expire_on_send);
    assert!(!config.inactive_clients.disconnect);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_makes_no_sense_is_left_with_its_reason() {
    let (config, left) = translated(
        "[AUTH]\nnew_queues = maybe\ncreate_password = a b\n[TRANSPORT]\nport = http\n[WEB]\nhttps = 443\n\
         cert = /missing.crt\nkey = /web.key\n[INFORMATION]\noperator = Nobody\n[STORE_LOG]\nexpire_messages_days = x\n",
    );
    assert_eq!(config.queues.password, None);
    assert_eq!(config.server.listen, Config::default().server.listen);
    assert!(!config.web.enabled());
    assert_eq!(config.information.operator, None);
    assert_eq!(left.len(), 8, "{left:?}");
}

#[test]
fn a_configuration_written_for_the_reference_comes_back() {
    let (config, _) = translated(USUAL);
    let translation = translate(&Ini::parse(USUAL), |_| true);
    let ini = crate::relay::moving::options::write_ini(&config, &translation.toml, true);
    let again = translate(&Ini::parse(&ini), |_| true);
    assert_eq!(format!("{:?}", Config::parse(&again.toml).unwrap()), format!("{config:?}"));
    assert_eq!(
        again.left,
        [
            "[TRANSPORT] log_tls_errors = off: failed handshakes are counted, not logged",
            "[TRANSPORT] websockets = off: there are no websockets"
        ]
    );
    assert!(ini.contains("store_messages = journal\n"), "{ini}");
}
