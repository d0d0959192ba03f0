//! The rules of one server's border, ours or another's: all of them, and how they become lines and are put together from
//! lines again (docs/borders.md, "Both sides"). What another server says is bounded and checked here, whoever it is.

use crate::base::limits::{BORDER_BYTES_MAX, BORDER_NAMED_MAX, BORDER_RULES_MAX, TOLD_SUBJECT_BYTES_MAX};
use crate::base::Time;
use crate::interest::border::{digest, Digest, Rule, RulePlace};
use crate::wire::address::shown;
use crate::wire::gateway::{write_border, BorderEntry, BorderPart, GatewayInfo};
use crate::wire::subject;
use std::sync::Arc;

/// All rules of a server, of which it has at least a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub digest: Digest,
    pub exports: Option<Arc<[Rule]>>,
    pub imports: Option<Arc<[Rule]>>,
}

impl Rules {
    /// None: there is no block.
    pub(super) fn new(exports: Option<&[Rule]>, imports: Option<&[Rule]>) -> Option<Rules> {
        let digest = digest(exports, imports);
        let [exports, imports] = [exports, imports].map(|block| block.map(Arc::from));
        (exports.is_some() || imports.is_some()).then_some(Rules { digest, exports, imports })
    }

    /// The lines that tell them. None: a text of theirs is longer than others would read.
    pub(super) fn lines(&self, server_id: &str, cluster: &str) -> Option<Vec<Vec<u8>>> {
        let entry = |export: bool| {
            move |rule: &Rule| BorderEntry {
                export,
                // Read from a configuration, which is text.
                subject: String::from_utf8_lossy(&rule.subject).into_owned(),
                cluster: rule.cluster.as_deref().unwrap_or_default().into(),
                account: rule.account.as_deref().unwrap_or_default().into(),
                deny: rule.deny,
                line: i64::from(rule.place.line),
            }
        };
        let [exports, imports] = [&self.exports, &self.imports].map(|block| block.as_deref().unwrap_or_default());
        let exports = exports.iter().map(entry(true));
        let entries: Vec<BorderEntry> = exports.chain(imports.iter().map(entry(false))).collect();
        let about = BorderPart {
            digest: self.digest.to_string(),
            exports: self.exports.is_some(),
            imports: self.imports.is_some(),
            ..BorderPart::default()
        };
        let fine = |e: &BorderEntry| e.subject.len() <= TOLD_SUBJECT_BYTES_MAX && names_fit(e);
        entries.iter().all(fine).then(|| write_border(&format!("GW{server_id}"), cluster, &about, entries))?
    }
}

fn names_fit(entry: &BorderEntry) -> bool {
    [&entry.cluster, &entry.account].iter().all(|name| name.len() <= TOLD_SUBJECT_BYTES_MAX / 2)
}

/// What another server has told of its rules.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The digest it says it has; None: it says that it has no rules.
    pub digest: Option<Digest>,
    /// Its rules, as they were last told whole.
    rules: Option<Arc<Rules>>,
    coming: Option<Coming>,
    /// Since when it is as it is.
    pub since: Time,
}

impl Told {
    pub(super) fn nothing(now: Time) -> Told {
        Told { digest: None, rules: None, coming: None, since: now }
    }

    /// It says its digest, hex; empty: it has no rules. False: that is no digest.
    pub(super) fn says(&mut self, text: &str, now: Time) -> bool {
        let said = if text.is_empty() { None } else { text.parse().ok() };
        if said != self.digest {
            (self.digest, self.since) = (said, now);
        }
        if said.is_none() {
            self.rules = None;
        }
        text.is_empty() || said.is_some()
    }

    /// Its rules, if they are those that it says it has.
    pub(super) fn rules(&self) -> Option<&Arc<Rules>> {
        self.rules.as_ref().filter(|r| Some(r.digest) == self.digest)
    }

    /// The digest of the rules it told last; empty: none.
    pub(super) fn told_digest(&self) -> String {
        self.rules.as_ref().map(|r| r.digest.to_string()).unwrap_or_default()
    }

    /// Keeps the same rules where they are kept already.
    pub(super) fn keep(&mut self, same: Arc<Rules>) {
        self.rules = Some(same);
    }

    /// Has it begun to tell its rules and not ended?
    pub(super) fn is_coming(&self) -> bool {
        self.coming.is_some()
    }

    /// A part of its rules. True: it was the last.
    ///
    /// # Errors
    /// What is wrong with it; whoever says such a thing is left.
    pub(super) fn take(&mut self, part: BorderPart, now: Time) -> Result<bool, String> {
        let mut coming = match self.coming.take() {
            Some(coming) => coming,
            None => Coming::begun(&part)?,
        };
        coming.add(part)?;
        if coming.next <= coming.parts {
            self.coming = Some(coming);
            return Ok(false);
        }
        self.rules = Some(Arc::new(coming.finish()?));
        self.since = now;
        Ok(true)
    }
}

/// Rules that are being told.
#[derive(Clone, Debug)]
struct Coming {
    digest: Digest,
    /// The part that is due.
    next: i64,
    parts: i64,
    blocks: [Option<Vec<Rule>>; 2],
    bytes: usize,
}

impl Coming {
    fn begun(part: &BorderPart) -> Result<Coming, String> {
        let digest = part.digest.parse().map_err(|()| "border rules without a digest")?;
        if !(part.exports || part.imports) {
            return Err("border rules of no block".into());
        }
        // Each has an entry, but where there is none at all.
        if !(1..=2 * BORDER_RULES_MAX as i64).contains(&part.parts) {
            return Err("border rules in no part, or in too many".into());
        }
        let blocks = [part.exports, part.imports].map(|there| there.then(Vec::new));
        Ok(Coming { digest, next: 1, parts: part.parts, blocks, bytes: 0 })
    }

