//! HTTP/1.1 for what a relay shows besides its protocol: metrics and web pages. Requests are answered from memory, their
//! bodies are not read, and everything a stranger can do is bounded: the size of a request's head, the time of a
//! connection, and how many connections there are.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A request, of which only the head counts.
pub(super) type Request = hyper::Request<Incoming>;

/// A whole answer.
pub(super) type Response = hyper::Response<Full<Bytes>>;

/// Bytes of a request's head, at most: the smallest that the library allows.
const HEAD_BYTES: usize = 8 << 10;

/// Time for the head of a request to arrive, the first and any later one on the same connection.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Time of a connection, however many requests it brings.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// Accepts connections, `limit` at one time, and answers their requests with `handler` until `stopping`. Who comes when
/// all places are taken waits in the system's queue.
pub(super) async fn serve<H>(listener: TcpListener, limit: usize, stopping: CancellationToken, handler: H)
where
    H: Fn(&Request) -> Response + Send + Sync + 'static,
{
    let handler = Arc::new(handler);
    let places = Arc::new(Semaphore::new(limit));
    let tasks = TaskTracker::new();
    loop {
        let place = tokio::select! {
            () = stopping.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Too many open files, which passes when others leave.
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let (handler, stopping) = (Arc::clone(&handler), stopping.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = serve_connection(stream, handler.as_ref()) => {}
            }
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
}

/// Answers the requests of one connection until it ends or has taken too long.
pub(super) async fn serve_connection<S, H>(stream: S, handler: &H)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(&Request) -> Response,
{
    let service = service_fn(|request: Request| {
        let response = handler(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // However it ends: a peer that misbehaves is the peer's business.
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

/// An answer with a body of the given kind.
pub(super) fn answer(status: hyper::StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    async fn exchange(sent: &[u8]) -> String {
        let (mut client, server) = duplex(64 << 10);
        let handler = |request: &Request| answer(StatusCode::OK, "text/plain", request.uri().path().to_owned());
        let serving = tokio::spawn(async move { serve_connection(server, &handler).await });
        client.write_all(sent).await.unwrap();
        let mut answered = Vec::new();
        client.read_to_end(&mut answered).await.unwrap();
        serving.await.unwrap();
        String::from_utf8(answered).unwrap()
    }

    #[tokio::test]
    async fn a_request_is_answered() {
        let answered = exchange(b"GET /here HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n").await;
        assert!(answered.starts_with("HTTP/1.1 200 OK\r\n"), "{answered}");
        assert!(answered.contains("content-type: text/plain\r\n"));
        assert!(answered.ends_with("\r\n\r\n/here"));
    }

    #[tokio::test]
    async fn a_head_that_never_ends_is_refused() {
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        for _ in 0..400 {
            head.extend_from_slice(b"x: 0123456789012345678901234567890123456789\r\n");
        }
        let answered = exchange(&head).await;
        assert!(answered.starts_with("HTTP/1.1 431"), "{answered}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection() {
        let begun = tokio::time::Instant::now();
        let answered = exchange(b"GET / HTTP/1.1\r\n").await;
        assert!(!answered.contains("200 OK"), "{answered}");
        assert!(begun.elapsed() < HEAD_TIME * 2);
    }
}
