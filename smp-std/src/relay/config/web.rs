//! `[web]`: the relay's small web site.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the web site is served: the information page, `/information.json` and the pages for links (wire reference,
/// sections 3, 13 and 14.9). Without an address to listen on there is no web site.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Socket addresses for plain HTTP.
    pub http: Vec<SocketAddr>,
    /// Socket addresses for HTTPS. A port that is also in `server.listen` is shared with SMP: clients that name a server
    /// in TLS (SNI), as browsers do, get the web site.
    pub https: Vec<SocketAddr>,
    /// The web certificate with its chain, PEM. Relative to the relay's directory.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM. Relative to the relay's directory.
    pub key: Option<PathBuf>,
    /// Directory whose files are served below `/.well-known/`. Relative to the relay's directory.
    pub well_known: Option<PathBuf>,
    /// Connections to the web site in all.
    pub connections: usize,
    /// Connections to the web site from one address (IPv6: one /64 network). Loopback is exempt.
    pub connections_per_address: usize,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            http: Vec::new(),
            https: Vec::new(),
            certificate: None,
            key: None,
            well_known: None,
            connections: 256,
            connections_per_address: 32,
        }
    }
}

impl Web {
    /// Whether there is a web site at all.
    #[must_use]
    pub fn enabled(&self) -> bool {
        !(self.http.is_empty() && self.https.is_empty())
    }

    /// Whether the relay serves HTTPS on a port of its own socket addresses `listen`.
    #[must_use]
    pub fn shares(&self, port: u16) -> bool {
        self.https.iter().any(|address| address.port() == port)
    }

    /// The first rule that the values break, in words.
    pub(super) fn check(&self) -> Option<&'static str> {
        let certificate = self.certificate.is_some() && self.key.is_some();
        let rules = [
            (self.certificate.is_some() == self.key.is_some(), "web.certificate and web.key go together"),
            (self.https.is_empty() || certificate, "web.https needs web.certificate and web.key"),
            (
                !self.http.iter().any(|address| address.port() != 0 && self.https.contains(address)),
                "web.http and web.https cannot have the same address",
            ),
            (
                self.connections > 0 && self.connections_per_address > 0,
                "web.connections and web.connections_per_address must be at least 1",
            ),
        ];
        rules.into_iter().find(|(kept, _)| !kept).map(|(_, rule)| rule)
    }
}

/// The section in a new configuration file.
pub(super) fn template() -> String {
    let defaults = Web::default();
    format!(
        r#"
[web]
# Socket addresses of a small web site: a page about this relay with its address as a QR code, /information.json, and the
# pages that open links to queues in an app. Without any address there is none. An example: http = ["[::]:80"]
http = []
# The same with TLS. A port that is in server.listen as well is shared: clients that name a server in TLS, as browsers do
# and SMP clients do not, get the web site. For port 443 have "[::]:443" in both. An example: https = ["[::]:443"]
https = []
# Certificate with its chain, and its key, as files in PEM format. They are read again on SIGHUP.
# certificate = "web.crt"
# key = "web.key"
# Directory whose files are served below /.well-known/, such as apple-app-site-association and assetlinks.json.
# well_known = "well-known"
# Connections to the web site in all, and from one address (from one /64 network with IPv6).
connections = {connections}
connections_per_address = {per_address}
"#,
        connections = defaults.connections,
        per_address = defaults.connections_per_address,
    )
}

#[cfg(test)]
mod tests {
    use crate::relay::config::Config;

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (text, word) in [
            ("https = ['[::]:443']", "web.certificate"),
            ("certificate = 'a'", "go together"),
            ("http = ['[::]:80']\nhttps = ['[::]:80']\ncertificate = 'a'\nkey = 'b'", "same address"),
            ("connections = 0", "at least 1"),
        ] {
            let error = Config::parse(&format!("[web]\n{text}")).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        let config = Config::parse("[web]\nhttps = ['[::]:443']\ncertificate = 'a'\nkey = 'b'").unwrap();
        assert!(config.web.enabled() && config.web.shares(443) && !config.web.shares(5223));
        assert!(!Config::default().web.enabled());
    }
}
