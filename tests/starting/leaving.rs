//! The lame duck: clients are told, and sent away one by one; then the server ends (operations.md §14).

use crate::support::process::until;
use crate::support::raw::{Next, Raw, PATIENCE};
use crate::{server, AT_ONCE};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A client who takes INFO at any time.
fn client(server: &crate::Server) -> Raw {
    let mut client = Raw::connect(server.clients());
    client.write(b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nSUB x 1\r\n");
    client.barrier();
    client
}

/// The next line that is no PING.
fn told(client: &mut Raw) -> Next {
    loop {
        match client.next(PATIENCE) {
            Next::Frame(frame) if frame == b"PING\r\n" => {}
            other => return other,
        }
    }
}

#[test]
fn a_lame_duck_tells_its_clients_and_goes_on_for_its_grace_period() {
    let mut server = server("lame_duck_grace_period: \"60s\"\nlame_duck_duration: \"90s\"\n", &[]);
    let mut clients: Vec<Raw> = (0..3).map(|_| client(&server)).collect();
    server.signal("USR2");
    for client in &mut clients {
        let mut info = told(client);
        // The first one may have come late, after the first PONG.
        while matches!(&info, Next::Frame(f) if f.starts_with(b"INFO ") && !contains(f, b"\"ldm\":true")) {
            info = told(client);
        }
        let Next::Frame(info) = info else { panic!("no INFO: {info:?}") };
        assert!(info.starts_with(b"INFO ") && contains(&info, b"\"ldm\":true"), "{:?}", String::from_utf8_lossy(&info));
    }
    assert!(TcpStream::connect(server.clients()).is_err(), "a lame duck lets somebody in");
    // A second one changes nothing.
    server.signal("USR2");
    clients[0].write(b"PUB x 2\r\nhi\r\n");
    for client in &mut clients {
        assert_eq!(told(client), Next::Frame(b"MSG x 1 2\r\nhi\r\n".to_vec()));
    }
    server.signal("INT");
    for client in &mut clients {
        assert_eq!(told(client), Next::Closed(Vec::new()));
    }
    assert_eq!(server.ended(), Some(0));
    assert_eq!(server.output().matches("Entering lame duck mode").count(), 1, "{}", server.output());
}

#[test]
fn a_lame_duck_sends_its_clients_away_after_its_grace_period() {
    let mut server = server("lame_duck_grace_period: \"400ms\"\nlame_duck_duration: \"30s\"\n", &[]);
    let mut clients: Vec<Raw> = (0..3).map(|_| client(&server)).collect();
    let begun = Instant::now();
    server.signal("USR2");
    for client in &mut clients {
        while matches!(told(client), Next::Frame(info) if info.starts_with(b"INFO ")) {}
    }
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!(server.ended(), Some(0));
    let output = server.output();
    for line in ["[INF] Entering lame duck mode, stop accepting new clients", "[INF] Closing existing clients"] {
        assert_eq!(output.matches(line).count(), 1, "{output}");
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|w| w == part)
}

#[test]
fn a_lame_duck_without_clients_ends_at_once() {
    let mut server = server("", &[]);
    server.signal("USR2");
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn a_lame_duck_that_is_told_to_end_ends() {
    for signal in ["TERM", "INT"] {
        let mut server = server("", &[]);
        let mut client = client(&server);
        server.signal("USR2");
        let line = "Entering lame duck mode";
        until(line, AT_ONCE, || server.output().contains(line).then_some(()));
        server.signal(signal);
        assert_eq!(server.ended(), Some(0));
        while let Next::Frame(_) = told(&mut client) {}
    }
}
