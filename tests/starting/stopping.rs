//! The end: what waits is flushed within the grace time, exit code 0 (operations.md §14).

use crate::support::process::until;
use crate::support::raw::{Next, Raw, PATIENCE};
use crate::support::server::Server;
use crate::{server, AT_ONCE};
use std::time::{Duration, Instant};

/// Messages that wait for one reader, far more than the kernel's buffers of a connection hold.
const MESSAGES: usize = 256;
/// Bytes of each.
const SIZE: usize = 64 << 10;

/// A client who has subscribed and not read the many messages that were then published.
fn behind(server: &Server) -> Raw {
    let mut reader = Raw::connect(server.clients());
    reader.write(b"CONNECT {\"verbose\":false}\r\nSUB news 1\r\n");
    reader.barrier();
    let mut publisher = Raw::connect(server.clients());
    publisher.write(b"CONNECT {\"verbose\":false}\r\n");
    let mut message = format!("PUB news {SIZE}\r\n").into_bytes();
    message.resize(message.len() + SIZE, b'm');
    message.extend(b"\r\n");
    for _ in 0..MESSAGES {
        publisher.write(&message);
    }
    publisher.barrier();
    reader
}

fn await_line(server: &Server, line: &str) {
    until(line, AT_ONCE, || server.output().contains(line).then_some(()));
}

#[test]
fn a_slow_reader_gets_all_before_the_end() {
    for (signal, name) in [("TERM", "terminated"), ("INT", "interrupt")] {
        let mut server = server("shutdown_grace: \"20s\"\n", &[]);
        let mut reader = behind(&server);
        server.signal(signal);
        await_line(&server, "Initiating Shutdown...");
        let mut got = 0;
        let rest = loop {
            match reader.next(PATIENCE) {
                Next::Frame(frame) if frame.starts_with(b"MSG news 1 ") => got += 1,
                // On a slow machine its turn may have come.
                Next::Frame(frame) if frame == b"PING\r\n" => {}
                other => break other,
            }
        };
        // Clients get no -ERR.
        assert_eq!((got, rest), (MESSAGES, Next::Closed(Vec::new())), "{signal}");
        assert_eq!(server.ended(), Some(0));
        server.says(&format!("Trapped \"{name}\" signal"));
        assert!(!server.output().contains("still had data"), "{}", server.output());
    }
}

#[test]
fn a_reader_who_does_not_read_holds_the_end_up_for_the_grace_time_only() {
    let mut server = server("shutdown_grace: \"500ms\"\n", &[]);
    let _reader = behind(&server);
    let begun = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn asked_to_end_again_it_ends_at_once() {
    let mut server = server("shutdown_grace: \"60s\"\n", &[]);
    let _reader = behind(&server);
    server.signal("TERM");
    await_line(&server, "Initiating Shutdown...");
    server.signal("INT");
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn nobody_is_accepted_once_the_end_has_begun() {
    let mut server = server("shutdown_grace: \"60s\"\n", &[]);
    let _reader = behind(&server);
    server.signal("TERM");
    let refused = || std::net::TcpStream::connect(server.clients()).is_err().then_some(());
    until("the listener is closed", AT_ONCE, refused);
    server.signal("INT");
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn no_route_begins_once_the_end_has_begun() {
    let mut server = server("shutdown_grace: \"60s\"\ncluster {name: c, listen: \"127.0.0.1:-1\"}\n", &[]);
    let _reader = behind(&server);
    let routes = crate::cluster::route(&server);
    let routes = routes.strip_prefix("nats://").expect("a URL").to_owned();
    drop(std::net::TcpStream::connect(&routes).expect("routes come in"));
    server.signal("TERM");
    let refused = || std::net::TcpStream::connect(&routes).is_err().then_some(());
    until("the listener of routes is closed", AT_ONCE, refused);
    // It is not closed because the server has ended.
    assert!(!server.output().contains("Server Exiting"), "{}", server.output());
    server.signal("INT");
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn the_port_of_a_killed_server_can_be_bound_at_once() {
    let mut server = server("", &[]);
    let mut clients: Vec<Raw> = (0..10).map(|_| Raw::connect(server.clients())).collect();
    clients.iter_mut().for_each(|c| drop(c.barrier()));
    let before = server.clients();
    server.kill();
    server.start_again();
    assert_eq!(server.clients(), before);
    Raw::connect(server.clients()).barrier();
}
