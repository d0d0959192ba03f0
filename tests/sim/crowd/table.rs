//! What a crowd costs, as a table: measured, held against what it should be, and printed for the docs.

use super::checks::{found, reach_everywhere, settle_in, Founding};
use super::sizes::{refused, sizes, Entries};
use super::traffic::{deeds, measure, mode_of, refused_after, Cast, Lines, Mode, Numbers};
use super::world::{Shape, World, ACCOUNTS};
use std::fmt;
use turnpike::policy::Gateway;

/// Plain subscriptions of a server's client, and members of groups among them.
const KINDS: [&str; 2] = ["plain", "queue groups"];

/// See the file's head.
pub struct Report {
    shape: Shape,
    founding: Founding,
    /// Of each server.
    entries: Vec<(&'static str, Mode, Entries)>,
    deeds: Vec<(&'static str, Vec<(Mode, Lines)>)>,
    /// Virtual time of the whole run, nanoseconds; events in it.
    pub ran: (u64, u64),
}

/// What one server of these should know, of plain subscriptions (one to a subject of its own, one to what all want) or of
/// members of groups (one everywhere).
fn should_know(mode: Mode, kind: usize, k: &Numbers) -> Entries {
    let each = [2, 1][kind];
    let peers = if mode == Mode::OneMesh { k.u - 1 } else { k.n - 1 };
    let gateways = match (mode, kind) {
        (Mode::OneMesh, _) | (Mode::Optimistic, 0) => 0,
        // Each server's own subject, and what all want once.
        (Mode::InterestOnly, 0) => (k.m - 1) * (k.n + 1),
        _ => k.m - 1,
    };
    Entries { local: each, routes: each * peers, gateways }
}

/// Has a crowd found each other, talk, and be counted.
pub fn report(shape: Shape, seed: u64) -> Result<Report, String> {
    let mut w = World::new(shape, seed);
    let (m, n, u) = (shape.clusters as u64, shape.servers as u64, shape.all() as u64);
    let k = Numbers { m, n, u, max: Gateway::default().no_interest_max as u64 };
    let founding = found(&mut w)?;
    settle_in(&mut w)?;
    let entries = know(&mut w, &k)?;
    let cast = Cast::of(&w)?;
    let mut rows = Vec::new();
    for deed in deeds() {
        let mut row = Vec::new();
        for account in 0..ACCOUNTS.len() {
            let mode = mode_of(shape.modes, account);
            let (mut is, should) = (measure(&mut w, &cast, &deed, account, &k), (deed.costs)(mode, &k));
            if deed.picked && is.routes.1 == 1 {
                is.routes.1 = 0;
            }
            w.wrong.clone().map_or(Ok(()), Err)?;
            if is != should {
                return Err(format!("{} ({mode:?}): {is:?}, should be {should:?}", deed.what));
            }
            if row.iter().all(|(m, _)| *m != mode) {
                row.push((mode, is));
            }
        }
        row.push((Mode::OneMesh, (deed.costs)(Mode::OneMesh, &k)));
        if !deed.aside {
            rows.push((deed.what, row));
        }
    }
    let is = refused(&mut w);
    let should = [0, 1].map(|a| if mode_of(shape.modes, a) == Mode::Optimistic { refused_after(&k) } else { 0 });
    if is != should {
        return Err(format!("{is:?} subjects are remembered as refused, should be {should:?}"));
    }
    reach_everywhere(&mut w)?;
    Ok(Report { shape, founding, entries, deeds: rows, ran: (w.now, w.events) })
}

/// What every server knows: all the same.
fn know(w: &mut World, k: &Numbers) -> Result<Vec<(&'static str, Mode, Entries)>, String> {
    let mut entries = Vec::new();
    for at in 0..w.shape.all() {
        let is = sizes(w, at);
        for (account, by_kind) in is.iter().enumerate() {
            let mode = mode_of(w.shape.modes, account);
            for (kind, is) in by_kind.iter().enumerate() {
                let should = should_know(mode, kind, k);
                if *is != should {
                    let what = KINDS[kind];
                    return Err(format!("server {at} knows of {what} ({mode:?}) {is:?}, should be {should:?}"));
                }
                if at == 0 && entries.iter().all(|(what, m, _)| (*what, *m) != (KINDS[kind], mode)) {
                    entries.push((KINDS[kind], mode, *is));
                }
            }
        }
    }
    (0..KINDS.len()).for_each(|kind| entries.push((KINDS[kind], Mode::OneMesh, should_know(Mode::OneMesh, kind, k))));
    Ok(entries)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { shape, founding, .. } = self;
        let (m, n, u) = (shape.clusters, shape.servers, shape.all() as u64);
        writeln!(f, "{u} servers in {m} clusters of {n}, {:?}, {:?}", shape.lists, shape.modes)?;
        let plan = &founding.plan;
        writeln!(
            f,
            "all joined after {:.1} s: {} routes ({} dials), {} outbound gateways ({} dials), at most {} inbound on one \
             server, {} lines about too many at a time, {} MiB said",
            founding.took_ns as f64 / 1e9,
            plan.routes(),
            founding.route_dials,
            plan.outbound(),
            founding.gateway_dials,
            founding.inbound_max,
            founding.crowded,
            founding.bytes >> 20,
        )?;
        writeln!(f, "\n| entries on each server | local | by route | by gateway | sum | all servers |")?;
        writeln!(f, "|---|---:|---:|---:|---:|---:|")?;
        for (kind, mode, e) in &self.entries {
            let (l, r, g, sum) = (e.local, e.routes, e.gateways, e.sum());
            writeln!(f, "| {kind}, {} | {l} | {r} | {g} | {sum} | {} |", words(*mode), sum * u)?;
        }
        write!(f, "\n| lines between servers")?;
        for (mode, _) in self.deeds.first().map_or(&[][..], |(_, row)| row) {
            write!(f, " | {}", words(*mode))?;
        }
        writeln!(f, " |")?;
        writeln!(f, "|---{}|", "|---".repeat(self.deeds.first().map_or(0, |(_, row)| row.len())))?;
        for (what, row) in &self.deeds {
            write!(f, "| {what}")?;
            row.iter().try_for_each(|(_, lines)| write!(f, " | {}", cell(lines)))?;
            writeln!(f, " |")?;
        }
        Ok(())
    }
}

fn words(mode: Mode) -> &'static str {
    match mode {
        Mode::Optimistic => "optimistic",
        Mode::InterestOnly => "interest-only",
        Mode::OneMesh => "one mesh (reckoned)",
    }
}

/// What went over gateways (across) and over routes (within): messages, and lines about interest or refusals.
fn cell(lines: &Lines) -> String {
    let (messages, words) =
        (|n: u64| if n == 1 { "1 message".into() } else { format!("{n} messages") }, |n| format!("{n}"));
    let way = |(interest, sent): (u64, u64), name: &str| -> Option<String> {
        let said = match (interest, sent) {
            (0, 0) => return None,
            (0, sent) => messages(sent),
            (interest, 0) => words(interest),
            (interest, sent) => format!("{}, {interest} back", messages(sent)),
        };
        Some(format!("{said} {name}"))
    };
    let ways = [way(lines.gateways, "across"), way(lines.routes, "within")];
    let said: Vec<String> = ways.into_iter().flatten().collect();
    if said.is_empty() {
        "nothing".into()
    } else {
        said.join("; ")
    }
}
