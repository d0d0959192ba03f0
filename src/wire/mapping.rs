//! Subjects that one account knows under other names than another (client-protocol.md §16, exports and imports). Made by the
//! policy floor from what is configured; asked by the shards when a subscription begins and when a verdict is reached.
//!
//! "Theirs" is how the exporting account calls them, "ours" how the importing one does.

use super::subject::{is_open, is_sound, tokens};

/// See the file's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    theirs: Vec<Part>,
    ours: Vec<Part>,
    wildcards: usize,
}

/// One token of a side.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<[u8]>),
    /// The wildcard of this number, one token.
    Wild(usize),
    /// One token or more, at the end.
    Rest,
}

/// What the wildcards of a side stand for.
struct Bound<'a> {
    wild: Vec<Option<&'a [u8]>>,
    rest: Option<&'a [u8]>,
}

impl Mapping {
    /// Subjects that go by the same names in both accounts.
    ///
    /// # Errors
    /// What is wrong.
    pub fn same(theirs: &str) -> Result<Mapping, String> {
        let (theirs, wildcards) = pattern(theirs.as_bytes())?;
        Ok(Mapping { ours: theirs.clone(), theirs, wildcards })
    }

    /// `ours` may name the wildcards of `theirs`: `$1`, `{{wildcard(1)}}`, or `*` for one after the other. Each has to be
    /// named, or no subject would be found back.
    ///
    /// # Errors
    /// What is wrong, in nats-server's words where it has some.
    pub fn renamed(theirs: &str, ours: &str) -> Result<Mapping, String> {
        let (from, wildcards) = pattern(theirs.as_bytes())?;
        let open = from.last() == Some(&Part::Rest);
        if !is_sound(ours.as_bytes()) || is_open(ours.as_bytes()) != open {
            return Err("invalid subject".into());
        }
        let (mut parts, mut stars) = (Vec::new(), 0);
        let mut used = vec![false; wildcards];
        for token in tokens(ours.as_bytes()) {
            let part = named(token, &mut stars)?;
            if let Part::Wild(n) = part {
                let Some(seen) = used.get_mut(n) else {
                    let token = String::from_utf8_lossy(token);
                    return Err(format!("wildcard index out of range in {token}: [{}]", n + 1));
                };
                *seen = true;
            }
            parts.push(part);
        }
        if used.contains(&false) {
            return Err(format!("not using all of the token wildcard(s) in {ours}"));
        }
        Ok(Mapping { theirs: from, ours: parts, wildcards })
    }

    /// One subject of theirs, under one name of ours, wildcards or not.
    ///
    /// # Errors
    /// What is wrong.
    pub fn single(theirs: &str, ours: &str) -> Result<Mapping, String> {
        let name = |s: &str| match is_sound(s.as_bytes()) {
            true => Ok(tokens(s.as_bytes()).map(|t| Part::Literal(t.into())).collect()),
            false => Err("invalid subject".to_string()),
        };
        Ok(Mapping { theirs: name(theirs)?, ours: name(ours)?, wildcards: 0 })
    }

    /// Whatever is published to a pattern of ours, to one subject of theirs.
    ///
    /// # Errors
    /// What is wrong.
    pub fn gathered(theirs: &str, ours: &str) -> Result<Mapping, String> {
        let (ours, wildcards) = pattern(ours.as_bytes())?;
        let Mapping { theirs, .. } = Mapping::single(theirs, theirs)?;
        Ok(Mapping { theirs, ours, wildcards })
    }

    /// Our name for a subject of theirs; None: it is not one of these.
    pub fn ours(&self, theirs: &[u8]) -> Option<Vec<u8>> {
        Some(emit(&self.ours, &self.bind(&self.theirs, theirs)?))
    }

    /// Their name for a subject of ours; None: it is not one of these.
    pub fn theirs(&self, ours: &[u8]) -> Option<Vec<u8>> {
        Some(emit(&self.theirs, &self.bind(&self.ours, ours)?))
    }

