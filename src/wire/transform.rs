//! Subjects that become others as they are published (`mappings`, docs/accounts.md): the destination of one, made once from
//! its text, with nats-server's functions and verdicts. Made by the policy floor, asked by the shards.

use super::subject::{is_literal, is_open, is_sound, tokens};

/// See the file's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<[u8]>),
    /// A token of the subject, at this place, and what is made of it.
    Token(usize, Cut),
    /// One of so many numbers, the same for the same tokens; of none named for the same subject.
    Partition(Vec<usize>, u32),
    /// One of so many numbers, drawn.
    Random(u32),
    /// What the subject has from this place on.
    Rest(usize),
}

/// What is made of a token. What is too short to be cut stays whole.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cut {
    Whole,
    /// Two, the first of so many bytes.
    SplitFromLeft(usize),
    SplitFromRight(usize),
    /// As many as there are of so many bytes each, the shorter one last.
    SliceFromLeft(usize),
    /// The shorter one first.
    SliceFromRight(usize),
    Left(usize),
    Right(usize),
    /// What stands between these.
    Split(Box<[u8]>),
}

impl Transform {
    /// What subjects of the pattern `source` become.
    ///
    /// # Errors
    /// What is wrong, in nats-server's words where it has some.
    pub fn new(source: &str, destination: &str) -> Result<Transform, String> {
        let stars = destination.split('.').any(|t| t == "*");
        let opens = |s: &str| is_open(s.as_bytes());
        if !is_sound(source.as_bytes()) || stars || destination.is_empty() || opens(source) != opens(destination) {
            return Err("invalid subject".into());
        }
        if !is_sound(destination.as_bytes()) {
            return Err("invalid mapping destination: invalid transform".into());
        }
        let places = tokens(source.as_bytes()).enumerate().filter(|(_, t)| *t == b"*").map(|(i, _)| i);
        let (wildcards, rest) = (places.collect::<Vec<_>>(), source.split('.').count() - 1);
        let part = |token: &str| match token {
            ">" => Ok(Part::Rest(rest)),
            _ => part(token, &wildcards, is_literal(source.as_bytes()))
                .map_err(|why| format!("invalid mapping destination: {why}")),
        };
        Ok(Transform { parts: destination.split('.').map(part).collect::<Result<_, _>>()? })
    }

    /// What subjects of the pattern `source` are anyway.
    ///
    /// # Errors
    /// The pattern is none.
    pub fn identity(source: &str) -> Result<Transform, String> {
        let mut stars = 0;
        let named = source.split('.').map(|token| match token {
            "*" => {
                stars += 1;
                format!("${stars}")
            }
            _ => token.to_owned(),
        });
        Transform::new(source, &named.collect::<Vec<_>>().join("."))
    }

    /// Does the same subject become this or that by chance?
    pub fn draws(&self) -> bool {
        self.parts.iter().any(|p| matches!(p, Part::Random(_)))
    }

    /// What a subject becomes that its source matches. `draw` gives a number below another.
    pub fn apply(&self, subject: &[u8], mut draw: impl FnMut(u64) -> u64) -> Vec<u8> {
        let said: Vec<&[u8]> = tokens(subject).collect();
        let token = |at: usize| said.get(at).copied().unwrap_or_default();
        let mut out = Vec::with_capacity(subject.len());
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                out.push(b'.');
            }
            match part {
                Part::Literal(own) => out.extend_from_slice(own),
                Part::Token(at, cut) => cut.emit(token(*at), &mut out),
                Part::Partition(_, 0) | Part::Random(0) => out.push(b'0'),
                Part::Partition(of, n) if of.is_empty() => number(hash([subject]) % n, &mut out),
                Part::Partition(of, n) => number(hash(of.iter().map(|at| token(*at))) % n, &mut out),
                Part::Random(n) => number(draw(u64::from(*n)) as u32, &mut out),
                Part::Rest(from) => join(said.iter().skip(*from).copied(), &mut out),
            }
        }
        out
    }
}

