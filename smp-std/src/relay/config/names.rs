//! `[names]`: who resolves names (wire reference of version 20, sections 3.7 and 3.8).

use hyper::Uri;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};

/// Who resolves names for clients, and how patiently.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Names {
    /// Base URL of the resolver, `http` or `https`; names are not resolved without it.
    pub resolver: Option<String>,
    /// `bearer TOKEN` or `basic USER:PASSWORD`.
    #[serde(skip_serializing)]
    pub authorization: Option<String>,
    /// Milliseconds for one lookup, 100 to 60,000.
    pub timeout_milliseconds: u64,
    /// Bytes of a resolver's answer, 1,024 to 16,000.
    pub max_response_bytes: usize,
    /// Lookups of all clients together that may be on their way; more wait, as long as one may take.
    pub concurrency: usize,
    /// Seconds an answer is remembered, also that there is no such name; 0 asks every time.
    pub cache_seconds: u64,
    /// Answers that are remembered, in MiB.
    pub cache_mib: usize,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            resolver: None,
            authorization: None,
            timeout_milliseconds: 3_000,
            max_response_bytes: 16_000,
            concurrency: 256,
            cache_seconds: 60,
            cache_mib: 8,
        }
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            resolver,
            authorization,
            timeout_milliseconds,
            max_response_bytes,
            concurrency,
            cache_seconds,
            cache_mib,
        } = self;
        f.debug_struct("Names")
            .field("resolver", resolver)
            .field("authorization", &authorization.as_ref().map(|_| "Secret(..)"))
            .field("timeout_milliseconds", timeout_milliseconds)
            .field("max_response_bytes", max_response_bytes)
            .field("concurrency", concurrency)
            .field("cache_seconds", cache_seconds)
            .field("cache_mib", cache_mib)
            .finish()
    }
}

impl Names {
    /// What is wrong with the options, if anything.
    pub(crate) fn check(&self) -> Option<&'static str> {
        let authorization = self.authorization.as_deref();
        let rules = [
            (!(100..=60_000).contains(&self.timeout_milliseconds), "names.timeout_milliseconds must be 100 to 60000"),
            (!(1_024..=16_000).contains(&self.max_response_bytes), "names.max_response_bytes must be 1024 to 16000"),
            (!(1..=100_000).contains(&self.concurrency), "names.concurrency must be 1 to 100000"),
            (self.cache_seconds > 86_400, "names.cache_seconds must be 0 to 86400"),
            (!(1..=1_024).contains(&self.cache_mib), "names.cache_mib must be 1 to 1024"),
            (
                self.resolver.is_some() && self.base().is_none(),
                "names.resolver must be a URL such as \"http://127.0.0.1:8000\", without user, query and fragment",
            ),
            (
                authorization.is_some_and(|text| authorization_header(text).is_none()),
                "names.authorization must be \"bearer TOKEN\" or \"basic USER:PASSWORD\"",
            ),
            (
                authorization.is_some() && self.base().is_some_and(|base| !base.keeps_secrets()),
                "names.authorization would be sent unprotected: use an https resolver, or one on this machine",
            ),
        ];
        rules.into_iter().find(|(broken, _)| *broken).map(|(_, what)| what)
    }

    /// The resolver, if there is one and its URL can be used.
    pub(crate) fn base(&self) -> Option<Base> {
        Base::parse(self.resolver.as_deref()?)
    }

    /// The value of the `Authorization` header.
    pub(crate) fn authorization_header(&self) -> Option<HeaderValue> {
        authorization_header(self.authorization.as_deref()?)
    }
}

/// Where a resolver is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// Scheme, host and path, without a slash at the end.
    text: String,
    https: bool,
    host: String,
}

impl Base {
    fn parse(text: &str) -> Option<Self> {
        if text.contains(['#', '?', '@']) {
            return None;
        }
        let uri: Uri = text.parse().ok()?;
        let https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host()?.to_ascii_lowercase();
        Some(Self { text: text.trim_end_matches('/').to_owned(), https, host })
    }

