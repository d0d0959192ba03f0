//! What accounts share, and what subjects become as they are published: made up at random, written down for the servers,
//! and read by the plain definition of docs/accounts.md. Scenarios in which accounts share.

use super::case::{pick, within, Actor, Case, Step};
use super::cluster::{scenarios as cluster, supers};
use super::oracle::matches;
use super::scenarios::{self, SUBJECTS};
use std::time::Duration;
use turnpike::base::Rng;
use turnpike::policy::rewrites::{Destination, Rewrites};
use turnpike::policy::shares::{Answers, ServiceImport, Shares, StreamImport};
use turnpike::wire::mapping::Mapping;

/// What of an account may be shared.
const SHARED: &[&str] = &["a.*", "*.c", "a.>", "d", "old.>"];

/// Which way what is shared goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is published there is heard here.
    Stream,
    /// What is published here is asked there.
    Service,
}

/// Subjects of one account that another has under names of its own: behind a prefix.
#[derive(Clone, Debug)]
pub struct Import {
    /// Which way.
    pub kind: Kind,
    /// Whose they are.
    pub from: usize,
    /// Who has them.
    pub by: usize,
    pattern: &'static str,
}

/// What all accounts share, and which of them rename.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// At most one between any two.
    pub imports: Vec<Import>,
    renames: Vec<bool>,
}

impl Import {
    fn prefix(&self) -> String {
        format!("{}{}.", if self.kind == Kind::Stream { "s" } else { "q" }, self.from)
    }

    /// What a subject of the other account is called here.
    pub fn here(&self, there: &str) -> Option<String> {
        matches(self.pattern, there).then(|| self.prefix() + there)
    }

    /// What a subject is called in the other account.
    pub fn there(&self, here: &str) -> Option<String> {
        here.strip_prefix(&self.prefix()).filter(|there| matches(self.pattern, there)).map(Into::into)
    }

    fn names(&self) -> Mapping {
        Mapping::renamed(self.pattern, &(self.prefix() + self.pattern)).expect("a prefix can be taken off again")
    }
}

impl Shared {
    /// Of so many accounts.
    fn any(rng: &mut Rng, accounts: usize) -> Shared {
        // Who offers services offers no streams: requests would be heard from there as well.
        let kinds: Vec<Kind> =
            (0..accounts).map(|_| if rng.one_in(2) { Kind::Stream } else { Kind::Service }).collect();
        let mut imports = Vec::new();
        for (a, b) in (0..accounts).flat_map(|b| (0..b).map(move |a| (a, b))) {
            if rng.one_in(4) {
                continue;
            }
            let (from, by) = if rng.one_in(2) { (a, b) } else { (b, a) };
            imports.push(Import { kind: kinds[from], from, by, pattern: pick(rng, SHARED) });
        }
        Shared { imports, renames: (0..accounts).map(|_| rng.one_in(2)).collect() }
    }

    /// What a subject becomes in an account: `old.x.y` is `x.y` where that is said.
    pub fn renamed<'a>(&self, account: usize, subject: &'a str) -> &'a str {
        let new = subject.strip_prefix("old.").filter(|s| s.split('.').count() == 2);
        new.filter(|_| self.renames.get(account) == Some(&true)).unwrap_or(subject)
    }

    /// As a server is given it that has so many accounts before the first of these.
    pub fn written(&self, account: usize, before: usize) -> (Shares, Rewrites) {
        let mut shares = Shares::default();
        for i in self.imports.iter().filter(|i| i.by == account) {
            let (other, names) = ((before + i.from) as u16, i.names());
            match i.kind {
                Kind::Stream => shares.streams.push(StreamImport {
                    from: other,
                    names,
                    term: Default::default(),
                    allow_trace: false,
                }),
                Kind::Service => shares.services.push(ServiceImport {
                    to: other,
                    names,
                    share: account % 2 == 1,
                    answers: Answers::One,
                    patience: Duration::from_secs(120),
                    term: Default::default(),
                    allow_trace: false,
                }),
            }
        }
        let mut rewrites = Rewrites::default();
        if self.renames[account] {
            let to = Destination { subject: "$1.$2".into(), weight: 100, cluster: String::new() };
            rewrites.add("old.*.*", &[to]).expect("a sound mapping");
        }
        (shares, rewrites)
    }

    /// Has somebody speak of what his account imports, now and then.
    fn speaks(&self, rng: &mut Rng, actor: &mut Actor) {
        let of = |kind| self.imports.iter().find(|i| i.by == actor.account && i.kind == kind).map(Import::prefix);
        let (streams, services) = (of(Kind::Stream), of(Kind::Service));
        for step in &mut actor.steps {
            match step {
                Step::Sub { pattern, .. } => {
                    if let Some(prefix) = streams.as_ref().filter(|_| rng.one_in(2)) {
                        *pattern = format!("{prefix}{pattern}");
                    }
                }
                Step::Pub { subject, .. } | Step::Request(subject) => {
                    if rng.one_in(4) {
                        *subject = format!("old.{subject}");
                    }
                    if let Some(prefix) = services.as_ref().filter(|_| rng.one_in(2)) {
                        *subject = format!("{prefix}{subject}");
                    }
                    if rng.one_in(8) {
                        *subject = format!("old.{subject}");
                    }
                }
                _ => {}
            }
        }
    }
}

/// Gives everybody in a case an account, and has the accounts share.
fn sharing(rng: &mut Rng, mut case: Case) -> Case {
    let accounts = within(rng, 2, 4) as usize;
    let shared = Shared::any(rng, accounts);
    (case.plan.accounts, case.plan.exact) = (accounts, false);
    for a in &mut case.actors {
        a.account = rng.below(accounts as u64) as usize;
        shared.speaks(rng, a);
    }
    case.plan.shared = Some(shared);
    case
}

/// Streams, services and renamed subjects on one server.
pub fn shared(rng: &mut Rng) -> Case {
    let case = match rng.below(5) {
        0 => scenarios::crossing(rng),
        1 => scenarios::group_races(rng),
        2 => scenarios::nobody(rng),
        3 => services(rng),
        _ => scenarios::swarm(rng),
    };
    sharing(rng, case)
}

/// The same on several.
pub fn routed_shared(rng: &mut Rng) -> Case {
    let case = cluster::routed(rng);
    sharing(rng, case)
}

/// 51: the same over gateways.
pub fn super_shared(rng: &mut Rng) -> Case {
    let case = supers::super_routed(rng);
    sharing(rng, case)
}

/// Some ask, others answer, alone or in groups.
fn services(rng: &mut Rng) -> Case {
    let plan = scenarios::plan(rng, 1);
    let mut actors = Vec::new();
    for i in 0..within(rng, 1, 5) as usize {
        let a = Actor { responds: true, ..scenarios::client(rng, i) };
        let queue = rng.one_in(2).then(|| "q".into());
        actors.push(a.does(Step::Sub { pattern: pick(rng, SHARED).into(), queue, max: None }).does(Step::Sync));
    }
    for i in 0..within(rng, 1, 5) as usize {
        let mut a = scenarios::client(rng, i);
        for _ in 0..within(rng, 1, 12) {
            a = a.does(Step::Request(pick(rng, SUBJECTS).into()));
            a = if rng.one_in(3) { a.does(Step::Sync) } else { a };
        }
        actors.push(a.does(Step::Sync));
    }
    Case { plan, actors }
}