impl Cut {
    fn emit(&self, token: &[u8], out: &mut Vec<u8>) {
        let len = token.len();
        let two = |at: usize, out: &mut Vec<u8>| join([&token[..at], &token[at..]], out);
        match self {
            Cut::SplitFromLeft(n) if inside(*n, len) => two(*n, out),
            Cut::SplitFromRight(n) if inside(*n, len) => two(len - n, out),
            Cut::SliceFromLeft(n) if inside(*n, len) => join(token.chunks(*n), out),
            Cut::SliceFromRight(n) if inside(*n, len) => {
                let (first, rest) = token.split_at(len % n);
                join(Some(first).filter(|f| !f.is_empty()).into_iter().chain(rest.chunks(*n)), out);
            }
            Cut::Left(n) if inside(*n, len) => out.extend_from_slice(&token[..*n]),
            Cut::Right(n) if inside(*n, len) => out.extend_from_slice(&token[len - n..]),
            Cut::Split(by) => join(split(token, by).filter(|piece| !piece.is_empty()), out),
            _ => out.extend_from_slice(token),
        }
    }
}

fn inside(at: usize, len: usize) -> bool {
    at > 0 && at < len
}

/// What stands between those.
fn split<'a>(token: &'a [u8], by: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(token);
    std::iter::from_fn(move || {
        let all = rest?;
        let found = all.windows(by.len().max(1)).position(|w| w == by);
        rest = found.map(|at| &all[at + by.len()..]);
        Some(&all[..found.unwrap_or(all.len())])
    })
}

fn join<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for (i, piece) in pieces.into_iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(piece);
    }
}

fn number(n: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(n.to_string().as_bytes());
}

/// FNV-1a of 32 bits: all servers have to come to the same partition.
fn hash<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let bytes = pieces.into_iter().flatten();
    bytes.fold(0x811c_9dc5, |h: u32, b| (h ^ u32::from(*b)).wrapping_mul(0x0100_0193))
}

/// A token of a destination. `wildcards` says where they are in the source, which may be a `literal`.
fn part(token: &str, wildcards: &[usize], literal: bool) -> Result<Part, String> {
    let out_of_range = |n: &str| format!("wildcard index out of range in {token}: [{n}]");
    let place = |text: &str| -> Result<usize, String> {
        let n: i64 = text.parse().map_err(|_| malformed(token))?;
        let found = usize::try_from(n).ok().and_then(|n| wildcards.get(n.checked_sub(1)?));
        found.copied().ok_or_else(|| out_of_range(text))
    };
    if let Some(digits) = token.strip_prefix('$') {
        return match digits.parse::<i64>() {
            Ok(_) => Ok(Part::Token(place(digits)?, Cut::Whole)),
            Err(_) => Ok(Part::Literal(token.as_bytes().into())),
        };
    }
    let call = token.strip_prefix("{{").and_then(|t| t.strip_suffix("}}")).map(str::trim);
    let Some(call) = call.filter(|c| !c.is_empty()) else { return Ok(Part::Literal(token.as_bytes().into())) };
    let unknown = || format!("unknown function in {token}");
    let (name, said) = call.strip_suffix(')').and_then(|c| c.split_once('(')).ok_or_else(unknown)?;
    let said: Vec<&str> = said.split(',').map(str::trim).collect();
    let exactly = |n: usize| match said.len() {
        1 if said[0].is_empty() => Err(format!("not enough arguments passed to the function in {token}")),
        m if m < n => Err(format!("not enough arguments passed to the function in {token}")),
        m if m > n => Err(format!("too many arguments passed to the function in {token}")),
        _ => Ok(()),
    };
    let sized = |cut: fn(usize) -> Cut| -> Result<Part, String> {
        exactly(2)?;
        let n: i32 = said[1].parse().map_err(|_| malformed(token))?;
        Ok(Part::Token(place(said[0])?, cut(usize::try_from(n).unwrap_or(0))))
    };
    let many =
        |text: &str| text.parse::<i32>().ok().and_then(|n| u32::try_from(n).ok()).ok_or_else(|| malformed(token));
    match name.trim_end() {
        "wildcard" | "Wildcard" => {
            exactly(1)?;
            Ok(Part::Token(place(said[0])?, Cut::Whole))
        }
        "partition" | "Partition" => {
            // Of a literal there is nothing but the whole subject, whatever is named.
            let of = said[1..].iter().filter(|_| !literal);
            Ok(Part::Partition(of.map(|n| place(n)).collect::<Result<_, _>>()?, many(said[0])?))
        }
        "random" | "Random" if said.len() == 1 => Ok(Part::Random(many(said[0])?)),
        "random" | "Random" => exactly(1).map(|()| Part::Random(0)),
        "split" | "Split" => {
            exactly(2)?;
            match said[1] {
                "" => Err(malformed(token)),
                by => Ok(Part::Token(place(said[0])?, Cut::Split(by.as_bytes().into()))),
            }
        }
        name => match first_letters_folded(name).as_str() {
            "splitfromleft" => sized(Cut::SplitFromLeft),
            "splitfromright" => sized(Cut::SplitFromRight),
            "slicefromleft" => sized(Cut::SliceFromLeft),
            "slicefromright" => sized(Cut::SliceFromRight),
            "left" => sized(Cut::Left),
            "right" => sized(Cut::Right),
            _ => Err(unknown()),
        },
    }
}

