//! The relay's small web site: a page about the relay, `/information.json`, and pages that open links in an app (wire
//! reference, sections 3, 13 and 14.9).
//!
//! Everything is answered from memory and looks the same to everybody; nothing is logged. The secret part of a link stands
//! behind `#`, which browsers do not send: a script in the page turns it into a button and a QR code.

mod error;
mod facts;
mod front;
mod html;
mod link;
mod page;
mod respond;
mod tls;
mod uptime;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, RwLock};

use self::facts::Facts;
use self::respond::{Content, Document};
use self::tls::WebCertificate;
pub(super) use self::uptime::FILE_NAME as UPTIME_FILE;
use self::uptime::Uptime;
use super::config::{Config, Limits};
use super::limits::Admission;
use crate::relay::http::{Request, Response};

pub use self::error::WebError;
pub(super) use self::front::{Greeted, Site};

/// Time for a browser to finish TLS.
const TLS_TIME: Duration = Duration::from_secs(15);

/// Time between two notes of the relay's running.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);

/// The web site of a relay.
pub(super) struct Web {
    directory: PathBuf,
    fingerprint: [u8; 32],
    config: RwLock<Config>,
    uptime: Mutex<Uptime>,
    content: RwLock<Arc<Content>>,
    tls: RwLock<Option<WebCertificate>>,
    admission: Admission,
}

impl Web {
    /// The web site of the relay with this configuration and this fingerprint of its identity, whose files are in
    /// `directory`: the web certificate if it has one, and the history of when the relay ran, which begins or goes on.
    /// Fails when the web certificate or its key cannot be used.
    fn open(config: &Config, fingerprint: &[u8; 32], directory: &Path) -> Result<Arc<Self>, WebError> {
        let tls = certificate(config, directory)?;
        let now = now();
        let (uptime, written) = Uptime::open(directory, now);
        if let Err(error) = written {
            tracing::warn!(%error, "the history of when the relay ran cannot be written");
        }
        let content = render(config, fingerprint, directory, &uptime, now);
        let limits = Limits {
            connections: config.web.connections,
            connections_per_address: config.web.connections_per_address,
            handshakes: config.web.connections,
            ..Limits::default()
        };
        Ok(Arc::new(Self {
            directory: directory.to_owned(),
            fingerprint: *fingerprint,
            config: RwLock::new(config.clone()),
            uptime: Mutex::new(uptime),
            content: RwLock::new(Arc::new(content)),
            tls: RwLock::new(tls),
            admission: Admission::new(&limits),
        }))
    }

    /// Reads the web certificate of a changed configuration, for [`Self::show`]. Fails when it cannot be used.
    pub(super) fn certificate(&self, config: &Config) -> Result<Option<WebCertificate>, WebError> {
        certificate(config, &self.directory)
    }

    /// Shows what a changed configuration says, and the certificate to those who come from now on.
    pub(super) fn show(&self, config: &Config, certificate: Option<WebCertificate>) {
        self.config.write().clone_from(config);
        *self.tls.write() = certificate;
        self.refresh();
    }

    /// Seconds since 1970-01-01, UTC, at which the web certificate expires, if there is one.
    pub(super) fn certificate_expires(&self) -> Option<i64> {
        self.tls.read().as_ref()?.expires
    }

    /// The answer to a request.
    pub(super) fn respond(&self, request: &Request) -> Response {
        let content = Arc::clone(&self.content.read());
        content.respond(request.method(), request.uri().path(), request.headers())
    }

    /// Notes that the relay runs, and shows it.
    fn note(&self) {
        if let Err(error) = self.uptime.lock().note(now()) {
            tracing::debug!(%error, "the history of when the relay ran was not written");
        }
        self.refresh();
    }

    fn refresh(&self) {
        let config = self.config.read();
        let content = render(&config, &self.fingerprint, &self.directory, &self.uptime.lock(), now());
        *self.content.write() = Arc::new(content);
    }
}

fn certificate(config: &Config, directory: &Path) -> Result<Option<WebCertificate>, WebError> {
    match (&config.web.certificate, &config.web.key) {
        (Some(certificate), Some(key)) if !config.web.https.is_empty() => {
            tls::load(&directory.join(certificate), &directory.join(key)).map(Some)
        }
        _ => Ok(None),
    }
}

fn render(config: &Config, fingerprint: &[u8; 32], directory: &Path, uptime: &Uptime, now: i64) -> Content {
    let facts = Facts::new(config, fingerprint);
    Content::new(
        Document::page(page::information_page(&facts, uptime, now)),
        Document::json(facts.json()),
        config.web.well_known.as_ref().map(|well_known| directory.join(well_known)),
    )
}

/// Seconds since 1970-01-01, UTC.
fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, Method};

    use super::*;

    fn body(web: &Web, path: &str) -> String {
        use http_body_util::BodyExt;
        let content = Arc::clone(&web.content.read());
        let response = content.respond(&Method::GET, path, &HeaderMap::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(response.into_body().collect()).unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn hostile_words_of_an_operator_stay_words() {
        let hostile = "</dd><script src=//evil></script>\"><img src=x onerror=alert(1)>";
        let mut config = Config::default();
        config.queues.password = Some("very-secret".to_owned());
        // Past the checks, as if they had missed something.
        let text = Some(hostile.to_owned());
        let information = &mut config.information;
        for field in [
            &mut information.source_code,
            &mut information.usage_conditions,
            &mut information.condition_amendments,
            &mut information.server_country,
            &mut information.operator,
            &mut information.operator_country,
            &mut information.website,
            &mut information.admin_simplex,
            &mut information.admin_email,
            &mut information.admin_pgp,
            &mut information.admin_pgp_fingerprint,
            &mut information.complaints_simplex,
            &mut information.complaints_email,
            &mut information.complaints_pgp,
            &mut information.complaints_pgp_fingerprint,
            &mut information.hosting,
            &mut information.hosting_country,
        ] {
            field.clone_from(&text);
        }
        config.server.hosts = vec![hostile.to_owned()];
        let directory = tempfile::tempdir().unwrap();
        let web = Web::open(&config, &[7; 32], directory.path()).unwrap();
        let page = body(&web, "/");
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("=\"\">"), "{page}");
        assert!(page.matches("&lt;script").count() >= 15);
        assert!(!page.contains("very-secret") && !body(&web, "/information.json").contains("very-secret"));
    }

    #[test]
    fn a_changed_configuration_shows() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        let web = Web::open(&config, &[7; 32], directory.path()).unwrap();
        assert!(body(&web, "/").contains("For everybody"));
        config.queues.allow_new = false;
        config.information.operator = Some("Ada & Sons".to_owned());
        web.show(&config, web.certificate(&config).unwrap());
        let page = body(&web, "/");
        assert!(page.contains("None are created") && page.contains("operated by Ada &amp; Sons."));
        web.note();
        assert_eq!(body(&web, "/"), page);
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let text = "[web]\nhttps = ['127.0.0.1:0']\ncertificate = 'web.crt'\nkey = 'web.key'";
        let config = Config::parse(text).unwrap();
        let error = Web::open(&config, &[7; 32], directory.path()).err().unwrap().to_string();
        assert!(error.contains("web.crt"), "{error}");
        std::fs::write(directory.path().join("web.crt"), "nothing").unwrap();
        let error = Web::open(&config, &[7; 32], directory.path()).err().unwrap().to_string();
        assert!(error.contains("no certificate"), "{error}");
    }
}
