//! The table against the words of the protocol: single steps, and a model with plain sets.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const A: FarId = FarId(0);
const B: FarId = FarId(9);
const LIVE: FarSet = FarSet(0x201);

fn plain(f: &Fars, subject: &str, promised: FarSet) -> Vec<u8> {
    f.matches(subject.as_bytes(), LIVE, promised, |_, _| {}).iter().map(|f| f.0).collect()
}

fn groups(f: &Fars, subject: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = BTreeMap::<String, BTreeSet<u8>>::new();
    f.matches(subject.as_bytes(), LIVE, FarSet::EMPTY, |name, set| {
        all.entry(String::from_utf8_lossy(name).into_owned()).or_default().extend(set.iter().map(|f| f.0));
    });
    all.into_iter().map(|(n, s)| (n, s.into_iter().collect())).collect()
}

#[test]
fn what_is_unknown_is_sent_unless_interest_only_was_promised() {
    let f = Fars::new(1);
    assert_eq!(plain(&f, "a", FarSet::EMPTY), [0, 9]);
    assert_eq!(plain(&f, "a", FarSet(0x200)), [0]);
}

#[test]
fn a_refused_subject_is_sent_again_when_it_is_taken_back() {
    let mut f = Fars::new(1);
    assert_eq!(f.said(A, FarSaid::WantsNot(b"a.b", b"")), Touched::Pattern(b"a.b"));
    assert_eq!(f.said(A, FarSaid::WantsNot(b"a.b", b"")), Touched::Nothing);
    f.said(A, FarSaid::WantsNot(b"c", b""));
    assert_eq!((plain(&f, "a.b", FarSet::EMPTY), plain(&f, "a.c", FarSet::EMPTY)), (vec![9], vec![0, 9]));
    // A plain RS+ creates no interest here: it only takes back what it covers.
    assert_eq!(f.said(A, FarSaid::Wants(b"x", b"")), Touched::Nothing);
    assert_eq!(f.said(A, FarSaid::Wants(b"a.*", b"")), Touched::Pattern(b"a.*"));
    assert_eq!((plain(&f, "a.b", FarSet::EMPTY), plain(&f, "c", FarSet::EMPTY)), (vec![0, 9], vec![9]));
    assert_eq!(f.held(A), Held { mode: Mode::Optimistic, plain: 0, queues: 0, refused: 1 });
}

#[test]
fn a_refused_account_gets_nothing_until_it_is_taken_back_or_a_queue_group_comes() {
    let mut f = Fars::new(1);
    f.said(A, FarSaid::Account(false));
    assert_eq!(plain(&f, "a", FarSet::EMPTY), [9]);
    assert_eq!(f.said(A, FarSaid::Wants(b"a", b"")), Touched::Nothing);
    assert_eq!(f.said(A, FarSaid::Account(true)), Touched::All);
    assert_eq!(plain(&f, "a", FarSet::EMPTY), [0, 9]);
    f.said(A, FarSaid::Account(false));
    assert_eq!(f.said(A, FarSaid::Wants(b"jobs", b"q")), Touched::All);
    assert_eq!((plain(&f, "a", FarSet::EMPTY), groups(&f, "jobs")), (vec![0, 9], vec![("q".into(), vec![0])]));
    // With queue groups A- only takes back refusals.
    f.said(A, FarSaid::WantsNot(b"a", b""));
    assert_eq!(f.said(A, FarSaid::Account(false)), Touched::All);
    assert_eq!((plain(&f, "a", FarSet::EMPTY), f.held(A).queues), (vec![0, 9], 1));
}

#[test]
fn interest_only_sends_what_was_asked_for() {
    let mut f = Fars::new(1);
    f.said(A, FarSaid::WantsNot(b"no", b""));
    assert_eq!(f.said(A, FarSaid::Begins), Touched::Nothing);
    f.said(A, FarSaid::Wants(b"a.>", b""));
    assert_eq!((plain(&f, "b", FarSet::EMPTY), plain(&f, "no", FarSet::EMPTY)), (vec![0, 9], vec![9]), "still both");
    assert_eq!(plain(&f, "b", FarSet(1)), [9], "what was promised holds meanwhile");
    assert_eq!(plain(&f, "a.b", FarSet(1)), [0, 9]);
    assert_eq!(f.said(A, FarSaid::Complete), Touched::All);
    assert_eq!((plain(&f, "b", FarSet::EMPTY), plain(&f, "a.b", FarSet::EMPTY)), (vec![9], vec![0, 9]));
    assert_eq!(f.held(A), Held { mode: Mode::InterestOnly, plain: 1, queues: 0, refused: 0 });
    f.said(A, FarSaid::WantsNot(b"a.>", b""));
    assert_eq!(plain(&f, "a.b", FarSet::EMPTY), [9]);
}

