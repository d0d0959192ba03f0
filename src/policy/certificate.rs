//! What a peer's certificate says of him, and whose name that is (`verify_and_map`; client-protocol.md §15). Names are
//! read where TLS is spoken; here they are compared. No state; used by the verdict on a CONNECT.

/// How a connection is secured, and by whose certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// "1.2" or "1.3".
    pub version: &'static str,
    /// The suite, by its registered name.
    pub cipher: &'static str,
    /// TLS came before INFO.
    pub first: bool,
    /// What the certificate says that was shown.
    pub names: Option<Names>,
}

/// The names in a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// E-mail addresses, then host names, then URIs: in this order they are looked for.
    pub others: Vec<String>,
    /// The host names among them.
    pub hosts: Vec<String>,
    /// The subject as one text, the most particular part first.
    pub subject: String,
    /// The same in parts.
    pub dn: Dn,
}

/// A distinguished name: parts, each of one or several attributes, the most particular first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dn(pub Vec<Vec<Attribute>>);

/// One attribute of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// `CN`, `OU` …, upper case, or numbers with dots.
    pub kind: String,
    /// What it is.
    pub value: String,
}

impl Dn {
    /// Reads a name as people write it: `CN=a,OU=b+L=c,DC=d`. None: it is none.
    pub fn parse(text: &str) -> Option<Dn> {
        let mut parts = vec![Vec::new()];
        let mut chars = text.chars().peekable();
        loop {
            let mut kind = String::new();
            while let Some(c) = chars.next_if(|c| *c != '=') {
                kind.push(c);
            }
            chars.next()?;
            let (value, end) = value(&mut chars)?;
            let kind = kind.trim().to_ascii_uppercase();
            if kind.is_empty() || !kind.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')) {
                return None;
            }
            parts.last_mut()?.push(Attribute { kind, value });
            match end {
                None => return Some(Dn(parts)),
                Some('+') => {}
                Some(_) => parts.push(Vec::new()),
            }
        }
    }

    /// Are they the same, part by part? Within a part the order means nothing.
    pub fn equals(&self, other: &Dn) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| alike(a, b))
    }

    /// Do they have the same parts, in whatever order?
    pub fn has_parts_of(&self, other: &Dn) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|a| other.0.iter().any(|b| alike(a, b)))
            && other.0.iter().all(|b| self.0.iter().any(|a| alike(a, b)))
    }
}

fn alike(a: &[Attribute], b: &[Attribute]) -> bool {
    a.len() == b.len() && a.iter().all(|x| b.contains(x))
}

/// A value up to what ends it: `,`, `;` or `+`, which is said, or the end of the text.
fn value(chars: &mut impl Iterator<Item = char>) -> Option<(String, Option<char>)> {
    let (mut out, mut kept, mut end) = (String::new(), 0, None);
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let c = chars.next()?;
                match c.to_digit(16).filter(|_| c.is_ascii_hexdigit()) {
                    Some(high) => out.push(char::from((high * 16 + chars.next()?.to_digit(16)?) as u8)),
                    None => out.push(c),
                }
                // What was escaped stays, a blank too.
                kept = out.len();
            }
            ',' | ';' | '+' => {
                end = Some(c);
                break;
            }
            ' ' if out.is_empty() => {}
            c => out.push(c),
        }
    }
    let length = out.trim_end().len().max(kept);
    out.truncate(length);
    Some((out, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn names_are_read_as_people_write_them() {
        let one = dn("CN=a b, ou = NATS ,DC=example");
        let of = |kind: &str, value: &str| vec![Attribute { kind: kind.into(), value: value.into() }];
        assert_eq!(one.0, [of("CN", "a b"), of("OU", "NATS"), of("DC", "example")]);
        assert_eq!(dn("CN=a\\, b\\20").0, [of("CN", "a, b ")]);
        assert_eq!(dn("CN=a+OU=b").0[0].len(), 2);
        for wrong in ["", "alice", "=x", "CN=a,", "CN=a\\", "CN=a,OU", "a@b.c"] {
            assert_eq!(Dn::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn parts_may_stand_in_another_order() {
        let (a, b) = (dn("CN=a,OU=b+L=c"), dn("L=c+OU=b,CN=a"));
        assert!(a.equals(&dn("cn=a,L=c+OU=b")) && !a.equals(&b) && a.has_parts_of(&b));
        assert!(!a.has_parts_of(&dn("CN=a,OU=b")) && !a.has_parts_of(&dn("CN=a,CN=a")));
        assert!(!dn("CN=a,CN=a").has_parts_of(&dn("CN=a,OU=b")));
    }
}
