//! Asking the monitoring of a running server: one GET, one answer.

use crate::policy::tls::Tls;
use crate::shell::tls::Dialer;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read, bytes.
const ANSWER_MAX: usize = 1 << 30;

/// Where monitoring is: `http://host:port` or `https://host:port`, and what its paths begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `host:port`.
    authority: String,
    /// Before each path; no slash at its end.
    base: String,
    /// Over TLS: the file of authorities that are believed instead of this system's, if one is named.
    private: Option<Option<String>>,
}

impl Place {
    /// Reads `http://host[:port][/base]`, the same with `https`, or `host:port`. Without a port it is 8222.
    ///
    /// # Errors
    /// In words for people.
    pub fn read(url: &str) -> Result<Place, String> {
        let mut private = None;
        let rest = match url.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", rest)) => {
                private = Some(None);
                rest
            }
            Some((scheme, _)) => {
                let remedy = "write http://HOST:PORT with the server's http_port, or https://";
                return Err(format!("{url:?}: monitoring is not asked by {scheme}: {remedy}"));
            }
            None => url,
        };
        let (authority, base) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.strip_suffix(':').unwrap_or(authority);
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!("{url:?} is no address: write http://HOST:PORT with the server's http_port"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { host.to_owned() } else { format!("{host}:8222") };
        let base = base.trim_matches('/');
        Ok(Place { authority, base: if base.is_empty() { String::new() } else { format!("/{base}") }, private })
    }

    /// The same, and over TLS those are believed whom the authorities in this file have certified.
    pub fn believing(mut self, ca: Option<String>) -> Place {
        self.private = self.private.map(|before| ca.or(before));
        self
    }

    /// Asks for `path?query`: the body of the answer.
    ///
    /// # Errors
    /// In words for people: nobody listens there, or what the server says against it.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|e| format!("cannot ask: {e}"))?;
        let asked = runtime.block_on(async { tokio::time::timeout(PATIENCE, self.ask(path)).await });
        let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        let scheme = if self.private.is_some() { "https" } else { "http" };
        answer.map_err(|e| format!("{scheme}://{}: {e}", self.authority))
    }

    async fn ask(&self, path: &str) -> Result<Vec<u8>, String> {
        let stream = tokio::net::TcpStream::connect(&self.authority).await;
        let stream =
            stream.map_err(|e| format!("{e}; is this the address of the server's monitoring (http_port, -m)?"))?;
        let Some(ca) = &self.private else { return self.talk(stream, path).await };
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|e| format!("a certificate cannot bear that name: {e}"))?;
        let dialer = Dialer::new(&Tls { ca_file: ca.clone(), ..Tls::new("https".into()) })?;
        let stream = tokio_rustls::TlsConnector::from(dialer.config).connect(name, stream).await;
        let remedy = "is this its https_port, and is its certificate believed (--ca, SSL_CERT_FILE)?";
        self.talk(stream.map_err(|e| format!("TLS: {e}; {remedy}"))?, path).await
    }

    async fn talk<S>(&self, stream: S, path: &str) -> Result<Vec<u8>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let greeted = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = greeted.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        let request = hyper::Request::get(format!("{}{path}", self.base))
            .header(hyper::header::HOST, &self.authority)
            .body(Empty::<Bytes>::new())
            .map_err(|e| e.to_string())?;
        let answer = sender.send_request(request).await.map_err(|e| format!("it does not speak HTTP: {e}"))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await.map_err(|e| e.to_string())?;
        let body = body.to_bytes().to_vec();
        match status.as_u16() {
            200 => Ok(body),
            404 => Err("it has no such page: it is no turnpike, or an older one".into()),
            _ => Err(format!("{} ({status})", String::from_utf8_lossy(&body).trim())),
        }
    }
}

/// A text as it stands in a query.
pub fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~*$".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let place = |url: &str| Place::read(url).map(|p| (p.authority, p.base));
        let is = |authority: &str, base: &str| Ok((authority.to_owned(), base.to_owned()));
        assert_eq!(place("http://h:1"), is("h:1", ""));
        assert_eq!(place("h:1"), is("h:1", ""));
        assert_eq!(place("http://h/mon/"), is("h:8222", "/mon"));
        assert_eq!(place("http://[::1]:9/"), is("[::1]:9", ""));
        assert_eq!(place("http://[::1]"), is("[::1]:8222", ""));
        for wrong in ["", "nats://h:4222", "ftp://h:1", "http://", "http:// h"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert_eq!(escaped("a.>&*= $G"), "a.%3E%26*%3D%20$G");
    }
}
