//! What may be said before it is known who says it, at every door: CONNECT and no more, so many bytes in all, in one time.

use crate::bystander::Bystander;
use crate::support::cluster::{free_port, local};
use crate::support::raw::{Raw, PATIENCE};
use crate::support::server::Server;
use crate::{server, texts};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const TOO_LONG: &str = "-ERR 'maximum control line exceeded'\r\n";
const NOT_KNOWN: &str = "-ERR 'Authorization Violation'";
/// The door of routes and that of gateways.
const DOORS: [(&str, &str); 2] = [("cluster", "\"cluster\":\"c\""), ("gateway", "\"gateway\":\"west\"")];

/// A server whose doors all ask who is there, its routes' door and its gateways'.
fn guarded(password: &str, more: &str) -> (Server, [SocketAddr; 2]) {
    let ports = [free_port(), free_port()];
    let server = server(
        2,
        &format!(
            "cluster {{ name: c, listen: \"127.0.0.1:{}\", authorization {{ user: r, password: \"{password}\", timeout: 1 }} }}\n\
             gateway {{ name: c, listen: \"127.0.0.1:{}\", authorization {{ user: r, password: \"{password}\", timeout: 1 }} }}\n{more}",
            ports[0], ports[1]
        ),
    );
    (server, ports.map(local))
}

/// A connection to the door of servers, and what it is told at first.
fn knock(door: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(door).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream
}