    /// Whether what is sent there stays between the two.
    fn keeps_secrets(&self) -> bool {
        self.https || matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "[::1]" | "0.0.0.0")
    }

    /// The URL of a path that begins with a slash.
    pub(crate) fn join(&self, path: &str) -> Option<Uri> {
        format!("{}{path}", self.text).parse().ok()
    }
}

/// `bearer TOKEN` or `basic USER:PASSWORD`, as the header wants it.
fn authorization_header(text: &str) -> Option<HeaderValue> {
    let (scheme, value) = text.split_once(' ')?;
    let header = if scheme.eq_ignore_ascii_case("bearer") && !value.is_empty() {
        format!("Bearer {value}")
    } else if scheme.eq_ignore_ascii_case("basic") && value.contains(':') {
        format!("Basic {}", base64(value.as_bytes()))
    } else {
        return None;
    };
    let mut header = HeaderValue::from_str(&header).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Standard base64 with padding, as HTTP has it.
fn base64(bytes: &[u8]) -> String {
    smp_proto::wire::Base64(bytes).to_string().replace('-', "+").replace('_', "/")
}

/// The section of a new configuration file.
pub(super) fn template() -> String {
    let Names { timeout_milliseconds, max_response_bytes, concurrency, cache_seconds, cache_mib, .. } =
        Names::default();
    format!(
        r#"
[names]
# Base URL of a name resolver (GET BASE/resolve/NAME answers with a JSON record). Without it clients are told that names
# are not resolved here. Whoever runs the resolver sees which names are asked for, not by whom.
# resolver = "http://127.0.0.1:8000"
# What the resolver wants to see: "bearer TOKEN" or "basic USER:PASSWORD"; only over https or on this machine.
# authorization = ""
# Milliseconds for one lookup.
timeout_milliseconds = {timeout_milliseconds}
# Bytes of an answer.
max_response_bytes = {max_response_bytes}
# Lookups of all clients together that may be on their way at one time; more wait.
concurrency = {concurrency}
# Seconds an answer is remembered, also that there is no such name; 0 asks every time. And memory for that, in MiB.
cache_seconds = {cache_seconds}
cache_mib = {cache_mib}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(resolver: &str, authorization: Option<&str>) -> Names {
        Names { resolver: Some(resolver.into()), authorization: authorization.map(Into::into), ..Names::default() }
    }

    #[test]
    fn urls_are_checked() {
        for good in ["http://127.0.0.1:8000", "https://names.example/api/", "http://[::1]:80"] {
            assert_eq!(names(good, None).check(), None, "{good}");
        }
        for bad in ["", "names.example", "ftp://a", "http://u:p@a", "http://a/?q", "http://a/#f", "https://"] {
            assert!(names(bad, None).check().is_some(), "{bad}");
        }
        let base = names("https://names.example/api/", None).base().unwrap();
        assert_eq!(base.join("/resolve/a.simplex").unwrap(), "https://names.example/api/resolve/a.simplex");
    }

    #[test]
    fn secrets_are_not_sent_in_the_clear() {
        assert_eq!(names("http://127.0.0.1", Some("Bearer abc")).check(), None);
        assert_eq!(names("https://names.example", Some("basic user:pass")).check(), None);
        for (resolver, authorization) in [
            ("http://names.example", "bearer abc"),
            ("https://names.example", "digest abc"),
            ("https://names.example", "basic abc"),
            ("https://names.example", "bearer "),
            ("https://names.example", "bearer a\nb"),
        ] {
            assert!(names(resolver, Some(authorization)).check().is_some(), "{authorization}");
        }
        let header = names("https://a", Some("basic user:pa>>??ss")).authorization_header().unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic dXNlcjpwYT4+Pz9zcw==");
        assert!(!format!("{:?}", names("https://a", Some("bearer tokentoken"))).contains("tokentoken"));
    }
}
