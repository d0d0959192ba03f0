//! Names made short (cluster-protocol.md §2): what stands for a cluster and a server in the replies of requests that
//! crossed a gateway. Pure functions.

use sha2::{Digest, Sha256};

/// Of a cluster's name or a server's id, in replies.
pub type Hash6 = [u8; 6];
/// Of a server's name, in subjects of the system account.
pub type Hash8 = [u8; 8];

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The first `N` bytes of the name's SHA-256, each as a letter or digit.
pub fn name_hash<const N: usize>(name: &str) -> [u8; N] {
    const { assert!(N <= 32) };
    let digest = Sha256::digest(name.as_bytes());
    std::array::from_fn(|i| LETTERS[usize::from(digest[i]) % LETTERS.len()])
}

/// The first four hexadecimal digits of the SHA-256 of a gateway's name, for servers that know only the old form of
/// replies.
pub fn old_hash(name: &str) -> [u8; 4] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(name.as_bytes());
    std::array::from_fn(|i| HEX[usize::from(digest[i / 2] >> (4 - 4 * (i % 2)) & 15)])
}