fn wants(f: &mut Fars, far: FarId, all: &[String]) {
    f.said(far, FarSaid::Begins);
    all.iter().for_each(|p| assert_ne!(f.said(far, FarSaid::Wants(p.as_bytes(), b"")), Touched::Nothing));
    f.said(far, FarSaid::Complete);
}

#[test]
fn what_is_taken_back_at_once_is_taken_out_in_slices_and_counts_no_more() {
    let mut f = Fars::new(1);
    let all: Vec<String> = (0..1000).map(|i| format!("a.{i}")).chain((0..1000).map(|i| format!("a.{i}.*"))).collect();
    let refused: Vec<String> = (0..500).map(|i| format!("no.{i}")).collect();
    refused.iter().for_each(|s| assert_ne!(f.said(A, FarSaid::WantsNot(s.as_bytes(), b"")), Touched::Nothing));
    [A, B].iter().for_each(|far| wants(&mut f, *far, &all));
    assert_eq!((f.outdated(A), f.outdated(B)), (500, 0), "refusals give way to what is wanted");
    assert_eq!(f.said(A, FarSaid::Account(false)), Touched::All);
    assert_eq!((f.outdated(A), f.wanted.len()), (2500, 2000), "nothing is taken out yet");
    // It wants some of it again, and other things, while the rest still stands there.
    let again = ["a.1", "a.2.*", "b"].map(String::from);
    let mut slices = 0;
    loop {
        assert_eq!((plain(&f, "a.7", LIVE), plain(&f, "a.7.x", LIVE)), (vec![9], vec![9]));
        if slices == 8 {
            wants(&mut f, A, &again);
            f.said(A, FarSaid::Wants(b"a.3", b"q"));
        }
        if slices >= 8 {
            let found = ["a.1", "a.2.x", "b", "a.1.x"].map(|s| plain(&f, s, LIVE));
            assert_eq!(found, [vec![0, 9], vec![0, 9], vec![0], vec![9]]);
            assert_eq!(groups(&f, "a.3"), [("q".to_owned(), vec![0])]);
            let mut told = Vec::new();
            f.walk(FarSet(1), Cursor::default(), usize::MAX, |far, p, q| {
                told.push((far, String::from_utf8_lossy(p).into_owned(), q.len()));
            });
            told.sort();
            let expected = [("a.1", 0), ("a.2.*", 0), ("a.3", 1), ("b", 0)].map(|(p, q)| (A, p.to_owned(), q));
            assert_eq!(told, expected);
        }
        let before = f.outdated(A);
        let more = f.sweep(100);
        slices += 1;
        assert!(before - f.outdated(A) <= 100, "{slices}: {before} -> {}", f.outdated(A));
        assert_eq!(more, f.is_outdated());
        if !more {
            break;
        }
    }
    assert_eq!((f.outdated(A), f.wanted.len()), (0, 2001));
    assert_eq!(f.take_swept(), [(A, 2500)]);
    assert_eq!(f.held(A), Held { mode: Mode::InterestOnly, plain: 3, queues: 1, refused: 0 });
    [A, B].iter().for_each(|far| f.forget(*far));
    while f.sweep(100) {}
    assert_eq!((f.wanted.len(), f.held(A), f.held(B)), (0, Held::default(), Held::default()));
}

#[test]
fn who_takes_back_more_often_than_can_be_remembered_has_it_taken_out_at_once() {
    let mut f = Fars::new(1);
    for i in 0..3 * FARS_MAX {
        wants(&mut f, A, &[format!("a.{i}")]);
        assert_eq!(plain(&f, &format!("a.{i}"), LIVE), [0]);
        f.said(A, FarSaid::Account(false));
        assert_eq!(plain(&f, &format!("a.{i}"), LIVE), Vec::<u8>::new());
        assert!(f.wanted.len() <= FARS_MAX);
    }
}

fn pattern() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "a.b", "a.c", "a.*", "a.>", ">"])
}

#[derive(Clone, Debug)]
enum Step {
    Wants(&'static str, &'static str),
    Not(&'static str, &'static str),
    Account(bool),
    Begins,
    Complete,
    Forget,
    Sweep,
}

fn step() -> impl Strategy<Value = (bool, Step)> {
    let queue = || prop::sample::select(vec!["", "", "q"]);
    let what = prop_oneof![
        4 => (pattern(), queue()).prop_map(|(p, q)| Step::Wants(p, q)),
        4 => (pattern(), queue()).prop_map(|(p, q)| Step::Not(p, q)),
        1 => any::<bool>().prop_map(Step::Account),
        1 => Just(Step::Begins),
        1 => Just(Step::Complete),
        1 => Just(Step::Forget),
        3 => Just(Step::Sweep),
    ];
    (any::<bool>(), what)
}

/// One cluster as the protocol's table has it (cluster-protocol.md §4.6), with plain sets.
#[derive(Default)]
struct Model {
    mode: Mode,
    refused: BTreeSet<&'static str>,
    wants: BTreeSet<(&'static str, &'static str)>,
}

