//! Subjects and replies that clients may not use (client-protocol.md §5, "Reserved for clients"). Asked by `publish`.

/// Could subject or reply be reserved? One look at each beginning.
#[inline]
pub fn may_be_reserved(subject: &[u8], reply: &[u8]) -> bool {
    let starts = |s: &[u8]| matches!(s, [b'_', b'R' | b'G', ..] | [b'$', b'G' | b'J' | b'N' | b'S', ..]);
    starts(subject) || starts(reply)
}

/// Is it where servers send answers back to another cluster, today or before there was `_GR_.`?
fn crosses_back(s: &[u8]) -> bool {
    s.strip_prefix(b"_GR_.").or_else(|| s.strip_prefix(b"$GR.")).is_some_and(|rest| !rest.is_empty())
}

/// Subjects that clients may not publish to.
pub fn reserved_subject(s: &[u8]) -> bool {
    matches!(s.first(), Some(b'_' | b'$')) && (crosses_back(s) || s.starts_with(b"$NRG."))
}

/// Replies that clients may not ask for.
pub fn reserved_reply(r: &[u8]) -> bool {
    match r.first() {
        Some(b'_') => r.starts_with(b"_R_.") || crosses_back(r),
        Some(b'$') => (r.starts_with(b"$JS.ACK.") && r.len() > 8) || crosses_back(r),
        _ => false,
    }
}
