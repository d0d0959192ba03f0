//! What a peer can do to a session with records that are right in themselves.

use super::{Sealed, Session};
use crate::base::limits::TLS_REST_BYTES_MAX;
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, RootCertStore,
    ServerConfig, SupportedProtocolVersion,
};
use std::sync::Arc;

/// A client who believes the server, or does not, and the server's end. They speak one suite of 1.3, or any of 1.2.
fn pair(version: &'static SupportedProtocolVersion, believes: bool) -> (ClientConnection, Session) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut provider = default_provider();
    provider.cipher_suites.retain(|s| s.tls13().is_none() || *s == TLS13_AES_128_GCM_SHA256);
    let (provider, cert) = (Arc::new(provider), issued.cert.der().clone());
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[version]).unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![cert.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    if believes {
        roots.add(cert).unwrap();
    }
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.enable_secret_extraction = true;
    let client = ClientConnection::new(client.into(), ServerName::try_from("localhost").unwrap()).unwrap();
    (client, UnbufferedServerConnection::new(server.into()).unwrap().into())
}

/// What the client has to say comes to the session, which answers.
fn exchange(client: &mut ClientConnection, session: &mut Session) -> Result<(), rustls::Error> {
    while client.wants_write() || session.state().is_handshaking() {
        let mut said = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut said).unwrap();
        }
        let mut out = Sealed::default();
        let heard = hear(session, &said, &mut out);
        let mut answer = out.bytes();
        while !answer.is_empty() {
            client.read_tls(&mut answer).unwrap();
            // It says what it thinks of it.
            let _ = client.process_new_packets();
        }
        heard?;
    }
    Ok(())
}

fn hear(session: &mut Session, said: &[u8], out: &mut Sealed) -> Result<(), rustls::Error> {
    let mut incoming = std::mem::take(&mut session.rest);
    incoming.extend_from_slice(said);
    let used = session.open(&mut incoming, &mut Vec::new(), out)?;
    session.rest = incoming.split_off(used);
    Ok(())
}

/// What seals records of any kind in the client's name.
fn forger(client: ClientConnection) -> (u64, Box<dyn MessageEncrypter>) {
    match client.dangerous_extract_secrets().unwrap().tx {
        (count, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) => {
            (count, TLS13_AES_128_GCM_SHA256.tls13().unwrap().aead_alg.encrypter(key, iv))
        }
        _ => panic!("another suite was chosen"),
    }
}

fn handshake_record(forger: &mut (u64, Box<dyn MessageEncrypter>), payload: &[u8]) -> Vec<u8> {
    let (typ, version, payload) = (ContentType::Handshake, ProtocolVersion::TLSv1_2, OutboundChunks::Single(payload));
    let sealed = forger.1.encrypt(OutboundPlainMessage { typ, version, payload }, forger.0).unwrap();
    forger.0 += 1;
    sealed.encode()
}

#[test]
fn who_does_not_believe_us_ends_his_session_and_nothing_else() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (mut client, mut session) = pair(version, false);
        let why = exchange(&mut client, &mut session).unwrap_err();
        assert!(matches!(why, rustls::Error::AlertReceived(_)), "{why}");
        let mut out = Sealed::default();
        assert!(session.seal(b"x", &mut out).is_err());
        session.say_goodbye(&mut out);
        assert_eq!(out.bytes(), b"");
    }
}

#[test]
fn we_go_on_speaking_while_a_message_of_tls_has_come_in_part() {
    let (mut client, mut session) = pair(&rustls::version::TLS13, true);
    exchange(&mut client, &mut session).unwrap();
    let mut forger = forger(client);
    let (mut out, update) = (Sealed::default(), [24, 0, 0, 1, 0]);
    for part in [&update[..2], &update[2..3]] {
        hear(&mut session, &handshake_record(&mut forger, part), &mut out).unwrap();
        assert!(!session.rest.is_empty() && session.seal(b"hello", &mut out).is_ok());
    }
    hear(&mut session, &handshake_record(&mut forger, &update[3..]), &mut out).unwrap();
    assert!(session.rest.is_empty() && session.seal(b"hello", &mut out).is_ok());
}

#[test]
fn a_message_of_tls_without_end_is_given_up() {
    let (mut client, mut session) = pair(&rustls::version::TLS13, true);
    exchange(&mut client, &mut session).unwrap();
    let mut forger = forger(client);
    let mut out = Sealed::default();
    hear(&mut session, &handshake_record(&mut forger, &[24, 0, 0xff, 0xff]), &mut out).unwrap();
    let mut parts = 0;
    while hear(&mut session, &handshake_record(&mut forger, &[0]), &mut out).is_ok() {
        parts += 1;
        assert!(parts < TLS_REST_BYTES_MAX, "kept for ever");
    }
    assert!(parts > 100 && session.rest.len() <= TLS_REST_BYTES_MAX);
}
