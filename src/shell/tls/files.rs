//! From a `tls` block and the files it names to what handshakes are made with. At the start, for `-t` and at each reload,
//! so that what is found valid will start.

use super::names::Known;
use crate::policy::tls::{CertFiles, Tls, CIPHERS};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{ring, verify_tls12_signature, verify_tls13_signature, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

static NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];

/// How connections that come in are made private.
#[derive(Debug)]
pub struct Acceptor {
    /// What was configured.
    pub tls: Tls,
    /// What the handshake is made with.
    pub config: Arc<ServerConfig>,
    /// The names that a server's certificate may bear, where it has to say who it is.
    pub known: Option<Known>,
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with which file, for the operator.
    pub fn new(tls: &Tls) -> Result<Acceptor, String> {
        let said = |why: String| format!("{}: tls: {why}", tls.place);
        let provider = Arc::new(provider(tls));
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(versions(tls)).map_err(|e| said(e.to_string()))?;
        let builder = match tls.verify {
            false => builder.with_no_client_auth(),
            true => {
                let roots = Arc::new(roots(tls).map_err(said)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build();
                builder.with_client_cert_verifier(verifier.map_err(|e| said(format!("ca_file: {e}")))?)
            }
        };
        let certs = tls.certs.iter().map(|files| certified(files, &provider)).collect::<Result<Vec<_>, _>>();
        let mut config = builder.with_cert_resolver(Arc::new(Certs(certs.map_err(said)?)));
        // A key of this listener's own: what another one has issued opens nothing here, nor what this one did before a
        // reload.
        config.ticketer = ring::Ticketer::new().map_err(|e| said(format!("session tickets: {e}")))?;
        config.send_tls13_tickets = 1;
        Ok(Acceptor { tls: tls.clone(), config: Arc::new(config), known: None })
    }
}

/// How servers are dialed.
#[derive(Debug)]
pub struct Dialer {
    /// What the handshake is made with.
    pub config: Arc<ClientConfig>,
    /// SHA-256 of the public keys that are believed; empty: any.
    pub pinned: Vec<[u8; 32]>,
    /// A handshake takes no longer.
    pub timeout: Duration,
}

impl Dialer {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with which file, for the operator.
    pub fn new(tls: &Tls) -> Result<Dialer, String> {
        let said = |why: String| format!("{}: tls: {why}", tls.place);
        let provider = Arc::new(provider(tls));
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(versions(tls)).map_err(|e| said(e.to_string()))?;
        let builder = match tls.insecure {
            true => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider.clone()))),
            false => builder.with_root_certificates(roots(tls).map_err(said)?),
        };
        let shown = tls.certs.first().map(|files| certified(files, &provider)).transpose().map_err(said)?;
        let config = match shown {
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
            None => builder.with_no_client_auth(),
        };
        Ok(Dialer { config: Arc::new(config), pinned: tls.pinned.clone(), timeout: tls.timeout })
    }
}

/// `insecure`: whoever is dialed is believed. That he holds the key of what he shows is looked at all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Suites and curves as configured.
fn provider(tls: &Tls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if let Some(chosen) = &tls.ciphers {
        let named = |name: Option<&'static str>| name.is_some_and(|n| !CIPHERS.contains(&n) || chosen.contains(&n));
        provider.cipher_suites.retain(|suite| named(suite.suite().as_str()));
    }
    if !tls.curves.is_empty() {
        let at = |group: &&'static dyn rustls::crypto::SupportedKxGroup| {
            let name = match group.name() {
                rustls::NamedGroup::secp256r1 => "CurveP256",
                rustls::NamedGroup::secp384r1 => "CurveP384",
                _ => "X25519",
            };
            tls.curves.iter().position(|c| *c == name)
        };
        provider.kx_groups.retain(|g| at(g).is_some());
        provider.kx_groups.sort_by_key(at);
    }
    provider
}

fn versions(tls: &Tls) -> &'static [&'static SupportedProtocolVersion] {
    // Without a suite of 1.2 there is nothing to offer there.
    let older = !tls.newest_only && tls.ciphers.as_ref().is_none_or(|c| !c.is_empty());
    if older {
        rustls::ALL_VERSIONS
    } else {
        NEWEST
    }
}

fn read(key: &str, path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(Path::new(path)).map_err(|e| format!("{key}: open {path}: {}", e.kind()))
}

fn roots(tls: &Tls) -> Result<RootCertStore, String> {
    let Some(path) = &tls.ca_file else { return system_roots() };
    let bytes = read("ca_file", path)?;
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(&bytes) {
        let cert = cert.map_err(|e| format!("ca_file: {path} is no PEM file: {e:?}"))?;
        roots.add(cert).map_err(|e| format!("ca_file: {path}: {e}"))?;
    }
    if roots.is_empty() {
        return Err(format!("ca_file: failed to parse root ca certificate: there is none in {path}"));
    }
    Ok(roots)
}

/// Without `ca_file` those are believed whom this system believes, as in nats-server.
fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or(String::new(), |e| format!(": {e}"));
        return Err(format!(
            "the authorities of this system cannot be read{why}; give ca_file, those that are believed"
        ));
    }
    Ok(roots)
}

/// A certificate with its key, which fit together.
fn certified(files: &CertFiles, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
    let CertFiles { cert, key } = files;
    let pair = |why: String| format!("error parsing X509 certificate/key pair: {why}");
    let chain = CertificateDer::pem_slice_iter(&read("cert_file", cert).map_err(pair)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| pair(format!("cert_file: {cert} is no PEM file: {e:?}")))?;
    if chain.is_empty() {
        return Err(pair(format!("cert_file: there is no certificate in {cert}")));
    }
    // What stands in a key's file is never repeated.
    let secret = PrivateKeyDer::from_pem_slice(&read("key_file", key).map_err(pair)?);
    let secret = secret.map_err(|_| pair(format!("key_file: there is no private key in {key}, or it is encrypted")))?;
    let both = CertifiedKey::from_der(chain, secret, provider);
    both.map(Arc::new).map_err(|e| pair(format!("{cert} and {key} do not fit together, or are not supported: {e}")))
}

/// Certificates to choose from: the first that bears the name asked for, else the first.
#[derive(Debug)]
struct Certs(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certs {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let Self(all) = self;
        let asked = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let bears = |key: &&Arc<CertifiedKey>| {
            let Some(name) = &asked else { return false };
            let parsed = key.end_entity_cert().ok().and_then(|c| ParsedCertificate::try_from(c).ok());
            parsed.is_some_and(|cert| verify_server_name(&cert, name).is_ok())
        };
        let named = if all.len() > 1 { all.iter().find(bears) } else { None };
        named.or(all.first()).cloned()
    }
}
