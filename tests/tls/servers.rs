//! TLS between servers, and for monitoring. Those of nats-server that take part are named by TURNPIKE_PEERS: scripts/mixed.

use super::classes::reload;
use super::{await_text, refused};
use rcgen::DnType;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use support::cluster::{free_port, local, Client, Cluster};
use support::process::monitoring;
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

/// `verify_and_map`: the certificate has to be that of the user in `authorization`; no password is asked for.
#[test]
fn the_name_of_the_user_may_be_asked_for() {
    let ca = Authority::new();
    let which = Which::under_test();
    let start = |name: &str, port: u16, to: u16, user: &str| {
        let shown = ca.issue_with(name, &["127.0.0.1"], |p| p.distinguished_name.push(DnType::CommonName, user));
        let conf = format!(
            "server_name: {name}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [\"nats://127.0.0.1:{to}\"]
             authorization {{ user: \"CN=member\" }}
             tls {{ {}, ca_file: \"{}\", verify_and_map: true }} }}",
            shown.conf(),
            ca.file()
        );
        Server::from(Start::new(&which, &conf, &shard_args(&which, 1)))
    };
    let (a, b, c) = (free_port(), free_port(), free_port());
    let (first, good) = (start("a", a, b, "member"), start("b", b, a, "member"));
    speaks(&first, &good);
    let _other = start("c", c, a, "guest");
    await_text(|| first.output(), "nor the user of authorization (verify_and_map)");
}

/// The link that is there stays; who comes later is judged by the new authority.
#[test]
fn a_reload_changes_whom_members_believe() {
    let (ca, next) = (Authority::new(), Authority::new());
    let which = Which::under_test();
    let c = Cluster::with(&[which.clone(), which.clone()], 1, &block(&ca), "");
    let comes = |ca: &Authority, name: &str| {
        let conf = format!(
            "server_name: {name}\ncluster {{ name: c, listen: \"127.0.0.1:{}\", routes: [\"nats://127.0.0.1:{}\"]\n{} }}",
            free_port(),
            c.ports[0],
            block(ca)
        );
        Server::from(Start::new(&which, &conf, &shard_args(&which, 1)))
    };
    for node in &c.nodes {
        let file = node.folder().join("server.conf");
        let text = std::fs::read_to_string(&file).unwrap();
        let begin = text.find("tls {").unwrap();
        let end = begin + text[begin..].find('}').unwrap();
        std::fs::write(&file, format!("{}{}{}", &text[..begin], block(&next), &text[end + 1..])).unwrap();
        reload(node, 1);
    }
    speaks(&c.nodes[0], &c.nodes[1]);
    let late = comes(&ca, "late");
    await_text(|| late.output(), "TLS handshake error");
    let new = comes(&next, "new");
    speaks(&c.nodes[0], &new);
    speaks(&new, &c.nodes[1]);
}

/// TLS comes with a reload: the route that is there stays, who comes later speaks it.
#[test]
fn members_begin_to_speak_privately() {
    let ca = Authority::new();
    let which = Which::under_test();
    let mut c = Cluster::with(&[which.clone(), which.clone()], 1, "", "");
    for node in &c.nodes {
        let file = node.folder().join("server.conf");
        let text = std::fs::read_to_string(&file).unwrap();
        let end = text.rfind('}').unwrap();
        std::fs::write(&file, format!("{}\n{} }}\n", &text[..end], block(&ca))).unwrap();
        reload(node, 1);
    }
    speaks(&c.nodes[0], &c.nodes[1]);
    let tls = |node: &Server| monitoring(node.monitor(), "/varz")["cluster"]["tls_required"] == true;
    assert!(tls(&c.nodes[0]));
    let mut plain = TcpStream::connect(local(c.ports[0])).unwrap();
    plain.write_all(b"INFO {}\r\nCONNECT {}\r\n").unwrap();
    await_text(|| c.nodes[0].output(), "TLS handshake error");
    c.nodes[1].kill();
    c.nodes[1].start_again();
    c.await_whole();
    speaks(&c.nodes[1], &c.nodes[0]);
}

/// Each cluster has an authority of its own; what is shown to the other, and believed of it, stands in its entry.
#[test]
fn another_cluster_is_dialed_with_what_its_entry_says() {
    let (east, west) = (Authority::new(), Authority::new());
    let which = Which::under_test();
    let start = |name: &str, port: u16, own: &Authority, other: &str, to: u16, its: &Authority| {
        let conf = format!(
            "server_name: {name}1\ngateway {{ name: {name}, listen: \"127.0.0.1:{port}\"\n{}
             gateways: [{{ name: {other}, url: \"tls://127.0.0.1:{to}\", {} }}] }}",
            block(own),
            block(its)
        );
        Server::from(Start::new(&which, &conf, &shard_args(&which, 1)))
    };
    let (e, w) = (free_port(), free_port());
    let one = start("east", e, &east, "west", w, &west);
    let two = start("west", w, &west, "east", e, &east);
    speaks(&one, &two);
    speaks(&two, &one);
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
