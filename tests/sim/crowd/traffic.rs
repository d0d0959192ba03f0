//! Things that clients of a crowd do, one after the other, and the lines between servers that each of them costs: as
//! measured, and as it should be.

use super::meter::{Line, Meter};
use super::wires::Use;
use super::world::{Modes, World, ACCOUNTS};

/// The subject of what one server alone wants, before its number.
pub const OWN: &str = "own";
/// What everybody wants.
pub const ALL: &str = "all";

/// Lines between servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Over routes: interest, messages.
    pub routes: (u64, u64),
    /// Over gateways: interest and refusals, messages.
    pub gateways: (u64, u64),
}

/// How an account is sent messages by other clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All but what was refused.
    Optimistic,
    /// Only what is wanted.
    InterestOnly,
    /// There is no other cluster: all servers are in one. Reckoned, never measured.
    OneMesh,
}

/// Something that is done.
pub struct Deed {
    /// In words.
    pub what: &'static str,
    /// Who does it.
    who: Who,
    /// What is said.
    text: fn(max: usize) -> String,
    /// What it should cost.
    pub costs: fn(Mode, &Numbers) -> Lines,
    /// It is only a way back, and stands in no table.
    pub aside: bool,
    /// A member of a group is picked that may be on the same server or not: one message over a route, or none.
    pub picked: bool,
}

/// What costs depend on.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// Clusters.
    pub m: u64,
    /// Servers of each.
    pub n: u64,
    /// All servers.
    pub u: u64,
    /// Refusals of an account after which its whole interest is told.
    pub max: u64,
}

#[derive(Clone, Copy, Debug)]
enum Who {
    /// A publisher.
    P,
    /// Another one, in the same cluster.
    P2,
    /// A third, who has published nothing.
    P3,
    /// A subscriber in another cluster, not on the server that the first publisher's link leads to.
    S,
    /// Another one, in its cluster.
    S2,
}

/// The client of a server in an account.
pub fn client_of(server: usize, account: usize) -> usize {
    server * ACCOUNTS.len() + account
}

/// A client says something.
pub fn say(w: &mut World, client: usize, text: &str) {
    let wire = w.clients[client].wire;
    w.send(wire, 0, text.as_bytes());
}

fn publish(subject: &str) -> String {
    format!("PUB {subject} 1\r\nx\r\n")
}

fn nothing(_: Mode, _: &Numbers) -> Lines {
    Lines::default()
}

/// New interest of a server: it tells each of its peers. `wide`: it is news to other clusters, which are told of it; they
/// sent something else with `taken_back`.
fn told(mode: Mode, k: &Numbers, wide: bool, taken_back: u64) -> Lines {
    let gateways = match mode {
        Mode::InterestOnly if wide => k.u - k.n,
        Mode::Optimistic => taken_back,
        _ => 0,
    };
    let peers = if mode == Mode::OneMesh { k.u - 1 } else { k.n - 1 };
    Lines { routes: (peers, 0), gateways: (gateways, 0) }
}

/// A group begins or ends in a cluster: told in any mode.
fn group(mode: Mode, k: &Numbers, wide: bool) -> Lines {
    told(if mode == Mode::Optimistic { Mode::InterestOnly } else { mode }, k, wide, 0)
}

/// A message that `wanted` other clusters want (one server in each, and not the one it comes in at), and the others
/// refuse if it is the first.
fn sent(mode: Mode, k: &Numbers, wanted: u64, refused: u64) -> Lines {
    match mode {
        Mode::OneMesh => Lines { routes: (0, wanted), ..Lines::default() },
        Mode::InterestOnly => Lines { routes: (0, wanted), gateways: (0, wanted) },
        Mode::Optimistic if refused > 0 => Lines { routes: (0, wanted), gateways: (refused, k.m - 1) },
        Mode::Optimistic => Lines { routes: (0, wanted), gateways: (0, wanted) },
    }
}

const fn deed(what: &'static str, who: Who, text: fn(usize) -> String, costs: fn(Mode, &Numbers) -> Lines) -> Deed {
    Deed { what, who, text, costs, aside: false, picked: false }
}

/// In this order.
pub fn deeds() -> Vec<Deed> {
    let mut all = of_plain();
    all.extend(of_groups());
    all
}

