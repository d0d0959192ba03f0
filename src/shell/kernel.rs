//! What the kernel knows of a TCP socket and no library of ours asks it for: what lies in its send queue, and how far its
//! peer is. Called by `socket`, seldom.

use rustix::ioctl::{ioctl, Getter, Opcode};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Bytes that may lie in the send queue towards a near peer; the kernel allows twice as much, of which it counts its own
/// expense. By itself it lets some MiB pile up, which have left the cache of both when they are read: a stream between
/// processes of one machine costs up to half more CPU.
pub const NEAR_QUEUE_BYTES: usize = 448 << 10;
/// A peer with a shorter round trip is near. So much fits into its queue that no link of less than 40 Gbit/s waits for it,
/// and farther ones have what the kernel finds best.
const NEAR: Duration = Duration::from_micros(100);

/// What of the bytes written lies in the system's send queue: not sent, or not acknowledged.
///
/// # Errors
/// What the system says.
#[allow(unsafe_code, reason = "this request (SIOCOUTQ, tcp(7)) has no safe wrapper")]
pub fn unacknowledged(stream: &TcpStream) -> rustix::io::Result<u64> {
    const SIOCOUTQ: Opcode = 0x5411;
    // SAFETY: SIOCOUTQ writes one int and nothing else, which is what `Getter` gives it room for.
    let queued: i32 = unsafe { ioctl(stream, Getter::<SIOCOUTQ, i32>::new())? };
    Ok(u64::try_from(queued).unwrap_or(0))
}

/// Bounds the send queue of a socket whose peer is near. True: it is.
pub fn bound_queue_if_near(stream: &TcpStream) -> bool {
    // Zero: not yet measured, or an old kernel.
    let near = least_round_trip(stream).is_some_and(|rtt| !rtt.is_zero() && rtt < NEAR);
    near && rustix::net::sockopt::set_socket_send_buffer_size(stream, NEAR_QUEUE_BYTES).is_ok()
}

/// The shortest round trip seen of late (TCP_INFO, tcp(7)).
#[allow(unsafe_code, reason = "this option has no safe wrapper")]
fn least_round_trip(stream: &TcpStream) -> Option<Duration> {
    // SAFETY: it is made of integers only, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    let into = std::ptr::from_mut(&mut info).cast();
    // SAFETY: the kernel writes at most `len` bytes to `into`, which has as many, and an older kernel fewer.
    let rc = unsafe { libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, into, &raw mut len) };
    (rc == 0).then(|| Duration::from_micros(u64::from(info.tcpi_min_rtt)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::socket_send_buffer_size;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn the_queue_towards_this_machine_is_bounded_and_what_lies_in_it_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        // Round trips until one was short: a busy machine may need some.
        let mut byte = [0];
        let near = (0..100_000).any(|_| {
            here.write_all(&byte).unwrap();
            there.read_exact(&mut byte).unwrap();
            there.write_all(&byte).unwrap();
            here.read_exact(&mut byte).unwrap();
            bound_queue_if_near(&here)
        });
        assert!(near, "no round trip within this machine was shorter than {NEAR:?}");
        assert!(socket_send_buffer_size(&here).unwrap() <= 2 * NEAR_QUEUE_BYTES);
        here.set_nonblocking(true).unwrap();
        let bytes = vec![0; 8 << 20];
        let written = here.write(&bytes).unwrap() as u64;
        assert!(written < bytes.len() as u64 && unacknowledged(&here).unwrap() <= written);
    }
}
