//! Replies that find their way back through gateways (cluster-protocol.md §4.9): `_GR_.<cluster>.<server>.<reply>`, and
//! the old form `$GR.<cluster>.<reply>`. Pure functions on subjects.

use super::hash::{name_hash, old_hash, Hash6};

/// How much longer a reply becomes.
pub const REPLY_PREFIX_BYTES: usize = 19;

const NEW: &[u8] = b"_GR_.";
const OLD: &[u8] = b"$GR.";

/// Where the hashes stand in the new form.
const CLUSTER: std::ops::Range<usize> = 5..11;
const SERVER: std::ops::Range<usize> = 12..18;
/// How much longer a reply of the old form becomes, and where the hash of the cluster stands in it.
const OLD_PREFIX_BYTES: usize = 9;
const OLD_CLUSTER: std::ops::Range<usize> = 4..8;

/// What this server puts before the replies of requests that leave its cluster: for those who understand the new form,
/// and for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyPrefix {
    new: [u8; REPLY_PREFIX_BYTES],
    old: [u8; OLD_PREFIX_BYTES],
}

impl ReplyPrefix {
    /// That of a server in a cluster.
    pub fn new(cluster: &str, server_id: &str) -> ReplyPrefix {
        let (hash, server): (Hash6, Hash6) = (name_hash(cluster), name_hash(server_id));
        let (mut new, mut old) = ([b'.'; REPLY_PREFIX_BYTES], [b'.'; OLD_PREFIX_BYTES]);
        new[..CLUSTER.start].copy_from_slice(NEW);
        new[CLUSTER].copy_from_slice(&hash);
        new[SERVER].copy_from_slice(&server);
        old[..OLD_CLUSTER.start].copy_from_slice(OLD);
        old[OLD_CLUSTER].copy_from_slice(&old_hash(cluster));
        ReplyPrefix { new, old }
    }

    /// Its bytes for whoever understands the new form, or does not; the last dot included.
    pub fn bytes(&self, new: bool) -> &[u8] {
        if new {
            &self.new
        } else {
            &self.old
        }
    }

    /// The reply as it leaves, to whoever understands the new form, or does not.
    pub fn before(&self, reply: &[u8], new: bool) -> Vec<u8> {
        [self.bytes(new), reply].concat()
    }

    /// Did the request come from this cluster?
    pub fn is_of_cluster(&self, mapped: &Mapped<'_>) -> bool {
        match mapped.server {
            Some(_) => *mapped.cluster == self.new[CLUSTER],
            None => *mapped.cluster == self.old[OLD_CLUSTER],
        }
    }

    /// Is this the hash of this server?
    pub fn is_server(&self, hash: &[u8]) -> bool {
        *hash == self.new[SERVER]
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

/// The same subject, naming another cluster as where it comes from: between the shards of one server. None: it is not of
/// the new form.
pub fn as_from(subject: &[u8], cluster: &str) -> Option<Vec<u8>> {
    split(subject)?.server?;
    let mut renamed = subject.to_vec();
    let hash: Hash6 = name_hash(cluster);
    renamed[CLUSTER].copy_from_slice(&hash);
    Some(renamed)
}