    fn add(&mut self, part: BorderPart) -> Result<(), String> {
        let same = part.digest.parse() == Ok(self.digest)
            && part.parts == self.parts
            && [part.exports, part.imports] == [self.blocks[0].is_some(), self.blocks[1].is_some()];
        if part.part != self.next || !same {
            return Err(format!("border rules out of order: part {} of {} was due", self.next, self.parts));
        }
        if part.entries.is_empty() && self.parts > 1 {
            return Err("an empty part of border rules".into());
        }
        self.next += 1;
        part.entries.into_iter().try_for_each(|entry| self.entry(entry))
    }

    fn entry(&mut self, entry: BorderEntry) -> Result<(), String> {
        let Some(block) = &mut self.blocks[usize::from(!entry.export)] else {
            return Err("a border rule of a block that is not there".into());
        };
        if block.len() >= BORDER_RULES_MAX {
            return Err(format!("more than {BORDER_RULES_MAX} border rules in one block"));
        }
        // As a configuration is read, too.
        let blank = |text: &str| text.chars().any(|c| c.is_whitespace() || c.is_control());
        let rightful = subject::valid_subscription(entry.subject.as_bytes()) && !blank(&entry.subject);
        if !rightful || blank(&entry.cluster) || entry.subject.len() > TOLD_SUBJECT_BYTES_MAX || !names_fit(&entry) {
            return Err("a border rule with an invalid subject or name".into());
        }
        let line = u32::try_from(entry.line).map_err(|_| "a border rule on no line")?;
        self.bytes += entry.subject.len() + entry.cluster.len() + entry.account.len();
        if self.bytes > BORDER_BYTES_MAX {
            return Err(format!("border rules of more than {BORDER_BYTES_MAX} bytes"));
        }
        let name = |text: String| Some(text.into_boxed_str()).filter(|t| !t.is_empty());
        block.push(Rule {
            subject: entry.subject.into_bytes().into(),
            cluster: name(entry.cluster),
            account: name(entry.account),
            deny: entry.deny,
            place: RulePlace { file: 0, line },
        });
        Ok(())
    }

    fn finish(self) -> Result<Rules, String> {
        let [exports, imports] = self.blocks;
        let found = digest(exports.as_deref(), imports.as_deref());
        if found != self.digest {
            return Err("border rules that are not those of their digest".into());
        }
        let [exports, imports] = [exports, imports].map(|block| block.map(Arc::from));
        Ok(Rules { digest: found, exports, imports })
    }
}

/// Bytes of a subject or name that are shown among others.
const BRIEF_BYTES: usize = 96;

/// Which block rules are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Exports,
    Imports,
}

/// Rules with their lines, for people: the first of them, and how many more. `whose` stands before the block's name.
pub(super) fn named(whose: &str, block: Block, rules: &[Rule], places: &[u32]) -> String {
    let (name, way) = match block {
        Block::Exports => ("exports", "to"),
        Block::Imports => ("imports", "from"),
    };
    let one = |rule: &Rule| {
        let line = if rule.place.line > 0 { format!(" line {}", rule.place.line) } else { String::new() };
        let deny = if rule.deny { "deny " } else { "" };
        let mut text = format!("{whose}{name}{line}: {deny}\"{}\"", brief(&String::from_utf8_lossy(&rule.subject)));
        if let Some(cluster) = &rule.cluster {
            text += &format!(" {way} \"{}\"", brief(cluster));
        }
        if let Some(account) = &rule.account {
            text += &format!(" of account \"{}\"", brief(account));
        }
        text
    };
    let some = places.iter().take(BORDER_NAMED_MAX).filter_map(|at| rules.get(*at as usize)).map(one);
    let mut words: Vec<String> = some.collect();
    if let Some(more @ 1..) = places.len().checked_sub(BORDER_NAMED_MAX) {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

fn brief(text: &str) -> String {
    let mut text = shown(text);
    if text.len() > BRIEF_BYTES {
        let end = (0..=BRIEF_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// This server's rules, and what is needed to understand those of others.
#[derive(Debug)]
pub(super) struct Own {
    /// None: it has none.
    pub rules: Option<Arc<Rules>>,
    /// The clusters that they name, each once.
    pub clusters: Vec<Box<str>>,
    /// The lines that tell them.
    pub lines: Vec<Vec<u8>>,
    /// Since when they are as they are.
    pub since: Time,
    /// The server's accounts, and which of them is the system account.
    pub accounts: Vec<String>,
    pub system: Option<usize>,
    /// Keys the hashes of other servers' rules.
    pub seed: u64,
}

impl Own {
    /// The digest as it is told; empty: there are no rules, or they cannot be told.
    pub(super) fn said(&self) -> String {
        let told = self.rules.as_ref().filter(|_| !self.lines.is_empty());
        told.map(|r| r.digest.to_string()).unwrap_or_default()
    }

    /// The name of the system account; empty: there is none.
    pub(super) fn system_name(&self) -> &str {
        self.system.and_then(|s| self.accounts.get(s)).map(String::as_str).unwrap_or_default()
    }
}

/// What a server said of its rules in its first INFO. None: it cannot be understood.
pub(super) fn first_told(hello: &GatewayInfo, now: Time) -> Option<Told> {
    let mut told = Told::nothing(now);
    (!hello.borders || told.says(&hello.border, now)).then_some(told)
}
