//! What is answered to which request. Nothing here depends on who asks.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, StatusCode};
use xxhash_rust::xxh3::xxh3_128;

use super::link::{error_page, link_page};
use crate::relay::http::{Response, answer};

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// What pages may load: their own style sheet, icon and scripts, nothing else, from nowhere else. They may connect to
/// nobody, be framed by nobody and send no forms.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Longest file below `/.well-known/`.
const MAX_FILE: u64 = 64 << 10;

/// Something to answer with.
#[derive(Clone, Debug)]
pub(super) struct Document {
    kind: &'static str,
    /// How long others may keep it without asking again.
    caching: &'static str,
    body: Bytes,
    tag: String,
}

impl Document {
    fn new(kind: &'static str, caching: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let tag = format!("\"{:032x}\"", xxh3_128(&body));
        Self { kind, caching, body, tag }
    }

    /// A page that is asked for again each time, and sent again when it has changed.
    pub(super) fn page(text: String) -> Self {
        Self::new(HTML, "no-cache", text)
    }

    pub(super) fn json(text: String) -> Self {
        Self::new(JSON, "no-cache", text)
    }

    fn asset(kind: &'static str, text: &'static str) -> Self {
        Self::new(kind, "public, max-age=3600", text)
    }
}

/// All that the site shows.
#[derive(Debug)]
pub(super) struct Content {
    information_page: Document,
    information_json: Document,
    well_known: Option<PathBuf>,
}

impl Content {
    pub(super) const fn new(
        information_page: Document,
        information_json: Document,
        well_known: Option<PathBuf>,
    ) -> Self {
        Self { information_page, information_json, well_known }
    }

    fn find(&self, path: &str) -> Option<Document> {
        Some(match path {
            "/" => self.information_page.clone(),
            "/information.json" => self.information_json.clone(),
            "/style.css" => Document::asset("text/css; charset=utf-8", include_str!("../../../assets/web/style.css")),
            "/qr.js" => Document::asset("text/javascript; charset=utf-8", include_str!("../../../assets/web/qr.js")),
            "/link.js" => {
                Document::asset("text/javascript; charset=utf-8", include_str!("../../../assets/web/link.js"))
            }
            "/favicon.svg" => Document::asset("image/svg+xml", include_str!("../../../assets/web/favicon.svg")),
            "/robots.txt" => Document::asset("text/plain; charset=utf-8", "User-agent: *\nDisallow:\n"),
            path => match path.strip_prefix("/.well-known/") {
                Some(name) => well_known(self.well_known.as_deref()?, name)?,
                None => Document::page(link_page(path)?),
            },
        })
    }