impl Model {
    fn step(&mut self, step: &Step) {
        let queues = self.wants.iter().any(|(_, q)| !q.is_empty());
        let trie = matches!(self.mode, Mode::Transitioning | Mode::InterestOnly);
        match *step {
            Step::Wants(p, "") if trie => drop(self.wants.insert((p, ""))),
            Step::Wants(p, "") => self.refused.retain(|s| !subject::covers(p.as_bytes(), s.as_bytes())),
            Step::Wants(p, q) => {
                self.wants.insert((p, q));
                if matches!(self.mode, Mode::Unknown | Mode::Refused) {
                    self.mode = Mode::Optimistic;
                }
            }
            Step::Not(p, "") if !trie => {
                if self.mode != Mode::Refused {
                    self.mode = Mode::Optimistic;
                    self.refused.insert(p);
                }
            }
            Step::Not(p, q) => drop(self.wants.remove(&(p, q))),
            Step::Account(true) if self.mode == Mode::Refused => self.mode = Mode::Unknown,
            Step::Account(true) => {}
            Step::Account(false) if queues => self.refused.clear(),
            Step::Account(false) => *self = Model { mode: Mode::Refused, ..Model::default() },
            Step::Begins if trie => {}
            Step::Begins => self.mode = Mode::Transitioning,
            Step::Complete => {
                self.refused.clear();
                self.mode = Mode::InterestOnly;
            }
            Step::Forget => *self = Model::default(),
            Step::Sweep => {}
        }
    }

    fn plain(&self, s: &str, promised: bool) -> bool {
        let open = !matches!(self.mode, Mode::Refused | Mode::InterestOnly) && !promised && !self.refused.contains(s);
        open || self.wants.iter().any(|(p, q)| q.is_empty() && subject::matches(p.as_bytes(), s.as_bytes()))
    }

    fn group(&self, s: &str) -> bool {
        self.wants.iter().any(|(p, q)| !q.is_empty() && subject::matches(p.as_bytes(), s.as_bytes()))
    }
}

fn apply(f: &mut Fars, far: FarId, step: &Step) -> Vec<u8> {
    let said = match step {
        Step::Wants(p, q) => FarSaid::Wants(p.as_bytes(), q.as_bytes()),
        Step::Not(p, q) => FarSaid::WantsNot(p.as_bytes(), q.as_bytes()),
        Step::Account(w) => FarSaid::Account(*w),
        Step::Begins => FarSaid::Begins,
        Step::Complete => FarSaid::Complete,
        Step::Forget => {
            f.forget(far);
            return b">".to_vec();
        }
        Step::Sweep => {
            f.sweep(1);
            return Vec::new();
        }
    };
    match f.said(far, said) {
        Touched::Nothing => Vec::new(),
        Touched::Pattern(p) => p.to_vec(),
        Touched::All => b">".to_vec(),
    }
}

proptest! {
    /// The table answers as the protocol's own words do, names every answer that a statement changed, and counts what it
    /// holds.
    #[test]
    fn it_is_the_table_of_the_protocol(steps in prop::collection::vec(step(), 0..60)) {
        let (mut f, mut models) = (Fars::new(3), [Model::default(), Model::default()]);
        let answers = |f: &Fars, s: &str| (plain(f, s, FarSet::EMPTY), plain(f, s, LIVE), groups(f, s));
        for (second, step) in steps {
            let subjects = ["a", "b", "a.b", "a.c", "a.b.c"];
            let before: Vec<_> = subjects.iter().map(|s| answers(&f, s)).collect();
            let touched = apply(&mut f, if second { B } else { A }, &step);
            models[usize::from(second)].step(&step);
            for (s, was) in subjects.iter().zip(before) {
                let now = answers(&f, s);
                // A refused pattern is a word like any other: verdicts of what it matches may fall too.
                let named = !touched.is_empty() && subject::covers(&touched, s.as_bytes());
                prop_assert!(now == was || named, "{s} after {step:?}: {was:?} -> {now:?}, named {touched:?}");
                for (far, m) in [(A, &models[0]), (B, &models[1])] {
                    prop_assert_eq!(now.0.contains(&far.0), m.plain(s, false), "{} {:?}", s, far);
                    prop_assert_eq!(now.1.contains(&far.0), m.plain(s, true), "{} {:?} promised", s, far);
                    prop_assert_eq!(now.2.iter().any(|(_, set)| set.contains(&far.0)), m.group(s));
                    let counts = |q: bool| m.wants.iter().filter(|(_, name)| name.is_empty() != q).count() as u64;
                    let held = Held { mode: m.mode, plain: counts(false), queues: counts(true), refused: m.refused.len() as u64 };
                    prop_assert_eq!(f.held(far), held);
                }
            }
        }
    }
}
