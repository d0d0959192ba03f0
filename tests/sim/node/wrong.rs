//! What a driver does to routes when a rule between servers is broken on purpose.

use super::super::case::Broken;
use super::super::world::World;
use super::Socket;
use std::collections::BTreeMap;
use turnpike::base::ConnId;

/// Broken on purpose: sends what a peer said to other peers, or back.
pub(super) fn misdirect(w: &mut World, from: ConnId, sockets: &mut BTreeMap<ConnId, Socket>, bytes: &[u8]) {
    let back = w.case.plan.broken == Broken::Bounces;
    let whole = bytes.starts_with(b"RMSG ") && bytes.ends_with(b"\r\n");
    if w.case.plan.broken == Broken::Circles {
        let tap = |c: &ConnId| sockets.get(c).and_then(|s| s.tap.as_deref());
        if whole && tap(&from).is_some_and(|t| !t.is_route() && !t.sends()) {
            for socket in sockets.values().filter(|s| s.tap.as_ref().is_some_and(|t| t.sends())) {
                w.links[socket.link].write(socket.writes, bytes, usize::MAX);
            }
        }
        return;
    }
    if sockets.get(&from).is_none_or(|s| s.tap.is_none()) || !whole {
        return;
    }
    for (_, socket) in sockets.iter_mut().filter(|(c, s)| s.tap.is_some() && (**c == from) == back) {
        w.links[socket.link].write(socket.writes, bytes, usize::MAX);
    }
}

/// Broken on purpose: takes new interest out of what is written, and puts what was taken out before behind it.
pub(super) fn postponed(bytes: &[u8], late: &mut Vec<u8>) -> Vec<u8> {
    let before = std::mem::take(late);
    let mut out = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b"RS+") { &mut *late } else { &mut out }.extend_from_slice(line);
    }
    out.extend(before);
    out
}

/// Broken on purpose: tells new interest once more.
pub(super) fn repeated(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|b| *b == b'\n');
    lines.flat_map(|line| line.repeat(if line.starts_with(b"RS+ $G") { 2 } else { 1 })).collect()
}

/// Broken on purpose: takes the ends of interest out of what is read, where they are there whole.
pub(super) fn endless(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|b| *b == b'\n');
    lines.filter(|line| !(line.starts_with(b"RS-") && line.ends_with(b"\n"))).flatten().copied().collect()
}

/// Broken on purpose: takes the beginnings of interest out of what is read, where they are there whole.
pub(super) fn unwanted(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|b| *b == b'\n');
    let begins = |line: &&[u8]| (line.starts_with(b"RS+") || line.starts_with(b"A+")) && line.ends_with(b"\n");
    lines.filter(|line| !begins(line)).flatten().copied().collect()
}

/// Broken on purpose: takes the answers to pings for something that means nothing.
pub(super) fn unmeasured(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.split_inclusive(|b| *b == b'\n');
    lines.flat_map(|line| if line == b"PONG\r\n" { b"+OK\r\n" } else { line }).copied().collect()
}

/// Broken on purpose: takes the way back out of replies.
pub(super) fn without_way_back(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    while let Some(at) = out.windows(5).position(|w| w == b"_GR_.").filter(|at| out.len() >= at + 19) {
        out.drain(at..at + 19);
    }
    out
}

/// Broken on purpose: takes one account for another.
pub(super) fn mistaken(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for at in 0..out.len().saturating_sub(8) {
        if out[at..].starts_with(b"MSG ACC1") {
            out[at + 7] = b'0';
        }
    }
    out
}
