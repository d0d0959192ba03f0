//! What a driver reads from its sockets, and when it does not.

use super::super::case::Broken;
use super::super::pipes::Read;
use super::super::world::World;
use super::{Arrived, Socket};
use std::collections::BTreeMap;
use turnpike::base::ConnId;
use turnpike::shard::Lost;

/// Takes what arrived from the sockets, as `recv` does: after this, and before parsing, come the rings.
/// Nothing is taken while a ring is full.
pub(super) fn receive(
    w: &mut World,
    through: bool,
    reads: impl Fn(ConnId) -> usize,
    sockets: &mut BTreeMap<ConnId, Socket>,
    arrived: &mut Vec<Arrived>,
) {
    if !through {
        return;
    }
    let most = w.case.plan.read_max as u64;
    for (conn, socket) in sockets.iter_mut() {
        let link = &mut w.links[socket.link];
        if socket.blocked && (link.room(socket.writes) > 0 || link.reset) {
            socket.blocked = false;
            if w.case.plan.broken != Broken::NeverWritable {
                arrived.push(Arrived::Writable(*conn));
            }
        }
        if socket.failed && !socket.ended {
            socket.ended = true;
            arrived.push(Arrived::Lost(*conn, Lost::Failed("write: broken pipe".into())));
        }
        let wanted = reads(*conn);
        if socket.paused || socket.ended || wanted == 0 || w.rng.one_in(8) {
            continue;
        }
        let mut bytes = Vec::new();
        let max = wanted.min(1 + w.rng.below(most) as usize);
        match link.read(socket.writes.other(), max, &mut bytes) {
            Read::Some(_) => arrived.push(Arrived::Bytes(*conn, bytes)),
            Read::Empty => {}
            Read::End => {
                socket.ended = true;
                arrived.push(Arrived::Lost(*conn, Lost::Eof));
            }
            Read::Reset => {
                socket.ended = true;
                arrived.push(Arrived::Lost(*conn, Lost::Failed("read: connection reset by peer".into())));
            }
        }
    }
}

/// Somebody is not read any more, or again.
pub(super) fn pause(w: &mut World, s: usize, socket: Option<&mut Socket>, paused: bool) {
    w.oracle.label(if paused { "publisher paused" } else { "publisher resumed" });
    if w.case.plan.skips {
        w.fail(format!("shard {s} pauses somebody, and nobody is to be waited for"));
    }
    if !paused && w.case.plan.broken == Broken::NeverResumes {
        return;
    }
    if let Some(socket) = socket {
        socket.paused = paused;
    }
}
