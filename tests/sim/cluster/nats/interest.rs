//! What a scripted nats-server and another cluster tell each other of what they want (cluster-protocol.md §§4.6, 4.7,
//! captures C7 and C10). On a link that it dialed it hears, and complains of whatever a real one would overlook or take
//! for something else; on one that it accepted it tells what its whole cluster wants.

use super::{text, Key, Nats};
use crate::oracle::{matches, Tick};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How another cluster wants plain messages of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// It has not said: all of them, unless it promised to say.
    #[default]
    Unknown,
    /// None.
    Refused,
    /// All but those refused.
    Optimistic,
    /// Still so, while it tells what it wants.
    Transitioning,
    /// Only what it wants.
    Only,
}

/// What another cluster wants of an account.
#[derive(Debug, Default)]
pub(super) struct Wants {
    mode: Mode,
    plain: BTreeSet<String>,
    /// Pattern and group.
    queues: BTreeSet<(String, String)>,
    refused: BTreeSet<String>,
}

impl Wants {
    /// Is it sent this plain?
    pub(super) fn plain(&self, subject: &str, iom: bool) -> bool {
        let asked = self.plain.iter().any(|p| matches(p, subject));
        let unasked = !iom && !self.refused.contains(subject);
        match self.mode {
            Mode::Unknown => !iom,
            Mode::Refused => false,
            Mode::Optimistic => unasked,
            Mode::Transitioning => unasked || asked,
            Mode::Only => asked,
        }
    }

    /// Groups that have a member there.
    pub(super) fn groups(&self, subject: &str) -> BTreeSet<String> {
        self.queues.iter().filter(|(p, _)| matches(p, subject)).map(|(_, q)| q.clone()).collect()
    }

    /// `RS+`; why that may not be.
    fn wants(&mut self, pattern: &str, queue: &str, iom: bool) -> Result<(), &'static str> {
        if !queue.is_empty() {
            if matches!(self.mode, Mode::Unknown | Mode::Refused) && !iom {
                self.mode = Mode::Optimistic;
            }
            let new = self.queues.insert((pattern.into(), queue.into()));
            return if new { Ok(()) } else { Err("a group is told twice") };
        }
        match self.mode {
            Mode::Unknown | Mode::Refused => Err("plain interest before it is said that it follows"),
            Mode::Optimistic => {
                let before = self.refused.len();
                self.refused.retain(|subject| !matches(pattern, subject));
                if self.refused.len() < before {
                    Ok(())
                } else {
                    Err("what was not refused is taken back")
                }
            }
            Mode::Transitioning | Mode::Only if self.plain.insert(pattern.into()) => Ok(()),
            Mode::Transitioning | Mode::Only => Err("plain interest is told twice"),
        }
    }

    /// `RS-`; why that may not be. `most` is how many subjects may be refused.
    fn wants_not(&mut self, pattern: &str, queue: &str, iom: bool, most: usize) -> Result<(), &'static str> {
        if !queue.is_empty() {
            let known = self.queues.remove(&(pattern.into(), queue.into()));
            return if known { Ok(()) } else { Err("an end of a group that was never told") };
        }
        match self.mode {
            Mode::Transitioning | Mode::Only if self.plain.remove(pattern) => Ok(()),
            Mode::Transitioning | Mode::Only => Err("an end of what was never told"),
            Mode::Refused => Err("a subject of an account that is refused whole"),
            _ if iom => Err("a subject is refused, and nothing was to be sent unasked"),
            Mode::Unknown | Mode::Optimistic => {
                self.mode = Mode::Optimistic;
                let new = self.refused.insert(pattern.into());
                match (new, self.refused.len() <= most.max(1)) {
                    (true, true) => Ok(()),
                    (true, false) => Err("more subjects are refused than may be"),
                    (false, _) => Err("a subject is refused twice"),
                }
            }
        }
    }
}

/// What the other end of an inbound link was told of plain messages of an account.
#[derive(Debug, Default)]
pub(super) enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// That nobody wants anything of it, since then.
    Refused(Tick),
    /// That these subjects are not wanted, each since then.
    Subjects(BTreeMap<String, Tick>),
    /// All, and what changes since.
    Whole,
}

/// What a link is told at its beginning.
pub(super) struct Lines {
    pub queues: String,
    pub whole: String,
}

impl Nats {
    /// What its cluster wants: its clients and its members together.
    fn wide(&self) -> BTreeSet<Key> {
        let members = self.remotes.values().flat_map(|r| r.interest.keys().cloned());
        self.wanted().into_keys().chain(members).collect()
    }

