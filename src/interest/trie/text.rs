//! A subject that stands where it is looked for: in the table itself, if it is short.
//!
//! Among a million subscriptions a look-up is as dear as the places in memory it has to fetch, one after the other; a
//! subject on the heap is one more of them.

/// Bytes of the longest subject that stands in the table: what fills half a cache line together with its length.
const INLINE_BYTES: usize = 30;

/// The bytes of a subject.
pub(super) enum Text {
    Short { len: u8, bytes: [u8; INLINE_BYTES] },
    Long(Box<[u8]>),
}

impl Text {
    pub(super) fn new(text: &[u8]) -> Text {
        let mut bytes = [0; INLINE_BYTES];
        match bytes.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text);
                Text::Short { len: text.len() as u8, bytes }
            }
            None => Text::Long(text.into()),
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Text::Short { len, bytes } => &bytes[..usize::from(*len)],
            Text::Long(text) => text,
        }
    }

    /// Bytes on the heap; `overhead` is what the allocator adds.
    pub(super) fn heap(&self, overhead: usize) -> usize {
        match self {
            Text::Short { .. } => 0,
            Text::Long(text) => text.len() + overhead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back_as_it_was() {
        assert_eq!(size_of::<Text>(), 32);
        for len in 0..100 {
            let text = "subject.".repeat(13).into_bytes()[..len].to_vec();
            let kept = Text::new(&text);
            assert_eq!(kept.bytes(), text);
            assert_eq!(kept.heap(16), if len <= INLINE_BYTES { 0 } else { len + 16 });
        }
    }
}
