//! Who this run of the server is: a fresh public key in the form that NATS tools know server ids by.

use rustix::rand::{getrandom, GetRandomFlags};

/// Prefix of a server's public key: the letter N (client-protocol.md §15, "Nkey encoding").
const SERVER: u8 = 13 << 3;

/// 32 random bytes.
///
/// # Errors
/// When the system has none.
pub fn random() -> std::io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
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
    let mut raw = vec![SERVER];
    raw.extend_from_slice(key);
    raw.extend_from_slice(&crc16(&raw).to_le_bytes());
    base32(&raw)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, b| {
        (0..8).fold(crc ^ (u16::from(*b) << 8), |c, _| if c & 0x8000 != 0 { (c << 1) ^ 0x1021 } else { c << 1 })
    })
}

/// RFC 4648 base 32 without padding; `bytes` is a multiple of five bits long.
fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut text, mut held, mut bits) = (String::new(), 0u32, 0);
    for b in bytes {
        held = held << 8 | u32::from(*b);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(LETTERS[(held >> bits) as usize & 31]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_id_is_a_key_that_nats_tools_accept() {
        let id = server_id(&[7; 32]);
        assert_eq!(id.len(), 56);
        assert!(id.starts_with('N'));
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(base32(b"hello"), "NBSWY3DP");
    }
}