/// All that is said until the end; a reset is one too.
fn last_words(mut stream: TcpStream) -> String {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        Err(e) => panic!("not ended: {e}; {}", heard.escape_ascii()),
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[test]
fn clients_that_are_not_known_send_little() {
    let slow = bcrypt::hash("p", 4).expect("a hash");
    for line_max in ["1KB", "4KB", "16KB"] {
        let conf = format!(
            "max_control_line: {line_max}\nauthorization {{ users: [ {{ user: u, password: p }}, {{ user: b, password: \"{slow}\" }} ] }}"
        );
        let server = server(1, &conf);
        let most = if line_max == "16KB" { 16 << 10 } else { 4 << 10 };
        let bystander = Bystander::start(&server, "CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\n");
        // Blanks are no argument and so no control line; they count all the same.
        let mut blank = Raw::connect(server.clients());
        blank.write(format!("CONNECT {}", " ".repeat(most + 1)).as_bytes());
        let (said, closed) = blank.until_pongs(1);
        assert!(closed && texts(&said) == [TOO_LONG], "{line_max}: {said:?}");
        let connect = |user: &str| format!("CONNECT {{\"verbose\":false,\"user\":\"{user}\",\"pass\":\"p\"}}\r\n");
        // Up to there they are let in.
        let line = connect("u");
        let mut patient = Raw::connect(server.clients());
        let (verb, rest) = line.split_at("CONNECT ".len());
        patient.write(format!("{verb}{}", " ".repeat(most - line.len() - 6)).as_bytes());
        patient.await_read();
        patient.write(format!("{rest}PING\r\n").as_bytes());
        assert_eq!(texts(&patient.until_pongs(1).0), ["PONG\r\n"], "{line_max}");
        // What follows was sent by somebody known, also where his hash has to be compared first, which takes time.
        let payload = "x".repeat(most);
        for user in ["u", "b"] {
            let mut eager = Raw::connect(server.clients());
            eager.write(format!("{}PUB a {}\r\n{payload}\r\nPING\r\n", connect(user), payload.len()).as_bytes());
            assert_eq!(texts(&eager.until_pongs(1).0), ["PONG\r\n"], "{line_max} {user}");
        }
        bystander.finish();
    }
}

#[test]
fn servers_that_are_not_known_send_little() {
    for password in ["p".to_string(), bcrypt::hash("p", 4).expect("a hash")] {
        let (_server, doors) = guarded(&password, "");
        for (door, (kind, name)) in doors.into_iter().zip(DOORS) {
            for first in [
                "PING\r\n",
                "PONG\r\n",
                "+OK\r\n",
                "INFO {}\r\n",
                "RS+ $G a\r\n",
                "RMSG $G a 1\r\nx\r\n",
                "SUB a 1\r\n",
            ] {
                let mut stream = knock(door);
                stream.write_all(first.as_bytes()).expect("write");
                let heard = last_words(stream);
                assert!(heard.contains(NOT_KNOWN) && !heard.contains("PONG"), "{kind} {first:?}: {heard}");
            }
            let connect = |pad: usize| {
                let line = format!("CONNECT {{\"user\":\"r\",\"pass\":\"p\",{name},\"x\":\"\"}}\r\n");
                line.replace("\"x\":\"\"", &format!("\"x\":\"{}\"", "y".repeat(pad - line.len())))
            };
            // In one piece and without an end.
            for bytes in [connect(4097), format!("CONNECT {{{}", " ".repeat(4090))] {
                let mut stream = knock(door);
                stream.write_all(bytes.as_bytes()).expect("write");
                let heard = last_words(stream);
                assert!(heard.ends_with(TOO_LONG), "{kind} {}: {heard}", bytes.len());
            }
            let mut stream = knock(door);
            stream.write_all(format!("{}PING\r\n", connect(4000)).as_bytes()).expect("write");
            let (mut heard, mut chunk) = (String::new(), [0; 4096]);
            while !heard.contains("PONG") {
                let n = stream.read(&mut chunk).expect("an answer");
                assert!(n > 0, "{kind}: {heard}");
                heard.push_str(&String::from_utf8_lossy(&chunk[..n]));
            }
        }
    }
}

#[test]
fn servers_that_are_not_known_have_one_time_limit() {
    let (_server, doors) = guarded("p", "");
    let ended = doors.map(|door| {
        thread::spawn(move || {
            let mut stream = knock(door);
            let begun = Instant::now();
            // Each byte is a sign of life, and none prolongs the time.
            let bytes = b"CONNECT {\"name\":\"".iter().copied().chain(std::iter::repeat(b'a'));
            for byte in bytes.take(2000) {
                if stream.write_all(&[byte]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
                if begun.elapsed() > PATIENCE {
                    break;
                }
            }
            last_words(stream)
        })
    });
    for heard in ended.map(|t| t.join().expect("a thread")) {
        // What came after the last words may have turned into a reset, and those been lost with it.
        assert!(heard.ends_with("-ERR 'Authentication Timeout'\r\n") || !heard.contains("-ERR"), "{heard}");
    }
}

#[test]
fn no_auth_user_lets_no_server_in() {
    let anonymous = "accounts { A { users [ { user: a, password: b } ] } }\nno_auth_user: a\n";
    let (server, doors) = guarded("p", anonymous);
    // Clients need not say who they are here.
    let mut client = Raw::connect(server.clients());
    client.write(b"PUB a 1\r\nx\r\nPING\r\n");
    assert!(texts(&client.until_pongs(1).0).last().is_some_and(|f| f == "PONG\r\n"));
    for (door, (kind, name)) in doors.into_iter().zip(DOORS) {
        for first in [
            "PUB a 1\r\nx\r\n".to_string(),
            "PING\r\n".to_string(),
            "RS+ A a\r\n".to_string(),
            "RMSG A a 1\r\nx\r\n".to_string(),
            "INFO {\"server_id\":\"X\"}\r\n".to_string(),
            format!("CONNECT {{{name}}}\r\n"),
            format!("CONNECT {{{name},\"user\":\"a\",\"pass\":\"b\"}}\r\n"),
        ] {
            let mut stream = knock(door);
            stream.write_all(first.as_bytes()).expect("write");
            let heard = last_words(stream);
            assert!(heard.contains(NOT_KNOWN), "{kind} {first:?}: {heard}");
        }
    }
    // Nor by the clients' door.
    let mut route = Raw::connect(server.clients());
    route.write(b"CONNECT {\"route\":true,\"cluster\":\"c\"}\r\nPING\r\n");
    assert!(route.until_pongs(1).1, "a route at the clients' door is ended");
}