    fn all_accounts(&self) -> Vec<String> {
        let named = (0..self.accounts).map(|n| format!("ACC{n}"));
        ["$SYS".to_string(), "$G".to_string()].into_iter().chain(named).collect()
    }

    fn command(&self, account: &str, command: u8) -> String {
        let all = json!({
            "server_id": "", "server_name": "", "version": "", "proto": 0, "go": "", "host": "", "port": 0,
            "headers": false, "max_payload": 0, "gateway": self.cluster, "gateway_cmd": command,
            "gateway_cmd_payload": STANDARD.encode(account),
        });
        format!("INFO {all}\r\n")
    }

    /// The whole plain interest of an account.
    fn whole(&self, account: &str, wide: &BTreeSet<Key>) -> String {
        let plain = wide.iter().filter(|(a, _, q)| a == account && q.is_empty());
        let all: String = plain.map(|(a, p, _)| format!("RS+ {a} {p}\r\n")).collect();
        self.command(account, 2) + &all + &self.command(account, 3)
    }

    /// An inbound link is about to be registered.
    pub(super) fn begin_to_tell(&mut self, link: usize) -> Lines {
        self.tell_clusters();
        let wide = self.gates.as_ref().map(|g| g.wide.clone()).unwrap_or_default();
        let queues = wide.iter().filter(|(.., q)| !q.is_empty());
        let queues = queues.map(|(a, p, q)| format!("RS+ {a} {p} {q} 1\r\n")).collect();
        let accounts = self.all_accounts();
        let promising = self.gates.as_ref().is_some_and(|g| g.promising);
        let whole: String = match promising {
            true => accounts.iter().map(|a| self.whole(a, &wide)).collect(),
            false => String::new(),
        };
        if let Some(gates) = &mut self.gates {
            if let Some(gate) = gates.links.get_mut(&link).filter(|_| promising) {
                gate.told = accounts.into_iter().map(|a| (a, Told::Whole)).collect();
            }
        }
        Lines { queues, whole }
    }

    /// Tells other clusters what has changed of what this one wants.
    pub(super) fn tell_clusters(&mut self) {
        if self.gates.is_none() {
            return;
        }
        let wide = self.wide();
        let Some(gates) = &mut self.gates else { return };
        let before = std::mem::replace(&mut gates.wide, wide);
        let changed: Vec<(Key, bool)> =
            before.symmetric_difference(&gates.wide).map(|k| (k.clone(), gates.wide.contains(k))).collect();
        for gate in gates.links.values_mut().filter(|g| g.up && g.dialed.is_none()) {
            for ((account, pattern, queue), wanted) in &changed {
                let told = gate.told.entry(account.clone()).or_default();
                gate.line.say(change(told, account, pattern, queue, *wanted).as_bytes());
            }
        }
    }

    /// A message came that nobody here wants plain: who sends unasked is told so.
    pub(super) fn refuse(&mut self, link: usize, account: &str, subject: &str, tick: Tick) {
        let nobody = self.gates.as_ref().is_some_and(|g| g.wide.iter().all(|(a, ..)| a != account));
        let Some(gates) = &mut self.gates else { return };
        let most = gates.refused_max;
        let Some(told) = gates.links.get_mut(&link).map(|g| g.told.entry(account.into()).or_default()) else { return };
        let says = match told {
            Told::Nothing if nobody => {
                *told = Told::Refused(tick);
                format!("A- {account}\r\n")
            }
            Told::Nothing => {
                *told = Told::Subjects(BTreeMap::from([(subject.to_string(), tick)]));
                format!("RS- {account} {subject}\r\n")
            }
            Told::Subjects(all) if all.contains_key(subject) => String::new(),
            Told::Subjects(all) if all.len() < most => {
                all.insert(subject.into(), tick);
                format!("RS- {account} {subject}\r\n")
            }
            Told::Subjects(_) => {
                *told = Told::Whole;
                let wide = gates.wide.clone();
                self.whole(account, &wide)
            }
            Told::Refused(_) | Told::Whole => String::new(),
        };
        self.say_gate(link, &says);
    }

    /// Since when whoever sends knows that this is not wanted plain; None: it was not told so.
    pub(super) fn refused_since(&self, link: usize, account: &str, subject: &str) -> Option<Tick> {
        match self.gates.as_ref()?.links.get(&link)?.told.get(account)? {
            Told::Refused(since) => Some(*since),
            Told::Subjects(all) => all.get(subject).copied(),
            Told::Nothing | Told::Whole => None,
        }
    }

