//! Looks at what a server writes to a route or to a link between clusters: a message is told to each peer once, by the
//! server it was published to or the one where it came in from another cluster; it crosses to each other cluster once and
//! comes not back (I7); and all under its own account (I24); what a cluster wants is told behind the rules that let it in.
//! Reads for itself, so that it shares no mistake with the parser.

use super::super::oracle::Oracle;
use super::super::world::World;
use std::collections::{BTreeMap, BTreeSet};
use turnpike::base::{Cid, PeerId};
use turnpike::conn::{GatewayIntroduction, Introduction};
use turnpike::interest::border::Rule;
use turnpike::wire::gateway::GatewayInfo;

/// What a server calls the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    Route(PeerId),
    Gateway(Cid),
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Route,
    /// To another cluster, by way of this server.
    Out {
        server: usize,
        interest_only: bool,
    },
    /// From another cluster.
    In {
        interest_only: bool,
    },
}

/// See the file's head. One per end of a link.
pub struct Tap {
    server: usize,
    link: usize,
    what: Use,
    /// The peer, for people.
    peer: String,
    bytes: Vec<u8>,
    /// Messages, with their accounts, and the group that was named, or none.
    seen: BTreeSet<(usize, String, String)>,
    /// The other end is a rogue: what it has the server say is its own affair.
    rogue: bool,
    /// There is one somewhere that forges answers to requests: they are passed on within the account that it named.
    forger: bool,
    /// What the server calls the peer.
    pub number: Number,
    /// The link is over; only last words are written.
    pub over: bool,
    /// The other end's cluster.
    pub cluster: String,
    /// By account, what this end has said of what its cluster wants.
    pub told: BTreeMap<String, Told>,
    rules: Imports,
}

/// What this end has said that its cluster imports, and what it is about to say.
#[derive(Default)]
struct Imports {
    told: Option<Vec<Rule>>,
    coming: Vec<Rule>,
}

/// What one cluster was told of another's interest in an account.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// It was told all.
    pub whole: bool,
    /// Pattern and queue group (empty: none).
    pub wants: BTreeSet<(String, String)>,
}

impl Tap {
    /// For the end of `link` at `server`, a route.
    pub fn route(server: usize, link: usize, route: &Introduction, w: &World) -> Tap {
        let forger = (0..w.servers.len()).any(|at| w.is_rogue(at));
        Tap { forger, ..Tap::new(server, link, Use::Route, &route.server_id, Number::Route(route.peer)) }
    }

    /// For the end of `link` at `server`, a link between clusters.
    pub fn gateway(server: usize, link: usize, intro: &GatewayIntroduction, w: &World) -> Tap {
        let other = w.links[link].servers.map_or(server, |(a, b)| if a == server { b } else { a });
        let what = match intro.way.is_outbound() {
            true => Use::Out { server: other, interest_only: intro.interest_only },
            false => Use::In { interest_only: intro.interest_only },
        };
        let rogue = w.is_rogue(other);
        let cluster = intro.cluster.to_string();
        Tap { rogue, cluster, ..Tap::new(server, link, what, &intro.server_id, Number::Gateway(intro.link)) }
    }

    fn new(server: usize, link: usize, what: Use, peer: &str, number: Number) -> Tap {
        let (peer, bytes, seen) = (peer.into(), Vec::new(), BTreeSet::new());
        let (cluster, told, rules) = (String::new(), BTreeMap::new(), Imports::default());
        let (rogue, forger, over) = (false, false, false);
        Tap { server, link, what, peer, bytes, seen, rogue, forger, number, over, cluster, told, rules }
    }

    /// Is it a route's?
    pub fn is_route(&self) -> bool {
        self.what == Use::Route
    }

    /// Does this end send messages to another cluster?
    pub fn sends(&self) -> bool {
        matches!(self.what, Use::Out { .. })
    }

    /// More was written.
    pub fn hear(&mut self, bytes: &[u8], oracle: &mut Oracle) -> Result<(), String> {
        self.bytes.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(used) = self.line(at, oracle)? {
            at += used;
        }
        self.bytes.drain(..at);
        Ok(())
    }

