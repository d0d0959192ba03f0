//! Keys and signatures as text (client-protocol.md §15 "Nkey encoding"): Ed25519 public keys in base 32 with a letter that
//! says whose they are and a checksum, signatures in base 64. No state; called where configuration and tokens are read, and
//! by whoever checks a signature.

use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine;
use ed25519_dalek::{Signature, VerifyingKey};
use std::fmt;

/// Letters of an encoded public key: prefix, 32 bytes and checksum.
pub const KEY_LETTERS: usize = 56;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Random bytes of a nonce; 15 letters as it is said.
pub const NONCE_BYTES: usize = 11;

/// As Go reads base 64: bits that no byte takes are passed over.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
/// For URLs, without padding: tokens and nonces.
pub(super) const URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    LENIENT.with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::RequireNone),
);
/// The usual one, with padding.
const USUAL: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `O`
    Operator,
    /// `A`
    Account,
    /// `U`
    User,
    /// `N`
    Server,
    /// `C`
    Cluster,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Operator, Kind::Account, Kind::User, Kind::Server, Kind::Cluster];

    fn prefix(self) -> u8 {
        match self {
            Kind::Operator => 14 << 3,
            Kind::Account => 0,
            Kind::User => 20 << 3,
            Kind::Server => 13 << 3,
            Kind::Cluster => 2 << 3,
        }
    }
}

/// A public key that can verify signatures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey {
    kind: Kind,
    bytes: [u8; 32],
}

impl PublicKey {
    /// Reads a key. None: it is none, or one whose signatures prove nothing (of small order).
    pub fn decode(text: &str) -> Option<PublicKey> {
        let raw: [u8; 35] = base32(text)?;
        let (body, sum) = raw.split_at(33);
        if crc16(body).to_le_bytes() != *sum {
            return None;
        }
        let kind = Kind::ALL.into_iter().find(|k| k.prefix() == raw[0])?;
        let bytes: [u8; 32] = body[1..].try_into().ok()?;
        (!is_weak(&bytes)).then_some(PublicKey { kind, bytes })
    }

    /// Reads a key of one kind.
    pub fn of(kind: Kind, text: &str) -> Option<PublicKey> {
        PublicKey::decode(text).filter(|key| key.kind == kind)
    }

    /// Whose it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Was this text signed with the other half of this key? A key that is no point of the curve has signed nothing. Takes
    /// some 50 µs: not for threads that move messages.
    pub fn verifies(&self, text: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.bytes) else { return false };
        key.verify_strict(text, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(self.kind, &self.bytes))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Is this a point of small order? Such a key "signs" everything. Told by its bytes, in all spellings, as that costs nothing.
fn is_weak(key: &[u8; 32]) -> bool {
    /// Points of order eight: their ordinates, the lowest byte first.
    const EIGHT: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    // The highest bit is the sign of the abscissa.
    let (low, middle, high) = (key[0], &key[1..31], key[31] & 0x7f);
    let small = low <= 1 && high == 0 && middle.iter().all(|b| *b == 0);
    // 2^255 - 19, and its neighbours: minus one, and other spellings of zero and one.
    let large = (0xec..=0xee).contains(&low) && high == 0x7f && middle.iter().all(|b| *b == 0xff);
    let same = |point: &[u8; 32]| point[..31] == key[..31] && point[31] == high;
    small || large || EIGHT.iter().any(same)
}

/// Could this be a seed, of which the secret half of a key is made? It is a secret, wherever it stands by mistake.
pub fn is_seed(text: &str) -> bool {
    text.len() == 58 && text.starts_with('S') && text.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'))
}

/// A key as text.
pub fn encode(kind: Kind, bytes: &[u8; 32]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut raw = [0; 35];
    raw[0] = kind.prefix();
    raw[1..33].copy_from_slice(bytes);
    let sum = crc16(&raw[..33]).to_le_bytes();
    raw[33..].copy_from_slice(&sum);
    let bit = |n: usize| usize::from(raw[n / 8] >> (7 - n % 8) & 1);
    let letter = |n: usize| (5 * n..5 * n + 5).fold(0, |five, n| five << 1 | bit(n));
    (0..KEY_LETTERS).map(|n| char::from(LETTERS[letter(n)])).collect()
}

/// RFC 4648 base 32 without padding, of 35 bytes.
fn base32(text: &str) -> Option<[u8; 35]> {
    let mut out = [0; 35];
    if text.len() != KEY_LETTERS {
        return None;
    }
    for (n, letter) in text.bytes().enumerate() {
        let five = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        for (i, at) in (5 * n..5 * n + 5).enumerate() {
            out[at / 8] |= (five >> (4 - i) & 1) << (7 - at % 8);
        }
    }
    Some(out)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, b| {
        (0..8).fold(crc ^ (u16::from(*b) << 8), |c, _| if c & 0x8000 != 0 { (c << 1) ^ 0x1021 } else { c << 1 })
    })
}

/// A signature as clients send it: base 64 for URLs without padding, or the usual one. None: it is none.
pub fn signature(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    // The longest form is the one with padding.
    if text.len() > SIGNATURE_BYTES.div_ceil(3) * 4 {
        return None;
    }
    let bytes = URL.decode(text).or_else(|_| USUAL.decode(text)).ok()?;
    bytes.try_into().ok()
}