    /// `RS+` and `RS-` of a cluster that it sends to.
    pub(super) fn wanted_there(&mut self, link: usize, words: &[&str]) {
        let most = self.most_refused(link);
        let Some(gate) = self.gates.as_mut().and_then(|g| g.links.get_mut(&link)) else { return };
        let iom = gate.iom;
        let wants = gate.wants.entry(words.get(1).copied().unwrap_or_default().into()).or_default();
        let outcome = match words {
            ["RS+", _, pattern] => wants.wants(pattern, "", iom),
            ["RS+", _, pattern, queue, "1"] => wants.wants(pattern, queue, iom),
            ["RS-", _, pattern] => wants.wants_not(pattern, "", iom, most),
            ["RS-", _, pattern, queue] => wants.wants_not(pattern, queue, iom, most),
            _ => Err("interest in another form"),
        };
        // After a change of rules everything is told anew, and what the former announced is taken back, had it been told yet or
        // not. Of what comes over gateways nats-server keeps one entry (2.15.2), so it minds neither.
        let again = |why: &&str| ["told twice", "was never told"].iter().any(|end| why.ends_with(end));
        if let Some(why) = outcome.err().filter(|why| !self.borders || !again(why)) {
            self.complain(format!("{why}: {words:?}"));
        }
    }

    /// How many subjects the other end may refuse before it must tell all.
    fn most_refused(&self, link: usize) -> usize {
        let peer = self.gates.as_ref().and_then(|g| g.links.get(&link)).map(|g| g.peer);
        peer.and_then(|p| self.refusals.get(p).copied()).unwrap_or(usize::MAX)
    }

    /// `A+` and `A-`.
    pub(super) fn account_there(&mut self, link: usize, words: &[&str]) {
        let [verb, account] = words else { return self.complain(format!("an account in another form: {words:?}")) };
        let known = self.all_accounts().iter().any(|a| a == account);
        let Some(gate) = self.gates.as_mut().and_then(|g| g.links.get_mut(&link)) else { return };
        let wants = gate.wants.entry((*account).into()).or_default();
        match (*verb, wants.mode) {
            ("A-", Mode::Unknown | Mode::Optimistic) => {
                wants.refused.clear();
                if wants.queues.is_empty() {
                    wants.mode = Mode::Refused;
                }
            }
            ("A+", Mode::Refused) => wants.mode = Mode::Unknown,
            (_, mode) => self.complain(format!("{words:?} about an account that is {mode:?}, known: {known}")),
        }
    }

    /// The commands about an account.
    pub(super) fn commanded(&mut self, link: usize, info: &Value) {
        let account = STANDARD.decode(text(info, "gateway_cmd_payload")).ok().and_then(|b| String::from_utf8(b).ok());
        let Some(account) = account.filter(|a| !a.is_empty()) else {
            return self.complain(format!("a command about no account: {info}"));
        };
        let Some(gate) = self.gates.as_mut().and_then(|g| g.links.get_mut(&link)) else { return };
        let wants = gate.wants.entry(account).or_default();
        match (info["gateway_cmd"].as_i64(), wants.mode) {
            (Some(2), Mode::Unknown | Mode::Refused | Mode::Optimistic) => wants.mode = Mode::Transitioning,
            (Some(3), Mode::Transitioning) => {
                wants.mode = Mode::Only;
                wants.refused.clear();
            }
            (_, mode) => self.complain(format!("a command out of turn, for an account that is {mode:?}: {info}")),
        }
    }
}

/// What whoever sends is told of a change.
fn change(told: &mut Told, account: &str, pattern: &str, queue: &str, wanted: bool) -> String {
    match (queue.is_empty(), wanted) {
        (false, true) => {
            // Coming first of all, a group takes the refusal of its account with it.
            if matches!(told, Told::Refused(_)) {
                *told = Told::Nothing;
            }
            format!("RS+ {account} {pattern} {queue} 1\r\n")
        }
        (false, false) => format!("RS- {account} {pattern} {queue}\r\n"),
        (true, true) => match told {
            Told::Nothing => String::new(),
            Told::Refused(_) => {
                *told = Told::Nothing;
                format!("A+ {account}\r\n")
            }
            Told::Subjects(all) => {
                let before = all.len();
                all.retain(|subject, _| !matches(pattern, subject));
                if all.len() < before {
                    format!("RS+ {account} {pattern}\r\n")
                } else {
                    String::new()
                }
            }
            Told::Whole => format!("RS+ {account} {pattern}\r\n"),
        },
        (true, false) if matches!(told, Told::Whole) => format!("RS- {account} {pattern}\r\n"),
        (true, false) => String::new(),
    }
}