    /// The whole answer. The query of an address means nothing here.
    pub(super) fn respond(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response {
        if method != Method::GET && method != Method::HEAD {
            let page = Document::page(error_page("That does not work", "This site can only be read."));
            let mut response = page.response(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let Some(document) = self.find(path) else {
            let page = Document::page(error_page("Nothing here", "This relay has no page at this address."));
            return page.response(StatusCode::NOT_FOUND);
        };
        if headers.get_all(IF_NONE_MATCH).iter().any(|tags| matches(tags, &document.tag)) {
            let unchanged = Document { body: Bytes::new(), ..document };
            let mut response = unchanged.response(StatusCode::NOT_MODIFIED);
            response.headers_mut().remove(CONTENT_TYPE);
            return response;
        }
        document.response(StatusCode::OK)
    }
}

impl Document {
    /// To HEAD it is the same: what sends it leaves the body out.
    fn response(self, status: StatusCode) -> Response {
        let mut response = answer(status, self.kind, self.body);
        let headers = response.headers_mut();
        for (name, value) in [
            (CACHE_CONTROL, self.caching),
            (CONTENT_SECURITY_POLICY, POLICY),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Ok(tag) = HeaderValue::from_str(&self.tag) {
            headers.insert(ETAG, tag);
        }
        response
    }
}

/// Whether a list of tags has this one. Whether they are weak does not matter to GET.
fn matches(tags: &HeaderValue, tag: &str) -> bool {
    let Ok(tags) = tags.to_str() else { return false };
    tags.split(',').map(str::trim).any(|each| each == "*" || each.strip_prefix("W/").unwrap_or(each) == tag)
}

/// A file of the directory that the operator filled, or of a directory in it, as certificate authorities ask for.
fn well_known(directory: &Path, name: &str) -> Option<Document> {
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 2 || !parts.iter().all(|part| plain_name(part)) {
        return None;
    }
    let path = parts.iter().fold(directory.to_owned(), |path, part| path.join(part));
    // A few kilobytes of a local disk, and never what could keep a reader waiting, such as a pipe.
    let found = fs::metadata(&path).ok()?;
    if !found.is_file() || found.len() > MAX_FILE {
        return None;
    }
    let mut body = Vec::new();
    fs::File::open(&path).ok()?.take(MAX_FILE).read_to_end(&mut body).ok()?;
    let last = parts.last()?;
    let kind = if *last == "apple-app-site-association" || last.ends_with(".json") {
        JSON
    } else {
        "text/plain; charset=utf-8"
    };
    Some(Document::new(kind, "no-cache", body))
}

/// A name that stays in its directory and is not hidden.
fn plain_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(well_known: Option<PathBuf>) -> Content {
        Content::new(Document::page("<p>".to_owned()), Document::json("{}".to_owned()), well_known)
    }

    fn get(content: &Content, path: &str) -> Response {
        content.respond(&Method::GET, path, &HeaderMap::new())
    }

    #[test]
    fn everything_is_found_and_guarded() {
        let content = content(None);
        for (path, kind) in [
            ("/", "text/html"),
            ("/information.json", "application/json"),
            ("/style.css", "text/css"),
            ("/qr.js", "text/javascript"),
            ("/link.js", "text/javascript"),
            ("/favicon.svg", "image/svg+xml"),
            ("/a", "text/html"),
            ("/invitation/", "text/html"),
        ] {
            let response = get(&content, path);
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert!(header("content-type").starts_with(kind), "{path}");
            assert!(header("content-security-policy").starts_with("default-src 'none'"));
            assert_eq!(header("referrer-policy"), "no-referrer");
            assert_eq!(header("x-content-type-options"), "nosniff");
        }
        for path in ["/nothing", "/.well-known/x", "/a/b", "//", "/../etc/passwd", "/information.json/"] {
            assert_eq!(get(&content, path).status(), StatusCode::NOT_FOUND, "{path}");
        }
        let refused = content.respond(&Method::POST, "/", &HeaderMap::new());
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers()["allow"], "GET, HEAD");
    }

    #[test]
    fn what_has_not_changed_is_not_sent_again() {
        let content = content(None);
        let tag = get(&content, "/").headers()["etag"].to_str().unwrap().to_owned();
        for (sent, status) in [
            (tag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", W/{tag}"), StatusCode::NOT_MODIFIED),
            ("*".to_owned(), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, sent.parse().unwrap());
            let response = content.respond(&Method::GET, "/", &headers);
            assert_eq!(response.status(), status, "{sent}");
            assert_eq!(response.headers()["etag"], tag.as_str());
        }
    }

    #[test]
    fn well_known_files_are_those_of_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("well-known");
        fs::create_dir_all(root.join("acme-challenge")).unwrap();
        fs::write(directory.path().join("secret"), "secret").unwrap();
        fs::write(root.join("apple-app-site-association"), "{\"applinks\":{}}").unwrap();
        fs::write(root.join("assetlinks.json"), "[]").unwrap();
        fs::write(root.join("acme-challenge/token_1-a"), "token").unwrap();
        fs::write(root.join(".hidden"), "hidden").unwrap();
        fs::write(root.join("large"), vec![b'x'; (MAX_FILE + 1) as usize]).unwrap();
        let content = content(Some(root));
        for (name, kind) in [
            ("apple-app-site-association", "application/json"),
            ("assetlinks.json", "application/json"),
            ("acme-challenge/token_1-a", "text/plain; charset=utf-8"),
        ] {
            let response = get(&content, &format!("/.well-known/{name}"));
            assert_eq!(response.status(), StatusCode::OK, "{name}");
            assert_eq!(response.headers()["content-type"], kind);
        }
        for name in [
            "../secret",
            "..",
            "%2e%2e/secret",
            "acme-challenge",
            "",
            ".hidden",
            "large",
            "a/b/c",
            "acme-challenge/",
            "x\\y",
        ] {
            assert_eq!(get(&content, &format!("/.well-known/{name}")).status(), StatusCode::NOT_FOUND, "{name}");
        }
    }
}
