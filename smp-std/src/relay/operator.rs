//! What an operator needs of a relay that runs: its books, its numbers for a monitoring system, its control socket.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::config::Config;
use super::{Relay, RelayError, audit, http, metrics};
use crate::identity::Identity;

/// Reads configuration and identity again; says in words what is wrong with them.
pub type Loader = Box<dyn Fn() -> Result<(Config, Identity), String> + Send + Sync>;

/// Sets which messages are logged, as `RUST_LOG` does; says in words what is wrong with it.
pub type LogSetter = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// What a relay must know to be operated.
pub struct Operator {
    /// Where its files are: books, audit log, control socket.
    pub directory: PathBuf,
    /// How configuration and identity are read again.
    pub load: Loader,
    /// How the log's level is set, if it can be.
    pub set_log: Option<LogSetter>,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// Connections of monitoring systems at one time.
const METRICS_CONNECTIONS: usize = 16;

impl Relay {
    /// Starts everything that operators see: keeps books in the directory, and serves what `[metrics]` and `[control]` of
    /// the configuration say. Call it once, before [`Self::serve`]; it ends with the relay.
    ///
    /// # Errors
    /// [`RelayError::Operator`] when an address or a file cannot be used.
    pub async fn attend(self: &Arc<Self>, operator: Operator) -> Result<(), RelayError> {
        let directory = operator.directory.clone();
        let failed = |what: &str, error| RelayError::Operator(format!("{what}: {error}"));
        if let Some(address) = self.config().metrics.listen {
            let listener = TcpListener::bind(address)
                .await
                .map_err(|error| failed(&format!("cannot serve metrics on {address}"), error))?;
            let relay = Arc::clone(self);
            let answer = move |request: &http::Request| metrics::answer(&relay, request);
            self.tasks.spawn(http::serve(listener, METRICS_CONNECTIONS, self.stopping.clone(), answer));
        }
        if self.config().control.socket {
            let listener =
                Self::open_control(&directory).map_err(|error| failed("cannot open the control socket", error))?;
            self.tasks.spawn(Arc::clone(self).serve_control(listener, directory.clone()));
        }
        let _ = self.operator.set(operator);
        self.resume_clock(&directory).await;
        self.audit("start", "ok", &format!("version={}", env!("CARGO_PKG_VERSION")))
            .await
            .map_err(|error| failed("cannot write the audit log", error))?;
        self.tasks.spawn(Arc::clone(self).audit_stop());
        self.open_books(&directory, self.today()).await;
        let relay = Arc::clone(self);
        self.tasks.spawn(Arc::clone(self).keep_books(directory, move || relay.now()));
        Ok(())
    }

    /// Does what the signal HUP asks for. What comes of it stands in the log.
    pub async fn hang_up(self: &Arc<Self>) {
        let relay = Arc::clone(self);
        let reloaded = tokio::task::spawn_blocking(move || relay.reload_files()).await;
        let outcome = if matches!(reloaded, Ok(Ok(_))) { "ok" } else { "failed" };
        if let Err(error) = self.audit("reload", outcome, "by=signal").await {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }

    async fn audit_stop(self: Arc<Self>) {
        self.stopping.cancelled().await;
        if let Err(error) = self.audit("stop", "ok", "").await {
            tracing::error!(%error, "the audit log cannot be written");
        }
    }

    /// Adds a line to the audit log.
    pub(super) async fn audit(&self, action: &'static str, outcome: &'static str, details: &str) -> io::Result<()> {
        let Some(operator) = self.operator.get() else { return Ok(()) };
        let (directory, details, now) = (operator.directory.clone(), details.to_owned(), self.now());
        let append = move || audit::append(&directory, now, action, outcome, &details);
        tokio::task::spawn_blocking(append).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Reads configuration and identity again, see [`Self::reload`]. Fails in words, without any effect.
    pub fn reload_files(&self) -> Result<Vec<&'static str>, String> {
        let Some(operator) = self.operator.get() else {
            return Err("the relay does not know its files".to_owned());
        };
        let reloaded = (operator.load)()
            .and_then(|(config, identity)| self.reload(config, &identity).map_err(|error| error.to_string()));
        match &reloaded {
            Ok(later) => {
                tracing::info!("the configuration was read again");
                if !later.is_empty() {
                    tracing::warn!(options = later.join(", "), "changes that wait for the next start");
                }
            }
            Err(error) => tracing::error!("the configuration was not read again: {error}"),
        }
        reloaded
    }
}
