//! TLS between servers, and for monitoring. Those of nats-server that take part are named by TURNPIKE_PEERS: scripts/mixed.

use super::{await_text, refused};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use support::cluster::{free_port, local, Client, Cluster};
use support::server::{shard_args, Server, Start, Which};
use support::supercluster::Wish;
use support::tls::{Authority, Private};

use super::support;

/// The block that all servers of one authority share.
fn block(ca: &Authority) -> String {
    format!("tls {{ {}, ca_file: \"{}\" }}", ca.server(), ca.file())
}

/// Messages of every size pass from the one to the other.
fn speaks(from: &Server, to: &Server) {
    let (mut there, mut here) = (Client::of(to), Client::of(from));
    there.say("SUB sizes 1\r\n");
    there.known_at(&[from]);
    for size in [0, 1, 16_384, 100_000, 1 << 20] {
        let body = "x".repeat(size);
        here.say(&format!("PUB sizes {size}\r\n{body}\r\n"));
        assert!(there.next() == format!("MSG sizes 1 {size}\r\n{body}\r\n"), "{size}");
    }
}

#[test]
fn members_of_a_cluster_speak_privately() {
    let ca = Authority::new();
    let which = Which::under_test();
    let c = Cluster::with(&[which.clone(), which.clone(), which], 2, &block(&ca), "");
    for (a, b) in [(0, 1), (1, 2), (2, 0)] {
        speaks(&c.nodes[a], &c.nodes[b]);
    }
}

#[test]
fn clusters_speak_privately() {
    let ca = Authority::new();
    let s = Wish { inside: block(&ca), ..Wish::sizes(&[1, 2]) }.start();
    speaks(&s.clusters[0][0], &s.clusters[1][1]);
    speaks(&s.clusters[1][0], &s.clusters[0][0]);
}

#[test]
fn who_has_no_certificate_of_the_authority_is_no_member() {
    let (ca, other) = (Authority::new(), Authority::new());
    let which = Which::under_test();
    let c = Cluster::with(std::slice::from_ref(&which), 1, &block(&ca), "");
    // In the clear.
    let mut plain = TcpStream::connect(local(c.ports[0])).unwrap();
    plain.write_all(b"INFO {}\r\nCONNECT {}\r\n").unwrap();
    let mut heard = Vec::new();
    let _ = plain.read_to_end(&mut heard);
    assert!(!String::from_utf8_lossy(&heard).contains("INFO"), "{heard:?}");
    await_text(|| c.nodes[0].output(), "TLS handshake error");
    assert!(refused(Private::first_quietly(local(c.ports[0]), &ca.client(None))), "without a certificate");
    let foreign = other.issue("foreign", &["127.0.0.1"]);
    assert!(refused(Private::first_quietly(local(c.ports[0]), &ca.client(Some(&foreign)))), "another authority's");
    // The same from the side of who dials.
    let conf = format!(
        "server_name: x\ncluster {{ name: c, listen: \"127.0.0.1:{}\", routes: [\"nats://127.0.0.1:{}\"]\n{} }}",
        free_port(),
        c.ports[0],
        block(&other)
    );
    let stranger = Server::from(Start::new(&which, &conf, &shard_args(&which, 1)));
    await_text(|| stranger.output(), "UnknownIssuer");
}

#[test]
fn the_name_of_a_configured_url_may_be_asked_for() {
    let ca = Authority::new();
    let which = Which::under_test();
    let start = |name: &str, port: u16, to: u16, hosts: &[&str]| {
        let conf = format!(
            "server_name: {name}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [\"tls://localhost:{to}\"]
             tls {{ {}, ca_file: \"{}\", verify_cert_and_check_known_urls: true }} }}",
            ca.issue(name, hosts).conf(),
            ca.file()
        );
        Server::from(Start::new(&which, &conf, &shard_args(&which, 1)))
    };
    let (a, b, c) = (free_port(), free_port(), free_port());
    let first = start("a", a, b, &["localhost", "127.0.0.1"]);
    let good = start("b", b, a, &["localhost", "127.0.0.1"]);
    speaks(&first, &good);
    let _other = start("c", c, a, &["elsewhere.example"]);
    await_text(|| first.output(), "verify_cert_and_check_known_urls");
}

#[test]
fn monitoring_answers_over_tls() {
    let ca = Authority::new();
    let which = Which::under_test();
    let port = free_port();
    let conf = format!("listen: \"127.0.0.1:-1\"\nhttps: \"127.0.0.1:{port}\"\ntls {{ {} }}", ca.server());
    let mut args = shard_args(&which, 1);
    args.extend(["-m".into(), "0".into()]);
    let _server = Server::from(Start::new(&which, &conf, &args).verbatim());
    let stream = TcpStream::connect(local(port)).unwrap();
    let mut client = Private::over(stream, &ca.client(None), serde_json::Value::Null).unwrap();
    client.tls.write_all(b"GET /varz HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = client.tls.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("\"tls_required\": true"), "{answer}");
}

fn peers() -> Vec<Which> {
    let paths = std::env::var("TURNPIKE_PEERS").expect("TURNPIKE_PEERS names no nats-server: see scripts/mixed");
    paths.split(',').map(|p| Which::at(PathBuf::from(p))).inspect(|w| assert!(!w.is_turnpike())).collect()
}

#[test]
#[ignore = "needs nats-server: scripts/mixed"]
fn mixed_clusters_speak_privately() {
    for peer in peers() {
        let ours = Which::under_test();
        for of in [[ours.clone(), peer.clone()], [peer.clone(), ours.clone()]] {
            let ca = Authority::new();
            let c = Cluster::with(&of, 2, &block(&ca), "");
            speaks(&c.nodes[0], &c.nodes[1]);
            speaks(&c.nodes[1], &c.nodes[0]);
        }
        for of in [vec![vec![ours.clone()], vec![peer.clone()]], vec![vec![peer.clone()], vec![ours.clone()]]] {
            let ca = Authority::new();
            let s = Wish { inside: block(&ca), ..Wish::of(of) }.start();
            speaks(&s.clusters[0][0], &s.clusters[1][0]);
            speaks(&s.clusters[1][0], &s.clusters[0][0]);
        }
    }
}