    /// The pattern of theirs that comes to what both `pattern` and our names match; None: nothing does.
    pub fn overlap(&self, pattern: &[u8]) -> Option<Vec<u8>> {
        let mut bound = self.nothing();
        let mut wanted = tokens(pattern);
        for (at, part) in self.ours.iter().enumerate() {
            let token = wanted.next()?;
            match part {
                // The rest of ours, whatever it is.
                _ if token == b">" => return Some(emit(&self.theirs, &bound)),
                Part::Literal(own) if token != b"*" && token != &own[..] => return None,
                Part::Literal(_) => {}
                Part::Wild(n) => match bound.wild[*n] {
                    _ if token == b"*" => {}
                    Some(other) if other != token => return None,
                    _ => bound.wild[*n] = Some(token),
                },
                Part::Rest => {
                    bound.rest = tail(pattern, at);
                    return Some(emit(&self.theirs, &bound));
                }
            }
        }
        wanted.next().is_none().then(|| emit(&self.theirs, &bound))
    }

    /// The pattern of all our names.
    pub fn our_pattern(&self) -> Vec<u8> {
        emit(&self.ours, &self.nothing())
    }

    /// The pattern of all their names.
    pub fn their_pattern(&self) -> Vec<u8> {
        emit(&self.theirs, &self.nothing())
    }

    fn nothing<'a>(&self) -> Bound<'a> {
        Bound { wild: vec![None; self.wildcards], rest: None }
    }

    fn bind<'a>(&self, side: &[Part], subject: &'a [u8]) -> Option<Bound<'a>> {
        let mut bound = self.nothing();
        let mut said = tokens(subject);
        for (at, part) in side.iter().enumerate() {
            let token = said.next().filter(|t| !t.is_empty())?;
            match part {
                Part::Literal(own) if token == &own[..] => {}
                Part::Literal(_) => return None,
                Part::Wild(n) if bound.wild[*n].is_some_and(|other| other != token) => return None,
                Part::Wild(n) => bound.wild[*n] = Some(token),
                Part::Rest => {
                    bound.rest = tail(subject, at);
                    return said.all(|t| !t.is_empty()).then_some(bound);
                }
            }
        }
        said.next().is_none().then_some(bound)
    }
}

/// Do these patterns have a subject in common?
pub fn collide(a: &[u8], b: &[u8]) -> bool {
    let (mut a, mut b) = (tokens(a), tokens(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) | (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(x), Some(y)) if x == b"*" || y == b"*" || x == y => {}
            _ => return false,
        }
    }
}

/// What follows the first `n` tokens.
fn tail(subject: &[u8], n: usize) -> Option<&[u8]> {
    let skipped: usize = tokens(subject).take(n).map(|t| t.len() + 1).sum();
    subject.get(skipped..)
}

/// The parts of a pattern, and how many wildcards it has.
fn pattern(text: &[u8]) -> Result<(Vec<Part>, usize), String> {
    if !is_sound(text) {
        return Err("invalid subject".into());
    }
    let mut wildcards = 0;
    let parts = tokens(text).map(|token| match token {
        b">" => Part::Rest,
        b"*" => {
            wildcards += 1;
            Part::Wild(wildcards - 1)
        }
        t => Part::Literal(t.into()),
    });
    let parts = parts.collect();
    Ok((parts, wildcards))
}

/// A token of a destination; `stars` counts those that name no wildcard.
fn named(token: &[u8], stars: &mut usize) -> Result<Part, String> {
    let text = std::str::from_utf8(token).unwrap_or_default();
    let number = |digits: &str| digits.parse::<usize>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
    let braced = text.strip_prefix("{{").and_then(|t| t.strip_suffix("}}")).map(str::trim);
    let called = braced.and_then(|t| t.strip_prefix("wildcard(").or_else(|| t.strip_prefix("Wildcard(")));
    let index = match (text.strip_prefix('$'), called.and_then(|t| t.strip_suffix(')'))) {
        (Some(digits), _) => number(digits),
        (_, Some(digits)) => number(digits.trim()),
        (None, None) if braced.is_some() => {
            return Err("the only mapping function allowed for import transforms is {{Wildcard()}}".into());
        }
        _ => None,
    };
    match (token, index) {
        (b">", _) => Ok(Part::Rest),
        (b"*", _) => {
            *stars += 1;
            Ok(Part::Wild(*stars - 1))
        }
        (_, Some(0)) => Err(format!("wildcard index out of range in {text}: [0]")),
        (_, Some(n)) => Ok(Part::Wild(n - 1)),
        _ => Ok(Part::Literal(token.into())),
    }
}

