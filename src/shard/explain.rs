//! Whether a message would cross to or from another cluster now, and why: asked by an operator, answered in words
//! (docs/borders.md, "Asking why"). One shard answers for all: what it rests on is the same on each.

use super::core::Shard;
use super::peers::At;
use super::report::{Explanation, InterestMode, Question};
use crate::interest::far::Mode;
use crate::policy::walls::{imports_of, rule_words, Side};
use crate::wire::{quote, subject};

impl Shard {
    /// Answers.
    pub(super) fn explain(&self, q: &Question) -> Explanation {
        let here = self.settings.cluster_name().to_owned();
        let (from, to) = if q.enters { (q.cluster.clone(), here) } else { (here, q.cluster.clone()) };
        let mut e = Explanation {
            subject: q.subject.clone(),
            account: q.account.clone(),
            from,
            to,
            crosses: false,
            mode: None,
            grounds: Vec::new(),
            words: String::new(),
        };
        let account = self.settings.auth.accounts.iter().position(|a| a.name == q.account && !a.gone);
        let blank = |b: u8| b.is_ascii_whitespace() || b == 0;
        let sound = subject::valid_publish(q.subject.as_bytes()) && !q.subject.bytes().any(blank);
        match account {
            _ if !sound => e.because("subject", false, "no message can have this subject".into()),
            None => e.because("account", false, format!("there is no account {:?} on this server", q.account)),
            Some(account) if q.enters => self.explain_entry(q, account, &mut e),
            Some(account) => self.explain_exit(q, account, &mut e),
        }
        e.crosses = e.grounds.iter().all(|g| g.lets);
        let (fate, why): (&str, Vec<&str>) = match e.crosses {
            true => ("would cross", e.grounds.iter().map(|g| g.says.as_str()).collect()),
            false => ("would not cross", e.grounds.iter().filter(|g| !g.lets).map(|g| g.says.as_str()).collect()),
        };
        let mut named = Vec::new();
        quote(&mut named, q.subject.as_bytes());
        let named = String::from_utf8_lossy(&named).into_owned();
        e.words = format!("{named} in account {} {fate} from {} to {}: {}", e.account, e.from, e.to, why.join("; "));
        e
    }

    fn explain_exit(&self, q: &Question, account: usize, e: &mut Explanation) {
        let exports = &self.walls.exports;
        let judgement = exports.judge(account, q.subject.as_bytes()).of(exports.class(&q.cluster));
        e.judged("exports", "exports", judgement, self.walls.rule(Side::Exports, judgement.rule()));
        let Some(far) = self.gates.named(&q.cluster) else {
            return e.because("link", false, format!("this server has no link to a cluster {:?} now", q.cluster));
        };
        let shard = match self.gates.place(far) {
            Some(At::There(shard)) => shard,
            _ => self.id,
        };
        if let Some(judgement) = self.gates.judged_there(far, account, q.subject.as_bytes()) {
            let block = imports_of(&q.cluster);
            let rule = |at: u32| self.gates.their_entries(far)?.get(at as usize).map(|rule| rule_words(&block, rule));
            e.judged("their imports", &block, judgement, judgement.rule().and_then(rule));
        }
        let rtt = std::time::Duration::from_nanos(self.gates.rtt_ns(far));
        e.because("link", true, format!("the link is up (shard {}, round trip {rtt:?})", shard.0));
        let world = &self.worlds[account];
        let (promised, held) = (self.gates.promised.contains(far), world.fars.held(far));
        e.mode = Some(match held.mode {
            Mode::Unknown if promised => "interest-only (promised)",
            mode => InterestMode::from(mode).name(),
        });
        let mut groups = Vec::new();
        let live = crate::base::FarSet(1 << far.index());
        let plain = world.fars.matches(q.subject.as_bytes(), live, self.gates.promised, |name, _| {
            groups.push(String::from_utf8_lossy(name).into_owned());
        });
        let mode = e.mode.unwrap_or_default();
        let says = match (plain.is_empty(), groups.is_empty()) {
            (false, _) => format!("{} is sent it plain (mode {mode})", q.cluster),
            (true, false) => format!(
                "only queue groups there want it ({}; mode {mode}): it goes to one of their members if this cluster and \
                 nearer ones have none",
                groups.join(", ")
            ),
            (true, true) => format!("nobody in {} wants it (mode {mode})", q.cluster),
        };
        e.because("interest", !plain.is_empty() || !groups.is_empty(), says);
    }

    fn explain_entry(&self, q: &Question, account: usize, e: &mut Explanation) {
        let imports = &self.walls.imports;
        let judgement = imports.judge(account, q.subject.as_bytes()).of(imports.class(&q.cluster));
        e.judged("imports", "imports", judgement, self.walls.rule(Side::Imports, judgement.rule()));
        let (mut plain, mut groups) = (false, Vec::new());
        self.worlds[account].replica.matches(q.subject.as_bytes(), |want| {
            plain |= want.is_wanted_here() || !want.peers.is_empty();
            groups.extend(want.queues().iter().map(|g| String::from_utf8_lossy(&g.name).into_owned()));
        });
        let says = match (plain, groups.is_empty()) {
            (true, _) => "somebody in this cluster wants it".into(),
            (false, false) => format!("queue groups of this cluster want it ({})", groups.join(", ")),
            (false, true) => "nobody in this cluster wants it".into(),
        };
        e.because("interest", plain || !groups.is_empty(), says);
    }
}