/// What a client has to sign, as it is said in INFO and as it is signed.
pub fn nonce(random: &[u8; NONCE_BYTES]) -> String {
    URL.encode(random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    fn pair(n: u8) -> (SigningKey, PublicKey) {
        let key = SigningKey::from_bytes(&[n; 32]);
        let text = encode(Kind::User, key.verifying_key().as_bytes());
        (key, PublicKey::of(Kind::User, &text).unwrap())
    }

    #[test]
    fn keys_are_read_as_the_official_library_writes_them() {
        // Made with github.com/nats-io/nkeys from the seed of 32 bytes of 7.
        const USER: &str = "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF";
        const ACCOUNT: &str = "ADVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCZW22";
        const OPERATOR: &str = "ODVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCZAW4";
        let key = SigningKey::from_bytes(&[7; 32]);
        let text = encode(Kind::User, key.verifying_key().as_bytes());
        assert_eq!(text, USER);
        assert_eq!(encode(Kind::Account, key.verifying_key().as_bytes()), ACCOUNT);
        assert_eq!(PublicKey::of(Kind::Operator, OPERATOR).unwrap().to_string(), OPERATOR);
        let read = PublicKey::decode(&text).unwrap();
        assert_eq!((read.kind(), read.to_string()), (Kind::User, text.clone()));
        assert_eq!(PublicKey::of(Kind::Account, &text), None);
        for kind in Kind::ALL {
            let text = encode(kind, key.verifying_key().as_bytes());
            assert_eq!(PublicKey::decode(&text).map(|k| k.kind()), Some(kind));
        }
    }

    #[test]
    fn no_other_letters_are_a_key() {
        let (_, key) = pair(1);
        let text = key.to_string();
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for at in 0..text.len() {
            for other in ["A", "B", "7", "a", "1", "=", "\n", "é"] {
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(changed == text || PublicKey::decode(&changed).is_none(), "{changed}");
            }
        }
        for n in 0..80 {
            assert_eq!(PublicKey::decode(&"A".repeat(n)), None);
            assert_eq!(PublicKey::decode(&text[..n.min(55)]), None);
        }
    }

    #[test]
    fn keys_whose_signatures_prove_nothing_are_none() {
        // Points of small order, in all their spellings: what the library of signatures calls weak, and only that.
        let hex = |text: &str| std::array::from_fn(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap());
        let mut weak: Vec<[u8; 32]> = vec![[0; 32], std::array::from_fn(|n| u8::from(n == 0))];
        weak.extend(
            [0xec, 0xed, 0xee]
                .map(|low| std::array::from_fn(|n| [low, 0xff, 0x7f][usize::from(n > 0) + usize::from(n == 31)])),
        );
        weak.push(hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"));
        weak.push(hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"));
        for mut bytes in weak {
            for sign in [0, 0x80] {
                bytes[31] |= sign;
                assert!(VerifyingKey::from_bytes(&bytes).map_or(true, |key| key.is_weak()), "{bytes:?}");
                assert_eq!(PublicKey::decode(&encode(Kind::User, &bytes)), None, "{bytes:?}");
            }
        }
        assert!(!is_weak(&pair(1).1.bytes) && !is_weak(&[0xff; 32]) && !is_weak(&[1; 32]));
        // No point at all: a key by its letters, with which nothing was signed.
        let mut none = [0; 32];
        none[0] = 2;
        let key = PublicKey::decode(&encode(Kind::User, &none)).unwrap();
        assert!(!key.verifies(b"", &[0; 64]));
    }

    #[test]
    fn nothing_but_the_signature_of_this_text_verifies() {
        let (secret, key) = pair(1);
        let good = secret.sign(b"nonce").to_bytes();
        assert!(key.verifies(b"nonce", &good));
        assert!(!key.verifies(b"nonc", &good) && !key.verifies(b"", &good) && !pair(2).1.verifies(b"nonce", &good));
        for bit in (0..512).step_by(37) {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verifies(b"nonce", &bad), "bit {bit}");
        }
    }

    #[test]
    fn signatures_are_read_in_both_alphabets_and_in_no_other_length() {
        let bytes: [u8; 64] = std::array::from_fn(|n| 255 - n as u8);
        let (url, usual) = (URL.encode(bytes), USUAL.encode(bytes));
        assert_ne!(url, usual.trim_end_matches('='));
        assert_eq!((signature(&url), signature(&usual)), (Some(bytes), Some(bytes)));
        assert_eq!(signature(usual.trim_end_matches('=')), None, "the usual alphabet has padding");
        assert_eq!(signature(&format!("{url}==")), None, "the other has none");
        for n in (0..=80).filter(|n| *n != 64) {
            let short = vec![0xfb; n];
            assert_eq!((signature(&URL.encode(&short)), signature(&USUAL.encode(&short))), (None, None), "{n} bytes");
        }
        assert_eq!(signature(&"A".repeat(1 << 20)), None);
    }

    #[test]
    fn a_nonce_has_fifteen_letters() {
        assert_eq!(nonce(&[0xff; 11]), "______________8");
    }
}
