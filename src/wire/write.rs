//! Meaning → bytes for what is not a greeting or an error: the common part of a message's deliveries.

use super::{Message, Publish};

/// What follows the subjects of a message that has these headers: see [`Message::tail`].
pub fn tail(block: &[u8], body: &[u8]) -> Vec<u8> {
    let mut tail = format!("{} {}\r\n", block.len(), block.len() + body.len()).into_bytes();
    for part in [block, body, b"\r\n"] {
        tail.extend_from_slice(part);
    }
    tail
}

/// The common part of a message's deliveries when it did not come in the form it leaves in (odd spacing, a bare LF,
/// a header of 0 bytes). Kept by its user so that its memory is used again.
#[derive(Debug, Default)]
pub struct Body(Vec<u8>);

impl Body {
    /// `p` as all its deliveries share it, where it did not come so.
    pub fn message<'a>(&'a mut self, p: &Publish<'a>) -> Message<'a> {
        self.0.clear();
        if p.header > 0 {
            self.0.extend_from_slice(p.header_text);
            self.0.push(b' ');
        }
        self.0.extend_from_slice(p.size_text);
        self.0.extend_from_slice(b"\r\n");
        self.0.extend_from_slice(p.payload);
        self.0.extend_from_slice(b"\r\n");
        let tail = &self.0;
        Message { subject: p.subject, reply: p.reply, header: p.header, size: p.payload.len(), tail }
    }
}
