//! Who this run of the server is: a fresh public key in the form that NATS tools know server ids by; and whatever else has to
//! be random.

use crate::wire::nkey::{self, Kind};
use rustix::rand::{getrandom, GetRandomFlags};

/// Random bytes that nobody can foretell.
///
/// # Errors
/// When the system has none.
pub fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// A seed from random bytes.
pub fn seed(key: &[u8; 32]) -> u64 {
    key.iter().fold(0, |n, b| n << 8 ^ u64::from(*b) ^ n >> 57)
}

/// `N` and 55 more letters: prefix, key and checksum in base 32.
pub fn server_id(key: &[u8; 32]) -> String {
    nkey::encode(Kind::Server, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_id_is_a_key_that_nats_tools_accept() {
        let id = server_id(&[7; 32]);
        assert_eq!(id.len(), 56);
        assert!(id.starts_with('N') && nkey::PublicKey::of(Kind::Server, &id).is_some());
    }

    #[test]
    fn no_two_connections_sign_the_same() {
        let drawn: std::collections::BTreeSet<[u8; 11]> = (0..1000).map(|_| random().unwrap()).collect();
        assert_eq!(drawn.len(), 1000);
    }
}
