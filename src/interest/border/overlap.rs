//! What two patterns have in common.

use crate::wire::subject::tokens;

/// The pattern of exactly those subjects that both patterns match; None: there is none. Two patterns never have more
/// than one pattern in common, as `*` is one token and `>` is one or more and last.
pub fn intersection(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    let common = each(a, b, |token| {
        if !out.is_empty() {
            out.push(b'.');
        }
        out.extend_from_slice(token);
    });
    common.then_some(out)
}

/// Is there a subject that both patterns match?
pub fn overlaps(a: &[u8], b: &[u8]) -> bool {
    each(a, b, |_| {})
}

/// Tells the tokens of what is common, up to where the patterns part; false: they do part.
fn each(a: &[u8], b: &[u8], mut token: impl FnMut(&[u8])) -> bool {
    let (mut a, mut b) = (tokens(a), tokens(b));
    loop {
        let (x, y) = match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(x), Some(y)) => (x, y),
            _ => return false,
        };
        match (x, y) {
            (b">", rest) => {
                token(rest);
                b.for_each(token);
                return true;
            }
            (rest, b">") => {
                token(rest);
                a.for_each(token);
                return true;
            }
            (b"*", t) | (t, b"*") => token(t),
            (x, y) if x == y => token(x),
            _ => return false,
        }
    }
}
