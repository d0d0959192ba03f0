//! `turnpike -t -c FILE --against URL`: what would begin and cease to cross the border if a running server took over the
//! rules of a configuration (docs/borders.md). Asks the server for its rules, its subscriptions and what other clusters want
//! of it; changes nothing there.

use super::monitoring::Place;
use crate::interest::border::{differing, overlaps, Rule, RulePlace, Wall};
use crate::policy::walls::rule_words;
use crate::policy::{Auth, Borders, Settings};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

/// Lines of one kind that are printed.
const LINES_MAX: usize = 200;
/// Subscriptions that are asked for at a time.
const PAGE: usize = 100_000;

/// What a running server does now.
#[derive(Debug, Default)]
struct Running {
    exports: Option<Vec<Rule>>,
    imports: Option<Vec<Rule>>,
    /// Clusters that it knows.
    clusters: BTreeSet<String>,
    /// Account and pattern of its clients' subscriptions, how many of each.
    subscriptions: BTreeMap<(String, String), usize>,
    /// Cluster, account and pattern that other clusters want of it.
    wanted: BTreeSet<(String, String, String)>,
}

/// Carries out the command. Exit code 0: it could be told, whatever changes.
pub fn main(url: &str, settings: &Settings) -> ExitCode {
    match Place::read(url).and_then(|place| ask(&place)) {
        Ok(running) => {
            print!("{}", told(&running, settings));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("turnpike: --against: {why}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Deserialize)]
struct Written {
    subject: String,
    cluster: Option<String>,
    account: Option<String>,
    #[serde(default)]
    deny: bool,
    line: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block {
    present: bool,
    rules: Option<Vec<Written>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Border {
    exports: Block,
    imports: Block,
}

#[derive(Deserialize)]
struct Remote {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Own {
    crossing: Border,
    remotes: Vec<Remote>,
}

#[derive(Deserialize)]
struct Account {
    name: String,
    #[serde(default)]
    subscriptions_list: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Link {
    accounts: Vec<Account>,
}

#[derive(Deserialize)]
struct Gatewayz {
    #[serde(default)]
    outbound_gateways: BTreeMap<String, Link>,
    turnpike: Option<Own>,
}

#[derive(Deserialize)]
struct Sub {
    account: String,
    subject: String,
}

#[derive(Deserialize)]
struct Subsz {
    total: usize,
    #[serde(default)]
    subscriptions_list: Vec<Sub>,
}

fn ask(place: &Place) -> Result<Running, String> {
    let page: Gatewayz = read(place, "/gatewayz?rules=1&subs=1")?;
    let own = page.turnpike.ok_or("that server has no gateway, or is no turnpike: nothing crosses there")?;
    let rules = |block: Block| {
        let rule = |w: Written| Rule {
            subject: w.subject.into_bytes().into(),
            cluster: w.cluster.map(Into::into),
            account: w.account.map(Into::into),
            deny: w.deny,
            place: RulePlace { file: 0, line: w.line },
        };
        block.present.then(|| block.rules.unwrap_or_default().into_iter().map(rule).collect())
    };
    let mut running = Running {
        exports: rules(own.crossing.exports),
        imports: rules(own.crossing.imports),
        clusters: own.remotes.into_iter().map(|r| r.name).collect(),
        ..Running::default()
    };
    for (cluster, link) in page.outbound_gateways {
        for account in link.accounts {
            let wanted = |pattern| (cluster.clone(), account.name.clone(), pattern);
            running.wanted.extend(account.subscriptions_list.into_iter().map(wanted));
        }
    }
    let mut offset = 0;
    loop {
        let page: Subsz = read(place, &format!("/subsz?subs=1&limit={PAGE}&offset={offset}"))?;
        offset += page.subscriptions_list.len();
        let last = page.subscriptions_list.is_empty() || offset >= page.total;
        for sub in page.subscriptions_list {
            *running.subscriptions.entry((sub.account, sub.subject)).or_default() += 1;
        }
        if last {
            return Ok(running);
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(place: &Place, path: &str) -> Result<T, String> {
    serde_json::from_slice(&place.get(path)?).map_err(|e| format!("the answer to {path} is not understood: {e}"))
}

/// One block before and after.
struct Change<'a> {
    block: &'a str,
    before: Option<&'a [Rule]>,
    after: Option<&'a [Rule]>,
    walls: [Wall; 2],
    auth: &'a Auth,
}

/// What begins and ceases to cross of one pattern.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Effect {
    begins: Vec<String>,
    ceases: Vec<String>,
}

impl Change<'_> {
    /// Of a pattern, from or to a cluster (None: one that nobody names). Holes that denials cut are parts too.
    fn effect(&self, account: &str, cluster: Option<&str>, pattern: &str) -> Effect {
        let Some(at) = self.auth.accounts.iter().position(|a| a.name == account) else { return Effect::default() };
        let class = |wall: &Wall| wall.class(cluster.unwrap_or("\n"));
        let parts = |wall: &Wall| {
            let mut parts = Vec::new();
            wall.announce(at, class(wall), pattern.as_bytes(), |p| parts.push(p.to_vec()));
            parts
        };
        let [before, after] = &self.walls;
        // A part is new as far as the other side does not admit all of it.
        let new = |parts: Vec<Vec<u8>>, other: &Wall| -> BTreeSet<String> {
            let whole = |p: &Vec<u8>| other.is_whole(at, class(other), p);
            parts.into_iter().filter(|p| !whole(p)).map(|p| String::from_utf8_lossy(&p).into_owned()).collect()
        };
        let (mut begins, mut ceases) = (new(parts(after), before), new(parts(before), after));
        let concerns = |r: &&Rule| {
            r.deny
                && r.cluster.as_deref().is_none_or(|c| Some(c) == cluster)
                && r.account.as_deref().map_or(self.auth.system != Some(at), |a| a == account)
                && overlaps(&r.subject, pattern.as_bytes())
        };
        let (gone, came) = self.differing();
        let hole = |r: &Rule| format!("what {} has cut out", rule_words(self.block, r));
        let crosses = |wall: &Wall, r: &Rule| wall.admits_some(at, class(wall), &r.subject);
        begins.extend(gone.into_iter().filter(concerns).filter(|r| crosses(after, r)).map(hole));
        let hole = |r: &Rule| format!("what {} cuts out", rule_words(self.block, r));
        ceases.extend(came.into_iter().filter(concerns).filter(|r| crosses(before, r)).map(hole));
        Effect { begins: begins.into_iter().collect(), ceases: ceases.into_iter().collect() }
    }

    /// The rules that go, and those that come.
    fn differing(&self) -> (Vec<&Rule>, Vec<&Rule>) {
        let (old, new) = (self.before.unwrap_or_default(), self.after.unwrap_or_default());
        let (gone, came) = differing(old, new, 1);
        let of = |rules: &'_ [Rule], places: Vec<u32>| -> Vec<usize> {
            places.into_iter().map(|p| p as usize).filter(|p| *p < rules.len()).collect()
        };
        (of(old, gone).into_iter().map(|p| &old[p]).collect(), of(new, came).into_iter().map(|p| &new[p]).collect())
    }

    /// Lines about the rules themselves.
    fn rules(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match (self.before, self.after) {
            (None, Some(_)) => lines.push(format!("{}: a new block; without one everything crosses", self.block)),
            (Some(_), None) => lines.push(format!("{}: the block goes, and everything crosses", self.block)),
            _ => {}
        }
        let (gone, came) = self.differing();
        lines.extend(gone.into_iter().map(|r| format!("- {}", rule_words(self.block, r))));
        lines.extend(came.into_iter().map(|r| format!("+ {}", rule_words(self.block, r))));
        lines
    }
}

/// Everything, in lines.
fn told(running: &Running, settings: &Settings) -> String {
    let borders = settings.gateway.as_ref().map(|g| g.borders.clone()).unwrap_or_default();
    let Borders { exports, imports, .. } = &borders;
    let names: Vec<&str> = settings.auth.accounts.iter().map(|a| a.name.as_str()).collect();
    let wall = |rules: Option<&[Rule]>| Wall::new(rules, &names, settings.auth.system, 1);
    let change = |block, before, after| Change {
        block,
        before,
        after,
        walls: [wall(before), wall(after)],
        auth: &settings.auth,
    };
    let exports = change("exports", running.exports.as_deref(), exports.as_deref());
    let imports = change("imports", running.imports.as_deref(), imports.as_deref());
    let mut out = Lines::default();
    out.section("rules", exports.rules().into_iter().chain(imports.rules()).collect());
    if out.text.is_empty() {
        return "exports and imports are as they are: nothing would begin or cease to cross\n".into();
    }
    for (change, way) in [(&exports, "to"), (&imports, "from")] {
        let clusters = clusters(running, change);
        let subjects: Vec<_> = names.iter().map(|account| ((*account).to_owned(), ">".to_owned(), 0)).collect();
        out.section(&format!("subjects, {way} other clusters"), effects(change, way, &clusters, &subjects));
    }
    let subscriptions: Vec<_> =
        running.subscriptions.iter().map(|((account, pattern), n)| (account.clone(), pattern.clone(), *n)).collect();
    let from = clusters(running, &imports);
    out.section("subscriptions of this server's clients", effects(&imports, "from", &from, &subscriptions));
    let wanted = running.wanted.iter().flat_map(|(cluster, account, pattern)| {
        let one = [(account.clone(), pattern.clone(), 0)];
        effects(&exports, "to", &[Some(cluster.clone())], &one)
    });
    out.section("what other clusters want of it", wanted.collect());
    out.text
}

/// The clusters to be looked at: those known, those that rules name, and (None) all others.
fn clusters(running: &Running, change: &Change<'_>) -> Vec<Option<String>> {
    let rules = change.before.into_iter().chain(change.after).flatten();
    let named = rules.filter_map(|r| r.cluster.as_deref().map(String::from));
    let all: BTreeSet<String> = running.clusters.iter().cloned().chain(named).collect();
    all.into_iter().map(Some).chain([None]).collect()
}

/// Lines about what begins and ceases, clusters with the same effect together. Each pattern comes with how many want it.
fn effects(
    change: &Change<'_>,
    way: &str,
    clusters: &[Option<String>],
    patterns: &[(String, String, usize)],
) -> Vec<String> {
    let mut lines = Vec::new();
    for (account, pattern, n) in patterns {
        let mut alike = BTreeMap::<Effect, Vec<String>>::new();
        for cluster in clusters {
            let name = cluster.as_ref().map_or("every other cluster".into(), |c| format!("{c:?}"));
            alike.entry(change.effect(account, cluster.as_deref(), pattern)).or_default().push(name);
        }
        alike.remove(&Effect::default());
        for (effect, names) in alike {
            let times = if *n > 1 { format!(", {n} of them") } else { String::new() };
            let mut line = format!("{pattern:?} in account {account}{times}, {way} {}:", names.join(", "));
            for (word, parts) in [("begins", effect.begins), ("ceases", effect.ceases)] {
                if !parts.is_empty() {
                    line.push_str(&format!(" {word}: {};", parts.join(", ")));
                }
            }
            lines.push(line.trim_end_matches(';').to_owned());
        }
    }
    lines
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn section(&mut self, title: &str, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        self.text.push_str(&format!("{title}:\n"));
        lines.iter().take(LINES_MAX).for_each(|line| self.text.push_str(&format!("  {line}\n")));
        if lines.len() > LINES_MAX {
            self.text.push_str(&format!("  ... and {} more\n", lines.len() - LINES_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(words: &[&str]) -> Option<Vec<Rule>> {
        let rule = |(line, word): (u32, &&str)| {
            let (deny, word) = word.strip_prefix('!').map_or((false, *word), |w| (true, w));
            let (subject, cluster) = word.split_once('@').map_or((word, None), |(s, c)| (s, Some(c.into())));
            let place = RulePlace { file: 0, line };
            Rule { subject: subject.as_bytes().into(), cluster, account: None, deny, place }
        };
        Some((1..).zip(words).map(rule).collect())
    }

    fn settings(borders: Borders) -> Settings {
        let mut settings = Settings::default();
        settings.gateway.get_or_insert_default().borders = borders;
        settings
    }

    #[test]
    fn what_begins_and_ceases_is_told_by_subject_and_by_subscription() {
        let running = Running {
            imports: rules(&["public.>", "old@west"]),
            clusters: ["west".to_owned(), "north".to_owned()].into(),
            subscriptions: [(("$G".to_owned(), ">".to_owned()), 3), (("$G".to_owned(), "public.a".to_owned()), 1)]
                .into(),
            wanted: [("north".to_owned(), "$G".to_owned(), "a.*".to_owned())].into(),
            ..Running::default()
        };
        let new = Borders {
            imports: rules(&["public.*", "!public.x", "new"]),
            exports: rules(&["a.b"]),
            ..Borders::default()
        };
        let text = told(&running, &settings(new));
        for line in [
            "exports: a new block; without one everything crosses",
            "- imports line 1: \"public.>\"",
            "+ imports line 2: deny \"public.x\"",
            "\">\" in account $G, from \"north\", every other cluster: begins: new; ceases: public.>, what imports line 2: \
             deny \"public.x\" cuts out",
            "\">\" in account $G, 3 of them, from \"west\": begins: new; ceases: old, public.>",
            "\"a.*\" in account $G, to \"north\": ceases: a.*",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("\"public.a\""), "it crosses as before: {text}");
        assert!(!text.contains("$SYS"), "untouched: {text}");
        let same = Borders { imports: running.imports.clone(), ..Borders::default() };
        assert!(told(&running, &settings(same)).contains("nothing would begin or cease"));
    }
}
