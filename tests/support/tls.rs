//! Certificates made for one test, and connections that speak TLS.

use super::frames::{frame_len, info, Frame};
use super::raw::PATIENCE;
use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Instant;

/// An authority, and a folder for what it signs.
pub struct Authority {
    folder: PathBuf,
    cert: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Issued {
    /// PEM files.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// The same, as they are.
    pub chain: Vec<CertificateDer<'static>>,
    pub secret: Vec<u8>,
    /// SHA-256 of the public key, in hex.
    pub pin: String,
}

impl Authority {
    pub fn new() -> Authority {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}-{n}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("an authority");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("authority {n}"));
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).expect("a certificate");
        fs::write(folder.join("ca.pem"), cert.pem()).expect("written");
        Authority { folder, cert: cert.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// Its own certificate, as a file.
    pub fn file(&self) -> String {
        self.folder.join("ca.pem").display().to_string()
    }

    /// A certificate for these hosts (addresses too).
    pub fn issue(&self, name: &str, hosts: &[&str]) -> Issued {
        self.issue_with(name, hosts, |params| params.distinguished_name.push(DnType::CommonName, name))
    }

    /// The same, with whatever else; the subject is empty before.
    pub fn issue_with(&self, file: &str, hosts: &[&str], more: impl FnOnce(&mut CertificateParams)) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let hosts: Vec<String> = hosts.iter().map(|h| h.to_string()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.distinguished_name = DistinguishedName::new();
        more(&mut params);
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let (at, secret_at) = (self.folder.join(format!("{file}.pem")), self.folder.join(format!("{file}.key")));
        fs::write(&at, cert.pem()).expect("written");
        fs::write(&secret_at, key.serialize_pem()).expect("written");
        use sha2::Digest;
        let pin = sha2::Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key));
        let pin = pin.iter().map(|b| format!("{b:02x}")).collect();
        Issued { cert: at, key: secret_at, chain: vec![cert.der().clone()], secret: key.serialize_der(), pin }
    }

    /// A server's certificate on this machine, as `cert_file` and `key_file`.
    pub fn server(&self) -> String {
        self.issue("server", &["localhost", "127.0.0.1"]).conf()
    }

    /// A client that believes this authority, and shows `shown`.
    pub fn client(&self, shown: Option<&Issued>) -> Arc<ClientConfig> {
        self.client_of(rustls::DEFAULT_VERSIONS, shown)
    }

    /// The same, of these versions only.
    pub fn client_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        shown: Option<&Issued>,
    ) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.cert.clone()).expect("an authority");
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let builder = builder.expect("versions").with_root_certificates(roots);
        Arc::new(match shown {
            None => builder.with_no_client_auth(),
            Some(it) => {
                let secret = PrivateKeyDer::try_from(it.secret.clone()).expect("a key");
                builder.with_client_auth_cert(it.chain.clone(), secret).expect("a certificate")
            }
        })
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

impl Issued {
    /// As a configuration names it.
    pub fn conf(&self) -> String {
        format!("cert_file: \"{}\", key_file: \"{}\"", self.cert.display(), self.key.display())
    }
}

/// An e-mail address in a certificate.
pub fn mail(address: &str) -> SanType {
    SanType::Rfc822Name(address.try_into().expect("ascii"))
}

/// A URI in a certificate.
pub fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().expect("ascii"))
}

/// A private connection.
pub struct Private {
    pub tls: StreamOwned<ClientConnection, TcpStream>,
    pub greeting: Value,
    got: Vec<u8>,
}

impl Private {
    /// INFO in the clear, then TLS.
    pub fn connect(to: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Private> {
        let mut stream = dial(to);
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0; 1];
            stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        let greeting = info(&line).expect("an INFO");
        Private::over(stream, config, greeting)
    }

    /// TLS, then INFO.
    pub fn first(to: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Private> {
        let mut it = Private::over(dial(to), config, Value::Null)?;
        let frame = it.next()?;
        it.greeting = info(&frame).expect("an INFO");
        Ok(it)
    }

    /// TLS from the first byte, whatever is said then.
    pub fn first_quietly(to: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Private> {
        Private::over(dial(to), config, Value::Null)
    }

    /// A handshake on this socket.
    pub fn over(mut stream: TcpStream, config: &Arc<ClientConfig>, greeting: Value) -> std::io::Result<Private> {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut connection = ClientConnection::new(config.clone(), name).expect("a connection");
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Private { tls: StreamOwned::new(connection, stream), greeting, got: Vec::new() })
    }

    /// The next frame; an error when the connection ended.
    pub fn next(&mut self) -> std::io::Result<Frame> {
        let end = Instant::now() + PATIENCE;
        let mut chunk = [0; 65536];
        loop {
            if let Some(n) = frame_len(&self.got) {
                return Ok(self.got.drain(..n).collect());
            }
            assert!(Instant::now() < end, "nothing came");
            match self.tls.read(&mut chunk)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                n => self.got.extend_from_slice(&chunk[..n]),
            }
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.tls.write_all(bytes).expect("written");
        self.tls.flush().expect("flushed");
    }

    /// All frames to the next PONG.
    pub fn barrier(&mut self) -> Vec<Frame> {
        self.write(b"PING\r\n");
        let mut all = Vec::new();
        loop {
            let frame = self.next().expect("a PONG");
            if frame == b"PONG\r\n" {
                return all;
            }
            all.push(frame);
        }
    }
}

fn dial(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("connected");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream
}
