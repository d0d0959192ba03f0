//! Meaning → bytes for what is not a greeting or an error: the common part of a message's deliveries.

use super::{Message, Publish};

/// The common part of a message's deliveries when it did not come in the form it leaves in (odd spacing, a bare LF,
/// a header of 0 bytes). Kept by its user so that its memory is used again.
#[derive(Debug, Default)]
pub struct Body(Vec<u8>);

impl Body {
    /// `p` as all its deliveries share it; composed here only if it did not come so.
    pub fn message<'a>(&'a mut self, p: &Publish<'a>) -> Message<'a> {
        let tail = if p.tail.is_empty() {
            self.0.clear();
            if p.header > 0 {
                self.0.extend_from_slice(p.header_text);
                self.0.push(b' ');
            }
            self.0.extend_from_slice(p.size_text);
            self.0.extend_from_slice(b"\r\n");
            self.0.extend_from_slice(p.payload);
            self.0.extend_from_slice(b"\r\n");
            &self.0
        } else {
            p.tail
        };
        Message { subject: p.subject, reply: p.reply, header: p.header, size: p.payload.len(), tail }
    }
}
