//! HTTP: sockets, time limits, headers. The only file of the monitor that knows hyper.

use super::metrics::PROTOBUF;
use super::site::{Kind, Reply, Site};
use crate::shell::tls::Shown;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Most connections served at a time; `shell::descriptors` may give fewer.
pub const CONNECTIONS_MAX: usize = 64;

/// A connection that has not sent a whole request head after this long is closed, also between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// After this long a connection is asked to end after its current request, so that a few that stay cannot keep others
/// out.
const LIFE: Duration = Duration::from_secs(120);

/// A connection that goes on after that is cut: its peer does not read.
const LAST_ANSWER: Duration = Duration::from_secs(10);

/// Bytes of a request's head, and of what is read ahead.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Header lines of a request.
const HEADERS_MAX: usize = 64;

/// Accepts when the process is out of file descriptors are tried again after this long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Accepts and serves until it is dropped; more than so many `connections` at a time wait to be accepted.
pub async fn serve(listener: TcpListener, connections: usize, site: Arc<Site>, tls: Option<Shown>) {
    let slots = Arc::new(Semaphore::new(connections.min(CONNECTIONS_MAX)));
    // The semaphore is never closed.
    while let Ok(slot) = slots.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((socket, _)) => {
                let site = site.clone();
                let config = tls.as_ref().map(|t| t.lock().unwrap_or_else(PoisonError::into_inner).clone());
                tokio::spawn(async move {
                    match config {
                        None => converse(socket, site).await,
                        Some(config) => {
                            let handshake = TlsAcceptor::from(config).accept(socket);
                            // Who speaks no TLS is not answered.
                            if let Ok(Ok(private)) = timeout(HEAD_TIMEOUT, handshake).await {
                                converse(private, site).await;
                            }
                        }
                    }
                    drop(slot);
                });
            }
            Err(_) => sleep(ACCEPT_AGAIN).await,
        }
    }
}

/// One connection. Its end is nobody's news: an error here is the peer's.
async fn converse(socket: impl AsyncRead + AsyncWrite + Unpin, site: Arc<Site>) {
    let service = service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(respond(&site, request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), service));
    if timeout(LIFE, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(LAST_ANSWER, connection).await;
    }
}

/// One request, whatever its method; a body is not looked at.
async fn respond(site: &Site, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let uri = request.uri();
    let accept = request.headers().get(ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
    let Reply { status, kind, body } = site.answer(uri.path(), uri.query(), accept).await;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let content = match kind {
        Kind::Json => "application/json",
        Kind::Html | Kind::Elsewhere(_) => "text/html; charset=utf-8",
        Kind::Text => "text/plain; charset=utf-8",
        Kind::Protobuf => PROTOBUF,
        Kind::Metrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    match kind {
        Kind::Json => drop(headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))),
        Kind::Elsewhere(endpoint) => {
            let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
            let target = match (site.base(), endpoint) {
                ("", endpoint) => endpoint.to_owned(),
                (base, "/") => base.to_owned(),
                (base, endpoint) => format!("{base}{endpoint}"),
            };
            if let Ok(target) = HeaderValue::from_str(&format!("{target}{query}")) {
                headers.insert(LOCATION, target);
            }
        }
        Kind::Text => drop(headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))),
        Kind::Html | Kind::Metrics | Kind::Protobuf => {}
    }
    response
}
