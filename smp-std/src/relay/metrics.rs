//! The relay's numbers for a monitoring system, in the text format of Prometheus and in OpenMetrics.
//!
//! Computed when they are asked for. Nothing in them names a user, a queue or an address: all are sums over everybody.

mod catalogue;
mod text;

use hyper::header::ACCEPT;
use hyper::{Method, StatusCode};

use super::Relay;
use super::http::{Request, Response, answer as respond};
use text::Format;

/// Answers a scrape.
pub(super) fn answer(relay: &Relay, request: &Request) -> Response {
    if request.uri().path() != "/metrics" {
        return respond(StatusCode::NOT_FOUND, "text/plain", "The numbers are at /metrics.\n");
    }
    if *request.method() != Method::GET && *request.method() != Method::HEAD {
        return respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "");
    }
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let families = catalogue::families(&relay.facts());
    respond(StatusCode::OK, format.content_type(), text::render(&families, format))
}