/// A side with what its wildcards stand for; those that stand for nothing stay wildcards.
fn emit(side: &[Part], bound: &Bound<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, part) in side.iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(match part {
            Part::Literal(own) => own,
            Part::Wild(n) => bound.wild[*n].unwrap_or(b"*"),
            Part::Rest => bound.rest.unwrap_or(b">"),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::subject::{contains, matches};
    use proptest::prelude::*;

    fn text(found: Option<Vec<u8>>) -> Option<String> {
        found.map(|f| String::from_utf8(f).unwrap())
    }

    #[test]
    fn subjects_go_there_and_back() {
        let m = Mapping::renamed("foo.*.*", "x.$2.$1").unwrap();
        assert_eq!(text(m.ours(b"foo.a.b")).as_deref(), Some("x.b.a"));
        assert_eq!(text(m.theirs(b"x.b.a")).as_deref(), Some("foo.a.b"));
        assert_eq!(m.ours(b"foo.a"), None);
        assert_eq!(m.ours(b"foo.a."), None);
        let m = Mapping::renamed("foo.*.>", "x.*.y.>").unwrap();
        assert_eq!(text(m.ours(b"foo.a.b.c")).as_deref(), Some("x.a.y.b.c"));
        assert_eq!(m.ours(b"foo.a"), None);
        assert_eq!(m.ours(b"foo.a.b..c"), None);
        let m = Mapping::gathered("svc", "my.*.>").unwrap();
        assert_eq!(text(m.theirs(b"my.a.b.c")).as_deref(), Some("svc"));
    }

    #[test]
    fn a_subscription_is_asked_for_under_their_names() {
        let m = Mapping::renamed("foo.*.*", "x.$2.$1").unwrap();
        let table = [("x.*.a", "foo.a.*"), (">", "foo.*.*"), ("x.>", "foo.*.*"), ("*.b.a", "foo.a.b")];
        for (ours, theirs) in table {
            assert_eq!(text(m.overlap(ours.as_bytes())).as_deref(), Some(theirs), "{ours}");
        }
        for ours in ["x", "x.a", "x.a.b.c", "y.*.*", "x.a.b.>"] {
            assert_eq!(m.overlap(ours.as_bytes()), None, "{ours}");
        }
        let m = Mapping::renamed("foo.>", "p.foo.>").unwrap();
        let table = [("p.>", "foo.>"), ("p.foo.a", "foo.a"), ("p.foo.*.b.>", "foo.*.b.>"), ("*.*.c", "foo.c")];
        for (ours, theirs) in table {
            assert_eq!(text(m.overlap(ours.as_bytes())).as_deref(), Some(theirs), "{ours}");
        }
        assert_eq!(m.overlap(b"p.foo"), None);
    }

    #[test]
    fn what_cannot_be_found_back_is_refused() {
        let wrong = [
            ("foo.*.*", "x.$1"),
            ("foo.>", "x"),
            ("foo.*", "x.$2"),
            ("foo.*", "x.{{split(1,-)}}"),
            ("foo", "x.>"),
            ("foo", "x y"),
            ("a b", "x"),
            ("foo", "x\r\nPING"),
        ];
        for (theirs, ours) in wrong {
            assert!(Mapping::renamed(theirs, ours).is_err(), "{theirs} {ours}");
        }
        assert!(Mapping::renamed("foo.*.*", "x.$1.$2.$1").is_ok());
        assert!(Mapping::renamed("foo.*", "x.{{wildcard(1)}}").is_ok());
    }

    proptest! {
        #[test]
        fn an_overlap_is_exactly_what_both_sides_match(
            ours in "[ab*](\\.[ab*]){0,2}(\\.>)?",
            wanted in "[ab*](\\.[ab*]){0,2}(\\.>)?",
            subject in "[ab](\\.[ab]){0,3}",
        ) {
            let m = Mapping::renamed(&ours.replace('a', "c"), &ours).unwrap();
            let theirs = m.overlap(wanted.as_bytes());
            let shown = m.ours(subject.replace('a', "c").as_bytes());
            let heard = shown.is_some_and(|s| matches(wanted.as_bytes(), &s));
            let asked = theirs.is_some_and(|t| matches(&t, subject.replace('a', "c").as_bytes()));
            prop_assert_eq!(heard, asked);
            if contains(wanted.as_bytes(), ours.as_bytes()) {
                prop_assert!(collide(wanted.as_bytes(), ours.as_bytes()));
            }
        }
    }
}
