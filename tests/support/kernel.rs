//! Asks the kernel whether the other side has read what was sent: the way to cut input without a sleep.
//!
//! Two writes become two reads only when the first was read before the second is sent. For both ends of a loopback
//! connection `sock_diag(7)` tells how many bytes wait: ours must have none unsent, theirs none unread.

use socket2::{Domain, Protocol, Socket, Type};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may leave bytes unread.
const READ_LIMIT: Duration = Duration::from_secs(60);

// Numbers of linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h and net/tcp_states.h.
const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const IPPROTO_TCP: u8 = 6;
const ESTABLISHED: u8 = 1;

thread_local! {
    static DIAG: RefCell<Socket> = RefCell::new(
        Socket::new(Domain::from(AF_NETLINK), Type::DGRAM, Some(Protocol::from(NETLINK_SOCK_DIAG)))
            .expect("this kernel has no sock_diag"),
    );
}

/// Waits until the server has read all that was written to `stream`, or no longer holds its end open.
pub fn await_read(stream: &TcpStream) {
    static CHECKED: Once = Once::new();
    CHECKED.call_once(check);
    let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) else { return };
    let begun = Instant::now();
    while queues(here, there).is_some_and(|q| q.unsent > 0) || queues(there, here).is_some_and(|q| q.unread > 0) {
        assert!(begun.elapsed() < READ_LIMIT, "the server at {there} does not read");
        thread::yield_now();
    }
}

/// Bytes that wait at one end of a connection.
struct Queues {
    unread: u32,
    unsent: u32,
}

/// Asks about the end at `local` of the connection to `remote`; `None` when it is not established.
fn queues(local: SocketAddr, remote: SocketAddr) -> Option<Queues> {
    let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else {
        panic!("servers under test listen on 127.0.0.1");
    };
    // struct nlmsghdr, struct inet_diag_req_v2
    let mut ask = Vec::with_capacity(72);
    ask.extend(72u32.to_ne_bytes());
    ask.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    ask.extend(NLM_F_REQUEST.to_ne_bytes());
    ask.extend([0; 8]);
    ask.extend([AF_INET, IPPROTO_TCP, 0, 0]);
    ask.extend(u32::MAX.to_ne_bytes());
    ask.extend(local.port().to_be_bytes());
    ask.extend(remote.port().to_be_bytes());
    for ip in [local.ip(), remote.ip()] {
        ask.extend(ip.octets());
        ask.extend([0; 12]);
    }
    ask.extend([0; 4]);
    ask.extend([0xff; 8]);
    let mut answer = [0; 512];
    DIAG.with_borrow_mut(|diag| {
        diag.write_all(&ask).expect("sock_diag does not listen");
        let n = diag.read(&mut answer).expect("sock_diag does not answer");
        // struct nlmsghdr, struct inet_diag_msg
        let word = |at: usize| u32::from_ne_bytes(answer[at..at + 4].try_into().expect("four bytes"));
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        let found = n >= 80 && kind == SOCK_DIAG_BY_FAMILY && answer[17] == ESTABLISHED;
        found.then(|| Queues { unread: word(72), unsent: word(76) })
    })
}

/// Makes sure that the kernel tells what is asked here: otherwise every cut would silently be none.
fn check() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let mut stream = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let (mut other, _) = listener.accept().expect("accept");
    stream.write_all(b"seven b").expect("write");
    let (here, there) = (stream.local_addr().expect("address"), stream.peer_addr().expect("address"));
    let begun = Instant::now();
    while queues(there, here).map(|q| q.unread) != Some(7) {
        assert!(begun.elapsed() < READ_LIMIT, "this kernel does not tell unread bytes (CONFIG_INET_DIAG)");
        thread::yield_now();
    }
    other.read_exact(&mut [0; 7]).expect("read");
    assert_eq!(queues(there, here).map(|q| q.unread), Some(0));
}
