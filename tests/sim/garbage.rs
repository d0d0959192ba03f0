//! What hostile clients say.

use super::scenarios::within;
use turnpike::base::Rng;

/// What nobody may say, or nobody sane.
pub fn garbage(rng: &mut Rng) -> Vec<u8> {
    match rng.below(14) {
        0 => (0..within(rng, 1, 300)).map(|_| rng.next_u64() as u8).collect(),
        1 => b"PUB a.b 99999999\r\n".to_vec(),
        2 => b"PUB a.b -1\r\n\r\n".to_vec(),
        3 => b"PUB a.b 3\r\nabcd\r\n".to_vec(),
        4 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        5 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        6 => format!("SUB {} 1\r\n", "a.".repeat(4000)).into_bytes(),
        7 => b"SUB a..b 900\r\nSUB > > > >\r\n".to_vec(),
        8 => b"CONNECT {\"verbose\":\r\n".to_vec(),
        9 => b"HPUB a.b 900 4\r\nabcd\r\n".to_vec(),
        10 => b"MSG a.b 1 1\r\nx\r\n".to_vec(),
        11 => b"-ERR 'enough'\r\n".to_vec(),
        12 => "SUB z.* 800\r\nUNSUB 800\r\n".repeat(40).into_bytes(),
        _ => b"UNSUB 77777 99999999999999999999\r\nUNSUB\r\n".to_vec(),
    }
}
