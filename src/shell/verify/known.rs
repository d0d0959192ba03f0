//! Passwords that were found right are known again, so that clients who come back, all at once perhaps, do not wait for tens
//! of milliseconds each. What is kept is a digest under a key that this process drew at its start; no password.

use crate::base::limits::KNOWN_PASSWORDS_MAX;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// See the file's head.
pub(super) struct Known {
    key: [u8; 32],
    digests: HashSet<[u8; 32]>,
}

impl Known {
    /// None yet. The key is to be random.
    pub(super) fn new(key: [u8; 32]) -> Known {
        Known { key, digests: HashSet::new() }
    }

    /// This password fits this hash.
    pub(super) fn learn(&mut self, hash: &str, password: &str) {
        // That many different ones are no clients who come back.
        if self.digests.len() >= KNOWN_PASSWORDS_MAX {
            self.digests.clear();
        }
        self.digests.insert(self.digest(hash, password));
    }

    /// Was this password found to fit this hash?
    pub(super) fn fits(&self, hash: &str, password: &str) -> bool {
        // Which digest is looked for nobody outside can know, so the time that it takes tells nothing.
        self.digests.contains(&self.digest(hash, password))
    }

    fn digest(&self, hash: &str, password: &str) -> [u8; 32] {
        let hash_len = (hash.len() as u64).to_le_bytes();
        let digest = Sha256::new().chain_update(self.key).chain_update(hash_len).chain_update(hash);
        digest.chain_update(password).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_is_known_and_nothing_else() {
        let mut known = Known::new([7; 32]);
        known.learn("hash", "secret");
        assert!(known.fits("hash", "secret"));
        for (hash, password) in [("hash", "secre"), ("hash", ""), ("has", "hsecret"), ("hashs", "ecret"), ("", "")] {
            assert!(!known.fits(hash, password), "{hash} {password}");
        }
    }

    #[test]
    fn not_without_end() {
        let mut known = Known::new([7; 32]);
        for n in 0..=KNOWN_PASSWORDS_MAX {
            known.learn("hash", &n.to_string());
        }
        assert!(known.digests.len() <= KNOWN_PASSWORDS_MAX);
        assert!(known.fits("hash", &KNOWN_PASSWORDS_MAX.to_string()));
    }
}
