//! How TLS is spoken, as configured: which files, who is asked for a certificate, how a handshake goes. The files are read
//! where TLS is spoken. Immutable; `tls_block` reads it.

use std::time::Duration;

/// Suites of TLS 1.2 that can be chosen, in Go's words. Those of TLS 1.3 are always offered, as in nats-server.
pub const CIPHERS: [&str; 6] = [
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];
/// The suites of TLS 1.3.
pub(super) const ALWAYS: [&str; 3] =
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
/// Curves that can be chosen.
pub const CURVES: [&str; 3] = ["X25519", "CurveP256", "CurveP384"];

/// How one listener, or one who dials, speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificates with their keys; of several the one is shown that has the name asked for.
    pub certs: Vec<CertFiles>,
    /// Whose certificates are believed.
    pub ca_file: Option<String>,
    /// The other side must show a certificate.
    pub verify: bool,
    /// The certificate says who the client is.
    pub map: bool,
    /// The certificate has to bear the name of a configured peer.
    pub known_urls: bool,
    /// Whoever is dialed is believed without a look.
    pub insecure: bool,
    /// SHA-256 of the public keys that are let in; empty: any.
    pub pinned: Vec<[u8; 32]>,
    /// Suites of TLS 1.2, of [`CIPHERS`]; None: all.
    pub ciphers: Option<Vec<&'static str>>,
    /// Of [`CURVES`]; empty: all.
    pub curves: Vec<&'static str>,
    /// TLS 1.3 and nothing older.
    pub newest_only: bool,
    /// A handshake takes no longer.
    pub timeout: Duration,
    /// Who speaks first.
    pub first: First,
    /// Handshakes in a second; None: any number.
    pub rate: Option<u32>,
    /// A client may stay without TLS (`allow_non_tls`).
    pub optional: bool,
    /// Where the block stands, for people.
    pub place: String,
}

/// The files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertFiles {
    /// The chain.
    pub cert: String,
    /// Its key.
    pub key: String,
}

/// Does TLS begin before INFO (`handshake_first`)?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// INFO first, in the clear.
    Info,
    /// TLS first.
    Tls,
    /// Whichever the client wants: who says nothing for so long is sent INFO.
    Wait(Duration),
}

impl Tls {
    /// Does the certificate of a server say who it is, so that no password is asked for?
    pub fn names_peers(&self) -> bool {
        self.map || self.known_urls
    }

    /// Nothing is chosen yet; `place` is said where something is wrong.
    pub fn new(place: String) -> Tls {
        Tls {
            certs: Vec::new(),
            ca_file: None,
            verify: false,
            map: false,
            known_urls: false,
            insecure: false,
            pinned: Vec::new(),
            ciphers: None,
            curves: Vec::new(),
            newest_only: false,
            timeout: Duration::from_secs(2),
            first: First::Info,
            rate: None,
            optional: false,
            place,
        }
    }
}
