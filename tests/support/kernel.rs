//! Asks the kernel whether the other side has read what was sent: the way to cut input without a sleep.
//!
//! Two writes become two reads only when the first was read before the second is sent. `/proc/net/tcp` tells, for
//! both ends of a loopback connection, how many bytes wait: ours must have none unsent, theirs none unread.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may leave bytes unread.
const READ_LIMIT: Duration = Duration::from_secs(20);

struct Snapshot {
    taken: Instant,
    text: String,
}

// Many connections are played at once; they share one reading of the table.
static LAST: Mutex<Option<Snapshot>> = Mutex::new(None);

/// Waits until the server has read all that was written to `stream`, or no longer holds its end open.
pub fn await_read(stream: &TcpStream) {
    let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) else { return };
    let (ours, theirs) = (row_key(here, there), row_key(there, here));
    let written = Instant::now();
    loop {
        let waiting = {
            let mut last = LAST.lock().unwrap_or_else(|e| e.into_inner());
            if last.as_ref().is_none_or(|s| s.taken < written) {
                let taken = Instant::now();
                *last = Some(Snapshot { taken, text: fs::read_to_string("/proc/net/tcp").unwrap_or_default() });
            }
            let text = &last.as_ref().expect("just filled").text;
            queue(text, &ours).is_some_and(|(unsent, _)| unsent > 0)
                || queue(text, &theirs).is_some_and(|(_, unread)| unread > 0)
        };
        if !waiting {
            return;
        }
        assert!(written.elapsed() < READ_LIMIT, "the server at {there} does not read");
        thread::yield_now();
        let mut last = LAST.lock().unwrap_or_else(|e| e.into_inner());
        if last.as_ref().is_some_and(|s| s.taken >= written) {
            *last = None;
        }
    }
}

/// How an established connection from `a` to `b` is written in the table; state 01 is ESTABLISHED.
fn row_key(a: SocketAddr, b: SocketAddr) -> String {
    format!(" {} {} 01 ", hex(a), hex(b))
}

fn hex(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port()),
        SocketAddr::V6(_) => panic!("servers under test listen on 127.0.0.1"),
    }
}

/// Bytes (unsent, unread) of the row with this key.
fn queue(text: &str, key: &str) -> Option<(u64, u64)> {
    let rest = &text[text.find(key)? + key.len()..];
    let (unsent, rest) = rest.split_once(':')?;
    let unread = rest.split(' ').next()?;
    Some((u64::from_str_radix(unsent, 16).ok()?, u64::from_str_radix(unread, 16).ok()?))
}
