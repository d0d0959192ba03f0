//! Replies that find their way back through gateways (cluster-protocol.md §4.9): `_GR_.<cluster>.<server>.<reply>`, and
//! the old form `$GR.<cluster>.<reply>`. Pure functions on subjects.

use super::hash::{name_hash, Hash6};

/// How much longer a reply becomes.
pub const REPLY_PREFIX_BYTES: usize = 19;

const NEW: &[u8] = b"_GR_.";
const OLD: &[u8] = b"$GR.";

/// What this server puts before the replies of requests that leave its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyPrefix([u8; REPLY_PREFIX_BYTES]);

impl ReplyPrefix {
    /// That of a server in a cluster.
    pub fn new(cluster: &str, server_id: &str) -> ReplyPrefix {
        let (cluster, server): (Hash6, Hash6) = (name_hash(cluster), name_hash(server_id));
        let mut out = [b'.'; REPLY_PREFIX_BYTES];
        out[..5].copy_from_slice(NEW);
        out[5..11].copy_from_slice(&cluster);
        out[12..18].copy_from_slice(&server);
        ReplyPrefix(out)
    }

    /// Its bytes, the last dot included.
    pub fn as_bytes(&self) -> &[u8; REPLY_PREFIX_BYTES] {
        &self.0
    }

    /// Appends the reply as it leaves.
    pub fn write(&self, out: &mut Vec<u8>, reply: &[u8]) {
        out.extend_from_slice(&self.0);
        out.extend_from_slice(reply);
    }
}

/// A mapped reply taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped<'a> {
    /// Which cluster the request came from: six letters, or the four digits of the old form.
    pub cluster: &'a [u8],
    /// Which of its servers, as the hash of its id; None: the old form names none.
    pub server: Option<&'a [u8]>,
    /// The reply as the requester wrote it; never empty.
    pub reply: &'a [u8],
}

/// Does a subject begin as a mapped reply does? Nobody but servers may use such subjects.
#[inline]
pub fn is_mapped(subject: &[u8]) -> bool {
    subject.starts_with(NEW) || subject.starts_with(OLD)
}

/// Takes a mapped reply apart; None: it is none, or not a whole one.
pub fn split(subject: &[u8]) -> Option<Mapped<'_>> {
    if let Some(rest) = subject.strip_prefix(NEW) {
        let (cluster, rest) = token(rest, 6)?;
        let (server, reply) = token(rest, 6)?;
        return (!reply.is_empty()).then_some(Mapped { cluster, server: Some(server), reply });
    }
    let (cluster, reply) = token(subject.strip_prefix(OLD)?, 4)?;
    (!reply.is_empty()).then_some(Mapped { cluster, server: None, reply })
}

/// A token of so many bytes, and what follows the dot behind it.
fn token(subject: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (token, rest) = subject.split_at_checked(length)?;
    let rest = rest.strip_prefix(b".")?;
    (!token.contains(&b'.')).then_some((token, rest))
}
