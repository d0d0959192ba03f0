//! Subjects that become others as an account's clients publish them (`mappings`, docs/accounts.md), as the shards hold them.
//! Made by `mappings` and `operator`, immutable.

use crate::wire::subject::{matches, valid_subscription};
use crate::wire::transform::{precedence, Transform};
use std::sync::Arc;

/// What weights are shares of.
const WHOLE: u8 = 100;

/// All of an account, in the order in which they are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrites(Vec<Rewrite>);

/// What becomes of the subjects of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    source: Box<[u8]>,
    /// In clusters of which nothing else is said.
    everywhere: Vec<Choice>,
    clusters: Vec<(Box<str>, Vec<Choice>)>,
}

/// One of the subjects that another becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// It is chosen for numbers drawn of a hundred below this, and not below that of the one before.
    pub below: u8,
    /// What the subject becomes.
    pub to: Arc<Transform>,
}

/// A destination as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// The subject.
    pub subject: String,
    /// How many of a hundred.
    pub weight: u8,
    /// In this cluster only; empty: where nothing else is said.
    pub cluster: String,
}

impl Rewrites {
    /// None?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a subject becomes in a cluster; None: it stays as it is.
    pub fn of(&self, subject: &[u8], cluster: &str) -> Option<&[Choice]> {
        let found = self.0.iter().find(|r| matches(&r.source, subject))?;
        let there = found.clusters.iter().find(|(name, _)| **name == *cluster);
        Some(there.map_or(&found.everywhere, |(_, choices)| choices))
    }

    /// Adds one; an older one of the same pattern it replaces.
    ///
    /// # Errors
    /// What is wrong, in nats-server's words where it has some.
    pub fn add(&mut self, source: &str, destinations: &[Destination]) -> Result<(), String> {
        if !valid_subscription(source.as_bytes()) || source.bytes().any(|b| b <= b' ') {
            return Err(format!("Subject \"{source}\" is not a valid subject"));
        }
        let new = rewrite(source, destinations)?;
        self.0.retain(|r| r.source != new.source);
        let at = self.0.partition_point(|r| precedence(&r.source) <= precedence(&new.source));
        self.0.insert(at, new);
        Ok(())
    }
}

fn rewrite(source: &str, destinations: &[Destination]) -> Result<Rewrite, String> {
    let mut new = Rewrite { source: source.as_bytes().into(), everywhere: Vec::new(), clusters: Vec::new() };
    for (i, d) in destinations.iter().enumerate() {
        if destinations[..i].iter().any(|other| other.subject == d.subject) {
            return Err(format!("duplicate entry for \"{}\"", d.subject));
        }
        let to = Arc::new(Transform::new(source, &d.subject)?);
        let choices = match d.cluster.as_str() {
            "" => &mut new.everywhere,
            name => {
                let at = new.clusters.iter().position(|(n, _)| **n == *name).unwrap_or_else(|| {
                    new.clusters.push((name.into(), Vec::new()));
                    new.clusters.len() - 1
                });
                &mut new.clusters[at].1
            }
        };
        let before = choices.last().map_or(0, |c| c.below);
        let below = before.checked_add(d.weight).filter(|sum| *sum <= WHOLE);
        choices.push(Choice { below: below.ok_or("total weight needs to be <= 100")?, to });
    }
    // The rest stays as it is, unless it is said how much of it does.
    let kept = destinations.iter().any(|d| d.subject == source);
    let all = std::iter::once(&mut new.everywhere).chain(new.clusters.iter_mut().map(|(_, choices)| choices));
    for choices in all.filter(|c| !kept && c.last().is_none_or(|last| last.below < WHOLE)) {
        choices.push(Choice { below: WHOLE, to: Arc::new(Transform::identity(source)?) });
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(subject: &str, weight: u8, cluster: &str) -> Destination {
        Destination { subject: subject.into(), weight, cluster: cluster.into() }
    }

    /// What each of a hundred numbers leads to; `-` is nothing.
    fn all(r: &Rewrites, subject: &str, cluster: &str) -> Vec<(String, usize)> {
        let mut out: Vec<(String, usize)> = Vec::new();
        for n in 0..100 {
            let choices = r.of(subject.as_bytes(), cluster).unwrap();
            let chosen = choices.iter().find(|c| n < c.below).map(|c| c.to.apply(subject.as_bytes(), |_| 0));
            let name = chosen.map_or("-".into(), |c| String::from_utf8(c).unwrap());
            match out.last_mut().filter(|(last, _)| *last == name) {
                Some((_, n)) => *n += 1,
                None => out.push((name, 1)),
            }
        }
        out
    }

    #[test]
    fn weights_are_shares_of_a_hundred_and_the_rest_stays() {
        let mut r = Rewrites::default();
        r.add("a", &[to("b", 60, ""), to("c", 20, "")]).unwrap();
        r.add("k", &[to("k", 10, "")]).unwrap();
        r.add("e", &[]).unwrap();
        r.add("w.*.*", &[to("v.$2.$1", 50, ""), to("x.$1", 100, "west")]).unwrap();
        assert_eq!(all(&r, "a", ""), [("b".into(), 60), ("c".into(), 20), ("a".into(), 20)]);
        assert_eq!(all(&r, "k", ""), [("k".into(), 10), ("-".into(), 90)]);
        assert_eq!(all(&r, "e", ""), [("e".into(), 100)]);
        assert_eq!(all(&r, "w.1.2", "east"), [("v.2.1".into(), 50), ("w.1.2".into(), 50)]);
        assert_eq!(all(&r, "w.1.2", "west"), [("x.1".into(), 100)]);
        assert!(r.of(b"w.1", "").is_none());
    }

    #[test]
    fn the_narrowest_pattern_decides_and_the_last_of_one() {
        let mut r = Rewrites::default();
        for (source, destination) in [(">", "all.>"), ("a.*", "x.$1"), ("a.b", "y"), ("a.>", "z.>"), ("a.b", "yy")] {
            r.add(source, &[to(destination, 100, "")]).unwrap();
        }
        for (subject, expected) in [("a.b", "yy"), ("a.c", "x.c"), ("a.c.d", "z.c.d"), ("q", "all.q")] {
            assert_eq!(all(&r, subject, ""), [(expected.to_owned(), 100)]);
        }
    }

    #[test]
    fn more_than_the_whole_and_the_same_twice_are_refused() {
        let mut r = Rewrites::default();
        for wrong in [[to("b", 60, ""), to("c", 60, "")], [to("b", 1, ""), to("b", 1, "X")]] {
            assert!(r.add("a", &wrong).is_err());
        }
        assert!(r.add("a", &[to("b", 60, ""), to("c", 60, "X")]).is_ok());
        assert!(r.add("a b", &[to("c", 100, "")]).is_err());
    }
}
