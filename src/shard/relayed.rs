//! A message as it goes over a route: in one line, or in several where a peer's limit asks for it (cluster-protocol.md
//! §§1.1, 3.13).

use crate::wire::route::{queue_room, write_message};
use crate::wire::Message;

/// What [`write`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Messages written.
    pub lines: u32,
    /// Queue groups that did not fit, or the message if it cannot be said at all.
    pub left_out: u64,
}

/// Appends a message, `names` as [`Verdict::names`](super::verdict::Verdict::names). Groups that do not fit into one line
/// go into further ones, except to a peer that wants the message plain too, which would deliver it to its plain
/// subscriptions each time.
pub(super) fn write<'n>(
    out: &mut Vec<u8>,
    names: &[u8],
    m: &Message<'_>,
    headers: bool,
    plain: bool,
    queues: impl Iterator<Item = &'n [u8]>,
) -> Written {
    let mut queues = queues.peekable();
    let mut written = Written::default();
    loop {
        let mut room = queue_room(names, m);
        // A name that fits into no line is left out.
        while queues.next_if(|n| n.len() >= room).is_some() {
            written.left_out += 1;
        }
        if queues.peek().is_none() && !plain {
            return written;
        }
        let line = std::iter::from_fn(|| {
            let name = queues.next_if(|n| n.len() < room)?;
            room -= name.len() + 1;
            Some(name)
        });
        match write_message(out, names, line, m, headers) {
            Ok(()) => written.lines += 1,
            Err(_) => written.left_out += 1,
        }
        if plain {
            written.left_out += queues.count() as u64;
            return written;
        }
    }
}