/// The words of a function's name may begin with a capital, each by itself.
fn first_letters_folded(name: &str) -> String {
    let words = ["Split", "Slice", "From", "Left", "Right"];
    words.iter().fold(name.to_owned(), |name, word| name.replace(word, &word.to_ascii_lowercase()))
}

fn malformed(token: &str) -> String {
    format!("function argument is invalid or in the wrong format in {token}")
}

/// What a pattern's subjects are published under is looked for in this order: what names one subject first, then the narrower
/// of two patterns.
pub fn precedence(pattern: &[u8]) -> (bool, bool, std::cmp::Reverse<usize>, usize) {
    let open = pattern == b">" || pattern.ends_with(b".>");
    let length = if open { tokens(pattern).count() } else { 0 };
    (!is_literal(pattern), open, std::cmp::Reverse(length), tokens(pattern).filter(|t| *t == b"*").count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::subject::{contains, matches};
    use proptest::prelude::*;

    fn becomes(source: &str, destination: &str, subject: &str) -> String {
        let t = Transform::new(source, destination).unwrap_or_else(|e| panic!("{source} {destination}: {e}"));
        assert!(matches(source.as_bytes(), subject.as_bytes()));
        String::from_utf8(t.apply(subject.as_bytes(), |n| n - 1)).unwrap()
    }

    /// Observed at nats-server 2.15.2.
    #[test]
    fn tokens_become_what_they_become_there() {
        let said = ["abcdefgh", "a-b--c", "-x-", "ab", "abc", "abcdef", "x--y"];
        let rows = [
            ("{{splitfromleft(1,3)}}", "abc.defgh a-b.--c -x- ab abc abc.def x--.y"),
            ("{{SplitFromRight(1, 3)}}", "abcde.fgh a-b.--c -x- ab abc abc.def x.--y"),
            ("{{slicefromleft(1,3)}}", "abc.def.gh a-b.--c -x- ab abc abc.def x--.y"),
            ("{{slicefromright(1,3)}}", "ab.cde.fgh a-b.--c -x- ab abc abc.def x.--y"),
            ("{{left(1,3)}}", "abc a-b -x- ab abc abc x--"),
            ("{{right(1,3)}}", "fgh --c -x- ab abc def --y"),
            ("{{split(1,-)}}", "abcdefgh a.b.c x ab abc abcdef x.y"),
            ("{{split(1,--)}}", "abcdefgh a-b.c -x- ab abc abcdef x.y"),
            ("{{partition(7,1)}}", "3 2 2 2 5 4 6"),
            ("{{partition(7)}}", "3 2 6 0 6 1 1"),
            ("{{partition(7,1,1)}}", "0 6 1 5 1 0 5"),
            ("{{partition(7,2,1)}}", "1 3 4 4 5 3 3"),
            ("{{left(2,1)}}", "q q q q q q q"),
            ("{{ Wildcard( 1 ) }}", "abcdefgh a-b--c -x- ab abc abcdef x--y"),
            ("{{left(1,0)}}", "abcdefgh a-b--c -x- ab abc abcdef x--y"),
            ("{{random(5)}}", "4 4 4 4 4 4 4"),
            ("{{wildcard(1)}}x", "{{wildcard(1)}}x {{wildcard(1)}}x {{wildcard(1)}}x {{wildcard(1)}}x {{wildcard(1)}}x {{wildcard(1)}}x {{wildcard(1)}}x"),
        ];
        for (function, expected) in rows {
            // In a file no blank may stand in a subject.
            let destination = format!("d.{}", function.replace(' ', ""));
            let got: Vec<String> = said.iter().map(|t| becomes("s.*.*", &destination, &format!("s.{t}.q"))).collect();
            let expected: Vec<String> = expected.split(' ').map(|t| format!("d.{t}")).collect();
            assert_eq!(got, expected, "{function}");
        }
        assert_eq!(becomes("a.*.>", "b.$1.>", "a.x.y.z"), "b.x.y.z");
        assert_eq!(becomes(">", "all.>", "a.b"), "all.a.b");
        assert_eq!(becomes("a.*", "$1.$x.$1", "a.b"), "b.$x.b");
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        let wrong = [
            ("a.*", "b.*"),
            ("a", "b.$1"),
            ("a.*", "b.$2"),
            ("a.*", "b.$0"),
            ("a.>", "b"),
            ("a", "b.>"),
            ("a", "b..c"),
            ("a", ""),
            ("a", "b c"),
            ("a.>", "b.{{partition(3,1)}}.>"),
            ("a.*", "b.{{partition(x,1)}}"),
            ("a.*", "b.{{partition()}}"),
            ("a.*", "b.{{split(1)}}"),
            ("a.*", "b.{{split(1,)}}"),
            ("a.*", "b.{{SPLITFROMLEFT(1,3)}}"),
            ("a.*", "b.{{splitfromleft(1,3,4)}}"),
            ("a.*", "b.{{nothing(1,3)}}"),
            ("a.*", "b.{{wildcard()}}"),
            ("a.*", "b.{{wildcard(1,2)}}"),
            ("a", "b.{{left(1,1)}}"),
            ("a", "b.{{random()}}"),
            ("a.*", "b.{{random(3,1)}}"),
            ("a.*", "b.{{slicefromleft(1,99999999999)}}"),
        ];
        for (source, destination) in wrong {
            assert!(Transform::new(source, destination).is_err(), "{source} {destination}");
        }
    }

    proptest! {
        #[test]
        fn the_narrower_pattern_goes_first(a in "[ab*](\\.[ab*]){0,2}(\\.>)?", b in "[ab*](\\.[ab*]){0,2}(\\.>)?") {
            if a != b && contains(a.as_bytes(), b.as_bytes()) {
                prop_assert!(precedence(b.as_bytes()) < precedence(a.as_bytes()), "{} {}", a, b);
            }
        }

        #[test]
        fn nothing_written_or_said_panics(
            source in "[a*](\\.[a*]){0,2}(\\.>)?",
            destination in "[a-z{}()$0-9,.>* -]{0,24}|d\\.\\{\\{(split|left|right|partition|slicefromleft|splitfromright)\\([0-9],[0-9-]\\)\\}\\}",
            subject in "[a-c.-]{1,12}",
        ) {
            if let Ok(t) = Transform::new(&source, &destination) {
                t.apply(subject.as_bytes(), |n| n - 1);
            }
            let same = Transform::identity(&source).unwrap();
            if matches(source.as_bytes(), subject.as_bytes()) {
                prop_assert_eq!(same.apply(subject.as_bytes(), |n| n - 1), subject.as_bytes());
            }
        }
    }
}
