//! The cluster's name: configured, or made up and given up for another's (cluster-protocol.md §3.6). One per mesh.

use crate::base::Rng;

/// Length of a made-up name.
const LENGTH: usize = 22;

/// The name this server goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClusterName {
    pub name: String,
    /// It was made up: here, or by the server it was taken over from.
    pub dynamic: bool,
}

/// What follows from a peer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Same,
    /// We take theirs.
    WeYield,
    /// They will take ours.
    TheyYield,
    /// Neither gives up its own.
    Clash,
}

impl ClusterName {
    /// The configured name, or a made-up one. That begins with `0`, which sorts below almost any name somebody chose: a
    /// nats-server that took over a configured name still calls it made up, and only a name that sorts below is given
    /// up for one of those (§3.6).
    pub(super) fn new(configured: Option<&str>, rng: &mut Rng) -> ClusterName {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        match configured {
            Some(name) => ClusterName { name: name.into(), dynamic: false },
            None => {
                let rest = (1..LENGTH).map(|_| char::from(LETTERS[rng.below(62) as usize]));
                ClusterName { name: std::iter::once('0').chain(rest).collect(), dynamic: true }
            }
        }
    }

    /// Compares with the name a peer says, and whether it says that it was made up.
    pub(super) fn compare(&self, theirs: &str, theirs_dynamic: bool) -> Match {
        let yields = |mine: &str, mine_dynamic: bool, other: &str, other_dynamic: bool| {
            mine_dynamic && !other.is_empty() && (!other_dynamic || mine < other)
        };
        if self.name == theirs {
            // Made up is only what nobody configured: whoever knows better is believed.
            return if self.dynamic && !theirs_dynamic { Match::WeYield } else { Match::Same };
        }
        if yields(&self.name, self.dynamic, theirs, theirs_dynamic) {
            Match::WeYield
        } else if yields(theirs, theirs_dynamic, &self.name, self.dynamic) {
            Match::TheyYield
        } else {
            Match::Clash
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, dynamic: bool) -> ClusterName {
        ClusterName { name: name.into(), dynamic }
    }

    #[test]
    fn configured_beats_made_up_and_the_greater_made_up_beats_the_lesser() {
        assert_eq!(named("c", false).compare("c", false), Match::Same);
        assert_eq!(named("a", true).compare("c", false), Match::WeYield);
        assert_eq!(named("z", true).compare("c", false), Match::WeYield);
        assert_eq!(named("a", true).compare("b", true), Match::WeYield);
        assert_eq!(named("b", true).compare("a", true), Match::TheyYield);
        assert_eq!(named("c", false).compare("z", true), Match::TheyYield);
        assert_eq!(named("c", false).compare("d", false), Match::Clash);
        assert_eq!(named("c", false).compare("", false), Match::Clash);
        assert_eq!(named("c", true).compare("c", false), Match::WeYield);
    }

    #[test]
    fn whichever_two_meet_exactly_one_yields_unless_both_were_configured() {
        for (a, b) in [("a", "b"), ("b", "a")] {
            for (da, db) in [(true, true), (true, false), (false, true)] {
                let verdicts = (named(a, da).compare(b, db), named(b, db).compare(a, da));
                assert!(matches!(verdicts, (Match::WeYield, Match::TheyYield) | (Match::TheyYield, Match::WeYield)));
            }
        }
    }

    #[test]
    fn a_made_up_name_has_22_letters_and_sorts_low() {
        let made = ClusterName::new(None, &mut Rng::new(7));
        assert!(made.dynamic && made.name.len() == 22 && made.name.starts_with('0'));
        assert_eq!(made.compare("anchor", true), Match::WeYield);
    }
}
