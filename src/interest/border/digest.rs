//! What two servers compare to know whether they have the same rules.

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::str::FromStr;

use super::Rule;
use crate::base::Seeded;

/// Of all rules of a server. Two servers have the same digest if, and as good as only if, their rules are the same as
/// written, in whatever order, however often and wherever each is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Digest {
    type Err = ();

    /// Reads what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// It is something else.
    fn from_str(text: &str) -> Result<Digest, ()> {
        let fine = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        u128::from_str_radix(text, 16).ok().filter(|_| fine).map(Digest).ok_or(())
    }
}

/// The digest of a server's blocks; None: there is no such block. Other servers reckon it too: it must not change from one
/// release to the next.
pub fn digest(exports: Option<&[Rule]>, imports: Option<&[Rule]>) -> Digest {
    let half = |seed: u64| {
        let mut h = Seeded(seed).build_hasher();
        for block in [exports, imports] {
            let mut said: Vec<_> = block.unwrap_or_default().iter().map(Rule::said).collect();
            said.sort_unstable();
            said.dedup();
            h.write_u8(u8::from(block.is_some()));
            h.write_u64(said.len() as u64);
            for (subject, cluster, account, deny) in said {
                h.write(subject);
                for name in [cluster, account] {
                    h.write_u8(u8::from(name.is_some()));
                    h.write(name.unwrap_or_default().as_bytes());
                }
                h.write_u8(u8::from(deny));
            }
        }
        h.finish()
    };
    Digest(u128::from(half(0x5475_726e_7069_6b65)) << 64 | u128::from(half(0x426f_7264_6572_7321)))
}
