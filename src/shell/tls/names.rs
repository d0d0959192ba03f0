//! What is known of a peer after a handshake: version, suite, and the names in its certificate, in the words that
//! nats-server compares users with.

use crate::policy::certificate::{Attribute, Dn};
use crate::policy::{Names, Peer};
use rustls::pki_types::CertificateDer;
use rustls::{CommonState, ProtocolVersion};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Kinds of attributes in a subject's text, first to last.
const KINDS: [&str; 9] = ["SERIALNUMBER", "CN", "POSTALCODE", "STREET", "ST", "L", "OU", "O", "C"];

/// What this connection says of its peer. `first`: TLS came before INFO.
pub(super) fn peer(state: &CommonState, first: bool) -> Peer {
    let version = match state.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    let cipher = match state.negotiated_cipher_suite().and_then(|s| s.suite().as_str()) {
        Some("TLS13_AES_128_GCM_SHA256") => "TLS_AES_128_GCM_SHA256",
        Some("TLS13_AES_256_GCM_SHA384") => "TLS_AES_256_GCM_SHA384",
        Some("TLS13_CHACHA20_POLY1305_SHA256") => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.unwrap_or_default(),
    };
    let shown = state.peer_certificates().and_then(|c| c.first());
    Peer { version, cipher, first, names: shown.and_then(names) }
}

/// SHA-256 of the public key that a certificate holds.
pub(super) fn fingerprint(cert: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let (_, parsed) = X509Certificate::from_der(cert).ok()?;
    Some(Sha256::digest(parsed.public_key().raw).into())
}

/// The names of which a server's certificate has to bear one.
#[derive(Debug)]
pub struct Known {
    /// Of configured URLs (`verify_cert_and_check_known_urls`), lower case.
    pub hosts: Vec<String>,
    /// The user in `authorization` (`verify_and_map`).
    pub user: Option<String>,
}

impl Known {
    /// Why it bears none of them.
    pub(super) fn unfit(&self, cert: Option<&CertificateDer<'_>>) -> Option<String> {
        let names = cert.and_then(|c| names(c)).unwrap_or_default();
        let fits = |name: &str, host: &str| match name.strip_prefix("*.") {
            // It stands for a whole first label.
            Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
            None => name == host,
        };
        let host = names.hosts.iter().any(|name| self.hosts.iter().any(|host| fits(&name.to_ascii_lowercase(), host)));
        let user = self.user.as_ref().is_some_and(|user| names.others.contains(user) || names.subject == *user);
        (!host && !user).then(|| {
            "its certificate bears neither the name of a configured URL (verify_cert_and_check_known_urls) nor the user \
             of authorization (verify_and_map)"
                .into()
        })
    }
}

fn names(cert: &CertificateDer<'_>) -> Option<Names> {
    let (_, parsed) = X509Certificate::from_der(cert).ok()?;
    let (mut mails, mut hosts, mut uris) = (Vec::new(), Vec::new(), Vec::new());
    if let Ok(Some(names)) = parsed.subject_alternative_name() {
        for name in &names.value.general_names {
            match name {
                GeneralName::RFC822Name(text) => mails.push((*text).to_owned()),
                GeneralName::DNSName(text) => hosts.push((*text).to_owned()),
                GeneralName::URI(text) => uris.push((*text).to_owned()),
                _ => {}
            }
        }
    }
    let mut parts = Vec::new();
    for part in parsed.subject().iter_rdn() {
        let attributes = part.iter().map(|a| Attribute {
            kind: kind(&a.attr_type().to_id_string()),
            value: a.as_str().map_or_else(|_| String::from_utf8_lossy(a.as_slice()).into_owned(), str::to_owned),
        });
        parts.push(attributes.collect::<Vec<_>>());
    }
    parts.reverse();
    let subject = subject(&parts);
    let others = mails.into_iter().chain(hosts.iter().cloned()).chain(uris).collect();
    Some(Names { others, hosts, subject, dn: Dn(parts) })
}

fn kind(id: &str) -> String {
    match id {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "SERIALNUMBER",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.17" => "POSTALCODE",
        "0.9.2342.19200300.100.1.25" => "DC",
        other => other,
    }
    .to_owned()
}

/// The subject as Go writes it: the kinds that it knows, in its order, those of one kind together.
fn subject(parts: &[Vec<Attribute>]) -> String {
    let all: Vec<&Attribute> = parts.iter().rev().flatten().collect();
    let of_kind = |kind: &&str| {
        let mut values: Vec<String> =
            all.iter().filter(|a| a.kind == **kind).map(|a| format!("{kind}={}", escaped(&a.value))).collect();
        // Of these there is one.
        if ["CN", "SERIALNUMBER"].contains(kind) {
            values = values.pop().into_iter().collect();
        }
        (!values.is_empty()).then(|| values.join("+"))
    };
    KINDS.iter().filter_map(of_kind).collect::<Vec<_>>().join(",")
}

fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (i, c) in value.char_indices() {
        let special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';');
        if special || (c == ' ' && (i == 0 || i == last)) || (c == '#' && i == 0) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