    fn line(&mut self, at: usize, oracle: &mut Oracle) -> Result<Option<usize>, String> {
        let rest = &self.bytes[at..];
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        let words: Vec<&str> = line.split(' ').collect();
        if !self.is_route() && !self.sends() {
            note_interest(&mut self.told, &words, &line);
            self.rules.note(&words, &line);
            self.check_announced(&words, oracle)?;
        }
        if let Use::In { interest_only: false } = self.what {
            let whole = words[0] == "INFO" && line.contains("\"gateway_cmd\":3");
            let met = match words[0] {
                "A-" => Some("an account was refused"),
                "A+" => Some("a refused account was wanted again"),
                _ => whole.then_some("refusals gave way to the whole interest"),
            };
            met.into_iter().for_each(|label| oracle.label(label));
        }
        let header = match words[0] {
            "RMSG" => 0,
            "HMSG" => words[words.len() - 2].parse::<usize>().map_err(|_| format!("a header's size in {line:?}"))?,
            _ => return Ok(Some(end + 2)),
        };
        let size: usize = words[words.len() - 1].parse().map_err(|_| format!("a size in {line:?}"))?;
        let Some(body) = rest.get(end + 2..end + 2 + size + 2) else { return Ok(None) };
        if self.rogue && self.sends() {
            oracle.may_leave_for(self.server, &self.cluster, words[1], words[2])?;
        }
        if self.rogue || self.forger && words[2].starts_with("_GR_.") && words[1] != "ACC0" {
            return Ok(Some(end + 2 + size + 2));
        }
        let number: String = body[header..].iter().take_while(|b| b.is_ascii_digit()).map(|b| *b as char).collect();
        let (server, link, peer) = (self.server, self.link, &self.peer);
        let what = || format!("{line:?} of server {server} to {peer} (link {link})");
        let known = number.parse::<usize>().ok().and_then(|m| Some((m, oracle.home(m)?)));
        let Some((m, _)) = known else {
            return Err(format!("I7: what no client published is sent over a link: {}", what()));
        };
        let may = match self.what {
            Use::Route => oracle.over_route(m, server, words[1]),
            Use::Out { server: to, interest_only } => {
                // The groups of one message may need several lines, all of them long.
                oracle.across(m, server, to, interest_only, words[2], end > 1000)
            }
            Use::In { .. } => Err("by the end that receives".into()),
        };
        may.map_err(|why| format!("I7: a message is sent {why}: {}", what()))?;
        let accounts = oracle.accounts_of(m);
        if !accounts.iter().any(|name| name == words[1]) {
            return Err(format!("I24: published in {accounts:?}: {}", what()));
        }
        // Groups that do not fit into one line are named in several.
        let sizes = if header > 0 { 2 } else { 1 };
        let groups = match words[3] {
            "|" => words[4..words.len() - sizes].to_vec(),
            "+" => words[5..words.len() - sizes].to_vec(),
            _ => vec![""],
        };
        if !groups.into_iter().all(|g| self.seen.insert((m, words[1].into(), g.into()))) {
            return Err(format!("I7: sent twice: {}", what()));
        }
        Ok(Some(end + 2 + size + 2))
    }
}

impl Imports {
    /// This end says what its cluster imports.
    fn note(&mut self, words: &[&str], line: &str) {
        let json = line.split_once(' ').filter(|_| words[0] == "INFO").map(|l| l.1);
        let Some(info) = json.and_then(|json| GatewayInfo::parse(json.as_bytes()).ok()) else { return };
        if let Some(part) = info.border_rules {
            let name = |text: &str| Some(text.into()).filter(|_| !text.is_empty());
            self.coming.extend(part.entries.iter().filter(|e| !e.export).map(|e| Rule {
                subject: e.subject.as_bytes().into(),
                cluster: name(&e.cluster),
                account: name(&e.account),
                deny: e.deny,
                place: Default::default(),
            }));
            if part.part == part.parts {
                self.told = Some(std::mem::take(&mut self.coming)).filter(|_| part.imports);
            }
        } else if info.gateway_cmd == 0 && info.border.is_empty() {
            self.told = None;
        }
    }
}

impl Tap {
    /// What it says that its cluster wants may enter by the rules that it has told: others come before it.
    fn check_announced(&self, words: &[&str], oracle: &Oracle) -> Result<(), String> {
        let ["RS+", account, pattern, ..] = words else { return Ok(()) };
        // Where not all is told this may be a refusal that is taken back.
        let wanted = words.len() > 3 || self.told.get(*account).is_some_and(|told| told.whole);
        if !wanted || self.rogue || oracle.may_announce(self.rules.told.as_deref(), &self.cluster, account, pattern) {
            return Ok(());
        }
        let (server, cluster) = (self.server, &self.cluster);
        Err(format!(
            "I7: server {server} announces {pattern:?} of {account} to {cluster}, which the rules it told shut out"
        ))
    }
}

/// This end says what its cluster wants.
fn note_interest(told: &mut BTreeMap<String, Told>, words: &[&str], line: &str) {
    let command = |n: u8| words[0] == "INFO" && line.contains(&format!("\"gateway_cmd\":{n}"));
    let info = || GatewayInfo::parse(line.split_once(' ').map_or("", |l| l.1).as_bytes()).ok()?.account();
    let account = match words[0] {
        "RS+" | "RS-" => words[1].to_string(),
        "INFO" if command(2) || command(3) => String::from_utf8_lossy(&info().unwrap_or_default()).into_owned(),
        _ => return,
    };
    let told = told.entry(account).or_default();
    let what = || (words[2].to_string(), words.get(3).copied().unwrap_or_default().to_string());
    match words[0] {
        "RS+" => drop(told.wants.insert(what())),
        "RS-" => drop(told.wants.remove(&what())),
        _ if command(2) => told.wants.retain(|(_, q)| !q.is_empty()),
        _ => told.whole = true,
    }
}
