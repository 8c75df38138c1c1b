//! Names that stand for links, looked up for clients at a resolver over HTTP (wire reference of version 20, section 3).
//!
//! Several questions for one name at the same time are one request, and answers are remembered for a while. Names are
//! never logged.

mod cache;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use smp_proto::smp::names::{NameRecord, RECORD_LIMIT};
use smp_proto::wire::Writer;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::cache::Cache;
use super::config::names::{Base, Names};

/// Asks a resolver.
#[derive(Debug)]
pub(crate) struct Resolver {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    base: Base,
    authorization: Option<HeaderValue>,
    time_out: Duration,
    max_response: usize,
    permits: Semaphore,
    cache: Cache,
}

/// Why a name was not resolved (`ERR NAME`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NameFailure {
    /// There is no such name.
    NotFound,
    /// The resolver could not say: the text for the client.
    Resolver(ResolverFailure),
}

/// What went wrong with the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResolverFailure {
    /// It answered with this status.
    Status(u16),
    /// It could not be reached, or stopped in the middle.
    Transport,
    /// Its answer is longer than allowed.
    TooLarge,
    /// Its answer is not a record.
    Invalid,
    /// It took too long, or too many others wait.
    TimedOut,
}

impl std::fmt::Display for ResolverFailure {
    /// The texts that clients know.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(code) => write!(f, "HTTP {code}"),
            Self::Transport => f.write_str("transport failure"),
            Self::TooLarge => f.write_str("response too large"),
            Self::Invalid => f.write_str("invalid response"),
            Self::TimedOut => f.write_str("timeout"),
        }
    }
}

/// Why a resolver cannot be used at all.
#[derive(Debug)]
pub(crate) struct Unusable(std::io::Error);

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the certificate authorities of this system cannot be read: {}", self.0)
    }
}

impl Resolver {
    /// The resolver of a configuration, if it names one.
    pub(crate) fn new(names: &Names) -> Result<Option<Arc<Self>>, Unusable> {
        let Some(base) = names.base() else { return Ok(None) };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let time_out = Duration::from_millis(names.timeout_milliseconds);
        http.set_connect_timeout(Some(time_out));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(Unusable)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(16)
            .build(connector);
        Ok(Some(Arc::new(Self {
            client,
            base,
            authorization: names.authorization_header(),
            time_out,
            max_response: names.max_response_bytes,
            permits: Semaphore::new(names.concurrency),
            cache: Cache::new(Duration::from_secs(names.cache_seconds), names.cache_mib.saturating_mul(1 << 20)),
        })))
    }

    /// Whether the resolver says that it works.
    pub(crate) async fn is_healthy(&self) -> bool {
        match timeout(self.time_out, self.get("/health")).await {
            Ok(Ok(response)) => response.status().as_u16() < 400,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// The record of a name in lower case, as compact JSON of at most [`RECORD_LIMIT`] bytes.
    pub(crate) async fn resolve(&self, domain: &str) -> Result<Bytes, NameFailure> {
        self.cache.answer(domain, || self.look_up(domain)).await
    }

    async fn look_up(&self, domain: &str) -> Result<Bytes, NameFailure> {
        let work = async {
            let _permit = self.permits.acquire().await.map_err(|_| ResolverFailure::TimedOut)?;
            // Names hold letters, digits, hyphens and dots only.
            let response = self.get(&format!("/resolve/{domain}")).await?;
            let status = response.status();
            if matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST) {
                return Ok(None);
            }
            if status.as_u16() >= 400 {
                return Err(ResolverFailure::Status(status.as_u16()));
            }
            let body = Limited::new(response.into_body(), self.max_response).collect().await.map_err(|error| {
                match error.downcast_ref::<LengthLimitError>() {
                    Some(_) => ResolverFailure::TooLarge,
                    None => ResolverFailure::Transport,
                }
            })?;
            compact(&body.to_bytes()).map(Some)
        };
        match timeout(self.time_out, work).await {
            Ok(Ok(Some(record))) => Ok(record),
            Ok(Ok(None)) => Err(NameFailure::NotFound),
            Ok(Err(failure)) => Err(NameFailure::Resolver(failure)),
            Err(_) => Err(NameFailure::Resolver(ResolverFailure::TimedOut)),
        }
    }

    async fn get(&self, path: &str) -> Result<Response<hyper::body::Incoming>, ResolverFailure> {
        let uri = self.base.join(path).ok_or(ResolverFailure::Transport)?;
        let mut request = Request::get(uri).header(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(|_| ResolverFailure::Transport)?;
        self.client.request(request).await.map_err(|_| ResolverFailure::Transport)
    }
}

/// The record as it goes to clients: what the resolver says besides stays here.
fn compact(json: &[u8]) -> Result<Bytes, ResolverFailure> {
    let record = NameRecord::from_json(json).map_err(|_| ResolverFailure::Invalid)?;
    let mut buffer = vec![0; RECORD_LIMIT];
    let mut writer = Writer::new(&mut buffer);
    record.encode(&mut writer).map_err(|_| ResolverFailure::TooLarge)?;
    Ok(Bytes::copy_from_slice(writer.written()))
}

#[cfg(test)]
mod tests;