/// What concerns plain subscriptions.
fn of_plain() -> Vec<Deed> {
    use Who::{P, P2, S, S2};
    vec![
        deed(
            "the first subscription to a subject in a cluster",
            S,
            |_| "SUB new 4\r\n".into(),
            |m, k| told(m, k, true, 0),
        ),
        deed(
            "a message that another cluster wants, the first of its subject",
            P,
            |_| publish("new"),
            |m, k| sent(m, k, 1, k.m - 2),
        ),
        deed("the next one", P, |_| publish("new"), |m, k| sent(m, k, 1, 0)),
        deed(
            "a subscription where its cluster has one already",
            S2,
            |_| "SUB new 4\r\n".into(),
            |m, k| told(m, k, false, 0),
        ),
        deed("its end", S2, |_| "UNSUB 4\r\n".into(), |m, k| told(m, k, false, 0)),
        deed("the end of the last one in a cluster", S, |_| "UNSUB 4\r\n".into(), |m, k| told(m, k, true, 0)),
        deed(
            "a message that nobody wants, the first of its subject",
            P,
            |_| publish("none"),
            |m, k| sent(m, k, 0, k.m - 1),
        ),
        deed("the next one", P, |_| publish("none"), nothing),
        deed("the same from another server of the cluster", P2, |_| publish("none"), |m, k| sent(m, k, 0, k.m - 1)),
        deed(
            "a subscription to what was refused to these two",
            S,
            |_| "SUB none 4\r\n".into(),
            |m, k| told(m, k, true, 2),
        ),
        Deed { aside: true, ..deed("its end", S, |_| "UNSUB 4\r\n".into(), |m, k| told(m, k, true, 0)) },
        deed(
            "a message that every server wants",
            P,
            |_| publish(ALL),
            |m, k| match m {
                Mode::OneMesh => Lines { routes: (0, k.u - 1), ..Lines::default() },
                _ => Lines { routes: (0, k.m * (k.n - 1)), gateways: (0, k.m - 1) },
            },
        ),
    ]
}

/// What concerns queue groups; and at last what makes an account change over.
fn of_groups() -> Vec<Deed> {
    use Who::{P, P3, S, S2};
    vec![
        deed(
            "the first member of a queue group in a cluster",
            S,
            |_| "SUB far g 5\r\n".into(),
            |m, k| group(m, k, true),
        ),
        deed("a member where its cluster has one already", S2, |_| "SUB far g 5\r\n".into(), |m, k| group(m, k, false)),
        deed("its end", S2, |_| "UNSUB 5\r\n".into(), |m, k| group(m, k, false)),
        deed(
            "a message for a group of another cluster, the first of its subject",
            P,
            |_| publish("far"),
            |m, k| sent(m, k, 1, k.m - 1),
        ),
        deed("the next one", P, |_| publish("far"), |m, k| sent(m, k, 1, 0)),
        deed("the end of the last member in a cluster", S, |_| "UNSUB 5\r\n".into(), |m, k| group(m, k, true)),
        Deed {
            picked: true,
            ..deed(
                "a message for a group that is everywhere, the first of its subject",
                P,
                |_| publish("jobs"),
                |m, k| sent(m, k, 0, k.m - 1),
            )
        },
        Deed { picked: true, ..deed("the next one", P, |_| publish("jobs"), nothing) },
        deed(
            "messages of one server to 1,001 subjects that nobody wants",
            P3,
            |max| (0..=max).map(|i| publish(&format!("none.{i}"))).collect(),
            |m, k| match m {
                Mode::Optimistic => {
                    // The last one is answered with the whole interest, between two commands.
                    let told = k.max + k.n + 1 + 2;
                    Lines { routes: (0, 0), gateways: ((k.m - 1) * told, (k.m - 1) * (k.max + 1)) }
                }
                _ => Lines::default(),
            },
        ),
    ]
}

/// Subjects that are remembered as refused after all deeds, all servers together: those of the messages, but for what was
/// wanted later in one cluster, and for those of who has been told everything since.
pub fn refused_after(k: &Numbers) -> u64 {
    (k.m - 2) + 4 * (k.m - 1) - 2
}

/// Who plays which part.
pub struct Cast {
    p: [usize; 3],
    s: [usize; 2],
}

impl Cast {
    /// Chosen so that it is known which way a message takes.
    pub fn of(w: &World) -> Result<Cast, String> {
        let n = w.shape.servers;
        let p = [1 % n, 2 % n, 3 % n];
        let into = |x: &&super::wires::Wire| {
            x.what == Use::Gateway && x.is_open() && x.ends[0].at == p[0] && w.cluster_of(x.ends[1].at) == 1
        };
        let entry = w.wires.iter().find(into).ok_or("no link leads to the second cluster")?.ends[1].at;
        let others: Vec<usize> = (n..2 * n).filter(|at| *at != entry).collect();
        match others[..] {
            [s, s2, ..] if n > 3 => Ok(Cast { p, s: [s, s2] }),
            _ => Err("too few servers for all parts".into()),
        }
    }

    fn server(&self, who: Who) -> usize {
        match who {
            Who::P => self.p[0],
            Who::P2 => self.p[1],
            Who::P3 => self.p[2],
            Who::S => self.s[0],
            Who::S2 => self.s[1],
        }
    }
}

/// Does it, and says what it cost.
pub fn measure(w: &mut World, cast: &Cast, deed: &Deed, account: usize, k: &Numbers) -> Lines {
    let before: Meter = w.meter;
    let client = client_of(cast.server(deed.who), account);
    let text = (deed.text)(k.max as usize);
    say(w, client, &text);
    w.settle();
    let spent = w.meter - before;
    Lines {
        routes: (spent.routes.interest(), spent.routes[Line::Message]),
        gateways: (spent.gateways.interest(), spent.gateways[Line::Message]),
    }
}

/// How other clusters are sent messages of an account.
pub fn mode_of(modes: Modes, account: usize) -> Mode {
    match (modes, account) {
        (Modes::ByAccount, 0) => Mode::Optimistic,
        _ => Mode::InterestOnly,
    }
}
