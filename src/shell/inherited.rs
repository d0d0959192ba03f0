//! Sockets that systemd opened before it started us (socket activation, sd_listen_fds(3)): clients that come while the
//! server is restarted wait in them instead of being refused. Taken by `address::bind`; what a process inherits is one of a
//! kind, so it is kept in one place.

use super::refusal::Refusal;
use crate::policy::Listen;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// Not taken yet.
static SOCKETS: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());

/// Takes over what was passed to this process. Called once, before anything else opens a descriptor.
///
/// # Errors
/// What was passed is no listening socket.
pub(super) fn adopt() -> Result<(), Refusal> {
    let wrong = |what: String| Refusal::new(format!("socket activation: {what}"), "pass TCP sockets (ListenStream=)");
    for fd in sd_notify::listen_fds().map_err(|e| wrong(e.to_string()))? {
        #[allow(unsafe_code, reason = "a descriptor that was inherited has no owner yet")]
        // SAFETY: systemd passes these to this process alone (LISTEN_PID), and they are taken here once.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let listens = rustix::net::sockopt::socket_acceptconn(&fd).unwrap_or(false);
        let socket = TcpListener::from(fd);
        match socket.local_addr() {
            Ok(_) if listens => SOCKETS.lock().unwrap_or_else(PoisonError::into_inner).push(socket),
            _ => return Err(wrong("what was passed is no listening TCP socket".into())),
        }
    }
    Ok(())
}

/// The socket that was opened for this address, if one was.
pub(super) fn take(listen: &Listen) -> Option<TcpListener> {
    let mut sockets = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    let place = sockets.iter().position(|s| s.local_addr().is_ok_and(|at| is_at(listen, at)))?;
    Some(sockets.swap_remove(place))
}

/// Is this where it is to listen?
fn is_at(listen: &Listen, at: SocketAddr) -> bool {
    let ip = at.ip().to_canonical();
    let unspecified = |host: &str| matches!(host, "" | "0.0.0.0" | "::");
    listen.port == Some(at.port())
        && match ip.is_unspecified() {
            // `ListenStream=4222` is [::], both families.
            true => unspecified(&listen.host),
            false => {
                let named = (listen.host.as_str(), at.port()).to_socket_addrs();
                named.is_ok_and(|mut all| all.any(|a| a.ip().to_canonical() == ip))
            }
        }
}

/// Refuses a start that leaves sockets over: who connects there would wait for ever.
///
/// # Errors
/// Their addresses.
pub(super) fn none_is_left() -> Result<(), Refusal> {
    let sockets = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    let at: Vec<String> = sockets.iter().filter_map(|s| s.local_addr().ok()).map(|at| at.to_string()).collect();
    match at.is_empty() {
        true => Ok(()),
        false => {
            let text = format!("socket activation: systemd opened {}, where nothing here listens", at.join(", "));
            Err(Refusal::new(text, "name the same addresses in the socket unit and in the configuration"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_as_they_are_meant() {
        let is = |host: &str, port: u16, at: &str| {
            is_at(&Listen { host: host.into(), port: Some(port) }, at.parse().unwrap())
        };
        assert!(
            is("0.0.0.0", 4222, "[::]:4222")
                && is("0.0.0.0", 4222, "0.0.0.0:4222")
                && is("127.0.0.1", 1, "127.0.0.1:1")
        );
        assert!(is("127.0.0.1", 1, "[::ffff:127.0.0.1]:1") && is("localhost", 1, "127.0.0.1:1"));
        assert!(!is("0.0.0.0", 4222, "[::]:4223") && !is("127.0.0.1", 1, "[::]:1") && !is("0.0.0.0", 1, "127.0.0.1:1"));
        assert!(!is_at(&Listen { host: "0.0.0.0".into(), port: None }, "[::]:1".parse().unwrap()));
    }
}
